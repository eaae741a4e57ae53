"""Sums of tensors whose exponents differ, and means over windows."""

from collections.abc import Sequence

from nitic.arithmetic.integers import Array, bit_length, div, max_abs, wide
from nitic.arithmetic.rounding import ALIGN_LEFT, round_nearest

MANTISSA_BITS = 7  # of int8
TERM_BITS = 29  # of each of two accumulators that add up
WIDE_TERM_SHIFT = 14  # of the larger of two int16 tensors that add up


def add(a: Array, ea: int, b: Array, eb: int, static: bool = False) -> tuple[Array, int]:
    """The exact sum at the smaller exponent.

    An all-zero operand never decides the exponent; where they are more than 16 apart the smaller operand is dropped.
    """
    e = common_exponent(ea, eb) if static else common_exponent(ea, eb, max_abs(a), max_abs(b))
    return add_at(a, ea, b, eb, e), e


def common_exponent(ea: int, eb: int, ra: int = 1, rb: int = 1) -> int:
    """The exponent of the exact sum of two tensors whose ranges are ra and rb."""
    if rb == 0:
        return ea
    if ra == 0:
        return eb
    return max(ea, eb) if abs(ea - eb) > 16 else min(ea, eb)


def wide_common_exponent(ea: int, eb: int, ra: int = 1, rb: int = 1) -> int:
    """The exponent of a sum of int16: the larger operand is shifted left by 14 at most, the other rounded to it."""
    if 0 in (ra, rb):
        return common_exponent(ea, eb, ra, rb)
    return max(min(ea, eb), max(ea, eb) - WIDE_TERM_SHIFT)


def add_at(a: Array, ea: int, b: Array, eb: int, e: int) -> Array:
    """a + b at their common exponent; an operand with a smaller exponent is dropped (or zero)."""
    factors = [1 << min(ex - e, 16) if ex >= e else 0 for ex in (ea, eb)]
    return wide(a) * factors[0] + wide(b) * factors[1]


def parameter_sum_exponent(e: int, e_b: int, rb: int) -> int:
    """The exponent of an accumulator at e plus an int8 parameter of range rb at e_b: e, unless that cannot hold it."""
    return max(e, e_b - ALIGN_LEFT) if rb else e


def add_parameter(acc: Array, e: int, b: Array, common: int) -> Array:
    """acc + b at their parameter_sum_exponent, which b is aligned to: within one unit of it.

    Where acc is moved, b is exact: rounding down, the cheapest, is enough.
    """
    return (wide(acc) >> min(common - e, 63)) + b


def largest_exponent(exponents: Sequence[int], ranges: Sequence[int] = ()) -> int:
    """The exponent of int8 tensors that are joined: the largest, or where ranges tell, that which gives the largest
    value 7 bits."""
    tops = [e + bit_length(r) for e, r in zip(exponents, ranges, strict=False) if r]
    return max(tops) - MANTISSA_BITS if tops else max(exponents)


def sum_exponent(ea: int, eb: int, ra: int, rb: int) -> int:
    """The exponent at which two accumulators of ranges ra and rb have at most 29 bits each, and no bit to spare."""
    counted = [(e, e + bit_length(r)) for e, r in ((ea, ra), (eb, rb)) if r] or [(ea, ea)]
    return max(min(e for e, _ in counted), max(top for _, top in counted) - TERM_BITS)


def accumulate(a: Array, ea: int, b: Array, eb: int, e: int) -> Array:
    """a + b at their sum_exponent: below 2^30."""
    return round_nearest(wide(a), e - ea) + round_nearest(wide(b), e - eb)


def average_multiplier(n: int) -> tuple[int, int]:
    """(round(2^(15+j) / n), -(15+j)) with j = floor(log2 n): division by n as a product and an exponent."""
    return int(window_multiplier(n, n)), -(14 + bit_length(n))


def window_multiplier(n: Array | int, full: int) -> Array:
    """1 / n for a window with n of its `full` elements, at the exponent that average_multiplier gives `full`."""
    return div(2 ** (14 + bit_length(full)), n)
