"""Products, broadcasts, sums over them, and constants of the program."""

from typing import Any

import numpy as np
import pytest

from nitic.arithmetic.sums import common_exponent
from nitic.ir.op import NnOp
from nitic.ops.product import AddConstOp, ExpandOp, MulOp, MulSumOp, NegOp, ReduceSumOp, ScaleConstOp
from tests.ops.gradients import check_gradient
from tests.support.operators import make, reference

SHAPES = [((2, 1, 1, 3), 20), ((3,), 40), ((2, 4, 5, 1), 3), ((1,), 120), ((1, 4, 1, 1), 30), ((2, 4, 5, 3), 1)]
FULL = (2, 4, 5, 3)


def i8(shape: tuple[int, ...], seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(-127, 128, shape).astype(np.int8)


def test_a_product_is_exact() -> None:
    a, b = np.array([[127, -127], [3, 0]], np.int8), np.array([[-127], [5]], np.int8)
    assert reference(MulOp, a, b).tolist() == [[-16129, 16129], [15, 0]]
    assert make(MulOp, a, b).accumulator_bound() == 16129


@pytest.mark.parametrize(("shape", "count"), SHAPES)
def test_the_error_of_what_was_broadcast_is_a_sum(shape: tuple[int, ...], count: int) -> None:
    """<dy, a * b> = <sum(dy * a), b>, and the same without a."""
    dy, a, b = (v.astype(np.int64) for v in (i8(FULL), i8(FULL, 1), i8(shape, 2)))
    sums = reference(MulSumOp, i8(FULL), i8(FULL, 1), shape=list(shape))
    assert sums.shape == shape
    assert (sums * b).sum() == (dy * a * b).sum()
    assert (reference(ReduceSumOp, i8(FULL), shape=list(shape)) * b).sum() == (dy * b).sum()
    op = make(MulSumOp, i8(FULL), i8(FULL), shape=list(shape))
    assert op.accumulator_bound() == count * 127 * 127


def test_a_broadcast_repeats() -> None:
    assert reference(ExpandOp, np.array([[1], [2]], np.int8), shape=[2, 3]).tolist() == [[1, 1, 1], [2, 2, 2]]


def test_a_negated_mantissa_is_one() -> None:
    assert reference(NegOp, np.array([-127, 0, 127], np.int8)).tolist() == [127, 0, -127]


@pytest.mark.parametrize("factor", [3.0, -1 / 6, 1e-20, 1e9, 0.5, 0.0])
def test_a_factor_has_fifteen_bits(factor: float) -> None:
    x = np.array([-127, 1, 100], np.int8)
    op = make(ScaleConstOp, x, factor=factor)
    assert isinstance(op, ScaleConstOp)
    found = op.reference(x) * 2.0 ** op.multiplier()[1]
    np.testing.assert_allclose(found, x * factor, rtol=2**-15)
    assert np.abs(op.reference(x)).max() <= op.accumulator_bound()


@pytest.mark.parametrize("value", [3.0, -0.1, 1e-6, 1000.0])
@pytest.mark.parametrize("e", range(-30, 10, 3))
def test_a_summand_has_thirteen_bits(value: float, e: int) -> None:
    """What is dropped is not seen beside the other."""
    x = np.array([-127, -1, 0, 5, 127], np.int8)
    op = make(AddConstOp, x, "exponent", "exponent", value=value)
    assert isinstance(op, AddConstOp)
    common = common_exponent(e, op.summand()[1])
    found = op.reference(x, np.asarray(e), np.asarray(common))
    largest = np.abs(x * 2.0**e + value).max()
    np.testing.assert_allclose(found * 2.0**common, x * 2.0**e + value, atol=largest * 2**-8)
    assert np.abs(found).max() <= op.accumulator_bound()


@pytest.mark.parametrize(
    ("op", "shapes", "properties"),
    [
        (MulOp, [(2, 3), (2, 3)], {}),
        (MulOp, [(2, 3, 4), (3, 1)], {}),
        (ExpandOp, [(3, 1)], {"shape": [2, 3, 4]}),
        (NegOp, [(2, 3)], {}),
        (ScaleConstOp, [(2, 3)], {"factor": -0.3}),
        (AddConstOp, [(2, 3)], {"value": 3.0}),
    ],
)
def test_gradients_equal_finite_differences(
    op: type[NnOp], shapes: list[tuple[int, ...]], properties: dict[str, Any]
) -> None:
    check_gradient(op, [np.random.default_rng(i).normal(size=shape) for i, shape in enumerate(shapes)], properties)
