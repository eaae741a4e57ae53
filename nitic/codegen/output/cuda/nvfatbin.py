"""Machine code of several architectures, and PTX, to one fat binary by nvFatbin, a library on PyPI (extra `cuda`)."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nitic.codegen.output.cuda import library
from nitic.errors import CompileError, ExitCode

LIBRARY = "lib/libnvfatbin.so.13"


def find() -> Path | None:
    """The library, if it is installed."""
    return library.find(LIBRARY)


def version(path: Path) -> str:
    """Raises CompileError."""
    major, minor = ctypes.c_uint(), ctypes.c_uint()
    _call(path, "Version", ctypes.byref(major), ctypes.byref(minor))
    return f"nvFatbin {major.value}.{minor.value} {path.stat().st_size}"


def pack(path: Path, cubins: Mapping[str, bytes], ptx: Mapping[str, bytes]) -> bytes:
    """One fat binary of machine code and PTX, each by architecture ("80"). Raises CompileError."""
    handle, size = ctypes.c_void_p(), ctypes.c_size_t()
    _call(path, "Create", ctypes.byref(handle), None, size)
    try:
        for architecture, code in cubins.items():
            _call(path, "AddCubin", handle, *_sized(code), architecture.encode(), b"")
        for architecture, code in ptx.items():
            _call(path, "AddPTX", handle, *_sized(code), architecture.encode(), b"", b"")
        _call(path, "Size", handle, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        _call(path, "Get", handle, buffer)
    finally:
        _call(path, "Destroy", ctypes.byref(handle))
    return buffer.raw


def _sized(code: bytes) -> tuple[bytes, ctypes.c_size_t]:
    return code, ctypes.c_size_t(len(code))


def _call(path: Path, name: str, *arguments: Any) -> None:
    nvfatbin = library.load(path)
    if result := getattr(nvfatbin, f"nvFatbin{name}")(*arguments):
        nvfatbin.nvFatbinGetErrorString.restype = ctypes.c_char_p
        message = nvfatbin.nvFatbinGetErrorString(result).decode(errors="replace")
        raise CompileError("nvFatbin", f"it failed: {message}", exit_code=ExitCode.RUN_TIME)
