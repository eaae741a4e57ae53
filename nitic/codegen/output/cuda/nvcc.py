"""CUDA C++ to machine code by nvcc, which needs no GPU."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from nitic.errors import CompileError, ExitCode

NOTE = "install the CUDA toolkit, or name its compiler in $NVCC"
FLAGS = ("-w", "-Xptxas", "-v")


def find() -> str | None:
    """$NVCC, or the one on the path."""
    return os.environ.get("NVCC") or shutil.which("nvcc")


def version(nvcc: str) -> str:
    """Raises CompileError."""
    return _run([nvcc, "--version"]).stdout


def compile_text(nvcc: str, text: str, architecture: str) -> tuple[bytes, str]:
    """The code for an architecture ("sm_80", or "compute_80" for PTX), and what ptxas says of each kernel.

    Raises CompileError.
    """
    return _compile(nvcc, text, ["-ptx" if architecture.startswith("compute") else "-cubin", f"-arch={architecture}"])


def fat_binary(nvcc: str, text: str, architectures: Sequence[str], later: str) -> tuple[bytes, str]:
    """Machine code for every architecture, PTX for later ones; what ptxas says of each kernel. Raises CompileError."""
    codes = [f"arch=compute_{a},code=sm_{a}" for a in architectures] + [f"arch=compute_{later},code=compute_{later}"]
    # In parallel, but the log stays in order: nvcc writes the log of each architecture in one piece.
    flags = ["-fatbin", "--threads=0", *(word for code in codes for word in ("-gencode", code))]
    return _compile(nvcc, text, flags)


def _compile(nvcc: str, text: str, flags: Sequence[str]) -> tuple[bytes, str]:
    with tempfile.TemporaryDirectory(prefix="nitic-") as folder:
        source, output = Path(folder) / "kernels.cu", Path(folder) / "kernels"
        source.write_text(text, encoding="utf-8")
        log = _run([nvcc, *FLAGS, *flags, "-o", str(output), str(source)]).stderr
        return output.read_bytes(), log


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise CompileError(command[0], f"cannot run it: {error.strerror}", NOTE, ExitCode.RUN_TIME) from error
    if done.returncode:
        raise CompileError(command[0], "it failed", done.stderr.strip() or done.stdout.strip(), ExitCode.RUN_TIME)
    return done
