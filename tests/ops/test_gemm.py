"""Matrix products: hand-computed cases, adjoint gradients, and sums that do not fit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.dialects.func import FuncOp, ReturnOp

from nitic.arithmetic.integers import Array
from nitic.interpret import run_function
from nitic.ir.function import Label, new_function, set_results
from nitic.ir.types import i8, i32, tensor
from nitic.ops.arrays import exact_matmul
from nitic.ops.gemm import GemmDgradOp, GemmOp, GemmWgradOp
from tests.support.operators import make, reference

X = np.array([[1, 2, 3], [-4, 5, -6]], np.int8)
W = np.array([[1, 0, 2], [0, 3, 0]], np.int8)
DY = np.array([[1, 2], [3, 4]], np.int8)


def test_a_product_is_x_times_w_transposed() -> None:
    assert reference(GemmOp, X, W).tolist() == [[7, 6], [-16, 15]]


def test_the_input_gradient_is_dy_times_w() -> None:
    assert reference(GemmDgradOp, DY, W).tolist() == [[1, 6, 2], [3, 12, 6]]


def test_the_weight_gradient_is_dy_transposed_times_x() -> None:
    assert reference(GemmWgradOp, X, DY).tolist() == [[-11, 17, -15], [-14, 24, -18]]


@given(sizes=st.tuples(*[st.integers(1, 40)] * 3), seed=st.integers(0, 2**32 - 1))
def test_gradients_are_adjoint(sizes: tuple[int, int, int], seed: int) -> None:
    m, n, k = sizes
    rng = np.random.default_rng(seed)
    x, w, dy = (rng.integers(-127, 128, shape).astype(np.int8) for shape in ((m, k), (n, k), (m, n)))
    expected = (reference(GemmOp, x, w) * dy).sum()
    assert (reference(GemmDgradOp, dy, w) * x).sum() == expected
    assert (reference(GemmWgradOp, x, dy) * w).sum() == expected


@pytest.mark.parametrize("length", [1000, 1041, 70_000, 600_000])
def test_sums_are_exact_at_every_length(length: int) -> None:
    """Single precision holds sums below 2^24, double precision those below 2^53."""
    x = np.full((1, length), 127, np.int8)
    w = np.concatenate([np.full((1, length - 1), -127, np.int8), [[np.int8(-126)]]], 1)
    assert reference(GemmOp, x, w).tolist() == [[-127 * 127 * (length - 1) - 127 * 126]]


def test_products_beyond_double_precision_are_exact() -> None:
    a = np.array([[2**30, 1]], np.int64)
    assert exact_matmul(a, a.T).tolist() == [[2**60 + 1]]


def test_the_bound_of_the_accumulator_is_reached() -> None:
    x = np.full((1, 9), 127, np.int8)
    assert reference(GemmOp, x, x).tolist() == [[make(GemmOp, x, x).accumulator_bound()]]


def product(length: int) -> FuncOp:
    shape = tensor((1, length), i8)
    func = new_function("f", [(Label("x", "input"), shape), (Label("w", "weight"), shape)])
    op = GemmOp.of(*func.body.block.args)
    func.body.block.add_ops([op, ReturnOp()])
    set_results(func, [(Label("acc", "output"), op.acc)])
    assert op.acc.type == tensor((1, 1), i32)
    return func


def extremes(length: int, sign: int) -> dict[str, Array]:
    return {"x": np.full((1, length), 127), "w": np.full((1, length), sign * 127)}


def test_the_interpreter_keeps_the_largest_sum_that_fits() -> None:
    length = (2**31 - 1) // 127**2
    assert run_function(product(length), extremes(length, -1))["acc"].tolist() == [[-length * 127 * 127]]


@pytest.mark.parametrize("sign", [1, -1])
def test_the_interpreter_refuses_a_sum_that_does_not_fit(sign: int) -> None:
    length = (2**31 - 1) // 127**2 + 1
    with pytest.raises(OverflowError, match=r"^nn.gemm \(no source\): a value of \d+ does not fit tensor<1x1xi32>$"):
        run_function(product(length), extremes(length, sign))


def test_the_interpreter_refuses_an_argument_that_does_not_fit() -> None:
    with pytest.raises(OverflowError, match=r"a value of 128 does not fit tensor<1x1xi8>"):
        run_function(product(1), {"x": np.full((1, 1), 128), "w": np.zeros((1, 1))})
    with pytest.raises(ValueError, match=r"argument 'x' has shape \(1, 2\), but its type is tensor<1x1xi8>"):
        run_function(product(1), {"x": np.zeros((1, 2)), "w": np.zeros((1, 1))})
    with pytest.raises(KeyError, match="w"):
        run_function(product(1), {"x": np.zeros((1, 1))})
