"""Alignment that saturates, against fractions."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest

from nitic.arithmetic.rounding import align_saturated

LIMITS = (2**30, 2**40, 2**61)


def expected(x: int, e_from: int, e_to: int, limit: int) -> int:
    """x * 2^(e_from - e_to) to nearest, halves away from zero, within the limit."""
    magnitude = floor(Fraction(abs(x)) * Fraction(2) ** (e_from - e_to) + Fraction(1, 2))
    return min(magnitude, limit) * (1 if x >= 0 else -1)


@pytest.mark.parametrize("limit", LIMITS)
def test_it_is_the_nearest_integer_within_the_limit(limit: int) -> None:
    """Whatever the shift: a large one to the left gave 0 once, in place of the limit."""
    values = [0, 1, 2, 3, 5, 127, 32767, limit // 2 - 1, limit - 1, limit, limit + 1, 2**61]
    values += [-value for value in values]
    for shift in range(-80, 81):
        found = align_saturated(np.asarray(values), shift, 0, limit)
        assert found.tolist() == [expected(value, shift, 0, limit) for value in values], shift


def test_by_hand() -> None:
    assert align_saturated(2**40, -40, -40, 2**40) == 2**40
    assert align_saturated(1, 0, -40, 2**40) == 2**40
    assert align_saturated(1, 0, -41, 2**40) == 2**40
    assert align_saturated(-1, 0, -100, 2**40) == -(2**40)
    assert align_saturated(0, 0, -100, 2**40) == 0
