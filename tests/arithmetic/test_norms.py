"""Statistics: against integers of any size, and at exponents of any size."""

import numpy as np
import pytest

from nitic.arithmetic.norms import (
    RUNNING_LIMIT,
    batch_norm_inverse,
    batch_norm_recall,
    batch_norm_running,
    least_exponent,
    normalise,
    recalled_mean_exponent,
    recalled_variance_exponent,
)

RATES = (0, 1, 3277, 2**14, 2**15 - 1, 2**15)


def nearest(x: int, s: int) -> int:
    return (x + 2 ** (s - 1) - (x < 0)) >> s


@pytest.mark.parametrize("q", RATES)
def test_a_step_is_exact_over_the_whole_range(q: int) -> None:
    """The product of a difference and the rate may have 77 bits."""
    rng = np.random.default_rng(q)
    values = [0, 1, -1, 5, 2**14, -(2**14), 2**46, RUNNING_LIMIT, -RUNNING_LIMIT]
    values += [int(v) for v in rng.integers(-RUNNING_LIMIT, RUNNING_LIMIT, 20)]
    for old in values:
        found = batch_norm_running(np.full(len(values), old), np.array(values), -32, q)
        assert found.tolist() == [old + nearest((new - old) * q, 15) for new in values], old


@pytest.mark.parametrize(("mean", "e"), [(16_385.0, 0), (1e5, 4), (3e8, 10), (-3e8, 10)])
def test_statistics_of_pixels_are_not_cut_off(mean: float, e: int) -> None:
    mantissa = round(mean * 2.0 ** (8 - e))
    found = batch_norm_running(np.zeros(1, np.int64), np.array([mantissa]), e - 8, 2**15)
    assert found[0] * 2.0**-32 == mantissa * 2.0 ** (e - 8)


@pytest.mark.parametrize("epsilon", [2.0**-48, 1e-12, 1e-5, 1e-3, 0.1, 2.0**14])
def test_the_inverse_deviation_is_right_however_small_the_activations_are(epsilon: float) -> None:
    """Epsilon decides for them, and saturated where it did not fit beside their variance."""
    integer = round(epsilon * 2**48)
    for e in range(-300, 41, 2):
        variance = np.array([0, 1, 77, 2**20, 2**38])
        found = batch_norm_inverse(variance, e, integer) * 2.0 ** (-36 - max(e, least_exponent(integer)) // 2)
        unit = 2.0**e  # an epsilon is at least one
        exact = 1 / np.sqrt(variance * unit + max(unit, epsilon))
        np.testing.assert_allclose(found, exact, rtol=0.3 if epsilon < 4 * unit else 0.07, err_msg=str(e))


@pytest.mark.parametrize("largest", [2.0**-32, 2.0**-20, 1e-6, 0.3, 1.0, 16_385.0, 2.0**29])
def test_a_running_variance_has_its_bits_whatever_the_activations(largest: float) -> None:
    """It was cut off at the square of twice what x can hold, and lost where it was small beside a unit of x."""
    running = np.array([round(largest * 2**32), round(largest * 2**32) >> 4, 0])
    at = recalled_variance_exponent(int(running.max()))
    assert at % 2 == 0
    found = batch_norm_recall(np.zeros(3), running, 0, at)[1] * 2.0**at
    np.testing.assert_allclose(found, running * 2.0**-32, rtol=2.0**-38)


@pytest.mark.parametrize("deviation", [2.0**-16, 1e-3, 0.3, 1.0, 16_385.0])
@pytest.mark.parametrize("e", [-300, -60, -30, -12, -3, 4, 20])
def test_no_activations_are_too_small_for_the_running_mean(deviation: float, e: int) -> None:
    """It was cut off at 2^22 units of x, and what was normalised by it was off by the same share."""
    means = deviation * np.array([-70.0, -30.0, -1.0, 0.0, 0.01, 5.0, 1e4])
    at = recalled_mean_exponent(e, round(deviation**2 * 2**32), 0)
    mean = batch_norm_recall(np.rint(np.clip(means, -(2**29), 2**29) * 2**32), np.zeros(7), at, 2 * e - 8)[0]
    inverse = round(2.0**23 / deviation * 2.0 ** int(np.log2(deviation)))
    e_inverse = -23 - int(np.log2(deviation))
    x = np.array([[32767], [-5], [0]])
    exact = (x * 2.0**e - means) * inverse * 2.0**e_inverse
    found = normalise(x, e, mean, np.array(inverse), e_inverse, at) * 2.0**-9
    unit = max(2.0**at, 2.0**-32) * inverse * 2.0**e_inverse
    np.testing.assert_allclose(found, np.clip(exact, -64, 64), rtol=0, atol=2.0**-9 + unit)


def test_a_mean_far_away_takes_no_bits_from_the_others() -> None:
    assert recalled_mean_exponent(-11, 2**32, 0) == -19
    mean = batch_norm_recall(np.array([2**61, 0]), np.zeros(2), -19, -30)[0]
    found = normalise(np.array([[1484, 1881]]), -11, mean, np.array(2**23), -23, -19)
    assert found.tolist() == [[-32767, 470]]


def test_where_running_means_fit_their_exponents_follow_from_the_activations() -> None:
    assert [recalled_variance_exponent(r) for r in (0, 1, 2**32, 2**43, 2**44, 2**46)] == [-72, -70, -38, -28, -26, -24]
    assert [recalled_mean_exponent(-10, r, 0) for r in (0, 2**32, 2**44, 2**46, 2**48)] == [-18, -18, -17, -16, -15]
    assert [recalled_mean_exponent(-60, 0, eps << 48) for eps in (0, 1, 2**28)] == [-39, -23, -9]


def test_a_variance_below_zero_counts_as_zero() -> None:
    """A file may hold one, and the kernels that divide by its root would stop the process."""
    zero, below = (batch_norm_inverse(np.array([v]), -20, 2810) for v in (0, -(2**50)))
    assert zero == below > 0
