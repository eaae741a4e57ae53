"""Local response normalisation: near the float one at any exponent, within its bounds at the extremes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.utils.exceptions import VerifyException

from nitic.arithmetic.integers import Array, max_abs
from nitic.arithmetic.lrn import Response, common_of_room, sum_neighbours
from nitic.ops.lrn import LrnDgradOp, LrnOp
from tests.support.operators import make, reference

ALEXNET = {"size": 5, "alpha": 1e-4, "beta": 0.75, "bias": 1.0}
ZFNET = {"size": 5, "alpha": 5e-4, "beta": 0.75, "bias": 2.0}
STRONG = {"size": 4, "alpha": 2.0, "beta": 0.5, "bias": 0.3}
WIDE = {"size": 64, "alpha": 1.0, "beta": 0.75, "bias": 1.0}
SETTINGS = [ALEXNET, ZFNET, STRONG, WIDE]


def mantissas(seed: int, shape: tuple[int, ...] = (50, 24)) -> Array:
    return np.random.default_rng(seed).normal(0, 40, shape).clip(-127, 127).astype(np.int8)


def test_a_window_reaches_further_behind_than_before() -> None:
    """ONNX: floor((size - 1) / 2) channels before, ceil((size - 1) / 2) behind."""
    assert sum_neighbours(np.array([1, 10, 100, 1000]), 1, 2).tolist() == [111, 1111, 1110, 1100]
    assert Response(4, 1, 1, 1).reach == (1, 2)


def integer(dy: Array, x: Array, e: int, constants: dict[str, float]) -> tuple[Array, Array]:
    """(y, dx / the scale of dy) as real numbers."""
    response = Response(**constants)  # pyright: ignore[reportArgumentType]
    forward, backward = commons(response, dy, x, e)
    y = make(LrnOp, x, "exponent", "exponent", **constants).reference(x, *scalars(e, forward))
    dx = make(LrnDgradOp, dy, x, "exponent", "exponent", **constants).reference(dy, x, *scalars(e, backward))
    assert isinstance(y, np.ndarray)
    assert isinstance(dx, np.ndarray)
    scale = response.largest - 20
    return y * 2.0 ** (scale + forward + e), dx * 2.0 ** (scale + backward)


def commons(response: Response, dy: Array, x: Array, e: int) -> tuple[int, int]:
    """The powers of two that no factor exceeds, in nn.lrn and in its gradient."""
    return response.common(e), common_of_room(max_abs(response.room(dy, x, e)))


def scalars(*values: int) -> list[Array]:
    return [np.asarray(each) for each in values]


@pytest.mark.parametrize("constants", SETTINGS)
@pytest.mark.parametrize("e", [-40, -20, -10, -7, -5, -3, 0, 2, 9, 30, 60])
def test_integers_follow_floats(e: int, constants: dict[str, float]) -> None:
    x, dy = mantissas(1), mantissas(2)
    real = x * 2.0**e
    y, dx = integer(dy, x, e, constants)
    exact = reference(LrnOp, real, **constants), reference(LrnDgradOp, dy.astype(float), real, **constants)
    for found, expected in zip((y, dx), exact, strict=True):
        cosine = (found * expected).sum() / (np.linalg.norm(found) * np.linalg.norm(expected))
        assert cosine > 0.999
        assert abs(np.linalg.norm(found) / np.linalg.norm(expected) - 1) < 0.02


@pytest.mark.parametrize("constants", SETTINGS)
@pytest.mark.parametrize("e", [-10, 6, 20, 60])
@pytest.mark.parametrize("largest", [1, 5, 127])
@pytest.mark.parametrize("zeros", ["pixels", "errors", "none"])
def test_no_size_of_squares_loses_a_result(e: int, largest: int, zeros: str, constants: dict[str, float]) -> None:
    """Also where errors meet dead pixels, whose factor is that of the bias alone, and where few errors are left."""
    rng = np.random.default_rng(0)
    x, dy = (rng.integers(-most, most + 1, (50, 24)).astype(np.int8) for most in (largest, 127))
    x[0, 0] = largest
    if zeros == "pixels":
        x[1::2] = 0
    if zeros == "errors":
        dy[1:] = 0
    y, dx = integer(dy, x, e, constants)
    real = x * 2.0**e
    exact = reference(LrnOp, real, **constants), reference(LrnDgradOp, dy.astype(float), real, **constants)
    for found, expected in zip((y, dx), exact, strict=True):
        assert np.abs(found - expected).max() <= np.abs(expected).max() / 64


def test_errors_of_zero_have_the_factors_of_the_bias() -> None:
    assert common_of_room(max_abs(Response(5, 1.0, 0.75, 1.0).room(np.zeros(3), np.full(3, 127), 9))) == 0


@pytest.mark.parametrize("constants", SETTINGS)
def test_the_float_gradient_is_that_of_finite_differences(constants: dict[str, float]) -> None:
    rng = np.random.default_rng(0)
    x, dy, direction = rng.normal(size=(3, 4, 9))
    slope = sum(s * (reference(LrnOp, x + s * 1e-6 * direction, **constants) * dy).sum() for s in (1, -1)) / 2e-6
    assert (reference(LrnDgradOp, dy, x, **constants) * direction).sum() == pytest.approx(slope, rel=1e-6)


@settings(deadline=None)
@given(
    e=st.one_of(st.integers(-70, 70), st.sampled_from((-(2**31), 2**31 - 1))),
    size=st.integers(1, 12),
    beta=st.sampled_from((0.0, 0.01, 0.75, 1.0, 16.0)),
    alpha=st.sampled_from((1e-20, 1e-4, 1.0, 1e20)),
    bias=st.sampled_from((1e-20, 0.7, 1.0, 2.0, 1e20)),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_exponent_leads_past_the_bounds(
    e: int, size: int, beta: float, alpha: float, bias: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x, dy = (rng.choice([-127, 127, 0, 1], (20, 13), p=[0.4, 0.4, 0.1, 0.1]).astype(np.int8) for _ in range(2))
    constants = {"size": size, "alpha": alpha, "beta": beta, "bias": bias}
    response = Response(size, alpha, beta, bias)
    for (kind, operands), common in zip(
        ((LrnOp, (x,)), (LrnDgradOp, (dy, x))), commons(response, dy, x, e), strict=True
    ):
        op = make(kind, *operands, "exponent", "exponent", **constants)
        found = op.reference(*operands, *scalars(e, common))
        assert isinstance(found, np.ndarray)
        assert np.abs(found).max() <= (op.accumulator_bound() or 0)


def test_the_light_models_stay_below_the_proved_limit() -> None:
    op = make(LrnDgradOp, np.zeros((1, 96), np.int8), np.zeros((1, 96), np.int8), "exponent", "exponent", **ALEXNET)
    assert (op.accumulator_bound() or 0) < 2**30


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 0}, "a window has 1 to 1024 channels, not 0"),
        ({"alpha": 0.0}, "alpha and bias must be positive"),
        ({"bias": -1.0}, "alpha and bias must be positive"),
        ({"beta": 17.0}, "beta at most 16"),
    ],
)
def test_constants_have_limits(change: dict[str, float], message: str) -> None:
    with pytest.raises(VerifyException, match=message):
        make(LrnOp, np.zeros((2, 3)), **{**ALEXNET, **change})
