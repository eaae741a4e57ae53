"""examples/firmware with a network, run in qemu-system-arm, which is a package of Debian that is unpacked."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from examples.firmware.digits import header
from nitic.arithmetic.integers import Array
from nitic.driver.compile import compile_model
from nitic.options import CompileOptions
from tests.targets.bochs import done, unpacked

EXAMPLE = Path(__file__).parents[2] / "examples/firmware"
CC = f"{sys.executable} -m ziglang cc"
LIMIT = 1800  # seconds that a run may take


@dataclass(frozen=True)
class Board:
    """A machine of qemu's with a core, by whose name its target is called."""

    core: str
    machine: str


BOARDS = (Board("cortex-m4", "mps2-an386"), Board("cortex-m33", "mps2-an505"))


@dataclass(frozen=True)
class Firmware:
    """An image, and the folder that its files of the host are in."""

    board: Board
    image: Path
    folder: Path
    arena: int

    @property
    def flash(self) -> int:
        """Bytes of the image: code, constants, and the samples."""
        return sum(self._sizes()[:2])

    @property
    def ram(self) -> int:
        """Bytes of data and memory, without the stack."""
        return sum(self._sizes()[1:])

    def _sizes(self) -> list[int]:
        told = subprocess.run(["size", self.image], capture_output=True, text=True, check=True).stdout
        return [int(word) for word in told.splitlines()[1].split()[:3]]

    def run(self, root: Path) -> int:
        """The bytes of stack that a run took. Raises CalledProcessError."""
        options = ("-nographic", "-semihosting-config", "enable=on,target=native", "-kernel", self.image)
        command = [root / "usr/bin/qemu-system-arm", "-M", self.board.machine, *options]
        libraries = sorted({str(path.parent) for path in root.rglob("*.so*")})
        done_ = subprocess.run(
            command,
            cwd=self.folder,
            env={"LD_LIBRARY_PATH": ":".join(libraries)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        said = done_.stdout + done_.stderr
        found = re.search(r"the stack took (\d+) bytes", said)
        if done_.returncode or not found:
            raise subprocess.CalledProcessError(done_.returncode, command, done_.stdout, said)
        return int(found[1])


def emulator(folder: Path) -> Path:
    """The folder with qemu's emulator of ARM machines and its libraries."""
    return unpacked(folder / "qemu-system", ("qemu-system-arm",))


def built(board: Board, options: CompileOptions, folder: Path, x: Array, y: Array, epochs: int, seed: int) -> Firmware:
    """The firmware of a network, with these samples in flash."""
    made = folder / f"{options.model.stem}-{board.core}"
    shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(EXAMPLE, made)
    library = compile_model(replace(options, output=made / "library", target=board.core))
    (made / "digits.h").write_text(header(x, y))
    defines = f"DEFINES=-DEPOCHS={epochs} -DSEED={seed}"
    done("make", "-s", f"CC={CC}", f"CORE={board.core}", defines, folder=made)
    arena = re.search(r"#define NITIC_ARENA_BYTES (\d+)", (library / "nitic.h").read_text())
    assert arena
    return Firmware(board, (made / "firmware.elf").resolve(), folder, int(arena[1]))
