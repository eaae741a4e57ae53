"""From accumulators to mantissas: range, shift, rounding shift, and the statistic `top` that makes inference static."""

from math import ceil, log2

from nitic.arithmetic.integers import INT8_LIMIT, Array, bit_length, max_abs, saturate
from nitic.arithmetic.rounding import ROUNDINGS

NEVER = -(2**31)  # a `top` that no training step has set


def shift_for(r: int, bits: int = 7) -> int:
    return max(0, bit_length(r) - bits)


def round_shift(acc: Array, s: int, rounding: str = "nearest", limit: int = INT8_LIMIT) -> Array:
    return saturate(ROUNDINGS[rounding](acc, s), limit)


def requantise(
    acc: Array, e: int, bits: int = 7, limit: int = INT8_LIMIT, rounding: str = "nearest"
) -> tuple[Array, int]:
    s = shift_for(max_abs(acc), bits)
    return round_shift(acc, s, rounding, limit), e + s


def update_top(top: int, r: int, e: int) -> int:
    """The decaying maximum (Q8) of the exponent of the leading bit; a zero tensor only decays it."""
    if r == 0:
        return top if top == NEVER else top - 1
    new = (bit_length(r) + e) << 8
    return new if top == NEVER else max(new, top - 1)


def top_of(largest: float) -> int:
    """The statistic of mantissas that just hold a magnitude."""
    return ceil(log2(largest)) << 8


def static_shift(top: int, e: int, bits: int = 7) -> int:
    """The shift of a stored activation at inference; a top never set counts as 0."""
    return -(-(0 if top == NEVER else top) // 256) - bits - e
