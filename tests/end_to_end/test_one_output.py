"""Networks with one output: two classes by one logit, and numbers."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

import nitic
from nitic.driver.check import check_model
from nitic.driver.compile import compile_model
from nitic.errors import CompileError
from nitic.options import CompileOptions, Loss
from tests.runtime.helpers import succeed
from tests.support.onnx_models import Array, random, save_network

BATCH = 8
TAILS: dict[str, list[onnx.NodeProto]] = {
    "logit": [helper.make_node("Identity", ["z"], ["y"])],
    "sigmoid": [helper.make_node("Sigmoid", ["z"], ["y"])],
    "squeezed": [helper.make_node("Sigmoid", ["z"], ["s"]), helper.make_node("Squeeze", ["s", "axis"], ["y"])],
}


def network(folder: Path, tail: str = "logit", classes: int = 1) -> Path:
    w, v = random(16, 24, seed=1) / 5, random(2, 16, seed=2) / 4
    v[0] = 0  # the first logit, where there are two
    values: dict[str, Array] = {"w": w, "v": v[2 - classes :], "axis": np.array([1])}
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["h"], transB=1),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "v"], ["z"], transB=1),
        *TAILS[tail],
    ]
    used = {name for node in nodes for name in node.input}
    return save_network(folder / "m.onnx", nodes, ("N", 24), {k: a for k, a in values.items() if k in used})


def samples(count: int) -> tuple[Array, Array]:
    """Which half of a vector is brighter, and by how much."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (count, 24))
    x[:, 12:] = x[:, 12:] * rng.integers(0, 3, (count, 1)) // 2
    return x.astype(np.uint8), (x[:, 12:].sum(1) > x[:, :12].sum(1)).astype(np.int64)


def session(model: Path, **options: str) -> nitic.TrainingSession:
    made = nitic.TrainingSession(nitic.compile(model, batch_size=BATCH, target="x86-64-portable", **options), epochs=30)
    made.configure(lr="2^-5" if not options else "2^-9")
    made.set_statistics(samples(256)[0])
    return made


def learn(made: nitic.TrainingSession, x: Array, y: Array, epochs: int) -> list[int]:
    """The losses of the epochs."""
    losses: list[int] = []
    for epoch in range(epochs):
        made.begin_epoch(epoch)
        steps = range(0, len(x), BATCH)
        losses.append(sum(made.train_step(x[i : i + BATCH], y[i : i + BATCH]).loss for i in steps))
    return losses


@pytest.mark.parametrize("tail", TAILS)
def test_two_classes_by_one_logit(tmp_path: Path, tail: str) -> None:
    """The sigmoid is a part of the loss, so that all three are one program."""
    x, y = samples(256)
    made = session(network(tmp_path, tail))
    losses = learn(made, x, y, 6)
    assert losses[-1] < losses[0] / 2
    logits, _ = made.predict(x[:BATCH])
    assert logits.shape == (BATCH, 2)
    assert not logits[:, 0].any()
    assert made.eval_step(x[:BATCH], y[:BATCH]).correct >= BATCH - 1
    with pytest.raises(CompileError, match="classes 0 to 1"):
        made.train_step(x[:BATCH], [2] * BATCH)


def test_the_first_loss_is_that_of_two_logits(tmp_path: Path) -> None:
    x, y = samples(BATCH)
    (tmp_path / "two").mkdir()
    one, two = session(network(tmp_path)), session(network(tmp_path / "two", classes=2))
    assert one.train_step(x, y) == two.train_step(x, y)


def test_numbers(tmp_path: Path) -> None:
    x, _ = samples(256)
    y = x[:, 12:].mean(1).astype(np.int64) // 16
    made = session(network(tmp_path), loss="mse")
    losses = learn(made, x, y, 12)
    assert losses[-1] < losses[0] / 4
    assert made.predict(x[:BATCH])[0].shape == (BATCH, 1)
    with pytest.raises(CompileError, match="classes 0 to 127"):
        made.train_step(x[:BATCH], [128] * BATCH)


@pytest.mark.parametrize("loss", Loss)
def test_the_binary_reads_such_labels(tmp_path: Path, loss: Loss) -> None:
    x, y = samples(64)
    y = y if loss == Loss.CROSS_ENTROPY else y * 100
    for split in ("train", "test"):
        np.save(tmp_path / f"x_{split}.npy", x)
        np.save(tmp_path / f"y_{split}.npy", y)
    options = CompileOptions(network(tmp_path), tmp_path / "m", batch_size=BATCH, target="x86-64-portable", loss=loss)
    binary = compile_model(options)
    assert "epoch 1" in succeed(binary, "train", "--data", tmp_path, "--epochs", "1", "--lr", "2^-8", "--threads", "1")


def test_check_tells_both_ways(tmp_path: Path) -> None:
    report = check_model(CompileOptions(network(tmp_path, "sigmoid"), batch_size=BATCH))
    assert report.network
    assert not report.problems
    assert any("is one number" in note and "--loss mse" in note for note in report.network.notes)
