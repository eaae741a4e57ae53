"""Where the C sources of the runtime lie."""

from pathlib import Path

DEVICES = ("cpu", "cuda")
SYSTEMS = ("posix", "standard")
BARE = "bare"  # device and system in one, for machines without an operating system
FREESTANDING = ("core", BARE)  # what needs no libc
_PACKAGE = Path(__file__).resolve().parent


def runtime_folder() -> Path:
    """The folder with nitic.h and the runtime's parts: inside the package in a wheel, beside it in a checkout.

    Includes are relative to it.
    """
    packaged = _PACKAGE / "_runtime"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "runtime"


def runtime_sources(device: str = "cpu", system: str = "posix") -> list[Path]:
    """The C files of a binary for this device and this system, in a fixed order.

    What is for one of them alone lies in the folder of its name.
    """
    others = {*DEVICES, *SYSTEMS, BARE} - {device, system}
    found = sorted(path for path in runtime_folder().glob("*/*.c") if path.parent.name not in others)
    return [path for path in found if path.parent.name in FREESTANDING] if device == BARE else found
