"""Where the C sources of the runtime lie."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def runtime_folder() -> Path:
    """The folder with nitic.h and the runtime's .c files: inside the package in a wheel, beside it in a checkout."""
    packaged = _PACKAGE / "_runtime"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "runtime"


def runtime_sources() -> list[Path]:
    """All C files of the runtime, main.c included, in a fixed order."""
    return sorted(runtime_folder().glob("*.c"))
