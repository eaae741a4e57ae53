"""One SHA-256 for the checkpoints of all targets and the interpreter, and runs that go on from machine to machine."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nitic.arithmetic.integers import Array
from nitic.checkpoint import checkpoint_bytes, read_checkpoint
from nitic.data import shuffle
from nitic.ir.function import argument, function
from nitic.ir.types import shape_of
from nitic.options import CompileOptions
from tests.networks.stages import WRITERS, Interpreted, imported, samples
from tests.runtime.helpers import write_npy
from tests.targets import firmware
from tests.targets.firmware import BOARDS, Board
from tests.targets.machines import MACHINES, Machine, Run, compiled, runner

SEED = 3
RATES = {"rate_m": 1, "rate_k": 6, "momentum": 230}
OPTIONS = ("--lr", "2^-6", "--momentum", "0.9", "--schedule", "constant", "--seed", str(SEED))


@dataclass(frozen=True)
class Case:
    """A network, its batch, and a run of so many epochs of so many steps; the boards that have room for it.

    With frozen parameters there is no row of the interpreter, which trains all.
    """

    network: str
    batch: int
    epochs: int
    steps: int
    boards: tuple[Board, ...] = ()
    freeze: tuple[str, ...] = ()

    def __str__(self) -> str:
        frozen = f", without {', '.join(self.freeze)}" if self.freeze else ""
        return f"{self.network}, {self.epochs * self.steps} steps of {self.batch}{frozen}"


CASES = (
    Case("tiny_cnn", 8, 3, 48, BOARDS),
    Case("tiny_cnn", 8, 3, 48, BOARDS[:1], ("conv*",)),
    Case("lenet", 32, 3, 48, BOARDS[:1]),
    Case("resnet8", 16, 1, 20),
)


def compare(case: Case, folder: Path, machines: Sequence[Machine] = MACHINES) -> bool:
    """Whether all machines, and the interpreter, end in the same checkpoint. Says what each ends in."""
    data = folder / case.network
    data.mkdir(parents=True, exist_ok=True)
    WRITERS[case.network]().save(data / f"{case.network}.onnx")
    shape = shape_of(argument(function(imported(case.network, case.batch).module, "predict"), "input"))[1:]
    x, y = samples(shape, case.batch * case.steps)
    write_npy(data, "train", x, y)
    options = CompileOptions(data / f"{case.network}.onnx", batch_size=case.batch, freeze=case.freeze)
    columns = ("machine", "variant", "program", "arena", "SHA-256 of the checkpoint")
    print(f"{case}\n| {' | '.join(columns)} |\n{'|---' * len(columns)}|", flush=True)
    found: dict[str, str] = {}
    halfway: Path | None = None
    for machine in machines:
        program = compiled(machine, options, data)
        run = runner(machine, program, folder, data)
        digest = trained(run, case, "whole")
        if halfway:  # another machine's
            resumed = trained(run, case, "resumed", "--resume", halfway.name)
            digest = digest if resumed == digest else f"{digest}, but {resumed} where {halfway.name} went on"
        halfway = save_halfway(run, machine, data) if case.epochs > 1 else None
        found[machine.name] = digest
        variant, arena = variant_of(run)
        print(f"| {machine.name} | {variant} | {program.stat().st_size:,} | {arena:,} | `{digest}` |", flush=True)
    for board in case.boards:
        found[board.core] = _by_board(board, case, options, folder, halfway, x, y)
    if not case.freeze:
        found["interpreter"] = interpreted(case, data / "whole", x, y)
        print(f"| interpreter | | | | `{found['interpreter']}` |", flush=True)
    return len(set(found.values())) == 1


def _by_board(
    board: Board, case: Case, options: CompileOptions, folder: Path, halfway: Path | None, x: Array, y: Array
) -> str:
    """The digest of the firmware's run, beside one that goes on from another machine's checkpoint. Says both."""
    data, emulator = options.model.parent, firmware.emulator(folder)
    made = firmware.built(board, options, data, x, y, case.epochs, SEED)
    checkpoint, resume = data / "checkpoint", data / "resume"
    resume.unlink(missing_ok=True)
    stack = made.run(emulator)
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    if halfway:
        shutil.copy(halfway, resume)
        made.run(emulator)
        resumed = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
        digest = digest if resumed == digest else f"{digest}, but {resumed} where {halfway.name} went on"
    sizes = f"{made.flash:,} of flash, {made.ram:,} of RAM and {stack:,} of stack"
    print(f"| {board.core} ({board.machine}) | {sizes} | | {made.arena:,} | `{digest}` |", flush=True)
    return digest


def trained(run: Run, case: Case, name: str, *more: str) -> str:
    """The digest of a run's checkpoint, which is written to the current folder of the program."""
    checkpoint = run.folder / name
    checkpoint.unlink(missing_ok=True)
    run("train", "--data", ".", "--epochs", str(case.epochs), *OPTIONS, "--save", name, *more)
    return hashlib.sha256(checkpoint.read_bytes()).hexdigest()


def save_halfway(run: Run, machine: Machine, data: Path) -> Path:
    """The checkpoint of a run that ends after an epoch."""
    name = f"halfway-{machine.target}-{machine.emulator or 'here'}"
    (data / name).unlink(missing_ok=True)
    run("train", "--data", ".", "--epochs", "1", *OPTIONS, "--save", name)
    return data / name


def variant_of(run: Run) -> tuple[str, int]:
    """Which one the program chooses, and the bytes of its arena."""
    told = re.search(r"variant +(\w+) \(runs here\): arena (\d+) bytes", run("info"))
    assert told
    return told[1], int(told[2])


def interpreted(case: Case, like: Path, x: Array, y: Array) -> str:
    """The digest of the checkpoint that the interpreter's run would end in; `like` is one with its description."""
    net = Interpreted(case.network, case.batch)
    net.normalise(x)
    for epoch in range(case.epochs):
        for rows in shuffle(len(x), SEED, epoch).reshape(case.steps, case.batch):
            net.step(x[rows], y[rows], seed=SEED, **RATES)
    content = checkpoint_bytes(read_checkpoint(like).description, net.state)
    return hashlib.sha256(content).hexdigest()
