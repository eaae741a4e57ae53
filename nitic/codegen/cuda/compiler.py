"""CUDA C++ to the machine code of every architecture and PTX, by nvcc where it is, else by NVRTC. No GPU is needed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256

from nitic.codegen.cache import Cache
from nitic.codegen.cuda import nvcc, nvrtc
from nitic.errors import CompileError, ExitCode

ARCHITECTURES = ("80", "86", "89", "90a")
LATER = "80"  # PTX of this level is what the driver compiles for any GPU without machine code of its own
NOTE = "install the CUDA toolkit or name its compiler in $NVCC, or: pip install 'nitic[cuda]'"
_REPORT = re.compile(
    r"Compiling entry function '(\w+)' for .*\n.*\n.* (\d+) bytes spill stores, (\d+) bytes spill loads\n"
    r".*Used (\d+) registers(?:.*?, (\d+) bytes smem)?"
)


@dataclass(frozen=True)
class Resources:
    """What a kernel takes: registers of a thread and the bytes that they spill, fixed shared memory of a block."""

    registers: int
    spills: int
    shared: int


@dataclass(frozen=True)
class Code:
    """All kernels as machine code of an architecture ("80", or "90a" with features that no other has), or as PTX.

    resources: of each kernel, where it is machine code.
    """

    architecture: str
    content: bytes
    is_ptx: bool = False
    resources: Mapping[str, Resources] = field(default_factory=dict[str, Resources])


@dataclass(frozen=True)
class Compiler:
    """compile: (text, architecture, whether to PTX) to (code, report of ptxas). version: its name and version."""

    version: str
    compile: Callable[[str, str, bool], tuple[bytes, str]]


def compiler() -> Compiler:
    """Raises CompileError where there is none."""
    if path := nvcc.find():
        return Compiler(nvcc.version(path), lambda *what: nvcc.compile_text(path, *what))
    if library := nvrtc.find():
        return Compiler(nvrtc.version(library), lambda *what: nvrtc.compile_text(library, *what))
    raise CompileError("--target", "no compiler for GPUs: neither nvcc nor NVRTC", NOTE, ExitCode.RUN_TIME)


def check(has_to_be_nvcc: bool) -> None:
    """Raises CompileError where there is no compiler."""
    _ = nvcc.needed() if has_to_be_nvcc else compiler()


def compile_codes(text: str, cache: Cache) -> list[Code]:
    """Code for every GPU from compute capability 8.0 on. Raises CompileError."""
    chosen = compiler()
    wanted = [*((architecture, False) for architecture in ARCHITECTURES), (LATER, True)]
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda each: _code(chosen, text, *each, cache), wanted))


def compile_ptx(text: str) -> bytes:
    """Raises CompileError."""
    return compiler().compile(text, LATER, True)[0]


def _code(chosen: Compiler, text: str, architecture: str, is_ptx: bool, cache: Cache) -> Code:
    name = sha256(f"{chosen.version}\n{architecture} {is_ptx}\n{text}".encode()).hexdigest()[:32]
    if content := cache.read("gpu", name):
        report, _, code = content.partition(b"\0")
    else:
        code, told = chosen.compile(text, architecture, is_ptx)
        report = told.encode()
        cache.write("gpu", name, report + b"\0" + code)
    return Code(architecture, code, is_ptx, dict(_resources(report.decode())))


def _resources(report: str) -> Iterator[tuple[str, Resources]]:
    for name, stores, loads, registers, shared in _REPORT.findall(report):
        yield name, Resources(int(registers), int(stores) + int(loads), int(shared or 0))
