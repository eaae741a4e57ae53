"""CUDA C++ to machine code by nvcc, which needs no GPU."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from nitic.errors import CompileError, ExitCode

ARCHITECTURES = ("80", "86", "89", "90a")
LATER = "80"  # PTX of this level is what the driver compiles for any GPU without machine code of its own
NOTE = "install the CUDA toolkit, or name its compiler in $NVCC"


def nvcc() -> str:
    """The compiler: $NVCC, or nvcc. Raises CompileError."""
    found = os.environ.get("NVCC") or shutil.which("nvcc")
    if not found:
        raise CompileError("--emit", "no nvcc to compile the kernels with", NOTE, ExitCode.RUN_TIME)
    return found


def fat_binary(text: str, output: Path) -> None:
    """Machine code for every architecture, and PTX for later ones. Raises CompileError."""
    codes = [f"arch=compute_{a},code=sm_{a}" for a in ARCHITECTURES] + [f"arch=compute_{LATER},code=compute_{LATER}"]
    _run(text, output, ["-fatbin", *(word for code in codes for word in ("-gencode", code))])


def ptx(text: str, output: Path) -> None:
    """Raises CompileError."""
    _run(text, output, ["-ptx", f"-arch=compute_{LATER}"])


def _run(text: str, output: Path, flags: list[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="nitic-") as folder:
        source = Path(folder) / "kernels.cu"
        source.write_text(text, encoding="utf-8")
        command = [nvcc(), "-w", "--threads=0", *flags, "-o", str(output), str(source)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        except OSError as error:
            raise CompileError(command[0], f"cannot run it: {error.strerror}", NOTE, ExitCode.RUN_TIME) from error
    if done.returncode:
        raise CompileError(command[0], "it failed", done.stderr.strip() or done.stdout.strip(), ExitCode.RUN_TIME)
