"""Convolutions: hand-computed cases, a formula of loops, and gradients that are adjoint to it, exactly."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nitic.arithmetic.integers import Array
from nitic.ops.conv import ConvDgradOp, ConvOp, ConvWgradOp, Window
from tests.support.operators import make, reference

SQUARE = np.arange(1, 10, dtype=np.int8).reshape(1, 3, 3, 1)
ONES = np.ones((1, 2, 2, 1), np.int8)


def forward(x: Array, w: Array, window: Window) -> Array:
    return reference(ConvOp, x, w, **window.properties())


@dataclass(frozen=True)
class Case:
    """A window, and what it slides over."""

    x: Array
    w: Array
    window: Window

    def error(self, seed: int) -> Array:
        shape = forward(self.x, self.w, self.window).shape
        return np.random.default_rng(seed).integers(-127, 128, shape).astype(np.int8)

    def dgrad(self, dy: Array) -> Array:
        return reference(ConvDgradOp, dy, self.w, size=self.x.shape[1:3], **self.window.properties())

    def wgrad(self, dy: Array) -> Array:
        return reference(ConvWgradOp, self.x, dy, kernel=self.w.shape[1:3], **self.window.properties())


@st.composite
def cases(draw: st.DrawFn) -> Case:
    def pair(least: int, most: int) -> tuple[int, int]:
        return draw(st.integers(least, most)), draw(st.integers(least, most))

    groups, channels, outputs = (draw(st.integers(1, 3)) for _ in range(3))
    (height, width), kernel = pair(1, 6), pair(1, 3)
    window = Window(pair(1, 3), (*pair(0, 2), *pair(0, 2)), pair(1, 2), groups)
    spans = [d * (k - 1) + 1 for d, k in zip(window.dilations, kernel, strict=True)]
    assume(height + window.pads[0] + window.pads[2] >= spans[0])
    assume(width + window.pads[1] + window.pads[3] >= spans[1])
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = rng.integers(-127, 128, (draw(st.integers(1, 3)), height, width, groups * channels)).astype(np.int8)
    w = rng.integers(-127, 128, (groups * outputs, *kernel, channels)).astype(np.int8)
    return Case(x, w, window)


def by_loops(case: Case) -> Array:
    """The definition, one product at a time."""
    x, w, window = case.x.astype(np.int64), case.w.astype(np.int64), case.window
    (n, height, width, _), (outputs, kh, kw, channels) = x.shape, w.shape
    oh, ow = window.output((height, width), (kh, kw))
    acc = np.zeros((n, oh, ow, outputs), np.int64)
    for i, y, z, o, a, b in product(*map(range, (n, oh, ow, outputs, kh, kw))):
        row = y * window.strides[0] + a * window.dilations[0] - window.pads[0]
        column = z * window.strides[1] + b * window.dilations[1] - window.pads[1]
        if 0 <= row < height and 0 <= column < width:
            first = o // (outputs // window.groups) * channels
            acc[i, y, z, o] += x[i, row, column, first : first + channels] @ w[o, a, b]
    return acc


def inner(a: Array, b: Array) -> int:
    return int((a.astype(np.int64) * b.astype(np.int64)).sum())


def test_a_window_sums_its_products() -> None:
    assert forward(SQUARE, ONES, Window())[0, :, :, 0].tolist() == [[12, 16], [24, 28]]


def test_padding_is_zero_and_may_be_one_sided() -> None:
    padded = forward(SQUARE, ONES, Window(pads=(1, 0, 0, 1)))
    assert padded[0, :, :, 0].tolist() == [[3, 5, 3], [12, 16, 9], [24, 28, 15]]


def test_strides_skip_windows() -> None:
    assert forward(SQUARE, ONES, Window(strides=(2, 1)))[0, :, :, 0].tolist() == [[12, 16]]
    assert forward(SQUARE, ONES, Window(strides=(1, 2)))[0, :, :, 0].tolist() == [[12], [24]]


def test_dilations_spread_the_window() -> None:
    assert forward(SQUARE, ONES, Window(dilations=(2, 2)))[0, :, :, 0].tolist() == [[1 + 3 + 7 + 9]]


def test_a_group_sees_its_own_channels() -> None:
    x = np.array([[[[1, 2, 3, 4]]]], np.int8)
    w = np.array([[1, 10], [2, 20], [3, 30], [4, 40]], np.int8).reshape(4, 1, 1, 2)
    assert forward(x, w, Window(groups=2)).ravel().tolist() == [21, 42, 129, 172]


def test_the_input_gradient_of_one_error_is_the_filter() -> None:
    w = np.array([[1, 2], [3, 4]], np.int8).reshape(1, 2, 2, 1)
    dy = np.zeros((1, 2, 2, 1), np.int8)
    dy[0, 1, 0, 0] = 2
    dx = reference(ConvDgradOp, dy, w, size=[3, 3], **Window().properties())
    assert dx[0, :, :, 0].tolist() == [[0, 0, 0], [2, 4, 0], [6, 8, 0]]


def test_the_filter_gradient_of_one_error_is_its_window() -> None:
    dy = np.zeros((1, 2, 2, 1), np.int8)
    dy[0, 1, 0, 0] = 2
    dw = reference(ConvWgradOp, SQUARE, dy, kernel=[2, 2], **Window().properties())
    assert dw[0, :, :, 0].tolist() == [[8, 10], [14, 16]]


@given(case=cases())
def test_the_reference_is_the_definition(case: Case) -> None:
    np.testing.assert_array_equal(forward(case.x, case.w, case.window), by_loops(case))


@given(case=cases(), seed=st.integers(0, 2**32 - 1))
def test_gradients_are_adjoint(case: Case, seed: int) -> None:
    dy = case.error(seed)
    expected = inner(dy, forward(case.x, case.w, case.window))
    assert inner(case.dgrad(dy), case.x) == expected
    assert inner(case.wgrad(dy), case.w) == expected


@given(case=cases(), seed=st.integers(0, 2**32 - 1))
def test_gradients_of_a_transposed_convolution_are_adjoint(case: Case, seed: int) -> None:
    """Of dy and w, for an error g of its result: that convolution of g, and a filter gradient with g as the input."""
    dy, g = case.error(seed), case.x
    expected = inner(g, case.dgrad(dy))
    assert inner(forward(g, case.w, case.window), dy) == expected
    assert inner(Case(g, case.w, case.window).wgrad(dy), case.w) == expected


@given(case=cases())
def test_floats_and_integers_agree(case: Case) -> None:
    real = forward(case.x.astype(np.float64), case.w.astype(np.float64), case.window)
    np.testing.assert_array_equal(real, forward(case.x, case.w, case.window))


@pytest.mark.parametrize("sign", [1, -1])
def test_extremes_reach_the_bound_of_the_accumulator(sign: int) -> None:
    x, w = np.full((1, 3, 3, 2), 127, np.int8), np.full((1, 3, 3, 2), 127 * sign, np.int8)
    bound = make(ConvOp, x, w, **Window().properties()).accumulator_bound()
    assert forward(x, w, Window()).ravel().tolist() == [sign * 18 * 127 * 127]
    assert bound == 18 * 127 * 127
