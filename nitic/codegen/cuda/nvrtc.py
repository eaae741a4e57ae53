"""CUDA C++ to machine code by NVRTC, the compiler that PyPI has as a library (extra `cuda`)."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nitic.errors import CompileError, ExitCode

LIBRARY = "cu13/lib/libnvrtc.so.13"  # in the package `nvidia`
FLAGS = ("-w", "--ptxas-options=-v")


def find() -> Path | None:
    """The library, if it is installed."""
    with suppress(ModuleNotFoundError):
        spec = find_spec("nvidia")
        for folder in (spec and spec.submodule_search_locations) or ():
            if (path := Path(folder) / LIBRARY).is_file():
                return path
    return None


def version(library: Path) -> str:
    """Raises CompileError."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    _load(library).nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return f"NVRTC {major.value}.{minor.value} {library.stat().st_size}"


def compile_text(library: Path, text: str, architecture: str, is_ptx: bool) -> tuple[bytes, str]:
    """The code, and what ptxas says of each kernel. Raises CompileError."""
    nvrtc, program = _load(library), ctypes.c_void_p()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernels.cu", 0, None, None)
    try:
        kind = "compute" if is_ptx else "sm"
        flags = [flag.encode() for flag in (f"--gpu-architecture={kind}_{architecture}", *FLAGS)]
        failed = nvrtc.nvrtcCompileProgram(program, len(flags), (ctypes.c_char_p * len(flags))(*flags))
        log = _take(nvrtc, "ProgramLog", program).rstrip(b"\0").decode(errors="replace")
        if failed:
            raise CompileError("NVRTC", "it failed", log.strip(), ExitCode.RUN_TIME)
        code = _take(nvrtc, "PTX", program).rstrip(b"\0") if is_ptx else _take(nvrtc, "CUBIN", program)
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return code, log


@cache
def _load(library: Path) -> Any:
    try:
        for part in library.parent.glob("libnvrtc-builtins.so.*"):  # which it looks for along the system's path alone
            ctypes.CDLL(str(part))
        return ctypes.CDLL(str(library))
    except OSError as error:
        raise CompileError(str(library), f"cannot load it: {error}", exit_code=ExitCode.RUN_TIME) from error


def _take(nvrtc: Any, what: str, program: ctypes.c_void_p) -> bytes:
    """What nvrtcGetWHATSize and nvrtcGetWHAT give."""
    size = ctypes.c_size_t()
    getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    getattr(nvrtc, f"nvrtcGet{what}")(program, buffer)
    return buffer.raw
