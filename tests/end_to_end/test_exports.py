"""One export of every fixture network trains: both variants and the interpreter, 3 steps, the same bits."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nitic
from nitic.arithmetic import inputs, updates
from nitic.arithmetic.integers import Array
from nitic.interpret import run_function
from nitic.ir.function import argument_labels, function
from nitic.program import Program
from tests.networks.stages import HYPERS
from tests.support.bits import moves, supported

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
BATCH, STEPS = 6, 3
OPTIONS = {"niti16": {"momentum": "0.9"}, "niti": {"gb": "4"}}
NAMES = (
    "lenet-dynamo-eval-external",
    "lenet-legacy-eval-dynamic-opset9",
    "dropnet-legacy-train",
    "poolnet-dynamo-train",
    "meannet-legacy-eval-dynamic",
    "matmul-dynamo-eval-dynamic",
    "mlp_nobias-legacy-train",
    "residual-dynamo-eval",
    "batchnorm-dynamo-train",
    "batchnorm-legacy-eval",
    "excite-dynamo-eval",
    "excite-legacy-eval",
    "functions-dynamo-eval",
    "functions-legacy-eval",
)


@pytest.mark.parametrize("name", NAMES)
def test_training_equals_the_interpreter(name: str) -> None:
    assert_same_bits(FIXTURES / f"{name}.onnx")


@pytest.mark.parametrize("name", ["excite-legacy-eval"])
def test_training_by_niti_equals_the_interpreter(name: str) -> None:
    assert_same_bits(FIXTURES / f"{name}.onnx", recipe="niti")


def assert_same_bits(model: Path, **options: Any) -> Program:
    """Compiles a network, and compares the state after a few steps of random samples; gives the program."""
    compiled = nitic.compile(model, batch_size=BATCH, **options)
    program, rng = compiled.program, np.random.default_rng(0)
    x = rng.integers(0, 256, (STEPS * BATCH, *program.input_shape[1:]), np.uint8)
    y = rng.integers(0, program.classes, STEPS * BATCH)
    expected = interpreted(program, x, y)
    parameters = [name for name in program.state if f"{name}.exponent" in program.state]
    assert [name for name in parameters if moves(name, program.state, expected)] == trained(program)
    for variant in supported(program):
        session = nitic.TrainingSession(compiled, threads=2, variant=variant)
        session.configure(lr="2^-6", schedule="constant")
        if program.has_momentum:
            session.configure(momentum="0.9")
        session.set_statistics(x)
        session.begin_epoch(0)
        for i in range(0, len(x), BATCH):
            session.train_step(x[i : i + BATCH], y[i : i + BATCH])
        found = session.state_dict()
        assert [n for n in expected if not np.array_equal(found[n], expected[n])] == []
    return program


def trained(program: Program) -> list[str]:
    return [label.name for label in argument_labels(program.train_step) if label.role in ("weight", "master")]


def interpreted(program: Program, x: Array, y: Array) -> dict[str, Array]:
    """The state after the steps."""
    state = dict(program.state)
    multiplier, offset = inputs.input_statistics(x if x.ndim == 4 else x[..., None])
    state["input.multiplier"], state["input.offset"] = multiplier.astype(np.int32), offset.astype(np.int32)
    rate_m, rate_k = updates.scaled_rate(1, 6, BATCH)
    hypers = {**HYPERS, "rate_m": rate_m, "rate_k": rate_k}
    for step in range(STEPS):
        batch = {"input": x[step * BATCH :][:BATCH], "label": y[step * BATCH :][:BATCH], "step": step}
        outputs = run_function(function(program.module, "train_step"), {**batch, **hypers, **state})
        state.update({name: value for name, value in outputs.items() if name in state})
    return state
