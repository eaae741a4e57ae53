"""Activation functions and their gradients, at any exponent."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.ir import SSAValue

from nitic.arithmetic.activations import FUNCTIONS
from nitic.ir.op import NnOp, Property
from nitic.ops.activation import (
    ActivationDgradOp,
    ActivationOp,
    ClipDgradOp,
    ClipOp,
    LeakyReluDgradOp,
    LeakyReluOp,
    StepOp,
)
from nitic.ops.bfp import ExpClampOp, RangeOp, RoundShiftOp
from nitic.ops.gemm import GemmOp
from tests.kernels.harness import (
    Data,
    check,
    compiled,
    data,
    examples,
    machines,
    make_group,
    one,
    reference,
    scalar,
    threads,
)
from tests.support.operators import type_of

EXAMPLES = examples(8)
Shape = tuple[int, ...]
CONSTANTS: dict[str, list[dict[str, float]]] = {
    "elu": [{"alpha": 1.0}, {"alpha": 0.3}, {"alpha": 100.0}],
    "selu": [{"alpha": 1.67326, "beta": 1.0507}],
    "hard_sigmoid": [{"alpha": 0.2, "beta": 0.5}, {"alpha": 1 / 6, "beta": 0.5}, {"alpha": 3.0, "beta": 0.1}],
}
CASES: list[dict[str, Property]] = [
    {"function": name, **constants} for name in FUNCTIONS for constants in CONSTANTS.get(name, [{}])
]
shapes = st.one_of(st.tuples(st.integers(1, 5000)), st.tuples(st.integers(1, 9), st.integers(1, 40), st.integers(1, 9)))
exponents = st.one_of(st.integers(-30, 12), st.sampled_from((-(2**31), -213, -75, 50, 63, 199, 2**31 - 1)))
EVERY = np.arange(-127, 128).astype(np.int8)
low = st.sampled_from((None, 0.0, -1.0, -0.3, -1e-30))
high = st.sampled_from((None, 0.0, 6.0, 0.1, 1e30))


def bounds(low: float | None, high: float | None) -> dict[str, Property]:
    return {key: value for key, value in (("low", low), ("high", high)) if value is not None}


@machines
@EXAMPLES
@given(shape=shapes, of=data, low=low, high=high, e=exponents, wide=st.booleans(), threads=threads)
def test_clip(
    variant: str, shape: Shape, of: Data, low: float | None, high: float | None, e: int, wide: bool, threads: int
) -> None:
    def build(x: SSAValue, e: SSAValue) -> list[NnOp]:
        clipped = ClipOp.of(x, e, **bounds(low, high))
        return [clipped, RangeOp.of(clipped.y)]

    x = of.integers(shape, 2**40, np.int64) if wide else of.i32(*shape)
    check(build, (x, scalar(e)), variant, threads, {1: "exponent"}, keep=((0, 0),))


@machines
@EXAMPLES
@given(
    rows=st.integers(1, 40),
    inner=st.integers(1, 70),
    channels=st.integers(1, 40),
    of=data,
    low=low,
    high=high,
    e=exponents,
)
def test_clip_of_a_contraction(
    variant: str, rows: int, inner: int, channels: int, of: Data, low: float | None, high: float | None, e: int
) -> None:
    def build(x: SSAValue, w: SSAValue, e: SSAValue) -> list[NnOp]:
        product = GemmOp.of(x, w)
        clipped = ClipOp.of(product.acc, e, **bounds(low, high))
        return [product, clipped, RangeOp.of(clipped.y)]

    operands = (of.i8(rows, inner), of.other(1).i8(channels, inner), scalar(e))
    check(build, operands, variant, 2, {2: "exponent"}, keep=((1, 0),))


@machines
@EXAMPLES
@given(shape=shapes, of=data, low=low, high=high, e=exponents, threads=threads)
def test_gradient_of_clip(
    variant: str, shape: Shape, of: Data, low: float | None, high: float | None, e: int, threads: int
) -> None:
    """Behind the rounding of the error, as fuse leaves it."""

    def build(acc: SSAValue, s: SSAValue, y: SSAValue, e: SSAValue) -> list[NnOp]:
        dy = RoundShiftOp.of(acc, s, round="nearest", to="i8")
        return [dy, ClipDgradOp.of(dy.y, y, e, **bounds(low, high))]

    operands = (of.i32(*shape), scalar(24), of.other(1).i8(*shape), scalar(e))
    check(build, operands, variant, threads, {1: "exponent", 3: "exponent"})


@machines
@EXAMPLES
@given(shape=shapes, of=data, threshold=st.sampled_from((0.0, 0.3, -1.0, 1e30, -1e-30)), e=exponents, threads=threads)
@pytest.mark.parametrize("wide", [False, True])
def test_step(variant: str, wide: bool, shape: Shape, of: Data, threshold: float, e: int, threads: int) -> None:
    x = of.integers(shape, 2**40, np.int64) if wide else of.i32(*shape)
    check(one(StepOp, threshold=threshold), (x, scalar(e)), variant, threads, {1: "exponent"})


@machines
@EXAMPLES
@given(shape=shapes, of=data, alpha=st.floats(-2, 128), threads=threads)
def test_leaky_relu(variant: str, shape: Shape, of: Data, alpha: float, threads: int) -> None:
    x, dy = of.i8(*shape), of.other(1).i8(*shape)
    check(one(LeakyReluOp, alpha=alpha), (x,), variant, threads)
    check(one(LeakyReluDgradOp, alpha=alpha), (dy, x), variant, threads)


@machines
@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case.values())))
def test_every_mantissa_at_every_exponent(variant: str, case: dict[str, Property]) -> None:
    def build(x: SSAValue, dy: SSAValue, e: SSAValue) -> list[NnOp]:
        return [ActivationOp.of(x, e, **case), ActivationDgradOp.of(dy, x, e, **case)]

    group = make_group(build, [type_of(EVERY), type_of(EVERY), type_of("exponent")])
    kernel = compiled(group, variant)
    for e in (*range(-30, 20), -(2**31), -213, -75, 63, 199, 2**31 - 1):
        operands = (EVERY, EVERY[::-1], scalar(e))
        for found, expected in zip(kernel(operands, 1), reference(group, operands), strict=True):
            np.testing.assert_array_equal(found, expected)


@machines
@EXAMPLES
@given(shape=shapes, of=data, case=st.sampled_from(CASES), e=st.integers(-12, 2), threads=threads)
def test_activation(variant: str, shape: Shape, of: Data, case: dict[str, Property], e: int, threads: int) -> None:
    """Behind a rounding, with the range of its result."""

    def build(acc: SSAValue, s: SSAValue, e: SSAValue) -> list[NnOp]:
        x, clamped = RoundShiftOp.of(acc, s, round="nearest", to="i8"), ExpClampOp.of(e, low=-9, high=0)
        y = ActivationOp.of(x.y, e, **case)
        return [x, clamped, y, RangeOp.of(y.y)]

    operands = (of.i32(*shape), scalar(24), scalar(e))
    check(build, operands, variant, threads, {1: "exponent", 2: "exponent"}, keep=((0, 0), (2, 0)))
