"""Pools: which element wins, what a mean is in integers, and adjoint gradients."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from xdsl.utils.exceptions import VerifyException

from nitic.arithmetic import sums
from nitic.arithmetic.integers import Array
from nitic.ops.pool import AveragePoolDgradOp, AveragePoolOp, MaxPoolDgradOp, MaxPoolOp
from tests.support.operators import make, reference

TWO = {"kernel": [2, 2], "strides": [2, 2], "pads": [0, 0, 0, 0]}
THREE = {"kernel": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}


def image(rows: Any, dtype: type[np.generic] = np.int8) -> Array:
    return np.array(rows, dtype)[None, :, :, None]


def plane(y: Array) -> Any:
    return y[0, :, :, 0].tolist()


def test_the_maximum_and_its_place() -> None:
    y, index = reference(MaxPoolOp, image([[1, 2, 9, 0], [3, 4, 0, 8], [-1, -2, 0, 0], [-4, -3, 0, 1]]), **TWO)
    assert plane(y) == [[4, 9], [-1, 1]]
    assert plane(index) == [[3, 0], [0, 3]]


def test_the_first_of_equals_wins() -> None:
    _, index = reference(MaxPoolOp, image([[5, 5], [5, 5]]), **TWO)
    assert plane(index) == [[0]]


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.float64])
def test_padding_never_wins(dtype: type[np.generic]) -> None:
    y, index = reference(MaxPoolOp, image([[-128, -128], [-128, -128]], dtype), **THREE)
    assert plane(y) == [[-128]]
    assert plane(index) == [[4]]


def test_a_place_of_the_largest_window_fits_int8() -> None:
    x = np.zeros((1, 8, 16, 1), np.int8)
    x[0, 7, 15] = 1
    _, index = reference(MaxPoolOp, x, kernel=[8, 16], strides=[1, 1], pads=[0, 0, 0, 0])
    assert plane(index) == [[127]]


def test_an_error_goes_to_the_winner() -> None:
    dx = reference(MaxPoolDgradOp, image([[7, -8]]), image([[3, 0]]), size=[2, 4], **TWO)
    assert plane(dx) == [[0, 0, -8, 0], [0, 7, 0, 0]]


def test_errors_meet_where_windows_overlap() -> None:
    op = make(MaxPoolDgradOp, image([[127, 127]]), image([[1, 0]]), size=[1, 3], **one_row(2, 1))
    assert str(op.result.type) == "tensor<1x1x3x1xi32>"
    assert op.accumulator_bound() == 254
    dx = op.reference(image([[127, 127]]), image([[1, 0]]))
    assert isinstance(dx, np.ndarray)
    assert plane(dx) == [[0, 254, 0]]


def test_errors_that_cannot_meet_stay_mantissas() -> None:
    op = make(MaxPoolDgradOp, image([[1, 1]]), image([[1, 0]]), size=[1, 4], **one_row(2, 2))
    assert str(op.result.type) == "tensor<1x1x4x1xi8>"
    assert op.accumulator_bound() is None


def one_row(kernel: int, stride: int) -> dict[str, list[int]]:
    return {"kernel": [1, kernel], "strides": [1, stride], "pads": [0, 0, 0, 0]}


def test_a_mean_is_a_sum_times_a_multiplier() -> None:
    assert plane(reference(AveragePoolOp, image([[1, 2], [3, -10]]), **TWO)) == [[-4 * 2**15]]
    ninth = round(2**18 / 9)
    assert plane(reference(AveragePoolOp, image([[9] * 3] * 3), **THREE)) == [[36 * ninth] * 2] * 2


def test_a_mean_of_floats_counts_padding() -> None:
    assert plane(reference(AveragePoolOp, image([[9.0] * 3] * 3, np.float64), **THREE)) == [[4.0] * 2] * 2


def test_padding_that_does_not_count_leaves_fewer_elements() -> None:
    """Of 3x3 windows with a frame, the corners see 4 elements: j is that of all 9."""
    uncounted = {**THREE, "counted": [0, 0, 0, 0]}
    quarter = 2**18 // 4
    assert plane(reference(AveragePoolOp, image([[9] * 3] * 3), **uncounted)) == [[36 * quarter] * 2] * 2
    assert plane(reference(AveragePoolOp, image([[9.0] * 3] * 3, np.float64), **uncounted)) == [[9.0] * 2] * 2
    dx = reference(AveragePoolDgradOp, image([[4, 0], [0, 0]]), size=[3, 3], **uncounted)
    assert plane(dx) == [[4 * quarter, 4 * quarter, 0]] * 2 + [[0, 0, 0]]


@pytest.mark.parametrize("full", [1, 2, 9, 49, 121, 1000])
def test_no_window_of_fewer_elements_passes_the_bound(full: int) -> None:
    n = np.arange(1, full + 1)
    multiplier = sums.window_multiplier(n, full)
    exponent = sums.average_multiplier(full)[1]
    assert np.abs(multiplier * n * 2.0**exponent - 1).max() <= 2.0**-15
    assert (n * multiplier <= 2.0**-exponent + n / 2).all()


def test_the_place_in_a_large_window_is_an_int16() -> None:
    x = np.zeros((1, 20, 30, 1), np.int8)
    x[0, 19, 29] = 1
    op = make(MaxPoolOp, x, kernel=[20, 30], strides=[1, 1], pads=[0, 0, 0, 0])
    assert str(op.results[1].type) == "tensor<1x1x1x1xi16>"
    assert plane(op.reference(x)[1]) == [[599]]


def test_an_error_is_spread_over_its_window() -> None:
    dx = reference(AveragePoolDgradOp, image([[4, 8]]), size=[2, 4], **TWO)
    assert plane(dx) == [[4 * 2**15] * 2 + [8 * 2**15] * 2] * 2
    real = reference(AveragePoolDgradOp, image([[4.0, 8.0]], np.float64), size=[2, 4], **TWO)
    assert plane(real) == [[1.0] * 2 + [2.0] * 2] * 2


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 9, 49, 64, 255, 511])
def test_the_multiplier_is_close_to_one_over_n(n: int) -> None:
    multiplier, exponent = sums.average_multiplier(n)
    assert abs(multiplier * 2.0**exponent * n - 1) <= 2.0**-15
    assert 127 * n * multiplier < 2**30


@st.composite
def pools(draw: st.DrawFn) -> tuple[Array, dict[str, list[int]]]:
    kernel, strides = ([draw(st.integers(1, 3)) for _ in range(2)] for _ in range(2))
    pads = [draw(st.integers(0, kernel[axis % 2] - 1)) for axis in range(4)]
    dilations = [draw(st.integers(1, 3)) for _ in range(2)]
    size = [draw(st.integers(1, 6)) for _ in range(2)]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = rng.integers(-127, 128, (draw(st.integers(1, 2)), *size, draw(st.integers(1, 3)))).astype(np.int8)
    window = {"kernel": kernel, "strides": strides, "pads": pads, "dilations": dilations}
    assume(fits(x, window))
    return x, window


def fits(x: Array, window: dict[str, list[int]]) -> bool:
    """Whether there are windows, and each sees some of the input."""
    try:
        return bool(make(MaxPoolOp, x, **window))
    except VerifyException:
        return False


def error(y: Array) -> Array:
    return np.random.default_rng(y.size).integers(-127, 128, y.shape).astype(np.int8)


@settings(deadline=None)
@given(case=pools())
def test_the_gradient_of_a_max_pool_is_adjoint_to_taking_the_winners(case: tuple[Array, dict[str, list[int]]]) -> None:
    x, window = case
    y, index = reference(MaxPoolOp, x, **window)
    dx = reference(MaxPoolDgradOp, error(y), index.astype(np.int8), size=x.shape[1:3], **window)
    assert (dx * x).sum() == (error(y) * y).sum()


@settings(deadline=None)
@given(case=pools())
def test_the_gradient_of_an_average_pool_is_adjoint_to_it(case: tuple[Array, dict[str, list[int]]]) -> None:
    x, window = case
    window = {**window, "counted": [pad // 2 for pad in window["pads"]]}
    y = reference(AveragePoolOp, x, **window)
    dx = reference(AveragePoolDgradOp, error(y), size=x.shape[1:3], **window)
    assert (dx * x).sum() == (error(y) * y).sum()


@settings(deadline=None)
@given(case=pools())
def test_errors_stay_below_the_bound_where_all_are_extreme(case: tuple[Array, dict[str, list[int]]]) -> None:
    x, window = case
    window = {**window, "counted": [0, 0, 0, 0]}
    dy = np.full_like(reference(AveragePoolOp, x, **window), 127).astype(np.int8)
    op = make(AveragePoolDgradOp, dy, size=x.shape[1:3], **window)
    assert np.abs(op.reference(dy)).max() <= (op.accumulator_bound() or 0)
