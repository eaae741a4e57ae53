"""Networks of branches: gradients by finite differences and in integers, memory, and the same bits everywhere."""

from pathlib import Path

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from nitic.interpret import run_function
from nitic.ir.function import function
from nitic.passes.integers.insert_rounding import InsertRounding
from nitic.pipeline import run_passes, training_passes
from nitic.recipe import RECIPES
from tests.end_to_end.test_exports import assert_same_bits
from tests.networks.branches import BRANCHES
from tests.networks.stages import DRAWN, Interpreted, imported, samples
from tests.networks.test_gradients import FLOAT, agreement, slope

SHAPE, BATCH = (8, 8, 1), 64
# The least cosine of a filter's gradient at initialisation, and after 12 steps of niti's 4 bits.
COSINES = {
    "densenet": 0.9,
    "inception": 0.95,
    "shufflenet": 0.88,
    "resnext": 0.95,
    "alexnet": 0.95,
    "recurrent": 0.99,
    "quotients": 0.98,
    "norms": 0.97,
    "attention": 0.95,
}


@pytest.mark.parametrize("name", BRANCHES)
def test_float_gradients_equal_finite_differences(name: str) -> None:
    model, rng = imported(name, 4), np.random.default_rng(0)
    run_passes(model.module, FLOAT)
    step = function(model.module, "train_step")
    fixed = {key: value.astype(np.float64) for key, value in model.parameters.items()}
    inputs = {"input": rng.normal(size=(4, *SHAPE)), "label": np.array([0, 3, 9, 1]), **DRAWN, **fixed}
    gradient = run_function(step, inputs)
    for parameter in [key for key in fixed if f"{key}.gradient" in gradient]:
        direction = rng.normal(size=fixed[parameter].shape)
        found = (gradient[f"{parameter}.gradient"] * direction).sum()
        assert found == pytest.approx(slope(step, inputs, parameter, direction), rel=1e-3, abs=1e-6), parameter


@pytest.mark.parametrize("name", BRANCHES)
@pytest.mark.parametrize(("recipe", "steps"), [("niti16", 0), ("niti", 12)])
def test_integer_gradients_point_where_float_gradients_do(name: str, recipe: str, steps: int) -> None:
    x, y = samples(SHAPE, BATCH * (steps + 1))
    net = Interpreted(name, BATCH, recipe)
    net.normalise(x)
    losses = [net.step(x[i : i + BATCH], y[i : i + BATCH])["loss"] for i in range(0, BATCH * steps, BATCH)]
    assert not losses or losses[-1] < losses[0]
    assert name in COSINES, f"give {name} a row in COSINES"
    for parameter, (axes, cosine, ratio) in agreement(name, net, SHAPE, BATCH).items():
        if axes > 1:
            assert cosine >= COSINES[name], parameter
            assert abs(ratio - 1) <= 0.2, parameter


# The recipes differ in their updates, which every network has: of niti two are enough.
@pytest.mark.parametrize(
    ("name", "recipe"), [*((name, "niti16") for name in BRANCHES), ("inception", "niti"), ("alexnet", "niti")]
)
def test_training_equals_the_interpreter(tmp_path: Path, name: str, recipe: str) -> None:
    BRANCHES[name]().save(tmp_path / f"{name}.onnx")
    assert_same_bits(tmp_path / f"{name}.onnx", recipe=recipe)


def ranges_of_parts(module: ModuleOp) -> list[int]:
    """How often each joined tensor of the training step has its range taken."""
    step = function(module, "train_step")
    parts = {part for op in step.body.block.ops if op.name == "nn.concat" for part in op.operands}
    return [sum(use.operation.name == "bfp.range" for use in part.uses) for part in parts if "tensor" in str(part.type)]


def test_a_tensor_in_many_concats_has_one_range() -> None:
    module = imported("densenet", 2).module
    passes = training_passes(RECIPES["niti16"])
    last = next(i for i, each in enumerate(passes) if isinstance(each, InsertRounding))
    run_passes(module, passes[: last + 1])
    assert set(ranges_of_parts(module)) == {1}
