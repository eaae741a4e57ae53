"""Attention of rows of scores: a softmax in 8 bits with its sum beside it, and the products with it.

q is (..., T, d), k (..., S, d), v (..., S, n), all int8. The scores S = q . k^T are accumulators at e_q + e_k that are
never rounded. A row's softmax is u / Z: u has 8 bits and the maximum 255, Z is the sum of u.
"""

import math

import numpy as np

from nitic.arithmetic.integers import INT8_LIMIT, Array, saturate, symmetric_div, wide
from nitic.arithmetic.losses import EXP2
from nitic.arithmetic.pointwise import as_integer
from nitic.arithmetic.rounding import round_nearest
from nitic.arithmetic.rows import NO_EXPONENT, bit_lengths, round_rows, row_reciprocal

EXP_BITS, U8_LIMIT = 20, 255
LOG_SCALE_BITS, SCALE_BITS = 16, 15
PLANES_LIMIT = 127 * 256 + 127  # of an int16 operand of a product: kernels may take it as two planes of int8
OUTPUT_SHIFT = 7  # leaves 8 bits more than v has
OUTPUT_LIMIT = 127 * 256 + 1
LEAST_SCORE = -(2**30)  # of what is masked: below any score


def softmax_constants(scale: float) -> tuple[int, int, int, int]:
    """(c, e_c) of scale * log2(e), and (s, e_s) of the scale."""
    return *as_integer(scale * math.log2(math.e), LOG_SCALE_BITS), *as_integer(scale, SCALE_BITS)


def exp2(t: Array, bits: int = EXP_BITS) -> Array:
    """2^(bits - t) for 0 <= t <= 2^13 in Q8."""
    whole, fraction = t >> 8, t & 255
    return np.where(fraction > 0, (EXP2[(256 - fraction) & 255] << (bits - 10)) >> (whole + 1), (1 << bits) >> whole)


def causal(rows: int, columns: int) -> Array:
    """Which scores count where a row sees nothing behind itself; the first rows of both begin together."""
    return np.tri(rows, columns, dtype=bool)


def largest_scores(scores: Array, mask: Array | None) -> Array:
    """The maximum of each row that counts, -2^30 where nothing does."""
    return (wide(scores) if mask is None else np.where(mask, scores, LEAST_SCORE)).max(-1, keepdims=True)


def softmax(scores: Array, e: int, top: Array, c: int, e_c: int, mask: Array | None) -> tuple[Array, Array]:
    """(u, Z): what is masked is 0."""
    keep = np.ones((), bool) if mask is None else mask
    d = np.where(keep, top - wide(scores), 0)
    t = np.minimum(round_nearest(d * c, -8 - e - e_c), 2**13)
    u = np.minimum(round_nearest(exp2(t), EXP_BITS - 8), U8_LIMIT) * keep
    return u, u.sum(-1, keepdims=True)


def normalised_product(product: Array, total: Array) -> Array:
    """p . v as int16 at e_v - 8, from u . v: within 127 * 256 + 1, so that it needs no range."""
    m, b = row_reciprocal(total)
    return round_rows(wide(product) * m, b + OUTPUT_SHIFT)


def error_mean(u: Array, total: Array, dp: Array) -> Array:
    """The mean of dp by u, with 8 bits more."""
    return symmetric_div((wide(u) * dp).sum(-1, keepdims=True) << 8, np.maximum(wide(total), 1))


def unrounded_error(u: Array, total: Array, dp: Array, mean: Array, scale: int) -> Array:
    """u * (dp - mean) * scale / Z, from dp at e: row i at e - 8 + e_s - b_i, b the bit length of Z."""
    m, _ = row_reciprocal(total)
    return wide(u) * ((wide(dp) << 8) - mean) * round_nearest(m * scale, 15)


def error_shifts(error: Array, total: Array) -> tuple[Array, Array]:
    """(the shift that leaves each row 7 bits, the exponent h of the row behind it)."""
    r = np.abs(error).max(-1, keepdims=True)
    shift = np.maximum(bit_lengths(r) - 7, 0)
    return shift, np.where(r > 0, shift - row_reciprocal(total)[1], NO_EXPONENT)


def rounded_error(error: Array, shift: Array) -> Array:
    """ds, int8."""
    return saturate(round_rows(error, shift), INT8_LIMIT)
