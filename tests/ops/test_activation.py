"""Activation functions: how near the integer tables come to the functions, and their gradients."""

import numpy as np
import pytest
from xdsl.utils.exceptions import VerifyException

from nitic.arithmetic import activations, requantisation
from nitic.arithmetic.activations import FUNCTIONS, Function
from nitic.arithmetic.integers import Array
from nitic.ir.op import NnOp, Property
from nitic.ops.activation import (
    ActivationDgradOp,
    ActivationOp,
    ClipDgradOp,
    ClipOp,
    LeakyReluDgradOp,
    LeakyReluOp,
    StepOp,
)
from tests.ops.gradients import check_gradient
from tests.support.operators import make, reference

CONSTANTS = {"elu": (1.0,), "selu": (1.6732632, 1.050701), "hard_sigmoid": (1 / 6, 0.5)}
EVERY = np.arange(-127, 128)
ALL = pytest.mark.parametrize("name", FUNCTIONS)
EXPONENTS = range(-24, 4)  # |x| up to 2^-17 .. 2^10


def function(name: str) -> Function:
    return activations.function(name, *CONSTANTS.get(name, ()))


def properties(name: str) -> dict[str, Property]:
    return {"function": name, **dict(zip(("alpha", "beta"), CONSTANTS.get(name, ()), strict=False))}


def integer(f: Function, m: Array, e: int) -> Array:
    """What the mantissas mean."""
    low, high = f.exponents
    return activations.evaluate(f, m, e) * 2.0 ** (min(max(e, low), high) - activations.TABLE_BITS)


@ALL
@pytest.mark.parametrize("e", EXPONENTS)
def test_tables_are_nearer_than_a_mantissa_can_tell(name: str, e: int) -> None:
    """An int8 mantissa has a relative error of 2^-8: the table has a tenth of it."""
    f, x = function(name), EVERY * 2.0**e
    assert np.abs(integer(f, EVERY, e) - f.value(x)).max() <= np.abs(f.value(x)).max() * 2**-11
    wrong = np.abs(activations.derivative(f, EVERY, e) * 2.0**-15 - f.slope(x)) / max(1, np.abs(f.slope(x)).max())
    # A jump, as that of a hard sigmoid's slope, is steep within one entry, where few mantissas lie.
    assert np.quantile(wrong, 0.97) <= 2**-8


@ALL
@pytest.mark.parametrize("scale", [1e-4, 0.05, 0.5, 2.0, 10.0, 100.0])
def test_integers_point_where_floats_do(name: str, scale: float) -> None:
    """Requantised results and gradients, of mantissas at small, medium and large exponents; errors are rounded, too."""
    f, rng = function(name), np.random.default_rng(3)
    real, error = scale * rng.normal(size=4000), rng.normal(size=4000)
    e = int(np.ceil(np.log2(np.abs(real).max()))) - 7
    m, dy = (np.rint(v).astype(np.int64) for v in (real * 2.0**-e, error * 30))
    x = m * 2.0**e
    results = activations.evaluate(f, m, e), f.value(x)
    gradients = dy * activations.derivative(f, m, e), error * f.slope(x)
    for accumulator, expected in (results, gradients):
        y, _ = requantisation.requantise(accumulator, 0)
        assert (y * expected).sum() >= 0.98 * np.linalg.norm(y) * np.linalg.norm(expected)


@ALL
@pytest.mark.parametrize("e", [-(2**31), -100, -13, -12, -5, -4, -3, 0, 4, 17, 90, 2**31 - 1])
def test_no_exponent_passes_the_bound(name: str, e: int) -> None:
    f = function(name)
    assert np.abs(activations.evaluate(f, EVERY, e)).max() <= f.bound < 2**30
    assert np.abs(activations.derivative(f, EVERY, e)).max() <= f.slope_bound


def test_hand_computed() -> None:
    """sigmoid(0) = 1/2; tanh(2^-20) = 2^-20; hard_swish(-4) = 0, hard_swish(63.5) = 63.5; elu(-128) = -1; e^0 = 1."""
    assert activations.evaluate(function("sigmoid"), np.array([0]), 3).tolist() == [2**14]
    assert activations.evaluate(function("tanh"), np.array([1]), -20).tolist() == [2**15]
    assert activations.evaluate(function("hard_swish"), np.array([-8, 127]), -1).tolist() == [0, 127 * 2**15]
    assert activations.evaluate(function("elu"), np.array([-4, 4]), 5).tolist() == [-(2**10), 4 * 2**15]
    assert activations.evaluate(function("exp"), np.array([0, -127]), 3).tolist() == [2**15, 0]


@pytest.mark.parametrize("e", [-4, 0, 3, 90])
def test_exp_ends_where_its_slope_is_127(e: int) -> None:
    """Without this limit the table would pass the bound of an accumulator."""
    limit, above = round(np.exp(155 / 32) * 2**15), EVERY[EVERY * 2.0**e >= 5]
    assert set(activations.evaluate(function("exp"), above, e).tolist()) == {limit}
    assert set(activations.derivative(function("exp"), above, e).tolist()) == {0}


@ALL
def test_gradients_equal_finite_differences(name: str) -> None:
    x = np.random.default_rng(0).normal(size=(4, 5)) * 3
    check_gradient(ActivationOp, [x], properties(name))
    check_gradient(LeakyReluOp, [x], {"alpha": 0.1})
    check_gradient(ClipOp, [x], {"low": -1.0, "high": 2.0})


def test_a_clip_is_exact_at_the_accumulators_exponent() -> None:
    x, e = np.array([-(2**30), -65, -1, 0, 5, 95, 97, 2**30], np.int32), np.asarray(-4)
    assert reference(ClipOp, x, e, low=0.0, high=6.0).tolist() == [0, 0, 0, 0, 5, 95, 96, 96]
    assert reference(ClipOp, x, e, low=-4.0).tolist() == [-64, -64, -1, 0, 5, 95, 97, 2**30]


@pytest.mark.parametrize("e", [-60, -30, 40])
def test_a_bound_beyond_the_accumulator_changes_nothing(e: int) -> None:
    """At 2^40 and above, 6 is 0."""
    x = np.array([-(2**30), 7, 2**30], np.int32)
    assert reference(ClipOp, x, np.asarray(e), high=6.0).tolist() == [-(2**30), *((0, 0) if e > 0 else (7, 2**30))]


def test_the_gradient_of_a_clip_stops_at_stored_bounds() -> None:
    dy, y = np.array([1, 2, 3, 4, 5], np.int8), np.array([0, 1, 95, 96, 127], np.int8)
    assert reference(ClipDgradOp, dy, y, np.asarray(-4), low=0.0, high=6.0).tolist() == [0, 2, 3, 0, 0]
    # 0.9999 is 127.99 at exponent -7: it is stored as 127.
    assert reference(ClipDgradOp, dy, y, np.asarray(-7), high=0.9999).tolist() == [1, 2, 3, 4, 0]
    assert reference(ClipDgradOp, dy, y, np.asarray(-8), high=0.9999).tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("threshold", [0.5, -0.5, 0.0, 3.0, -2.75, 1e-20, -1e20])
@pytest.mark.parametrize("e", [-40, -6, -1, 0, 1, 2, 3, 70])
def test_a_step_is_exact_at_every_exponent(threshold: float, e: int) -> None:
    """Also where the threshold lies between two mantissas, or beyond all of them."""
    x = np.arange(-200, 200, dtype=np.int32)
    found = reference(StepOp, x, np.asarray(e), threshold=threshold)
    np.testing.assert_array_equal(found, x * 2.0**e > threshold)


def test_leaky_relu_multiplies_by_the_sign_of_x() -> None:
    x, dy = np.array([-100, -1, 0, 1], np.int8), np.array([10, 10, 10, -10], np.int8)
    slope = round(0.01 * 2**15)
    assert reference(LeakyReluOp, x, alpha=0.01).tolist() == [-100 * slope, -slope, 0, 2**15]
    assert reference(LeakyReluDgradOp, dy, x, alpha=0.01).tolist() == [10 * slope] * 2 + [10 * 2**15, -10 * 2**15]


@pytest.mark.parametrize(
    ("op", "given", "message"),
    [
        (ClipOp, {"low": 1.0}, "the bounds of a clip lie around 0, not at 1.0 and None"),
        (ClipOp, {"high": -1.0}, "the bounds of a clip lie around 0, not at None and -1.0"),
        (LeakyReluOp, {"alpha": 129.0}, "a slope is at most 128, not 129.0"),
        (ActivationOp, {"function": "step"}, "unknown function 'step'"),
        (ActivationOp, {"function": "elu"}, "missing 1 required positional argument: 'alpha'"),
        (ActivationOp, {"function": "elu", "alpha": 129.0}, "the slope of elu is at most 128"),
    ],
)
def test_refusals(op: type[NnOp], given: dict[str, Property], message: str) -> None:
    with pytest.raises(VerifyException, match=message):
        make(op, np.zeros((2, 3)), **given)


def test_shapes_and_exponents_must_fit() -> None:
    x, other = np.zeros((2, 3), np.int8), np.zeros((3, 2), np.int8)
    with pytest.raises(VerifyException, match="an error of"):
        make(ActivationDgradOp, x, other, "exponent", function="tanh")
    with pytest.raises(VerifyException, match="takes one exponent"):
        make(ActivationOp, x, function="tanh")
