"""Batch normalisation: every piece against its reference, whatever the exponents."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.ir import SSAValue

from nitic.arithmetic import norms
from nitic.arithmetic.integers import max_abs
from nitic.ir.op import NnOp
from nitic.ops.bfp import ExpConstOp, RangeOp, RoundShiftOp, ShiftOp
from nitic.ops.elementwise import ReluOp
from nitic.ops.norm import (
    BatchNormDgradOp,
    BatchNormScaleOp,
    ChannelMeanOp,
    ChannelProductOp,
    NormaliseOp,
    ScaleDgradOp,
    ScaleGradOp,
)
from nitic.ops.statistics import (
    BatchNormInverseOp,
    BatchNormRecallOp,
    BatchNormRunningOp,
    BatchNormStatisticsOp,
    RecalledMeanExponentOp,
    RecalledVarianceExponentOp,
)
from tests.kernels.harness import Data, check, data, examples, machines, one, scalar, threads

EXAMPLES = examples(10)
rows, channels = st.integers(1, 60), st.integers(1, 70)
exponents = st.integers(-40, 5)
RUNNING = norms.RUNNING_LIMIT


@machines
@EXAMPLES
@given(rows=rows, channels=channels, of=data, threads=threads)
def test_sums_per_channel(variant: str, rows: int, channels: int, of: Data, threads: int) -> None:
    check(one(BatchNormStatisticsOp), (of.integers((rows, channels), 32767, np.int16),), variant, threads)
    check(one(ScaleGradOp), (of.i8(rows, channels), of.other(1).i8(rows, channels)), variant, threads)


def recall(mean: SSAValue, variance: SSAValue, e: SSAValue, r: SSAValue) -> list[NnOp]:
    first, second = RecalledMeanExponentOp.of(e, r, epsilon=1e-5), RecalledVarianceExponentOp.of(r)
    return [first, second, BatchNormRecallOp.of(mean, variance, first.e, second.e, momentum=0.9, epsilon=1e-5)]


@machines
@EXAMPLES
@given(channels=channels, of=data, e=exponents, momentum=st.sampled_from((0.0, 0.9, 0.997)), threads=threads)
def test_running_statistics(variant: str, channels: int, of: Data, e: int, momentum: float, threads: int) -> None:
    mean, variance = (
        of.integers((channels,), RUNNING, np.int64),
        np.abs(of.other(1).integers((channels,), RUNNING, np.int64)),
    )
    kinds = {2: "exponent"}
    for r in (max_abs(variance), 0):
        check(recall, (mean, variance, scalar(e), scalar(r, np.int64)), variant, threads, {**kinds, 3: "range"})
    running = one(BatchNormRunningOp, momentum=momentum)
    check(running, (mean, of.other(2).i32(channels, limit=2**24), scalar(e)), variant, threads, kinds)
    check(
        running,
        (variance, np.abs(of.other(3).integers((channels,), 2**42, np.int64)), scalar(e)),
        variant,
        threads,
        kinds,
    )


@machines
@pytest.mark.parametrize("e", [-90, -60, -45, 20, 60])
def test_statistics_at_any_exponent(variant: str, e: int) -> None:
    """A shift to the left by more bits than the limit has: anything but 0 is at the limit."""
    mean = np.array([0, 1, -1, 5, RUNNING, -RUNNING], np.int64)
    kinds = {2: "exponent"}
    for r in (RUNNING, 1, 0):
        check(recall, (mean, np.abs(mean), scalar(e), scalar(r, np.int64)), variant, 1, {**kinds, 3: "range"})
    new = np.array([0, 1, -1, 5, 2**23, -(2**23)], np.int32)
    check(one(BatchNormRunningOp, momentum=0.9), (mean, new, scalar(e)), variant, 1, kinds)
    check(one(BatchNormInverseOp, epsilon=1e-5), (np.abs(mean) >> 6, scalar(2 * e)), variant, 1, {1: "exponent"})


@machines
@EXAMPLES
@given(channels=channels, of=data, e=exponents, epsilon=st.sampled_from((1e-5, 1e-3, 1e-12)), threads=threads)
def test_inverse(variant: str, channels: int, of: Data, e: int, epsilon: float, threads: int) -> None:
    variance = of.integers((channels,), 2**41, np.int64)  # a file may hold negative ones
    check(one(BatchNormInverseOp, epsilon=epsilon), (variance, scalar(2 * e)), variant, threads, {1: "exponent"})


@machines
@EXAMPLES
@given(
    rows=rows,
    channels=channels,
    of=data,
    e=st.integers(-20, 0),
    e_inverse=st.integers(-42, 3),
    above=st.integers(0, 80),
    lowered=st.integers(0, 40),
    threads=threads,
)
def test_normalise_and_scale(
    variant: str, rows: int, channels: int, of: Data, e: int, e_inverse: int, above: int, lowered: int, threads: int
) -> None:
    x, mean = of.integers((rows, channels), 32767, np.int16), of.other(1).i32(channels, limit=2**23)
    inverse = np.abs(of.other(2).i32(channels, limit=2**24))
    operands = (x, mean, inverse, scalar(e), scalar(e_inverse))
    check(one(NormaliseOp), operands, variant, threads, {3: "exponent", 4: "exponent"})
    recalled = scalar(e - 8 + above)
    check(one(NormaliseOp), (*operands, recalled), variant, threads, dict.fromkeys((3, 4, 5), "exponent"))
    xhat = of.integers((rows, channels), 32767, np.int16)
    gamma, beta = of.other(1).i8(channels), of.other(2).i32(channels, limit=2**27)
    operands = (xhat, gamma, beta, scalar(e), scalar(e + lowered))
    check(one(BatchNormScaleOp), operands, variant, threads, {3: "exponent", 4: "exponent"})


@machines
@EXAMPLES
@given(rows=rows, channels=channels, of=data, count=st.integers(1, 10**6), threads=threads)
def test_gradient(variant: str, rows: int, channels: int, of: Data, count: int, threads: int) -> None:
    factor, total = of.i32(channels, limit=32768), of.other(1).i32(channels, limit=2**30)
    check(one(ChannelProductOp), (of.i32(channels, limit=2**24), of.i8(channels)), variant, threads)
    check(one(ChannelMeanOp, count=count), (total,), variant, threads)
    slope, mean = (
        of.other(i).integers((channels,), limit, np.int64) for i, limit in ((2, 127 * 127 * 256), (3, 127 * 256))
    )
    dy, xhat = of.i8(rows, channels), of.other(4).i8(rows, channels)
    check(one(BatchNormDgradOp), (dy, xhat, factor, slope, mean), variant, threads)
    check(one(ScaleDgradOp), (dy, factor), variant, threads)


@machines
@EXAMPLES
@given(rows=rows, channels=channels, of=data, threads=threads, shift=st.integers(18, 31))
def test_normalise_scale_relu_range(variant: str, rows: int, channels: int, of: Data, threads: int, shift: int) -> None:
    """As they are fused, with the int8 form that the backward pass reads; then again, with the rounding."""
    x, mean = of.integers((rows, channels), 32767, np.int16), of.other(1).i32(channels, limit=2**23)
    inverse, gamma = np.abs(of.other(2).i32(channels, limit=2**24)), of.other(3).i8(channels)
    beta = of.other(4).i32(channels, limit=2**27)

    def scaled(x: SSAValue, m: SSAValue, i: SSAValue, e: SSAValue, g: SSAValue, b: SSAValue) -> list[NnOp]:
        norm = NormaliseOp.of(x, m, i, e, e)
        scale = BatchNormScaleOp.of(norm.xhat, g, b, e, e)
        return [norm, scale, ReluOp.of(scale.y)]

    def build(*values: SSAValue) -> list[NnOp]:
        norm, scale, relu = scaled(*values)
        by = ExpConstOp.of(value=norms.NARROWING)
        narrow = RoundShiftOp.of(norm.result, by.e, round="nearest", to="i8")
        return [norm, scale, relu, by, narrow, RangeOp.of(relu.result)]

    def again(*values: SSAValue) -> list[NnOp]:
        *before, relu = scaled(*values[:-1])
        by = ShiftOp.of(values[-1], bits=7)
        return [*before, relu, by, RoundShiftOp.of(relu.result, by.s, round="nearest", to="i8")]

    operands = (x, mean, inverse, scalar((-1 - shift) // 2), gamma, beta)
    check(build, operands, variant, threads, {3: "exponent"})
    top = scalar(2**23, np.int64)
    check(again, (*operands, top), variant, threads, {3: "exponent", 6: "range"})
