"""CUDA C++ to one fat binary for every GPU, by nvcc where it is, else by NVRTC and nvFatbin. No GPU is needed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

from nitic.codegen.output.cache import Cache
from nitic.codegen.output.cuda import nvcc, nvfatbin, nvrtc
from nitic.errors import CompileError, ExitCode

ARCHITECTURES = ("80", "86", "89", "90a")
LATER = "80"  # PTX of this level is what the driver compiles for any GPU without machine code of its own
NOTE = "install the CUDA toolkit or name its compiler in $NVCC, or: pip install 'nitic[cuda]'"
_LOG_OF_KERNEL = re.compile(
    r"Compiling entry function '(\w+)' for '(\w+)'\n.*\n.* (\d+) bytes spill stores, (\d+) bytes spill loads\n"
    r".*Used (\d+) registers(?:.*?, (\d+) bytes smem)?"
)


@dataclass(frozen=True)
class Resources:
    """What a kernel takes: registers of a thread and the bytes that they spill, fixed shared memory of a block."""

    registers: int
    spills: int
    shared: int


@dataclass(frozen=True)
class Image:
    """All kernels as a fat binary: machine code for ARCHITECTURES, PTX for later ones. The driver takes what fits.

    resources: by architecture ("sm_80") and kernel.
    """

    content: bytes
    resources: Mapping[str, Mapping[str, Resources]]


@dataclass(frozen=True)
class Compiler:
    """Compiles a text to a fat binary, or to code for one architecture; both functions also give the log of ptxas.

    version: its name and version.
    """

    version: str
    fat_binary: Callable[[str], tuple[bytes, str]]
    compile: Callable[[str, str], tuple[bytes, str]]


def compiler() -> Compiler:
    """Raises CompileError where there is none."""
    if path := nvcc.find():
        packed = partial(nvcc.fat_binary, path, architectures=ARCHITECTURES, later=LATER)
        return Compiler(nvcc.version(path), packed, partial(nvcc.compile_text, path))
    library, packer = nvrtc.find(), nvfatbin.find()
    if not library:
        raise CompileError("--target", "no compiler for GPUs: neither nvcc nor NVRTC", NOTE, ExitCode.RUN_TIME)
    if not packer:
        message = "NVRTC compiles for GPUs, but nothing makes one fat binary of it: neither nvcc nor nvFatbin"
        raise CompileError("--target", message, NOTE, ExitCode.RUN_TIME)
    packed = partial(nvrtc.fat_binary, library, packer, architectures=ARCHITECTURES, later=LATER)
    version = f"{nvrtc.version(library)} {nvfatbin.version(packer)}"
    return Compiler(version, packed, partial(nvrtc.compile_text, library))


def compile_image(text: str, cache: Cache) -> Image:
    """Code for every GPU from compute capability 8.0 on. Raises CompileError."""
    chosen = compiler()
    name = sha256(f"{chosen.version}\n{ARCHITECTURES} {LATER}\n{text}".encode()).hexdigest()[:32]
    if content := cache.read("gpu", name):
        log, _, code = content.partition(b"\0")
    else:
        code, told = chosen.fat_binary(text)
        log = told.encode()
        cache.write("gpu", name, log + b"\0" + code)
    return Image(code, resources(log.decode()))


def compile_ptx(text: str) -> bytes:
    """Raises CompileError."""
    return compiler().compile(text, f"compute_{LATER}")[0]


def resources(log: str) -> dict[str, dict[str, Resources]]:
    """What each kernel takes, by architecture and kernel, from the log of ptxas."""
    found: dict[str, dict[str, Resources]] = {f"sm_{architecture}": {} for architecture in ARCHITECTURES}
    for name, architecture, stores, loads, registers, shared in _LOG_OF_KERNEL.findall(log):
        found[architecture][name] = Resources(int(registers), int(stores) + int(loads), int(shared or 0))
    return found
