"""Checkpoints averaged: exact, the same in any order, and good to train on; and what clients send of theirs."""

import itertools
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nitic
from nitic.arithmetic.integers import Array
from nitic.checkpoint import DELTA, checkpoint_bytes, read_checkpoint, read_sealed
from nitic.driver.average import average_checkpoints
from nitic.driver.export import export_checkpoint
from nitic.errors import CompileError, ExitCode
from nitic.frontend.writer import NetworkWriter
from nitic.options import CompileOptions, ExportFormat, ExportOptions
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


# ---- deltas


def delta(program: CompiledProgram, base: Path, checkpoint: Path, **options: Any) -> Path:
    """What `nitic export --format delta` writes."""
    out = checkpoint.with_suffix(f".{base.stem}.delta")
    compiled = CompileOptions(program.path)
    return export_checkpoint(ExportOptions(compiled, checkpoint, out, ExportFormat.DELTA, base=base, **options))


def test_base_and_delta_are_the_checkpoint(program: CompiledProgram, clients: list[Path], tmp_path: Path) -> None:
    base, out = clients[0], tmp_path / "out.ckpt"
    deltas = [delta(program, base, client) for client in clients]
    for client, each in zip(clients, deltas, strict=True):
        assert average_checkpoints([each], out, base).read_bytes() == client.read_bytes()
    assert not read_sealed(deltas[0])[1].state, "nothing has moved"
    mean = average_checkpoints(clients, tmp_path / "mean.ckpt").read_bytes()
    assert average_checkpoints(deltas, out, base).read_bytes() == mean
    assert average_checkpoints([clients[1], *deltas[::2]], out, base).read_bytes() == mean, "some are whole"


def test_a_delta_is_small_where_little_moves(program: CompiledProgram, clients: list[Path], tmp_path: Path) -> None:
    base = read_checkpoint(clients[0])
    weight = base.state["fc.weight"].copy()
    weight[0, :3] = [32767, -32767, 0]  # differences that wrap
    moved = tmp_path / "moved.ckpt"
    moved.write_bytes(checkpoint_bytes(base.description, {**base.state, "fc.weight": weight}))
    made = delta(program, clients[0], moved)
    assert [*read_sealed(made)[1].state] == ["fc.weight"]
    assert made.stat().st_size < moved.stat().st_size / 3
    assert average_checkpoints([made], tmp_path / "out.ckpt", clients[0]).read_bytes() == moved.read_bytes()


def test_deltas_that_are_refused(program: CompiledProgram, clients: list[Path], tmp_path: Path) -> None:
    base, other, client = clients
    made, out = delta(program, base, client), tmp_path / "out.ckpt"
    refused(lambda: average_checkpoints([made], out, other), f"{made}: {other} is not the base of it: base ")
    refused(lambda: average_checkpoints([made], out, made), f"{made}: it is a delta, and no checkpoint")
    with pytest.raises(CompileError, match="it is a delta, which says nothing without the checkpoint") as failure:
        average_checkpoints([made], out)
    assert failure.value.exit_code == ExitCode.USAGE
    session = nitic.TrainingSession(program, threads=1)
    with pytest.raises(CompileError, match="no checkpoint of nitic"):
        session.load_checkpoint(made)
    network().save(tmp_path / "clients.onnx")
    plain = nitic.compile(tmp_path / "clients.onnx", batch_size=4, target="x86-64-portable")
    foreign = tmp_path / "foreign.ckpt"
    nitic.TrainingSession(plain, threads=1).save_checkpoint(foreign)
    refused(lambda: delta(program, foreign, client), f"{client}: {foreign} is not the base of it: identity ")
    whole = made.read_bytes()
    for at in (len(whole) - 1, len(whole) // 2, whole.index(b"epoch_step")):
        made.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        refused(lambda: average_checkpoints([made], out, base), "damaged checkpoint: its checksum is not that of its")
    made.write_bytes(whole[:-1])
    refused(lambda: average_checkpoints([made], out, base), "it is no whole checkpoint of nitic")
    made.write_bytes(whole)
    found = read_sealed(made)[1]
    for packed in (found.state["fc.weight"][:-1], found.state["conv.weight"], np.zeros(4, np.uint8)):
        made.write_bytes(checkpoint_bytes(found.description, {**found.state, "fc.weight": packed}, DELTA))
        refused(
            lambda: average_checkpoints([made], out, base), "damaged checkpoint: its differences do not fit its base"
        )
    assert not out.exists()


def test_a_delta_and_nothing_else_has_a_base(program: CompiledProgram, clients: list[Path], tmp_path: Path) -> None:
    compiled, out = CompileOptions(program.path), tmp_path / "out"
    for options, sentence in (
        (ExportOptions(compiled, clients[0], out, ExportFormat.DELTA), "--format delta: a delta is what differs from"),
        (ExportOptions(compiled, clients[0], out, base=clients[1]), "--base: it is for --format delta, not integer"),
    ):
        with pytest.raises(CompileError, match=sentence) as failure:
            export_checkpoint(options)
        assert failure.value.exit_code == ExitCode.USAGE
