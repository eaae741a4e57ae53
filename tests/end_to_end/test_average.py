"""Checkpoints averaged: exact, the same in any order, and good to train on."""

import itertools
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import nitic
from nitic.arithmetic.integers import Array
from nitic.checkpoint import read_checkpoint
from nitic.driver.average import average_checkpoints
from nitic.errors import CompileError, ExitCode
from nitic.frontend.writer import NetworkWriter
from nitic.session import CompiledProgram
from tests.networks.stages import samples

BATCH, SHAPE = 8, (8, 8, 1)
CLIENTS = {"first": 1, "second": 20, "third": 60}  # steps of training


def network() -> NetworkWriter:
    net = NetworkWriter("clients", (1, 8, 8), 0)
    net.conv("conv", 4, 3, bias=False)
    net.batch_norm("bn")
    net.relu()
    net.linear("fc", 3)
    return net


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> CompiledProgram:
    path = tmp_path_factory.mktemp("average") / "clients.onnx"
    network().save(path)
    return nitic.compile(path, batch_size=BATCH, target="x86-64-portable")


@pytest.fixture(scope="module")
def clients(program: CompiledProgram, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three that saw data of their own, with one input map, some of them for long: their exponents differ."""
    folder = tmp_path_factory.mktemp("clients")
    return [trained(program, folder / f"{name}.ckpt", i, steps) for i, (name, steps) in enumerate(CLIENTS.items())]


def trained(program: CompiledProgram, path: Path, seed: int, steps: int, shared: bool = True) -> Path:
    session = nitic.TrainingSession(program, threads=1, seed=7)
    x, y = samples(SHAPE, 60 * BATCH)
    session.set_statistics(x if shared else x // 2)
    session.configure(lr="1", schedule="constant")
    order = np.random.default_rng(seed).permutation(len(x)).reshape(-1, BATCH)
    for rows in order[:steps]:
        session.train_step(x[rows], y[rows] % 3)
    session.save_checkpoint(path)
    return path


def exact(state: Mapping[str, Array], name: str) -> list[Fraction]:
    """A parameter or a velocity, as numbers."""
    return [int(value) * unit(state, name) for value in state[name].reshape(-1)]


def unit(state: Mapping[str, Array], name: str) -> Fraction:
    return Fraction(2.0 ** int(state.get(f"{name.removesuffix('.velocity')}.exponent", 0)))


def test_the_mean_is_exact_but_for_one_rounding(clients: list[Path], tmp_path: Path) -> None:
    states = [read_checkpoint(path).state for path in clients]
    mean = read_checkpoint(average_checkpoints(clients, tmp_path / "mean.ckpt")).state
    exponents = {name for name in mean if name.endswith(".exponent")}
    assert len({int(state["fc.weight.exponent"]) for state in states}) > 1, "the clients are alike"
    for name in mean.keys() - exponents:
        if name.endswith(".top") or name.startswith("input."):
            assert mean[name] == max(state[name] for state in states)
            continue
        numbers = [exact(state, name) for state in states]
        for found, *values in zip(exact(mean, name), *numbers, strict=True):
            assert abs(found - sum(values) / 3) <= unit(mean, name) / 2, name


def test_the_order_does_not_matter_and_one_alone_stays_as_it_is(clients: list[Path], tmp_path: Path) -> None:
    made = {
        average_checkpoints(order, tmp_path / "mean.ckpt").read_bytes() for order in itertools.permutations(clients)
    }
    assert len(made) == 1
    assert average_checkpoints(clients[:1], tmp_path / "alone.ckpt").read_bytes() == clients[0].read_bytes()


def test_training_goes_on_from_it(program: CompiledProgram, clients: list[Path], tmp_path: Path) -> None:
    session = nitic.TrainingSession(program, threads=1)
    session.load_checkpoint(average_checkpoints(clients, tmp_path / "mean.ckpt"))
    before = session.state_dict()
    x, y = samples(SHAPE, BATCH)
    session.train_step(x, y % 3)
    assert any(not np.array_equal(value, before[name]) for name, value in session.state_dict().items())


def refused(call: Callable[[], Path], sentence: str) -> None:
    with pytest.raises(CompileError, match=re.escape(sentence)) as failure:
        call()
    assert failure.value.exit_code == ExitCode.DATA_MISMATCH


def test_what_is_not_averaged(program: CompiledProgram, clients: list[Path], tmp_path: Path) -> None:
    first, output = clients[0], tmp_path / "mean.ckpt"
    other = trained(program, tmp_path / "other.ckpt", 0, CLIENTS["first"], shared=False)
    refused(lambda: average_checkpoints([first, other], output), "trained in one way: input.")
    other.write_bytes(other.read_bytes()[:-1])
    refused(lambda: average_checkpoints([first, other], output), "other.ckpt: it is no whole checkpoint of nitic")
    network().save(tmp_path / "clients.onnx")
    plain = nitic.compile(tmp_path / "clients.onnx", batch_size=4, target="x86-64-portable")
    nitic.TrainingSession(plain, threads=1).save_checkpoint(other)
    refused(lambda: average_checkpoints([first, other], output), "other.ckpt: averaged checkpoints are of one program")
    assert not output.exists()
