"""Powers and the logarithm: how near the tables come, at any exponent, and what counts where there is no value."""

from math import log, sqrt

import numpy as np
import pytest
from xdsl.utils.exceptions import VerifyException

from nitic.arithmetic import powers, requantisation
from nitic.arithmetic.powers import Power
from nitic.ir.op import Property
from nitic.ops.power import LogOp, PowerDgradOp, PowerOp
from tests.ops.gradients import check_gradient
from tests.support.operators import make, reference

FRACTIONS = [(-1, 1), (-1, 2), (-2, 3), (3, 10), (1, 2), (3, 2), (5, 2), (3, 1), (4, 1), (16, 1)]
POSITIVE, EVERY = np.arange(1, 128), np.arange(-127, 128)
EXPONENTS = [-(2**31), -300, -31, -13, -2, -1, 0, 1, 5, 40, 2**31 - 1]
ALL = pytest.mark.parametrize("fraction", FRACTIONS, ids=str)


def power(n: int, d: int) -> Power:
    return Power(n, d, signed=d == 1)


def slope(n: int, d: int) -> Power:
    return Power(n - d, d, d == 1, n / d, powers.SLOPE_BITS, vanishes=True)


def properties(n: int, d: int) -> dict[str, Property]:
    return {"numerator": n, "denominator": d, "signed": int(d == 1)}


def number(f: Power, m: np.ndarray, e: int) -> np.ndarray:
    """What the mantissas mean."""
    return f.evaluate(m, e) * 2.0 ** (f.numerator * e // f.denominator - f.scale)


@ALL
@pytest.mark.parametrize("e", range(-20, 21, 5))
def test_no_exponent_costs_precision(fraction: tuple[int, int], e: int) -> None:
    """The larger half of the mantissas: values and slopes are exact to 9 bits and more, as is a normalised tensor."""
    f, g, m = power(*fraction), slope(*fraction), np.arange(64, 128)
    x = m * 2.0**e
    np.testing.assert_allclose(number(f, m, e), x ** (fraction[0] / fraction[1]), rtol=2**-10)
    np.testing.assert_allclose(number(g, m, e), f.exponent * x ** (f.exponent - 1), rtol=2**-8)


@ALL
@pytest.mark.parametrize("e", EXPONENTS)
def test_no_exponent_passes_the_bound(fraction: tuple[int, int], e: int) -> None:
    f, g = power(*fraction), slope(*fraction)
    assert np.abs(f.evaluate(EVERY, e)).max() <= f.bound <= 2**29
    assert np.abs(g.evaluate(EVERY, e)).max() <= g.bound <= 2**22
    assert np.abs(powers.logarithm(EVERY, e)).max() < 2**29


@pytest.mark.parametrize("e", [-150, -40, -7, -1, 0, 3, 150])
def test_the_logarithm_is_exact_to_a_mantissa(e: int) -> None:
    found = powers.logarithm(POSITIVE, e) * 2.0**-powers.LOG_BITS
    np.testing.assert_allclose(found, np.log(POSITIVE) + e * log(2), atol=2**-13)


def test_hand_computed() -> None:
    """1/4, 1/-1 and 1/0 at exponent 3: 1/32, -1/8 and 1/4, a half unit; the root of 4 at 2^-3: at the exponent -2."""
    assert Power(-1, 1, signed=True).evaluate(np.array([4, -1, 0]), 3).tolist() == [2**26, -(2**28), 2**29]
    root = power(1, 2)
    assert root.evaluate(np.array([4, 0, -9]), -3).tolist() == [round(2 * sqrt(2) * 2.0**root.scale), 0, 0]
    assert power(3, 1).evaluate(np.array([-2, 2]), 9).tolist() == [-8 << power(3, 1).scale, 8 << power(3, 1).scale]
    assert power(4, 1).evaluate(np.array([-2]), 9).tolist() == [16 << power(4, 1).scale]
    assert powers.logarithm(np.array([1, 0, -5]), 0).tolist() == [0, -round(log(2) * 2**21), -round(log(2) * 2**21)]


def test_where_there_is_no_value_there_is_no_gradient() -> None:
    dy, m = np.array([3, 3, 3], np.int8), np.array([0, -5, 1], np.int8)
    for n, d in ((-1, 2), (1, 2), (5, 2)):
        found = reference(PowerDgradOp, dy, m, np.asarray(-4), **properties(n - d, d), factor=n / d)
        assert found[:2].tolist() == [0, 0]
        assert found[2] != 0
    assert reference(PowerDgradOp, dy, m, np.asarray(-4), **properties(-2, 1), factor=-1.0)[0] == 0


@pytest.mark.parametrize("scale", [1e-4, 0.05, 1.0, 30.0])
@ALL
def test_integers_point_where_floats_do(fraction: tuple[int, int], scale: float) -> None:
    """Of positive numbers that vary by half around their mean, requantised."""
    f, g, rng = power(*fraction), slope(*fraction), np.random.default_rng(3)
    real, error = scale * rng.uniform(0.5, 1.5, 4000), rng.normal(size=4000)
    e = int(np.ceil(np.log2(real.max()))) - 7
    m, dy = (np.rint(v).astype(np.int64) for v in (real * 2.0**-e, error * 30))
    x = m * 2.0**e
    results = f.evaluate(m, e), x**f.exponent
    gradients = dy * g.evaluate(m, e), error * x ** (f.exponent - 1) * np.sign(f.exponent)
    for accumulator, expected in (results, gradients):
        y, _ = requantisation.requantise(accumulator, 0)
        assert (y * expected).sum() >= 0.99 * np.linalg.norm(y) * np.linalg.norm(expected)


@ALL
def test_gradients_equal_finite_differences(fraction: tuple[int, int]) -> None:
    x = np.random.default_rng(0).uniform(0.5, 2, size=(4, 5))
    check_gradient(PowerOp, [x], properties(*fraction))
    check_gradient(LogOp, [x], {})
    if fraction[1] == 1:
        check_gradient(PowerOp, [-x], properties(*fraction))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (properties(2, 4), "2 / 4 is no fraction in lowest terms with a denominator up to 10"),
        (properties(1, 11), "with a denominator up to 10"),
        (properties(17, 1), "a power is from -1 to 16 and not 0, not 17 / 1"),
        (properties(-3, 2), "not -3 / 2"),
        (properties(0, 1), "not 0 / 1"),
    ],
)
def test_refusals(given: dict[str, Property], message: str) -> None:
    with pytest.raises(VerifyException, match=message):
        make(PowerOp, np.ones((2, 3)), **given)
