"""Normalisation over any axes: the pieces against each other, their gradients against finite differences."""

import numpy as np
import pytest
from xdsl.utils.exceptions import VerifyException

from nitic.arithmetic import norms
from nitic.arithmetic.integers import Array
from nitic.errors import CompileError
from nitic.frontend.importer import ImportedModel
from nitic.interpret import run_function
from nitic.ir.function import function
from nitic.ir.op import NnOp
from nitic.ir.text import parse_module
from nitic.ir.types import exponent, i8, i16, i32, i64, tensor
from nitic.ops import context
from nitic.ops.norm import BatchNormDgradOp, ChannelProductOp, NormaliseOp, ScaleDgradOp
from nitic.ops.product import broadcast_axes
from nitic.ops.statistics import BatchNormInverseOp, BatchNormStatisticsOp, MeanSquareOp
from nitic.passes.training.insert_backward import InsertBackward
from nitic.passes.training.insert_loss import InsertLoss
from nitic.pipeline import run_passes
from tests.kernels.harness import kernel_of, make_group, one
from tests.networks.stages import DRAWN, gradient_pairs
from tests.support.operators import make, reference

ROWS, WIDTH = 4, 24
# What is normalised, the statistics, and what the scale sees: WIDTH numbers for each of ROWS samples.
AXES: dict[str, tuple[list[int], list[int], list[int]]] = {
    "batch": ([4, 6, 4], [4], [4, 6, 4]),
    "layer": ([4, 3, 8], [4, 3, 1], [4, 3, 8]),
    "instance": ([4, 6, 4], [4, 1, 4], [4, 6, 4]),
    "group": ([4, 3, 2, 4], [4, 1, 2, 1], [4, 3, 8]),
    "rms": ([4, 3, 8], [4, 3, 1], [4, 3, 8]),
    "batch without a scale": ([4, 6, 4], [4], []),
    "scale without a norm": ([], [], [4, 6, 4]),
}


def network(kind: str) -> ImportedModel:
    """input . w1, normalised, scaled, . w2."""
    x, statistics, scaled = AXES[kind]
    f32 = {str(shape): f"tensor<{''.join(f'{n}x' for n in shape)}f32>" for shape in (*AXES[kind], [ROWS, WIDTH])}
    flat, t, s, y = f32[str([ROWS, WIDTH])], f32[str(x)], f32[str(statistics)], f32[str(scaled)]
    shape = "" if statistics == x[-1:] else f" shape = {statistics}"
    c = f"tensor<{(scaled or x)[-1]}xf32>"
    lines = [f"%a = nn.gemm %input, %w1 : (tensor<4x8xf32>, tensor<{WIDTH}x8xf32>) -> {flat}"]
    last = "%a", flat
    if x:
        mean = "" if kind == "rms" else "%m, "
        source = "mean_square" if kind == "rms" else "batch_norm_statistics"
        count = 1 if kind == "rms" else 2
        lines += [
            f"%b = nn.reshape %a shape = {x} : ({flat}) -> {t}",
            f"{mean}%v = nn.{source} %b{shape} : ({t}) -> ({', '.join([s] * count)})",
            f"%i = nn.batch_norm_inverse %v epsilon = 0.001 : ({s}) -> {s}",
            f"%x = nn.normalise %b, {mean}%i : ({', '.join([t, *[s] * count])}) -> {t}",
        ]
        last = "%x", t
    if scaled:
        lines += [
            f"%c = nn.reshape {last[0]} shape = {scaled} : ({last[1]}) -> {y}",
            f"%d = nn.batch_norm_scale %c, %gamma, %beta : ({y}, {c}, {c}) -> {y}",
        ]
        last = "%d", y
    lines += [
        f"%e = nn.reshape {last[0]} shape = [{ROWS}, {WIDTH}] : ({last[1]}) -> {flat}",
        f"%z = nn.gemm %e, %w2 : ({flat}, tensor<5x{WIDTH}xf32>) -> tensor<4x5xf32>",
    ]
    rng = np.random.default_rng(0)
    parameters = {"w1": rng.normal(size=(WIDTH, 8)), "w2": rng.normal(size=(5, WIDTH))}
    types = {"w1": f"tensor<{WIDTH}x8xf32>", "w2": f"tensor<5x{WIDTH}xf32>"}
    if scaled:
        parameters |= {name: rng.uniform(0.5, 1.5, scaled[-1:]) for name in ("gamma", "beta")}
        types |= {"gamma": c, "beta": c}
    arguments = ['%input: tensor<4x8xf32> {nn.name = "input", nn.role = "input"}']
    arguments += [f'%{name}: {type_} {{nn.name = "{name}", nn.role = "weight"}}' for name, type_ in types.items()]
    result = 'tensor<4x5xf32> {nn.name = "output", nn.role = "output"}'
    body = "\n".join((*lines, "func.return %z : tensor<4x5xf32>"))
    module = parse_module(f"func.func @predict({', '.join(arguments)}) -> ({result}) {{\n{body}\n}}", context())
    return ImportedModel(kind, module, parameters, {}, ROWS)


@pytest.mark.parametrize("kind", AXES)
def test_float_gradients_equal_finite_differences(kind: str) -> None:
    model, rng = network(kind), np.random.default_rng(1)
    run_passes(model.module, [InsertLoss("mse"), InsertBackward()])
    step = function(model.module, "train_step")
    x, label = rng.normal(size=(ROWS, 8)), np.array([0, 3, 1, 2])
    inputs: dict[str, Array] = {"input": x, "label": label, **DRAWN, **model.parameters}
    gradients = run_function(step, inputs)
    for name, value in model.parameters.items():
        direction = rng.normal(size=value.shape)
        ends = [run_function(step, {**inputs, name: value + s * 1e-6 * direction})["loss"] for s in (1, -1)]
        slope = (ends[0] - ends[1]) / 2e-6 / 2**17 / ROWS  # of half the sum of squares, averaged over the batch
        assert (gradients[f"{name}.gradient"] * direction).sum() == pytest.approx(slope, rel=1e-4), name


@pytest.mark.parametrize("kind", AXES)
def test_integer_gradients_point_where_the_float_ones_do(kind: str) -> None:
    for name, (exact, found) in gradient_pairs(network(kind), InsertLoss("mse")).items():
        lengths = np.linalg.norm(exact), np.linalg.norm(found)
        assert (exact * found).sum() / (lengths[0] * lengths[1]) > 0.995, name
        assert lengths[1] / lengths[0] == pytest.approx(1, abs=0.05), name


def test_a_channel_without_a_variance_takes_no_bits_from_the_others() -> None:
    """Its factor is 2^18 times as large as theirs here, and nothing is multiplied by it."""
    model = network("batch")
    dead = np.arange(WIDTH) % 4 == 0
    model.parameters["w1"] *= np.where(dead, 0, 3000.0)[:, None]
    model.parameters["w2"] *= np.where(dead, 0, 1.0)
    exact, found = gradient_pairs(model, InsertLoss("mse"))["w1.gradient"]
    lengths = np.linalg.norm(exact), np.linalg.norm(found)
    assert (exact * found).sum() / (lengths[0] * lengths[1]) > 0.995
    assert lengths[1] / lengths[0] == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("shape", [(4,), (2, 3, 1), (2, 1, 4), (1, 3, 1), (2, 3, 4)])
@pytest.mark.parametrize("dtype", [np.int16, np.float64])
def test_other_axes_are_those_of_batch_norm_in_another_place(shape: tuple[int, ...], dtype: type[np.generic]) -> None:
    x = np.random.default_rng(0).integers(-32767, 32768, (2, 3, 4)).astype(dtype)
    axes = broadcast_axes(shape, x.shape)
    kept = [i for i in range(3) if i not in axes]
    moved = x.transpose(*axes, *kept).reshape(-1, int(np.prod([x.shape[i] for i in kept])))
    found = reference(BatchNormStatisticsOp, x, shape=list(shape))
    for each, expected in zip(found, reference(BatchNormStatisticsOp, moved), strict=True):
        assert each.shape == shape
        np.testing.assert_array_equal(each.reshape(-1), expected)


def test_integers_by_hand() -> None:
    """A mean of -2 is -512 at an exponent 8 lower, and a deviation of 2 the square of 32 at one that is 4 lower."""
    x = np.array([[-4, 0], [8, 8]], np.int16)
    mean, variance = reference(BatchNormStatisticsOp, x, shape=[2, 1])
    assert mean.tolist() == [[-512], [2048]]
    assert variance.tolist() == [[32**2], [0]]
    assert reference(MeanSquareOp, x, shape=[2, 1]).tolist() == [[8 * 256], [64 * 256]]
    inverse = np.array([[3], [5]], np.int32)
    scales = np.asarray(0), np.asarray(-5)
    normalise = make(NormaliseOp, x, mean.astype(np.int32), inverse, "exponent", "exponent")
    np.testing.assert_array_equal(normalise.reference(x, mean, inverse, *scales), [[-96, 96], [0, 0]])
    without = make(NormaliseOp, x, inverse, "exponent", "exponent")
    np.testing.assert_array_equal(without.reference(x, inverse, *scales), [[-192, 0], [640, 640]])
    dy, slope = np.array([[1, 2], [3, 4]], np.int8), np.array([[256], [-256]], np.int64)
    dgrad = make(BatchNormDgradOp, dy, dy, inverse, slope)
    projected = norms.batch_norm_dgrad(dy, dy, slope, np.zeros_like(slope))
    assert np.array_equal(dgrad.reference(dy, dy, inverse, slope), projected * inverse)


@pytest.mark.parametrize("shape", [(3,), (2, 1), (2, 3, 4, 1), (1, 1, 1, 4)])
def test_statistics_broadcast_to_what_they_are_of(shape: tuple[int, ...]) -> None:
    with pytest.raises(VerifyException, match="does not broadcast"):
        make(BatchNormStatisticsOp, np.zeros((2, 3, 4)), shape=list(shape))
    with pytest.raises(VerifyException, match="does not broadcast"):
        make(NormaliseOp, np.zeros((2, 3, 4)), np.zeros((2, 3)), np.zeros((2, 3)))
    with pytest.raises(VerifyException, match=r"statistics of \(4,\) come with others of \(2, 3, 1\)"):
        make(NormaliseOp, np.zeros((2, 3, 4)), np.zeros(4), np.zeros((2, 3, 1)))


X16, X8 = tensor((2, 3, 4), i16), tensor((2, 3, 4), i8)
ROW32, ROW64, ROW8 = (tensor((2, 3, 1), element) for element in (i32, i64, i8))


@pytest.mark.parametrize("variant", ["portable", "cuda"])
@pytest.mark.parametrize(
    ("build", "types", "what"),
    [
        (one(BatchNormStatisticsOp, shape=[2, 3, 1]), [X16], "nn.batch_norm_statistics over axes [2]"),
        (one(BatchNormStatisticsOp, shape=[2, 1, 4]), [X16], "nn.batch_norm_statistics over axes [1]"),
        (one(MeanSquareOp), [X16], "nn.mean_square over axes [0, 1]"),
        (one(NormaliseOp), [X16, ROW32, ROW32, exponent, exponent], "nn.normalise over axes [2]"),
        (one(NormaliseOp), [X16, tensor((4,), i32), exponent, exponent], "nn.normalise without a mean"),
        (one(BatchNormDgradOp), [X8, X8, ROW32, ROW64, ROW64], "nn.batch_norm_dgrad over axes [2]"),
        (one(BatchNormDgradOp), [X8, X8, ROW32, ROW64], "nn.batch_norm_dgrad without a mean"),
        (one(ScaleDgradOp), [X8, ROW32], "nn.scale_dgrad over axes [2]"),
        (
            one(ChannelProductOp),
            [tensor((2, 1, 4), i32), tensor((4,), i8)],
            "nn.channel_product of statistics of (2, 1, 4)",
        ),
    ],
)
def test_kernels_of_other_axes_are_refused(build: object, types: list[object], what: str, variant: str) -> None:
    group = make_group(build, types)  # pyright: ignore[reportArgumentType]
    with pytest.raises(CompileError) as caught:
        kernel_of(group, "kernel", variant)
    assert str(caught.value) == f"no kernel for {what}"


def test_an_inverse_has_any_shape() -> None:
    variance = np.random.default_rng(0).uniform(1, 2, (2, 1, 3, 1))
    op: NnOp = make(BatchNormInverseOp, variance, epsilon=0.0)
    np.testing.assert_allclose(op.reference(variance), variance**-0.5)
