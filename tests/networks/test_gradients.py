"""The float stage against finite differences, and the integer gradients against the float stage."""

from collections.abc import Mapping, Sequence
from statistics import median

import numpy as np
import pytest
from xdsl.dialects.func import FuncOp

from nitic.arithmetic.inputs import INPUT_EXPONENT, input_map
from nitic.arithmetic.integers import Array
from nitic.interpret import run_function
from nitic.ir.function import function
from nitic.passes.integers.insert_rounding import InsertRounding
from nitic.passes.integers.track_exponents import TrackExponents
from nitic.passes.training.canonicalise import Canonicalise
from nitic.passes.training.insert_backward import InsertBackward
from nitic.passes.training.insert_loss import InsertLoss
from nitic.pipeline import run_passes
from tests.networks.stages import DRAWN, Interpreted, dequantised, imported, samples

FLOAT = [Canonicalise(), InsertLoss(), InsertBackward()]
SAMPLES = {"mlp": (64,), "lenet": (28, 28, 1), "digits_cnn": (8, 8, 1), "mobile": (8, 8, 1), "resnet8": (16, 16, 3)}
# What int8 mantissas leave of a gradient (docs/numerics.md): least cosine of a network's tensors.
BATCH_SEEDS = range(1, 4)
LOSS_SEEDS = range(1, 5)  # the errors of a loss are rounded by chance, which is right on average
COSINES = {"mlp": 0.98, "lenet": 0.92, "digits_cnn": 0.92, "mobile": 0.97, "resnet8": 0.82}


@pytest.mark.parametrize("name", SAMPLES)
def test_float_gradients_equal_finite_differences(name: str) -> None:
    model = imported(name, 4)
    run_passes(model.module, FLOAT)
    step, rng = function(model.module, "train_step"), np.random.default_rng(0)
    x, y = rng.normal(size=(4, *sample_shape(name))), np.array([0, 3, 9, 1])
    inputs = {name: value.astype(np.float64) for name, value in model.parameters.items()}
    fixed = {"input": x, "label": y, **DRAWN}
    outputs = run_function(step, {**fixed, **inputs})
    for parameter, value in inputs.items():
        if (gradient := outputs.get(f"{parameter}.gradient")) is None:
            continue  # a running statistic
        direction = rng.normal(size=value.shape)
        found = (gradient * direction).sum()
        assert found == pytest.approx(slope(step, {**fixed, **inputs}, parameter, direction), rel=1e-4)


def slope(step: FuncOp, inputs: dict[str, Array], parameter: str, direction: Array) -> float:
    """The derivative of the mean loss in nats along a direction, from both sides."""
    epsilon = 1e-7
    losses = []
    for sign in (1, -1):
        moved = inputs[parameter] + sign * epsilon * direction
        losses.append(float(run_function(step, {**inputs, parameter: moved})["loss"]))
    return (losses[0] - losses[1]) / (2 * epsilon) * np.log(2) / 256 / len(inputs["label"])


def sample_shape(name: str) -> tuple[int, ...]:
    return SAMPLES[name]


RUNS = [(name, recipe, steps) for name in SAMPLES for recipe, steps in (("niti16", 0), ("niti16", 30), ("niti", 30))]


# niti's steps of 4 bits take ResNet-8 to weights where, on digits, int8 leaves a cosine of 0.74 of its first layer.
@pytest.mark.parametrize(("name", "recipe", "trained_steps"), [run for run in RUNS if run[:2] != ("resnet8", "niti")])
def test_integer_gradients_point_where_float_gradients_do(name: str, recipe: str, trained_steps: int) -> None:
    batch = 64
    x, y = samples(sample_shape(name), batch * (trained_steps + 1))
    net = Interpreted(name, batch, recipe)
    net.normalise(x)
    for i in range(trained_steps):
        net.step(x[i * batch : (i + 1) * batch], y[i * batch : (i + 1) * batch])
    for parameter, (axes, cosine, ratio) in agreement(name, net, sample_shape(name), batch).items():
        if axes == 1 and name == "resnet8":
            continue  # sums of errors that nearly cancel: on digits, without texture, int8 leaves little of them
        assert cosine >= COSINES[name], parameter
        assert abs(ratio - 1) <= (0.25 if axes == 1 else 0.15), parameter


def agreement(name: str, net: Interpreted, shape: tuple[int, ...], batch: int) -> dict[str, tuple[int, float, float]]:
    """(axes, cosine, norm ratio) of the integer gradients with the float ones: medians over some batches."""
    pairs = [gradients(name, net, *samples(shape, batch, seed)) for seed in BATCH_SEEDS]
    return {parameter: (value.ndim, *compared(parameter, pairs)) for parameter, value in pairs[0][0].items()}


def compared(parameter: str, pairs: Sequence[tuple[Mapping[str, Array], Mapping[str, Array]]]) -> tuple[float, float]:
    cosines, ratios = list[float](), list[float]()
    for exact, found in ((exact[parameter], integer[parameter]) for exact, integer in pairs):
        lengths = float(np.linalg.norm(exact)), float(np.linalg.norm(found))
        assert min(lengths), f"the gradient of {parameter} is all zeros: is every relu before it dead?"
        cosines.append(float((exact * found).sum()) / (lengths[0] * lengths[1]))
        ratios.append(lengths[1] / lengths[0])
    return median(cosines), median(ratios)


def gradients(name: str, net: Interpreted, x: Array, y: Array) -> tuple[dict[str, Array], dict[str, Array]]:
    """(float, integer) gradients at the same dequantised weights and samples."""
    weights = net.weights()
    mapped = input_map(x, net.state["input.multiplier"], net.state["input.offset"])
    model = imported(name, len(x))
    run_passes(model.module, FLOAT)
    real = mapped * 2.0**INPUT_EXPONENT
    inputs = {"input": real, "label": y, "seed": 1, "step": net.steps, **model.parameters, **dequantised(weights)}
    exact = run_function(function(model.module, "train_step"), inputs)
    run_passes(model.module, [InsertRounding(), TrackExponents()])
    mantissas = {n: m for n, (m, _) in weights.items()} | {
        f"{n}.exponent": np.asarray(e) for n, (_, e) in weights.items()
    }
    step, state = function(model.module, "train_step"), {**inputs, **net.state, **mantissas, "input": x}
    runs = [run_function(step, {**state, "seed": seed}) for seed in LOSS_SEEDS]
    names = [key for key in exact if key.endswith(".gradient")]
    return {n: exact[n] for n in names}, {n: np.mean([value_of(run, n) for run in runs], 0) for n in names}


def value_of(values: Mapping[str, Array], name: str) -> Array:
    return values[name] * 2.0 ** int(values[f"{name}.exponent"])
