"""The formulas of transformers against the specification's vectors: every case of transformers.json."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nitic.arithmetic import attention, integers, norms, pointwise, row_norms, rows, sums
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


def softmax(scores: Array, e: int, c: int, e_c: int, mask: Any = None) -> tuple[Array, Array]:
    kept = None if mask is None else np.array(mask, bool)
    return attention.softmax(scores, e, attention.largest_scores(scores, kept), c, e_c, kept)


def softmax_backward(u: Array, total: Array, dp: Array, e: int, scale: int, e_scale: int) -> tuple[Array, int, Array]:
    mean = attention.error_mean(u, total, dp)
    error = attention.unrounded_error(u, total, dp, mean, scale)
    shift, h = attention.error_shifts(error, total)
    return attention.rounded_error(error, shift), e - 8 + e_scale, h


def causal_attention(
    q: Array, e_q: int, k: Array, e_k: int, v: Array, e_v: int, scale: float
) -> tuple[Array, int, Array, Array]:
    c, e_c, _, _ = attention.softmax_constants(scale)
    scores = q @ k.swapaxes(-1, -2)
    mask = attention.causal(*scores.shape[-2:])
    u, total = attention.softmax(scores, e_q + e_k, attention.largest_scores(scores, mask), c, e_c, mask)
    return attention.normalised_product(u @ v, total), e_v - 8, u, total


def attention_backward(dy: Array, e: int, *rest: Any) -> Any:
    """((dq, e), (dk, e), (dv, e)): of dq the accumulator's rows come to int8 at once."""
    q, e_q, k, e_k, v, e_v, u, total, scale = rest
    _, _, s, e_s = attention.softmax_constants(scale)
    m, b = rows.row_reciprocal(total)
    w, e_w = rows.requantise_rows(dy * m, e - 15, -b, 15, attention.PLANES_LIMIT)
    ds, e_ds, h = softmax_backward(u, total, dy @ v.swapaxes(-1, -2), e + e_v, s, e_s)
    x, e_x = rows.requantise_rows(q, e_q, h, 15, attention.PLANES_LIMIT)
    dq = rows.requantise_rows(ds @ k, e_ds + e_k, h)
    return dq, (ds.swapaxes(-1, -2) @ x, e_ds + e_x), (u.swapaxes(-1, -2) @ w, e_w)


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
    "softmax_constants(scale)": attention.softmax_constants,
    "softmax(S, e, c, ec)": softmax,
    "softmax(S, e, c, ec, mask)": softmax,
    "softmax_matmul(u, Z, v, ev)": lambda u, z, v, e: (attention.normalised_product(u @ v, z), e - 8),
    "softmax_backward(u, Z, dp, ep, sc, esc)": softmax_backward,
    "attention(q, eq, k, ek, v, ev, scale), causal": causal_attention,
    "attention_backward(dy, e, q, eq, k, ek, v, ev, u, Z, scale)": attention_backward,
    "norm_backward(dy, ey, xhat, inverse, h, e, gamma, eg, centre, bits)": norm_backward,
}


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["op"].split("(")[0])
def test_transformers_compute_the_specified_numbers(case: dict[str, Any]) -> None:
    operands = [np.array(v, np.int64) if isinstance(v, list) else v for v in case["in"]]
    assert listed(FUNCTIONS[case["op"]](*operands)) == case["out"]
