"""Bias, relu, dropout, and the map of input samples."""

from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nitic.arithmetic import inputs, rounding, sums
from nitic.arithmetic.integers import Array
from nitic.ops.elementwise import BiasGradOp, BiasOp, DropoutOp, InputMapOp, ReluDgradOp, ReluOp
from tests.support.operators import make, reference

SEED, STEP = np.asarray(7, np.int64), np.asarray(3, np.int32)


def test_a_bias_is_added_along_the_last_axis() -> None:
    acc = np.array([[1, 2], [3, 4]], np.int32)
    b, e, above = np.array([10, -20], np.int32), *(np.asarray(value, np.int32) for value in (-3, -2))
    op = make(BiasOp, acc, b, "exponent", "exponent")
    assert np.asarray(op.reference(acc, b, e, e)).tolist() == [[11, -18], [13, -16]]
    assert np.asarray(op.reference(acc, b, e, above)).tolist() == [[10, -19], [11, -18]]


def test_the_bound_of_a_bias_is_that_of_an_alignment() -> None:
    """An int8 mantissa moves left by 20 at most."""
    op = make(BiasOp, np.zeros((1, 1), np.int32), np.zeros(1, np.int32), "exponent", "exponent")
    assert op.accumulator_bound() == rounding.align(np.array([127]), 100, 0)[0]


def test_the_gradient_of_a_bias_sums_all_axes_but_the_last() -> None:
    dy = np.arange(12, dtype=np.int8).reshape(1, 2, 3, 2)
    assert reference(BiasGradOp, dy).tolist() == [30, 36]
    assert reference(BiasGradOp, np.full((3, 100, 100, 1), -127, np.int8)).tolist() == [-3_810_000]


def test_a_relu_keeps_what_is_positive() -> None:
    x = np.array([-(2**31), -1, 0, 1, 2**31 - 1], np.int32)
    assert reference(ReluOp, x).tolist() == [0, 0, 0, 1, 2**31 - 1]


def test_the_mask_of_a_relu_is_the_stored_value() -> None:
    """An accumulator that was positive but rounded to 0 passes no error."""
    dy, y = np.array([5, -6, 7, 8], np.int8), np.array([1, 127, 0, 0], np.int8)
    assert reference(ReluDgradOp, dy, y).tolist() == [5, -6, 0, 0]


def masked(x: Array, p: float, seed: Array = SEED, step: Array = STEP, stream: int = 1) -> Array:
    return reference(DropoutOp, x, seed, step, p=p, stream=stream)


def test_a_kept_element_is_scaled_by_one_over_one_minus_p() -> None:
    x = np.full((4, 250), 100, np.int8)
    assert set(np.unique(masked(x, 0.25))) == {0, 100 * round(2**15 / 0.75)}


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_a_fraction_p_is_dropped(p: float) -> None:
    y = masked(np.ones(20_000, np.int8), p)
    assert abs((y == 0).mean() - p) < 0.01


def test_no_element_is_dropped_at_zero() -> None:
    x = np.arange(-100, 100, dtype=np.int8)
    assert masked(x, 0.0).tolist() == (x.astype(int) * 2**15).tolist()


def test_the_mask_follows_seed_step_and_stream_alone() -> None:
    x = np.ones((2, 500), np.int8)
    kept = masked(x, 0.5) > 0
    others = [masked(x, 0.5, np.asarray(8)), masked(x, 0.5, step=np.asarray(4, np.int32)), masked(x, 0.5, stream=2)]
    assert all(((other > 0) != kept).mean() > 0.4 for other in others)
    np.testing.assert_array_equal(masked(-2 * x, 0.5), -2 * masked(x, 0.5))
    np.testing.assert_array_equal(masked(x.reshape(1000), 0.5), masked(x, 0.5).reshape(1000))


def test_floats_are_masked_as_integers_are() -> None:
    x = np.random.default_rng(0).normal(size=(3, 40))
    integer = masked(np.ones(x.shape, np.int8), 0.3)
    np.testing.assert_allclose(masked(x, 0.3), x * integer * 2.0**-15)


def test_without_random_numbers_a_dropout_is_the_identity() -> None:
    x = np.array([-127, 3], np.int8)
    op = make(DropoutOp, x, p=0.5)
    np.testing.assert_array_equal(op.reference(x), x)
    assert op.exponents(Numbers()) == [Numbers.EXPONENT]
    drawn = make(DropoutOp, x, SEED, STEP, p=0.5, stream=1)
    assert drawn.exponents(Numbers()) == [Numbers.EXPONENT - 15]


class Numbers:
    """Exponents of which every operand has the same."""

    EXPONENT = 4

    def of(self, value: object) -> int:
        return self.EXPONENT

    def shift(self, value: object) -> int:
        return self.EXPONENT

    def const(self, value: int) -> int:
        return value

    def add(self, a: int, b: int) -> int:
        return a + b

    def multiple(self, a: int, numerator: int, denominator: int) -> int:
        return numerator * a // denominator

    def clamp(self, a: int, low: int, high: int) -> int:
        return min(max(a, low), high)


def test_samples_are_mapped_by_channel() -> None:
    x = np.array([[0, 255], [128, 1]], np.uint8).reshape(1, 2, 1, 2)
    multiplier, offset = np.array([2**16, 2**15], np.int32), np.array([-(100 << 16), 1 << 15], np.int32)
    y = reference(InputMapOp, x, multiplier, offset)
    # 0 - 100, 255 / 2 + 1/2 saturated; 128 - 100, (1 + 1) / 2
    assert y.reshape(2, 2).tolist() == [[-100, 127], [28, 1]]


def test_one_multiplier_serves_all_features() -> None:
    x = np.array([[0, 100, 255]], np.uint8)
    one = [np.array([v], np.int32) for v in (-(2**16), 0)]
    assert reference(InputMapOp, x, *one).tolist() == [[0, -100, -127]]


@pytest.mark.parametrize("shape", [(50, 3), (4, 5, 6, 2)])
def test_statistics_normalise_samples(shape: tuple[int, ...]) -> None:
    """Mean 0 and deviation 2^5, which is 1 at the input's exponent."""
    x = np.random.default_rng(prod(shape)).integers(0, 256, shape).astype(np.uint8)
    maps = [v.astype(np.int32) for v in inputs.input_statistics(x)]
    y = reference(InputMapOp, x, *maps).reshape(-1, shape[-1])
    assert np.abs(y.mean(0)).max() < 0.5
    assert np.abs(y.std(0) - 32).max() < 0.5


@pytest.mark.parametrize(
    ("exponents", "ranges", "expected"),
    [
        ((-3, 5), (100, 100), -3),  # exact: the second has 15 bits at -3
        ((-3, 5), (0, 100), 5),
        ((-3, 5), (100, 0), -3),
        ((-3, 5), (0, 0), -3),
        ((0, 30), (7, 1), 2),  # 2^30 has 29 bits at 2
        ((4, 0), (2**30, 1), 6),
    ],
)
def test_exponent_of_a_sum_of_accumulators(exponents: tuple[int, int], ranges: tuple[int, int], expected: int) -> None:
    assert sums.sum_exponent(*exponents, *ranges) == expected


def test_accumulate() -> None:
    a, b = np.array([5, -3, 2**29]), np.array([-1, 1, 1])
    total = sums.accumulate(a, -2, b, 0, -2)
    assert total.tolist() == [1, 1, 2**29 + 4]
    halves = sums.accumulate(np.array([2, -2, 6]), -2, np.array([0, 0, 0]), 0, 0)
    assert halves.tolist() == [1, -1, 2]


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(0, 2**45), st.integers(0, 2**45))
def test_sums_of_accumulators_stay_below_the_proved_limit(ea: int, eb: int, a: int, b: int) -> None:
    e = sums.sum_exponent(ea, eb, a, b)
    total = int(sums.accumulate(np.array([a]), ea, np.array([b]), eb, e)[0])
    assert total <= 2**30
    exact = a * 2.0**ea + b * 2.0**eb
    assert abs(total * 2.0**e - exact) <= 2.0**e
    if max(a * 2.0 ** (ea - e), b * 2.0 ** (eb - e)) < 2**28 and min(ea, eb) == e:
        assert total * 2.0**e == exact
