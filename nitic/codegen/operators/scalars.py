"""Operators on exponents, shifts and ranges: every thread computes them for itself."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from nitic.arithmetic import moments
from nitic.arithmetic.integers import INT16_LIMIT
from nitic.arithmetic.requantisation import NEVER
from nitic.arithmetic.rounding import ALIGN_LEFT
from nitic.arithmetic.sums import MANTISSA_BITS, TERM_BITS, WIDE_TERM_SHIFT
from nitic.codegen.core import integer, tir
from nitic.codegen.core.group import Emission, Scalar
from nitic.codegen.core.tir import Expr
from nitic.ir.op import NnOp
from nitic.ops.bfp import (
    DitherOp,
    ExpAddOp,
    ExpClampOp,
    ExpCommonOp,
    ExpConstOp,
    ExpLargestOp,
    ExpMultipleOp,
    ExpParameterSumOp,
    ExpSumOp,
    ExpWideCommonOp,
    GrowOp,
    MomentExponentOp,
    ShiftOp,
    StaticShiftOp,
    TopOp,
)


def exp_add(emission: Emission, op: NnOp) -> Expr:
    assert isinstance(op, ExpAddOp)
    return emission.scalar(op.lhs) + emission.scalar(op.rhs)


def exp_const(_: Emission, op: NnOp) -> Expr:
    assert isinstance(op, ExpConstOp)
    return tir.constant(op.value.value.data)


def exp_common(emission: Emission, op: NnOp) -> Expr:
    assert isinstance(op, ExpCommonOp)
    lhs, rhs = emission.scalar(op.lhs), emission.scalar(op.rhs)
    low, high = tir.let(tir.minimum(lhs, rhs)), tir.let(tir.maximum(lhs, rhs))
    common = tir.let(tir.select(high - low > 16, high, low))
    if not op.ranges:
        return common
    ra, rb = (emission.scalar(r) for r in op.ranges)
    return tir.select(rb == 0, lhs, tir.select(ra == 0, rhs, common))


def exp_wide_common(emission: Emission, op: NnOp) -> Expr:
    assert isinstance(op, ExpWideCommonOp)
    lhs, rhs = emission.scalar(op.lhs), emission.scalar(op.rhs)
    low, high = tir.let(tir.minimum(lhs, rhs)), tir.let(tir.maximum(lhs, rhs))
    common = tir.let(tir.maximum(low, high - WIDE_TERM_SHIFT))
    if not op.ranges:
        return common
    ra, rb = (emission.scalar(r) for r in op.ranges)
    return tir.select(rb == 0, lhs, tir.select(ra == 0, rhs, common))


def exp_largest(emission: Emission, op: NnOp) -> Expr:
    assert isinstance(op, ExpLargestOp)
    each = [emission.scalar(e) for e in op.each]
    largest = _largest(each)
    if not op.ranges:
        return largest
    ranges = [emission.scalar(r) for r in op.ranges]
    tops = [
        tir.select(r == 0, tir.constant(NEVER), e + integer.bit_length(r)) for e, r in zip(each, ranges, strict=True)
    ]
    return tir.select(_largest(ranges) == 0, largest, _largest(tops) - MANTISSA_BITS)


def _largest(values: Sequence[Expr]) -> Expr:
    return reduce(lambda a, b: tir.let(tir.maximum(a, b)), values)


def exp_parameter_sum(emission: Emission, op: NnOp) -> Expr:
    assert isinstance(op, ExpParameterSumOp)
    e = emission.scalar(op.acc)
    least = tir.let(tir.maximum(e, emission.scalar(op.parameter) - ALIGN_LEFT))
    return tir.select(emission.scalar(op.r) == 0, e, least)


def exp_sum(emission: Emission, op: NnOp) -> Expr:
    """max(min(e_a, e_b), top - 29) over the tensors that are not all zeros."""
    assert isinstance(op, ExpSumOp)
    lhs, rhs = emission.scalar(op.lhs), emission.scalar(op.rhs)
    ra, rb = emission.scalar(op.lhs_range), emission.scalar(op.rhs_range)
    spare = [tir.let(e + integer.bit_length(r) - TERM_BITS) for e, r in ((lhs, ra), (rhs, rb))]
    a, b = tir.let(tir.maximum(lhs, spare[0])), tir.let(tir.maximum(rhs, spare[1]))
    both = tir.let(tir.maximum(tir.minimum(lhs, rhs), tir.maximum(*spare)))
    return tir.select(rb == 0, a, tir.select(ra == 0, b, both))


def exp_clamp(emission: Emission, op: NnOp) -> Expr:
    assert isinstance(op, ExpClampOp)
    return integer.clamp(emission.scalar(op.x), op.low.value.data, op.high.value.data)


def exp_multiple(emission: Emission, op: NnOp) -> Expr:
    assert isinstance(op, ExpMultipleOp)
    return emission.scalar(op.x) * op.numerator.value.data // op.denominator.value.data


def shift(emission: Emission, op: NnOp) -> Expr:
    assert isinstance(op, ShiftOp)
    return integer.shift_for(emission.scalar(op.r), op.bits.value.data)


def static_shift(emission: Emission, op: NnOp) -> Expr:
    """ceil(top / 2^8) - bits - e."""
    assert isinstance(op, StaticShiftOp)
    top = emission.scalar(op.top)
    known = tir.select(top == NEVER, tir.constant(0), top)
    return ((known + 255) >> 8) - op.bits.value.data - emission.scalar(op.e)


def dither(emission: Emission, op: NnOp) -> Expr:
    assert isinstance(op, DitherOp)
    return integer.dither(emission.scalar(op.seed), op.stream.value.data, emission.scalar(op.step))


def top(emission: Emission, op: NnOp) -> Expr:
    """max((BL(r) + e) << 8, top - 1); a zero tensor only decays, a value never set takes what comes."""
    assert isinstance(op, TopOp)
    old, r = emission.scalar(op.top), emission.scalar(op.r)
    new = tir.let((integer.bit_length(r) + emission.scalar(op.e)) << 8)
    decayed = tir.select(old == NEVER, old, old - tir.select(old == NEVER, tir.constant(0), tir.constant(1)))
    seen = tir.select(old == NEVER, new, tir.maximum(new, decayed))
    return tir.select(r == 0, decayed, seen)


def grow(emission: Emission, op: NnOp) -> Expr:
    assert isinstance(op, GrowOp)
    return emission.scalar(op.e) + growth(emission.scalar(op.r), op.full.value.data)


def growth(r: Expr, full: int) -> Expr:
    """arithmetic.updates.growth."""
    return tir.let(tir.select(r >= full, tir.constant(1), tir.constant(0)))


def moment_exponent(emission: Emission, op: NnOp) -> Expr:
    assert isinstance(op, MomentExponentOp)
    operands = (emission.scalar(value) for value in op.operands)
    return moment_after(moments.MOMENTS[op.moment.data], *operands)


def moment_after(moment: moments.Moment, e: Expr, r: Expr, e_dw: Expr, r_dw: Expr) -> Expr:
    """arithmetic.moments.Moment.after."""
    s = tir.let(gradient_shift(r_dw))
    r_new = tir.let(gradient_range(r_dw, s) if moment.power == 1 else gradient_range(r_dw, s) * gradient_range(r_dw, s))
    old = tir.let(integer.bit_length(r) + e + 1 - moment.bits)
    new = tir.let(integer.bit_length(r_new) + (e_dw + s) * moment.power - moment.fall + 1 - moment.bits)
    if_new = tir.select(r == 0, new, tir.maximum(old, new))
    return tir.let(tir.select(r_new == 0, tir.select(r == 0, e, old), if_new))


def gradient_shift(r_dw: Expr) -> Expr:
    """arithmetic.moments.gradient_shift."""
    return integer.shift_for(r_dw, moments.GRADIENT_BITS)


def gradient_range(r_dw: Expr, s: Expr) -> Expr:
    """arithmetic.moments.gradient_range."""
    rounded = integer.nearest(s, "int64")(tir.cast(r_dw, "int64"))
    return tir.let(tir.minimum(rounded, tir.constant(INT16_LIMIT, "int64")))


SCALARS: dict[str, Scalar] = {
    "bfp.exp_add": exp_add,
    "bfp.exp_const": exp_const,
    "bfp.exp_common": exp_common,
    "bfp.exp_wide_common": exp_wide_common,
    "bfp.exp_largest": exp_largest,
    "bfp.exp_parameter_sum": exp_parameter_sum,
    "bfp.exp_sum": exp_sum,
    "bfp.exp_clamp": exp_clamp,
    "bfp.exp_multiple": exp_multiple,
    "bfp.shift": shift,
    "bfp.static_shift": static_shift,
    "bfp.dither": dither,
    "bfp.top": top,
    "bfp.grow": grow,
    "bfp.moment_exponent": moment_exponent,
}
