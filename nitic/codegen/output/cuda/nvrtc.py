"""CUDA C++ to machine code by NVRTC, the compiler as a library on PyPI (extra `cuda`), which nvFatbin then packs."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from nitic.codegen.output.cuda import library, nvfatbin
from nitic.errors import CompileError, ExitCode

LIBRARY = "lib/libnvrtc.so.13"
FLAGS = ("-w", "--ptxas-options=-v")


def find() -> Path | None:
    """The library, if it is installed."""
    return library.find(LIBRARY)


def version(path: Path) -> str:
    """Raises CompileError."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    _load(path).nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return f"NVRTC {major.value}.{minor.value} {path.stat().st_size}"


def compile_text(path: Path, text: str, architecture: str) -> tuple[bytes, str]:
    """The code for an architecture ("sm_80", or "compute_80" for PTX), and what ptxas says of each kernel.

    Raises CompileError.
    """
    nvrtc, program = _load(path), ctypes.c_void_p()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernels.cu", 0, None, None)
    try:
        flags = [flag.encode() for flag in (f"--gpu-architecture={architecture}", *FLAGS)]
        failed = nvrtc.nvrtcCompileProgram(program, len(flags), (ctypes.c_char_p * len(flags))(*flags))
        log = _take(nvrtc, "ProgramLog", program).rstrip(b"\0").decode(errors="replace")
        if failed:
            raise CompileError("NVRTC", "it failed", log.strip(), ExitCode.RUN_TIME)
        is_ptx = architecture.startswith("compute")
        code = _take(nvrtc, "PTX", program).rstrip(b"\0") if is_ptx else _take(nvrtc, "CUBIN", program)
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return code, log


def fat_binary(path: Path, packer: Path, text: str, architectures: Sequence[str], later: str) -> tuple[bytes, str]:
    """Machine code for every architecture, PTX for later ones; what ptxas says of each kernel. Raises CompileError."""
    names = [*(f"sm_{architecture}" for architecture in architectures), f"compute_{later}"]
    with ThreadPoolExecutor() as pool:
        *made, (ptx, _) = pool.map(partial(compile_text, path, text), names)
    cubins = {architecture: code for architecture, (code, _) in zip(architectures, made, strict=True)}
    return nvfatbin.pack(packer, cubins, {later: ptx}), "".join(log for _, log in made)


def _load(path: Path) -> Any:
    return library.load(path, "libnvrtc-builtins.so.*")


def _take(nvrtc: Any, what: str, program: ctypes.c_void_p) -> bytes:
    """What nvrtcGetWHATSize and nvrtcGetWHAT give."""
    size = ctypes.c_size_t()
    getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    getattr(nvrtc, f"nvrtcGet{what}")(program, buffer)
    return buffer.raw
