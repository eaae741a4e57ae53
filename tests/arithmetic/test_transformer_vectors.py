"""The formulas of transformers against the specification's vectors: every case of transformers.json."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nitic.arithmetic import integers, norms, pointwise, row_norms, rows, sums
from nitic.arithmetic.integers import Array
from tests.arithmetic.test_vectors import batch_norm_forward, listed

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "transformers.json").read_text())


def add16(a: Array, ea: int, b: Array, eb: int, *, static: bool = False) -> tuple[Array, int]:
    """The specification gives back the other operand where one is zeros, at its own exponent: so does the sum."""
    ranges = () if static else (integers.max_abs(a), integers.max_abs(b))
    e = sums.wide_common_exponent(ea, eb, *ranges)
    return sums.accumulate(a, ea, b, eb, e), e


def norm_forward(x: Array, e: int, c: int, e_c: int, centred: bool) -> tuple[Array, Array, Array]:
    """(xhat, inverse, h); the constant of epsilon stands for an epsilon."""
    epsilon = c * 2.0**e_c / x.shape[-1] ** 2
    total, inverse, h = row_norms.row_statistics(x, e, epsilon, centred)
    return row_norms.normalised_rows(x, total, inverse, h), inverse, h


def norm_backward(
    dy: Array, e_dy: int, xhat: Array, inverse: Array, h: Array, e: int, gamma: Array, e_gamma: int, *rest: int
) -> Any:
    """((dx, e_dx), (dgamma, e), (dbeta, e))."""
    centred, bits = rest
    mean, slope = row_norms.row_norm_sums(dy, xhat, gamma)
    error = row_norms.row_norm_dgrad(dy, xhat, inverse, mean * centred, slope, gamma)
    limit = integers.INT16_LIMIT if bits == 15 else integers.INT8_LIMIT
    dx = rows.requantise_rows(error, e_dy + e_gamma - e - row_norms.INVERSE_BITS, h, bits, limit)
    return dx, ((dy * xhat).sum(0), e_dy + norms.NORMALISED_EXPONENT), (dy.sum(0), e_dy)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "bl(x)": rows.bit_lengths,
    "as_integer(value, bits)": pointwise.as_integer,
    "add16(a, ea, b, eb)": add16,
    "add16 static": lambda *v: add16(*v, static=True),
    "requantise_rows(acc, e, h, bits, limit)": rows.requantise_rows,
    "row_reciprocal(Z)": rows.row_reciprocal,
    "norm_epsilon(epsilon, D)": row_norms.scaled_epsilon,
    "norm_forward(x, e, c, ec, centre)": norm_forward,
    "norm_affine(xhat, gamma, eg, beta, eb)": batch_norm_forward,
    "norm_backward(dy, ey, xhat, inverse, h, e, gamma, eg, centre, bits)": norm_backward,
}


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["op"].split("(")[0])
def test_transformers_compute_the_specified_numbers(case: dict[str, Any]) -> None:
    operands = [np.array(v, np.int64) if isinstance(v, list) else v for v in case["in"]]
    assert listed(FUNCTIONS[case["op"]](*operands)) == case["out"]
