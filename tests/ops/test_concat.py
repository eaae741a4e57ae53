"""Concat, slice and pad: whose exponent counts, what rounding leaves, and that slice and pad are adjoint."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.utils.exceptions import VerifyException

from nitic.arithmetic import integers, sums
from nitic.arithmetic.integers import Array
from nitic.ops.bfp import ExpLargestOp
from nitic.ops.concat import ConcatOp, PadOp, SliceOp
from tests.support.operators import make, reference

A, B = np.array([[1, -3], [127, 5]], np.int8), np.array([[100], [-127]], np.int8)


def test_each_part_is_rounded_to_the_exponent_of_the_result() -> None:
    """1.5 and 2.5 go away from zero, as every error does."""
    op = make(ConcatOp, A, B, "exponent", "exponent", "exponent", axis=1)
    y = op.reference(A, B, *map(np.asarray, (-1, 0, 0)))
    assert isinstance(y, np.ndarray)
    assert y.tolist() == [[1, -2, 100], [64, 3, -127]]


def test_floats_are_only_joined() -> None:
    y = reference(ConcatOp, A.astype(float), B.astype(float), axis=1)
    np.testing.assert_array_equal(y, np.concatenate([A, B], 1))


@pytest.mark.parametrize("distance", range(13))
def test_a_tensor_of_few_bits_costs_the_others_none(distance: int) -> None:
    """The largest value decides, not the largest exponent, and whatever is largest keeps all that it has."""
    few = np.array([[3, -2, 0], [1, 1, 1]], np.int8)
    ranges = [integers.max_abs(each) for each in (few, A)]
    e = sums.largest_exponent([distance, 0], ranges)
    assert max(distance + 2, 7) - 7 == e
    op = make(ConcatOp, few, A, "exponent", "exponent", "exponent", axis=1)
    y = op.reference(few, A, *map(np.asarray, (distance, 0, e)))
    assert isinstance(y, np.ndarray)
    exact = np.concatenate([few * 2.0**distance, A], 1)
    assert np.abs(y * 2.0**e - exact).max() <= 2.0**e / 2
    assert np.abs(y).max() <= 127


def test_an_all_zero_tensor_does_not_decide_the_exponent() -> None:
    assert sums.largest_exponent([3, 9, 5], [127, 0, 64]) == 5
    assert sums.largest_exponent([3, 9, 5], [127, 0, 1]) == 3
    assert sums.largest_exponent([3, 9, 5], [7, 0, 1]) == -1
    assert sums.largest_exponent([3, 9, 5], [0, 0, 0]) == 9
    assert sums.largest_exponent([3, 9, 5]) == 9


def test_exponents_need_a_range_each() -> None:
    with pytest.raises(VerifyException, match="2 exponents come with a range each or none, not 1"):
        make(ExpLargestOp, "exponent", "exponent", "range")


@pytest.mark.parametrize(
    ("shapes", "axis", "message"),
    [
        ([(2, 3), (2, 4)], 0, r"tensors of \[\(2, 3\), \(2, 4\)\] differ not only along axis 0"),
        ([(2, 3), (2,)], 0, "differ not only"),
        ([(2, 3)], 2, "there is no axis 2"),
    ],
)
def test_what_does_not_fit_is_not_joined(shapes: list[tuple[int, ...]], axis: int, message: str) -> None:
    with pytest.raises(VerifyException, match=message):
        make(ConcatOp, *(np.zeros(shape) for shape in shapes), axis=axis)
    with pytest.raises(VerifyException, match="one more exponent than tensors"):
        make(ConcatOp, A, B, "exponent", "exponent", axis=1)


def test_a_strided_slice_and_its_pad() -> None:
    x = np.arange(10, dtype=np.int8)
    y = reference(SliceOp, x, starts=[2], stops=[9], steps=[3])
    assert y.tolist() == [2, 5, 8]
    assert reference(PadOp, y, before=[2], after=[1], between=[2]).tolist() == [0, 0, 2, 0, 0, 5, 0, 0, 8, 0]


@pytest.mark.parametrize("bounds", [(0, 4, 1), (-1, 2, 1), (2, 2, 1), (0, 3, 0), (2, 1, 1)])
def test_a_slice_lies_inside(bounds: tuple[int, int, int]) -> None:
    start, stop, step = bounds
    with pytest.raises(VerifyException, match="cannot take"):
        make(SliceOp, np.zeros(3), starts=[start], stops=[stop], steps=[step])
    with pytest.raises(VerifyException, match="cannot be negative"):
        make(PadOp, np.zeros(3), before=[0], after=[-1], between=[0])


@st.composite
def cuts(draw: st.DrawFn) -> tuple[Array, list[range]]:
    shape = draw(st.lists(st.integers(1, 8), min_size=1, max_size=3))
    starts = [draw(st.integers(0, size - 1)) for size in shape]
    taken = [
        range(start, draw(st.integers(start + 1, size)), draw(st.integers(1, 4)))
        for start, size in zip(starts, shape, strict=True)
    ]
    return np.random.default_rng(0).integers(-127, 128, shape).astype(np.int8), taken


class Errors:
    """The error of a result is its own values; takes the error of the operand."""

    def __init__(self) -> None:
        self.given: list[SliceOp | PadOp] = []

    def of(self, value: object) -> object:
        return value

    def add(self, value: object, gradient: SliceOp | PadOp) -> None:
        self.given.append(gradient)


@settings(deadline=None)
@given(case=cuts())
def test_the_gradients_of_slice_and_pad_are_adjoint(case: tuple[Array, list[range]]) -> None:
    """<slice(x), y> = <x, pad(y)>, and the gradient of the pad is the slice again."""
    x, taken = case
    errors = Errors()
    op = SliceOp.taking(make(SliceOp, x, **whole(x)).operands[0], taken)
    op.backward(errors)  # pyright: ignore[reportArgumentType]
    y = op.reference(x)
    back = errors.given[0].reference(y)
    assert isinstance(back, np.ndarray)
    assert back.shape == x.shape
    assert (back.astype(int) * x).sum() == (y.astype(int) * y).sum()
    errors.given[0].backward(errors)  # pyright: ignore[reportArgumentType]
    np.testing.assert_array_equal(errors.given[1].reference(back), y)


def whole(x: Array) -> dict[str, list[int]]:
    return {"starts": [0] * x.ndim, "stops": list(x.shape), "steps": [1] * x.ndim}
