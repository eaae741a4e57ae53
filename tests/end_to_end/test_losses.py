"""Training on squared errors: the binary and the interpreter end in the same bits, and the network learns."""

import re
from pathlib import Path

import numpy as np
import pytest

import nitic
from nitic import state
from nitic.driver.compile import compile_model
from nitic.frontend.importer import import_onnx
from nitic.interpret import run_function
from nitic.ir.function import function
from nitic.options import CompileOptions, Loss
from nitic.pipeline import run_passes, training_passes
from nitic.recipe import RECIPES
from tests.networks.stages import HYPERS, WRITERS, digits
from tests.runtime.helpers import succeed

BATCH = 32


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mse") / "digits_cnn.onnx"
    WRITERS["digits_cnn"]().save(path)
    return path


@pytest.mark.parametrize("recipe", RECIPES)
def test_session_equals_interpreter(model: Path, recipe: str) -> None:
    session = nitic.TrainingSession(nitic.compile(model, batch_size=BATCH, loss="mse", recipe=recipe), seed=1)
    session.configure(schedule="constant", **({"gb": "4"} if recipe == "niti" else {"lr": "2^-6"}))
    net = import_onnx(model, BATCH)
    leading = state.leading_exponents(net.module, net.parameters)
    run_passes(net.module, training_passes(RECIPES[recipe], "mse"))
    values = state.initial_state(net.module, net.parameters, leading)
    x, y = digits()
    session.set_statistics(x)
    values |= {name: value for name, value in session.state_dict().items() if name.startswith("input.")}
    for step in range(5):
        rows = slice(step * BATCH, (step + 1) * BATCH)
        metrics = session.train_step(x[rows], y[rows])
        hypers = HYPERS | ({"rate_k": 4} if recipe == "niti" else {})
        inputs = {"input": x[rows], "label": y[rows], "step": step, **hypers, **values}
        outputs = run_function(function(net.module, "train_step"), inputs)
        values.update({name: value for name, value in outputs.items() if name in values})
        assert (metrics.loss, metrics.correct) == (int(outputs["loss"]), int(outputs["correct"]))
        assert metrics.squared_error == metrics.loss / BATCH / 65536
    for name, value in session.state_dict().items():
        np.testing.assert_array_equal(value, values[name], err_msg=name)


def test_digits_are_learnt(model: Path, tmp_path: Path) -> None:
    """The reported loss is the sum of squares, so less than 1 says more than a network that answers nothing."""
    x, y = digits()
    for split, rows in (("train", slice(0, 1440)), ("test", slice(1440, None))):
        np.save(tmp_path / f"x_{split}.npy", x[rows])
        np.save(tmp_path / f"y_{split}.npy", y[rows])
    binary = compile_model(CompileOptions(model, tmp_path / "digits", batch_size=BATCH, loss=Loss.MSE))
    options = ["--data", tmp_path, "--epochs", "8", "--lr", "2^-6", "--threads", "1", "--save", tmp_path / "a"]
    lines = succeed(binary, "train", *options).splitlines()
    losses = [float(found[1]) for line in lines if (found := re.search(r"train loss ([\d.]+)", line))]
    assert losses[-1] < 0.3 < losses[0]
    result = succeed(binary, "eval", "--data", tmp_path, "--load", tmp_path / "a")
    found = re.fullmatch(r"samples 357 loss ([\d.]+) accuracy ([\d.]+) %\n", result)
    assert found, result
    assert float(found[1]) < 0.3
    assert float(found[2]) > 90
    assert "loss       sum of squares" in succeed(binary, "info")
