"""Means of tensors at exponents of their own, rounded once: exact, and the same in any order."""

from collections.abc import Sequence

import numpy as np

from nitic.arithmetic.integers import Array


def average(values: Sequence[Array], exponents: Sequence[int]) -> Array:
    """The mean as mantissas at the largest of the exponents, halves away from zero; it has the type of the values."""
    least, largest = min(exponents), max(exponents)
    # Python's integers: exponents may be further apart than 64 bits.
    total = sum(value.astype(object) << e - least for value, e in zip(values, exponents, strict=True))
    divisor = len(values) << largest - least
    magnitude = (2 * abs(total) + divisor) // (2 * divisor)
    return np.asarray(np.where(total < 0, -magnitude, magnitude)).astype(values[0].dtype)
