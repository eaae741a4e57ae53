"""Batch normalisation: every piece against its reference, whatever the exponents."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from xdsl.ir import SSAValue

from nitic.ir.op import NnOp
from nitic.ops.bfp import RangeOp, RoundShiftOp, ShiftOp
from nitic.ops.elementwise import ReluOp
from nitic.ops.norm import (
    BatchNormDgradOp,
    BatchNormInverseOp,
    BatchNormRecallOp,
    BatchNormRunningOp,
    BatchNormScaleOp,
    BatchNormStatisticsOp,
    ChannelMeanOp,
    ChannelProductOp,
    NormaliseOp,
    ScaleDgradOp,
    ScaleGradOp,
)
from tests.kernels.harness import Data, check, data, examples, one, scalar, threads, variants

EXAMPLES = examples(10)
rows, channels = st.integers(1, 60), st.integers(1, 70)
exponents = st.integers(-40, 5)
RUNNING = 2**46


@variants
@EXAMPLES
@given(rows=rows, channels=channels, of=data, threads=threads)
def test_sums_per_channel(variant: str, rows: int, channels: int, of: Data, threads: int) -> None:
    check(one(BatchNormStatisticsOp), (of.integers((rows, channels), 32767, np.int16),), variant, threads)
    check(one(ScaleGradOp), (of.i8(rows, channels), of.other(1).i8(rows, channels)), variant, threads)


@variants
@EXAMPLES
@given(channels=channels, of=data, e=exponents, momentum=st.sampled_from((0.0, 0.9, 0.997)), threads=threads)
def test_running_statistics(variant: str, channels: int, of: Data, e: int, momentum: float, threads: int) -> None:
    mean, variance = (
        of.integers((channels,), RUNNING, np.int64),
        np.abs(of.other(1).integers((channels,), RUNNING, np.int64)),
    )
    kinds = {2: "exponent"}
    check(one(BatchNormRecallOp, momentum=momentum), (mean, np.abs(variance), scalar(e)), variant, threads, kinds)
    running = one(BatchNormRunningOp, momentum=momentum)
    check(running, (mean, of.other(2).i32(channels, limit=2**24), scalar(e)), variant, threads, kinds)
    check(
        running,
        (variance, np.abs(of.other(3).integers((channels,), 2**42, np.int64)), scalar(e)),
        variant,
        threads,
        kinds,
    )


@variants
@EXAMPLES
@given(channels=channels, of=data, e=exponents, epsilon=st.sampled_from((1e-5, 1e-3, 1e-12)), threads=threads)
def test_inverse(variant: str, channels: int, of: Data, e: int, epsilon: float, threads: int) -> None:
    variance = np.abs(of.integers((channels,), 2**41, np.int64))
    check(one(BatchNormInverseOp, epsilon=epsilon), (variance, scalar(2 * e)), variant, threads, {1: "exponent"})


@variants
@EXAMPLES
@given(rows=rows, channels=channels, of=data, e=st.integers(-20, 0), e_inverse=st.integers(-42, 3), threads=threads)
def test_normalise_and_scale(
    variant: str, rows: int, channels: int, of: Data, e: int, e_inverse: int, threads: int
) -> None:
    x, mean = of.integers((rows, channels), 32767, np.int16), of.other(1).i32(channels, limit=2**23)
    inverse = np.abs(of.other(2).i32(channels, limit=2**24))
    operands = (x, mean, inverse, scalar(e), scalar(e_inverse))
    check(one(NormaliseOp), operands, variant, threads, {3: "exponent", 4: "exponent"})
    xhat, gamma, beta = of.i8(rows, channels), of.other(1).i8(channels), of.other(2).i32(channels, limit=2**27)
    check(one(BatchNormScaleOp), (xhat, gamma, beta), variant, threads)


@variants
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


@variants
@EXAMPLES
@given(rows=rows, channels=channels, of=data, threads=threads, shift=st.integers(22, 35))
def test_normalise_scale_relu_range(variant: str, rows: int, channels: int, of: Data, threads: int, shift: int) -> None:
    """As they are fused; then the scaling again, with the rounding."""
    x, mean = of.integers((rows, channels), 32767, np.int16), of.other(1).i32(channels, limit=2**23)
    inverse, gamma = np.abs(of.other(2).i32(channels, limit=2**24)), of.other(3).i8(channels)
    beta = of.other(4).i32(channels, limit=2**27)

    def build(x: SSAValue, m: SSAValue, i: SSAValue, e: SSAValue, g: SSAValue, b: SSAValue) -> list[NnOp]:
        norm = NormaliseOp.of(x, m, i, e, e)
        scale = BatchNormScaleOp.of(norm.xhat, g, b)
        relu = ReluOp.of(scale.y)
        return [norm, scale, relu, RangeOp.of(relu.y)]

    operands = (x, mean, inverse, scalar((3 - shift) // 2), gamma, beta)
    check(build, operands, variant, threads, {3: "exponent"}, keep=((0, 0),))

    def again(xhat: SSAValue, g: SSAValue, b: SSAValue, r: SSAValue) -> list[NnOp]:
        scale, by = BatchNormScaleOp.of(xhat, g, b), ShiftOp.of(r, bits=7)
        return [scale, by, RoundShiftOp.of(scale.y, by.s, round="nearest", to="i8")]

    xhat = of.i8(rows, channels)
    top = scalar(int(np.abs(xhat.astype(np.int64) * gamma + beta).max()), np.int64)
    check(again, (xhat, gamma, beta, top), variant, threads, {3: "range"})
