"""Exact integers in NumPy, and what every formula of the folder begins with.

A tensor is a pair (m, e) with value m * 2^e. Functions take and return int64 arrays that hold exact integers.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
INT8_LIMIT, INT16_LIMIT = 127, 32767
WIDE = 2**62


def wide(x: Array | int) -> Array:
    return np.asarray(x, np.int64)


def bit_length(r: int) -> int:
    return int(r).bit_length()


def max_abs(x: Array) -> int:
    return int(np.abs(wide(x)).max(initial=0))


def div(a: Array | int, b: Array | int) -> Array:
    """Division rounded to nearest, halves up: floor((2a + b) / (2b))."""
    return (2 * wide(a) + b) // (2 * wide(b))


def symmetric_div(a: Array, b: Array) -> Array:
    """Division by positive numbers rounded to nearest, halves away from zero."""
    return np.sign(a) * div(np.abs(a), b)


def isqrt(v: Array) -> Array:
    """floor(sqrt(v)) for 0 <= v < 2^62, bit by bit."""
    root = np.zeros_like(wide(v))
    for bit in range(30, -1, -1):
        trial = root | (1 << bit)
        root = np.where(trial * trial <= v, trial, root)
    return root


def saturate(x: Array, limit: int = INT8_LIMIT) -> Array:
    return np.clip(x, -limit, limit)
