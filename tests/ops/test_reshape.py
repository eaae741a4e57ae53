"""Operators that move values."""

import numpy as np
import pytest

from nitic.ops.reshape import ReshapeOp, TransposeOp
from tests.support.operators import reference

X = np.arange(24, dtype=np.int8).reshape(2, 3, 4)


def test_a_reshape_keeps_the_row_major_order() -> None:
    assert reference(ReshapeOp, X, shape=[4, 6]).tolist() == np.arange(24).reshape(4, 6).tolist()


def test_axis_i_of_a_transpose_is_axis_perm_i() -> None:
    y = reference(TransposeOp, X, perm=[2, 0, 1])
    assert y.shape == (4, 2, 3)
    assert y[3, 1, 2] == X[1, 2, 3]


@pytest.mark.parametrize("perm", [(0, 1, 2), (2, 0, 1), (1, 2, 0), (2, 1, 0)])
def test_the_inverse_permutation_undoes_a_transpose(perm: tuple[int, ...]) -> None:
    inverse = [perm.index(axis) for axis in range(3)]
    y = reference(TransposeOp, X, perm=perm)
    np.testing.assert_array_equal(reference(TransposeOp, y.astype(np.int8), perm=inverse), X)
