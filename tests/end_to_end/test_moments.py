"""Updates by moments of the gradient, iadam and ilion: binary, library and interpreter end in the same bits."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import nitic
from nitic.arithmetic.integers import Array
from nitic.data import shuffle
from nitic.driver.compile import compile_model
from nitic.options import CompileOptions
from tests.networks.stages import WRITERS, Interpreted, digits
from tests.runtime.helpers import read_checkpoint, succeed
from tests.support.bits import check_steps

BATCH, STEPS, WARMUP = 32, 12, 8
RULES = ("iadam", "ilion")
OPTIONS = ("--lr", "2^-9", "--weight-decay", "0.1", "--warmup", str(WARMUP), "--schedule", "constant", "--epochs", "1")


def recipe(rule: str) -> str:
    return f"niti16{{rule={rule}}}"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("moments") / "digits_cnn.onnx"
    WRITERS["digits_cnn"]().save(path)
    return path


@pytest.mark.parametrize("rule", RULES)
def test_library_equals_interpreter(model: Path, rule: str) -> None:
    x, y = digits()
    check_steps(nitic.compile(model, batch_size=BATCH, recipe=recipe(rule)), x[: 6 * BATCH], y[: 6 * BATCH], 9)


@pytest.mark.parametrize("rule", RULES)
def test_binary_equals_interpreter_while_the_rate_rises(model: Path, rule: str, tmp_path: Path) -> None:
    """In one run, and in one that goes on from a checkpoint in the middle of the warm-up."""
    x, y = digits()
    x, y = x[: STEPS * BATCH], y[: STEPS * BATCH]
    np.save(tmp_path / "x_train.npy", x)
    np.save(tmp_path / "y_train.npy", y)
    binary = compile_model(CompileOptions(model, output=tmp_path / "net", batch_size=BATCH, recipe=recipe(rule)))
    train = ("train", "--data", tmp_path, "--save", tmp_path / "ckpt")
    started(model, rule, x, y).save_checkpoint(tmp_path / "ckpt")
    succeed(binary, *train, "--resume", tmp_path / "ckpt")
    resumed = read_checkpoint(tmp_path / "ckpt")[1]
    succeed(binary, *train, *OPTIONS, "--seed", "1")
    straight = read_checkpoint(tmp_path / "ckpt")[1]
    expected = interpreted(rule, x, y)
    for name, value in expected.items():
        np.testing.assert_array_equal(straight[name], value, err_msg=name)
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)


def started(model: Path, rule: str, x: Array, y: Array) -> nitic.TrainingSession:
    """A session in Python that is ahead by less than the warm-up."""
    session = nitic.TrainingSession(nitic.compile(model, batch_size=BATCH, recipe=recipe(rule)), epochs=1, seed=1)
    session.configure(lr="2^-9", weight_decay="0.1", warmup=str(WARMUP), schedule="constant")
    session.set_statistics(x)
    session.begin_epoch(0)
    for rows in shuffle(len(x), 1, 0).reshape(STEPS, BATCH)[: WARMUP // 2]:
        session.train_step(x[rows], y[rows])
    return session


def interpreted(rule: str, x: Array, y: Array) -> dict[str, Array]:
    net = Interpreted("digits_cnn", BATCH, recipe(rule))
    net.normalise(x)
    order = shuffle(len(x), 1, 0).reshape(STEPS, BATCH)
    for step, rows in enumerate(order):
        lr = Fraction(1, 2**9) * min(Fraction(step + 1, WARMUP), 1)
        m, k = lr.numerator, lr.denominator.bit_length() - 1
        assert lr == Fraction(m, 2**k)
        shrink = round(lr * round(Fraction(1, 10) * 2**30) / 2**6)
        net.step(x[rows], y[rows], lr_m=m, lr_k=k, shrink=shrink)
    return net.state


def test_digits_are_learnt_at_any_size_of_the_loss(model: Path, tmp_path: Path) -> None:
    """A rule by moments does not know the size of a gradient: squared errors and cross-entropy take one rate."""
    x, y = digits()
    for split, rows in (("train", slice(0, 1440)), ("test", slice(1440, None))):
        np.save(tmp_path / f"x_{split}.npy", x[rows])
        np.save(tmp_path / f"y_{split}.npy", y[rows])
    for loss in ("cross-entropy", "mse"):
        made = nitic.compile(model, batch_size=BATCH, recipe=recipe("iadam"), loss=loss)
        session = nitic.TrainingSession(made, epochs=10)
        session.configure(lr="2^-8", warmup="20")
        session.set_statistics(x[:1440])
        for epoch in range(10):
            session.begin_epoch(epoch)
            for rows in shuffle(1440, 1, epoch).reshape(-1, BATCH):
                session.train_step(x[rows], y[rows])
        right = sum(session.eval_step(x[i : i + BATCH], y[i : i + BATCH]).correct for i in range(1440, len(x), BATCH))
        assert right >= 0.94 * (len(x) - 1440), loss
