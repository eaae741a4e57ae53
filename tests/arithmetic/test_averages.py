"""Means: against fractions, at exponents however far apart."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest

from nitic.arithmetic.averages import average


def rounded(value: Fraction) -> int:
    """Halves away from zero."""
    return (-1 if value < 0 else 1) * floor(abs(value) + Fraction(1, 2))


@pytest.mark.parametrize("exponents", [(0,), (-15, -15), (-15, -14, -9), (3, -70, 0), (-30, 60, 0, 1)])
@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64])
def test_a_mean_is_rounded_once(exponents: tuple[int, ...], dtype: type[np.signedinteger]) -> None:
    limit = min(np.iinfo(dtype).max, 2**61)
    rng = np.random.default_rng(len(exponents))
    values = [rng.integers(-limit, limit, (4, 5), endpoint=True).astype(dtype) for _ in exponents]
    values[0][0, 0], values[-1][0, 1] = limit, -limit
    found = average(values, exponents)
    assert found.dtype == dtype
    unit = Fraction(2.0 ** max(exponents))
    for at in np.ndindex(4, 5):
        numbers = (int(v[at]) * Fraction(2.0**e) for v, e in zip(values, exponents, strict=True))
        total = sum(numbers, Fraction())
        assert found[at] == rounded(total / len(exponents) / unit)


def test_halves_go_away_from_zero_and_scalars_stay_scalars() -> None:
    assert average([np.array([1, -1, 2], np.int8), np.array([2, -2, 2], np.int8)], [0, 0]).tolist() == [2, -2, 2]
    assert average([np.array(3, np.int64)], [5]).shape == ()
