"""Layer norm and its relatives: a row is what shares statistics, D elements of int16 at exponent e."""

import numpy as np

from nitic.arithmetic.integers import INT16_LIMIT, Array, div, isqrt, saturate, wide
from nitic.arithmetic.norms import NORMALISED_EXPONENT
from nitic.arithmetic.pointwise import as_integer
from nitic.arithmetic.rounding import align_saturated, round_nearest
from nitic.arithmetic.rows import bit_lengths, round_rows

INVERSE_BITS = 32  # 1 / sqrt(W) is inverse * 2^(h - 32)
EPSILON_BITS, EPSILON_LIMIT = 30, 2**60
LONGEST = 56_000  # a longer row could pass 2^62
XHAT_SHIFT = INVERSE_BITS + NORMALISED_EXPONENT
SLOPE_SHIFT = -2 * NORMALISED_EXPONENT


def scaled_epsilon(epsilon: float, length: int) -> tuple[int, int]:
    """(c, its exponent) of epsilon * D^2."""
    return as_integer(epsilon * length * length, EPSILON_BITS)


def row_statistics(x: Array, e: int, epsilon: float, centred: bool) -> tuple[Array, Array, Array]:
    """(sum, inverse, h) of each row (..., 1): 2^16 < inverse <= 2^17. W = D^2 (variance + epsilon) is exact at 2e."""
    x = wide(x)
    length = x.shape[-1]
    total = x.sum(-1, keepdims=True) if centred else np.zeros((*x.shape[:-1], 1), np.int64)
    c, e_c = scaled_epsilon(epsilon, length)
    least = max(1, int(align_saturated(c, e_c, 2 * e, EPSILON_LIMIT)))
    w = length * (x * x).sum(-1, keepdims=True) - total * total + least
    h = (INVERSE_BITS - bit_lengths(w)) // 2
    root = isqrt(np.where(h >= 0, w << np.maximum(2 * h, 0), w >> np.maximum(-2 * h, 0)))
    return total, div(2**INVERSE_BITS, root), h


def normalised_rows(x: Array, total: Array, inverse: Array, h: Array) -> Array:
    """xhat, int16 at exponent -9."""
    x = wide(x)
    off = x.shape[-1] * x - total
    return saturate(round_rows(off * inverse, XHAT_SHIFT - wide(h)), INT16_LIMIT)


def row_norm_sums(dy: Array, xhat: Array, gamma: Array | int) -> tuple[Array, Array]:
    """The sums of t = dy * gamma and of t * xhat over each row."""
    t = wide(dy) * gamma
    return t.sum(-1, keepdims=True), (t * xhat).sum(-1, keepdims=True)


def row_norm_dgrad(
    dy: Array, xhat: Array, inverse: Array, mean: Array | int, slope: Array, gamma: Array | int
) -> Array:
    """(D t - mean - R(xhat * slope, 18)) * inverse, `mean` and `slope` the two sums; row i has the exponent h_i."""
    t = wide(dy) * gamma
    along = round_nearest(wide(xhat) * slope, SLOPE_SHIFT)
    return (t.shape[-1] * t - mean - along) * inverse
