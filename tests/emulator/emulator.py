"""Kernels in CUDA C++ as a library of the CPU: the emulator in place of a GPU."""

import ctypes
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest

from nitic.arithmetic.integers import Array
from nitic.paths import runtime_folder

FOLDER = Path(__file__).parent
ORDERS = ("forward", "backward")
COMPILER = shutil.which("g++") or shutil.which("clang++")
# Nothing in a kernel may wrap or shift too far: on the CPU that is a trap.
CHECKS = ["-fsanitize=signed-integer-overflow,shift", "-fsanitize-undefined-trap-on-error"]
FLAGS = ["-std=c++20", "-O1", "-w", "-fPIC", "-shared", "-U_FORTIFY_SOURCE"]
SIGNATURE = re.compile(r'extern "C" __global__ void __launch_bounds__\(\d+\) (\w+)\((.*?)\) \{')

needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler for the emulator")


def command(output: Path, *arguments: "str | Path") -> list[str]:
    assert COMPILER is not None
    return [COMPILER, *FLAGS, "-o", str(output), *map(str, arguments)]


@cache
def scheduler() -> Path:
    """The library of fibers, made once for the process."""
    folder = Path(mkdtemp(prefix="nitic-emulator-"))
    library = folder / "libemulator.so"
    subprocess.run(command(library, FOLDER / "emulator.cpp"), check=True)
    return library


class EmulatorError(Exception):
    """A kernel did what no GPU allows."""


class Emulated:
    """A text of kernels, ready to run."""

    def __init__(self, text: str, folder: Path) -> None:
        self.compiled = ctypes.CDLL(str(kernel_library(text, folder)))

    def launch(self, launch: Mapping[str, Any], pointers: Sequence[int], order: str = "forward") -> None:
        """One entry of a launch table, on the memory at these addresses."""
        buffers = (ctypes.c_void_p * len(pointers))(*pointers)
        os.environ["NITIC_EMULATOR_ORDER"] = order
        size = launch["blocks"], launch["threads"], launch["shared"], launch["units"]
        if getattr(self.compiled, f"launch_{launch['kernel']}")(buffers, *size) != 0:
            raise EmulatorError(launch["kernel"])


def kernel_library(text: str, folder: Path) -> Path:
    """Kernels as a library of the CPU."""
    source, library = folder / "kernels.cpp", folder / "kernels.so"
    source.write_text(f'#include "nitic_ptx.cuh"\n{text}\n{launchers(text)}')
    subprocess.run(command(library, *CHECKS, "-I", FOLDER, source, scheduler()), check=True)
    return library


@cache
def driver() -> Path:
    """The folder of a libcuda.so.1 whose GPU is the emulator (fake_cuda.h); made once for the process."""
    folder = Path(mkdtemp(prefix="nitic-emulator-"))
    sources = sorted(FOLDER.glob("fake_*.cpp"))
    subprocess.run(
        command(folder / "libcuda.so.1", "-I", runtime_folder(), *sources, "-ldl", "-Wl,-soname,libcuda.so.1"),
        check=True,
    )
    return folder


def launchers(text: str) -> str:
    """For each kernel, parameters_NAME and what starts it: launch_NAME(buffers, blocks, threads, shared, units)."""
    return "\n".join(_launcher(name, parameters.split(", ")[:-1]) for name, parameters in SIGNATURE.findall(text))


def _launcher(name: str, parameters: Sequence[str]) -> str:
    types = [parameter.partition("*")[0] for parameter in parameters]
    arguments = "".join(f"({type_} *)c->b[{i}], " for i, type_ in enumerate(types))
    return f"""
struct call_{name} {{ void *const *b; int units; }};
static void body_{name}(void *p) {{ call_{name} *c = (call_{name} *)p; {name}({arguments}c->units); }}
extern "C" const int parameters_{name} = {len(types)};
extern "C" int launch_{name}(void *const *b, unsigned blocks, unsigned threads, int shared, int units) {{
  call_{name} call = {{b, units}};
  return emulator::launch(blocks, threads, shared, body_{name}, &call);
}}"""


class Device:
    """The arena of a launch table's program, and its functions."""

    def __init__(self, table: Mapping[str, Any], kernels: Emulated, order: str) -> None:
        self.table, self.kernels, self.order = table, kernels, order
        self.memory = np.zeros(table["arena"] + 64, np.uint8)
        self.tensors = {tensor["name"]: tensor for tensor in table["tensors"]}

    def __getitem__(self, name: str) -> Array:
        tensor = self.tensors[name]
        raw = self.memory[tensor["offset"] : tensor["offset"] + tensor["bytes"]]
        return raw.view(tensor["dtype"]).reshape(tensor["shape"])

    def set(self, values: Mapping[str, Array | int]) -> None:
        """Writes named tensors; those that the program does not have are left out."""
        for name, value in values.items():
            if name in self.tensors:
                self[name][...] = value

    @property
    def guesses(self) -> Array:
        """The kept shifts of all functions' kernels, one for each 64 bytes."""
        kept = self.table["kept"]
        return self.memory[kept["offset"] : kept["offset"] + kept["bytes"]].view(np.int32)[::16]

    def run(self, function: str) -> None:
        ranges = self.table["ranges"]
        self.memory[ranges["offset"] : ranges["offset"] + ranges["bytes"]] = 0
        base = self.memory.ctypes.data
        for launch in self.table["functions"][function]:
            for offset, size in launch["zeroed"]:
                self.memory[offset : offset + size] = 0
            self.kernels.launch(launch, [base + offset for offset in launch["buffers"]], self.order)
