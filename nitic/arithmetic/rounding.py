"""Shifts that round: to nearest, by discarded bits (NITI, section 3.3), by random numbers, or dithered.

A shift above 62 gives 0; one of 0 or less is a left shift by at most 30 that saturates at 2^62.
"""

import numpy as np

from nitic.arithmetic.integers import WIDE, Array, bit_length, saturate, wide
from nitic.arithmetic.randomness import WEYL, WEYL_BITS, philox


def _is_plain(s: int) -> bool:
    return 0 < s <= 62


def _other_shift(x: Array, s: int) -> Array:
    if s > 62:
        return np.zeros_like(x)
    left = min(-s, 30)
    return np.clip(x, -(WIDE >> left), WIDE >> left) << left


def round_nearest(x: Array, s: int) -> Array:
    """R(x, s): x / 2^s to nearest, halves away from zero."""
    x = wide(x)
    return (x + (1 << (s - 1)) - (x < 0)) >> s if _is_plain(s) else _other_shift(x, s)


def round_pseudo_stochastic(x: Array, s: int) -> Array:
    """P(x, s): the low half of the discarded bits is the random number for the high half (NITI, section 3.3)."""
    x = wide(x)
    if not _is_plain(s):
        return _other_shift(x, s)
    magnitude, half = np.abs(x), s // 2
    rest = magnitude & ((1 << s) - 1)
    threshold = (rest & ((1 << half) - 1)) << (s & 1)
    q = (magnitude >> s) + ((rest >> half) > threshold)
    return np.where(x < 0, -q, q)


def round_stochastic(x: Array, s: int, seed: int, stream: int, step: int) -> Array:
    """|x| >> s, plus one where the discarded bits exceed u in [0, 2^s): the low s bits of Philox words 0 and 1."""
    x = wide(x)
    if not _is_plain(s):
        return _other_shift(x, s)
    words = philox(np.arange(x.size).reshape(x.shape), stream, step, seed)
    mask, magnitude = (1 << s) - 1, np.abs(x)
    q = (magnitude >> s) + ((magnitude & mask) > ((words[0] | words[1] << 32) & mask))
    return np.where(x < 0, -q, q)


def round_dithered(x: Array, s: int, start: int) -> Array:
    """D(x, s, t): |x| plus v in [0, 2^s), then cut off; v is the upper bits of a word that grows from t by WEYL."""
    x = wide(x)
    if not _is_plain(s):
        return _other_shift(x, s)
    word = (start + np.arange(x.size).reshape(x.shape) * WEYL) % 2**WEYL_BITS
    q = (np.abs(x) + ((word << WEYL_BITS) >> (2 * WEYL_BITS - s))) >> s
    return np.where(x < 0, -q, q)


ALIGN_LEFT = 20  # bits that an alignment shifts an int8 mantissa to the left, at most
ROUNDINGS = {"nearest": round_nearest, "pseudo_stochastic": round_pseudo_stochastic}


def align(x: Array, e_from: int, e_to: int) -> Array:
    """x moved from one exponent to another; a left shift is at most ALIGN_LEFT."""
    return round_nearest(x, max(e_to - e_from, -ALIGN_LEFT))


def align_saturated(x: Array | int, e_from: int, e_to: int, limit: int) -> Array:
    """`align` without its limit: a left shift saturates to +-limit, a power of two."""
    left = min(e_from - e_to, bit_length(limit) - 1)  # by more, too, anything but 0 is at the limit
    x = wide(x)
    return saturate(x, limit >> left) << left if left > 0 else saturate(round_nearest(x, e_to - e_from), limit)
