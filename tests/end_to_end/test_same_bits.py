"""The promise: after 200 training steps of LeNet-5 every way of running them has the same weights, to the last bit.

The interpreter, every variant that runs here, 1 to 5 threads or a number that is measured, executable and library,
and a run that was killed and resumed.
"""

import hashlib
import itertools
import platform
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import nitic
from models.lenet import lenet
from nitic import targets
from nitic.arithmetic.integers import Array
from nitic.data import shuffle
from nitic.driver.compile import compile_model
from nitic.options import CompileOptions
from tests.networks.stages import Interpreted, samples
from tests.runtime.helpers import read_checkpoint, succeed

BATCH, EPOCHS, STEPS_PER_EPOCH, SEED = 64, 2, 50, 3
COUNT = BATCH * STEPS_PER_EPOCH
RECIPES = ("niti16", "niti")
HYPERS = {"niti16": {"lr": "2^-6", "momentum": "0.9"}, "niti": {"gb": "4"}}
VARIANTS = [
    name
    for name, variant in targets.VARIANTS.items()
    if variant.machine and variant.machine.architecture == platform.machine() and name != "portable"
]
OPTIONS = {
    "niti16": ["--lr", "2^-6", "--momentum", "0.9", "--schedule", "constant"],
    "niti": ["--gb", "4", "--schedule", "constant"],
}


@dataclass
class Setting:
    """A compiled LeNet, its data, and what the interpreter makes of them."""

    recipe: str
    model: Path
    binary: Path
    data: Path
    initial: dict[str, Array]
    expected: str
    final: dict[str, Array]

    def train(self, checkpoint: Path, *options: str | int) -> str:
        """The digest of the weights after a run of the executable."""
        succeed(self.binary, *self.command(checkpoint, *options))
        return digest(read_checkpoint(checkpoint)[1])

    def command(self, checkpoint: Path, *options: str | int) -> list[str]:
        fixed = ["train", "--data", self.data, "--epochs", EPOCHS, "--seed", SEED, "--save", checkpoint]
        return list(map(str, [*fixed, *OPTIONS[self.recipe], *options]))


def digest(state: Mapping[str, Array]) -> str:
    """SHA-256 of a state: names, types, shapes and values."""
    sha = hashlib.sha256()
    for name in sorted(state):
        sha.update(f"{name} {state[name].dtype} {state[name].shape}".encode() + state[name].tobytes())
    return sha.hexdigest()


@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in RECIPES])
def setting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Setting:
    folder, recipe = tmp_path_factory.mktemp(request.param), request.param
    x, y = samples((28, 28, 1), COUNT)
    np.save(folder / "x_train.npy", x)
    np.save(folder / "y_train.npy", y)
    model = folder / "lenet.onnx"
    lenet().save(model)
    options = CompileOptions(model=model, output=folder / "lenet", batch_size=BATCH, recipe=recipe)
    binary = compile_model(options)
    net = Interpreted("lenet", BATCH, recipe)
    initial = dict(net.state)
    interpret(net, x, y)
    return Setting(recipe, model, binary, folder, initial, digest(net.state), net.state)


def interpret(net: Interpreted, x: Array, y: Array) -> None:
    net.normalise(x)
    rates = {"niti16": {"rate_m": 1, "rate_k": 6}, "niti": {"rate_m": 1, "rate_k": 4}}[
        "niti16" if any(name.endswith(".velocity") for name in net.state) else "niti"
    ]
    for epoch in range(EPOCHS):
        for rows in shuffle(COUNT, SEED, epoch).reshape(STEPS_PER_EPOCH, BATCH):
            net.step(x[rows], y[rows], seed=SEED, **rates)


def test_every_trainable_tensor_has_changed(setting: Setting) -> None:
    trainable = [name for name in setting.initial if f"{name}.exponent" in setting.initial]
    assert len(trainable) == 10
    for name in trainable:
        assert (setting.initial[name] != setting.final[name]).any(), name


def test_executable_is_small(setting: Setting) -> None:
    masters = sum(value.nbytes for name, value in setting.initial.items() if f"{name}.exponent" in setting.initial)
    assert setting.binary.stat().st_size - masters < 550_000


@pytest.mark.parametrize(("variant", "threads"), list(itertools.product(VARIANTS, (1, 2, 3, 5, None))))
def test_executable_equals_interpreter(setting: Setting, variant: str, threads: int | None, tmp_path: Path) -> None:
    """Where nobody says how many threads, one or all is measured, and changes in the middle of a run."""
    needs(variant)
    asked = () if threads is None else ("--threads", threads)
    assert setting.train(tmp_path / "ckpt", "--variant", variant, *asked) == setting.expected


@pytest.mark.parametrize("variant", VARIANTS)
def test_library_equals_interpreter(setting: Setting, variant: str) -> None:
    needs(variant)
    program = nitic.compile(setting.model, batch_size=BATCH, recipe=setting.recipe)
    session = nitic.TrainingSession(program, threads=2, variant=variant, seed=SEED)
    session.configure(schedule="constant", **HYPERS[setting.recipe])
    x, y = np.load(setting.data / "x_train.npy"), np.load(setting.data / "y_train.npy")
    session.set_statistics(x)
    for epoch in range(EPOCHS):
        session.begin_epoch(epoch)
        for rows in shuffle(COUNT, SEED, epoch).reshape(STEPS_PER_EPOCH, BATCH):
            session.train_step(x[rows], y[rows])
    assert digest(session.state_dict()) == setting.expected


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_killed_and_resumed_equals_interpreter(setting: Setting, number: signal.Signals, tmp_path: Path) -> None:
    checkpoint = tmp_path / "ckpt"
    command = setting.command(checkpoint, "--save-every", 7, "--threads", 2)
    with subprocess.Popen([setting.binary, *command], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        wait_for(checkpoint, process)
        process.send_signal(number)
    assert process.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL)
    description, _ = read_checkpoint(checkpoint)
    assert 0 < description["step"] < EPOCHS * STEPS_PER_EPOCH
    assert setting.train(checkpoint, "--resume", str(checkpoint), "--threads", 3) == setting.expected


def wait_for(checkpoint: Path, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 30
    while not checkpoint.exists():
        assert process.poll() is None, "the run ended before it was killed"
        assert time.monotonic() < deadline, "no checkpoint appeared"
        time.sleep(0.001)


def test_plain_loops_equal_interpreter(setting: Setting, tmp_path: Path) -> None:
    """Other binaries do not have them."""
    options = CompileOptions(
        setting.model, tmp_path / "lenet", setting.recipe, batch_size=BATCH, target="x86-64-portable"
    )
    loops = replace(setting, binary=compile_model(options))
    assert loops.train(tmp_path / "ckpt", "--variant", "portable", "--threads", 2) == setting.expected


def needs(variant: str) -> None:
    """It is in a binary for this machine: the best that this runs, and the one for any x86-64."""
    if targets.VARIANTS[variant] not in targets.native().variants:
        pytest.skip(f"this machine's binaries have no {variant}")
