"""Rows that each have an exponent of their own: a row is all that the last axis holds, row i is at e + h_i.

h is (..., 1) for mantissas of (..., n). A row of zeros has no leading bit, and counts for nothing.
"""

import numpy as np

from nitic.arithmetic.integers import INT8_LIMIT, WIDE, Array, div, saturate, wide

TOP_BIAS = 2**30  # makes the tops of all rows positive, so that the largest is a range
NO_EXPONENT = -(2**20)  # of a row of zeros


def bit_lengths(x: Array) -> Array:
    """Of each element, 0 <= x < 2^62."""
    x = wide(x)
    found = np.zeros_like(x)
    for bits in (32, 16, 8, 4, 2, 1):
        large = (x >> bits) > 0
        found, x = found + bits * large, np.where(large, x >> bits, x)
    return found + (x > 0)


def round_rows(x: Array, s: Array) -> Array:
    """R(x, s) with a shift for each row, or each element; the limits of R."""
    x, s = np.broadcast_arrays(wide(x), wide(s))
    right, left = np.clip(s, 1, 62), np.clip(-s, 0, 30)
    rounded = (x + (wide(1) << (right - 1)) - (x < 0)) >> right
    moved = np.clip(x, -(WIDE >> left), WIDE >> left) << left
    return np.where(s > 62, 0, np.where(s > 0, rounded, moved))


def row_tops(acc: Array, h: Array) -> Array:
    """The exponent of the leading bit of each row, beside e and plus TOP_BIAS; 0 where the row is zeros."""
    bits = bit_lengths(np.abs(wide(acc)).max(-1, keepdims=True))
    return np.where(bits > 0, bits + wide(h) + TOP_BIAS, 0)


def row_shift(r: int, bits: int) -> int:
    """What a row with h = 0 is shifted by, so that the one with the largest of the tops, r, has so many bits."""
    return r - TOP_BIAS - bits if r else 0


def shifted_rows(acc: Array, h: Array, s: int, limit: int) -> Array:
    """Rows at one exponent, e + s."""
    return saturate(round_rows(acc, s - wide(h)), limit)


def requantise_rows(acc: Array, e: int, h: Array, bits: int = 7, limit: int = INT8_LIMIT) -> tuple[Array, int]:
    """Rows at e + h_i as mantissas at one exponent."""
    s = row_shift(int(row_tops(acc, h).max(initial=0)), bits)
    return shifted_rows(acc, h, s, limit), e + s


def row_reciprocal(total: Array) -> tuple[Array, Array]:
    """(m, b) with 1 / total = m * 2^-(b + 15), 2^15 <= m <= 2^16; a total of 0 counts as 1."""
    total = np.maximum(wide(total), 1)
    b = bit_lengths(total)
    return div(wide(1) << (b + 15), total), b
