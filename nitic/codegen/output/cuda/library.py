"""Parts of CUDA that PyPI has (extra `cuda`)."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nitic.errors import CompileError, ExitCode

FOLDER = "cu13"  # in the package `nvidia`


def find(name: str) -> Path | None:
    """A file of the packages, such as `lib/libnvrtc.so.13`, if it is installed."""
    with suppress(ModuleNotFoundError):
        spec = find_spec("nvidia")
        for folder in (spec and spec.submodule_search_locations) or ():
            if (path := Path(folder) / FOLDER / name).is_file():
                return path
    return None


@cache
def load(path: Path, beside: str = "") -> Any:
    """Loads a library, after those that it needs but would not find: the pattern `beside`. Raises CompileError."""
    try:
        for part in path.parent.glob(beside) if beside else ():
            ctypes.CDLL(str(part))
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise CompileError(str(path), f"cannot load it: {error}", exit_code=ExitCode.RUN_TIME) from error
