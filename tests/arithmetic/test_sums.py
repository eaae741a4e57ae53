"""Sums of tensors whose exponents are far apart: the larger operand decides, and one that is zero never does."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nitic.arithmetic import sums
from nitic.arithmetic.integers import max_abs
from nitic.arithmetic.rounding import align

exponents = st.integers(-60, 60)
mantissas = st.lists(st.integers(-127, 127), min_size=1, max_size=4)


@given(acc=st.lists(st.integers(-(2**30), 2**30), min_size=1, max_size=4), b=mantissas, e=exponents, e_b=exponents)
def test_an_accumulator_plus_a_parameter_is_within_one_unit(acc: list[int], b: list[int], e: int, e_b: int) -> None:
    size = min(len(acc), len(b))
    x, p = np.array(acc[:size], np.int64), np.array(b[:size], np.int64)
    common = sums.parameter_sum_exponent(e, e_b, max_abs(p))
    total = sums.add_parameter(x, e, align(p, e_b, common), common)
    exact = [int(xi) * 2.0 ** (e - common) + int(pi) * 2.0 ** (e_b - common) for xi, pi in zip(x, p, strict=True)]
    assert np.abs(total - np.array(exact)).max() <= 1
    if not p.any():
        assert common == e
    elif not x.any() and max_abs(p) >= 64:
        assert max_abs(total) >= 32 or e > e_b  # what only the parameter gives keeps its bits


@given(a=mantissas, b=mantissas, ea=exponents, eb=exponents)
def test_a_sum_is_within_one_unit(a: list[int], b: list[int], ea: int, eb: int) -> None:
    size = min(len(a), len(b))
    x, y = np.array(a[:size], np.int64), np.array(b[:size], np.int64)
    total, e = sums.add(x, ea, y, eb)
    exact = x * 2.0 ** (ea - e) + y * 2.0 ** (eb - e)
    assert np.abs(total - exact).max() <= 1
