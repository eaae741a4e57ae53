"""The primitives against the specification's vectors: every case of tests/vectors.json."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nitic.arithmetic import (
    inputs,
    integers,
    losses,
    moments,
    norms,
    pointwise,
    randomness,
    requantisation,
    rounding,
    sums,
    updates,
)
from nitic.arithmetic.integers import Array
from nitic.ops.pool import MaxPoolDgradOp, MaxPoolOp
from tests.support.operators import reference

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "vectors.json").read_text())


def top_in(top: int | None) -> int:
    return requantisation.NEVER if top is None else top


def top_out(top: int) -> int | None:
    return None if top == requantisation.NEVER else top


def windows(k: int, stride: int, pad: int) -> dict[str, list[int]]:
    return {"kernel": [k, k], "strides": [stride, stride], "pads": [pad] * 4}


def max_pool(x: Any, k: int, stride: int, pad: int) -> Any:
    return reference(MaxPoolOp, x.astype(np.int8), **windows(k, stride, pad))


def max_pool_dgrad(dy: Any, e: int, index: Any, shape: Any, k: int, stride: int, pad: int) -> Any:
    size = [int(v) for v in shape[1:3]]
    dx = reference(MaxPoolDgradOp, dy.astype(np.int8), index.astype(np.int8), size=size, **windows(k, stride, pad))
    return requantisation.requantise(dx, e) if stride < k else (dx, e)


def batch_norm_normalise(x: Array, e: int, mean: Array, variance: Array, epsilon: int) -> tuple[Array, Array, int]:
    """(xhat, 1/sigma in 24 bits, its exponent)."""
    inverse = norms.batch_norm_inverse(variance, 2 * (e - 4), epsilon)
    s = requantisation.shift_for(integers.max_abs(inverse), 24)
    inverse, e_inverse = rounding.round_nearest(inverse, s), -32 - e + s
    return norms.normalise(x, e, mean, inverse, e_inverse), inverse, e_inverse


def batch_norm_forward(xhat: Array, gamma: Array, e_gamma: int, beta: Array, e_beta: int) -> tuple[Array, int]:
    """gamma * xhat + beta, to be requantised, and its exponent."""
    e = e_gamma + norms.NORMALISED_EXPONENT
    return integers.wide(gamma) * xhat + rounding.align(beta, e_beta, e), e


def batch_norm_backward(
    dy: Array, e: int, xhat: Array, inverse: Array, e_inverse: int, gamma: Array, e_gamma: int
) -> tuple[Array, int, Array, Array]:
    """(dx, its exponent, dgamma at exponent e - 5, dbeta at exponent e)."""
    dbeta, dgamma = integers.wide(dy).sum(0), (integers.wide(dy) * xhat).sum(0)
    factor = integers.wide(gamma) * inverse
    q = requantisation.shift_for(integers.max_abs(factor), 15)
    mean, slope = integers.div(dbeta << 8, len(dy)), integers.div(dgamma << 8, len(dy))
    acc = norms.batch_norm_dgrad(dy, xhat, slope, mean) * rounding.round_nearest(factor, q)
    dx, e_dx = requantisation.requantise(acc, e - 8 + e_gamma + e_inverse + q)
    return dx, e_dx, dgamma, dbeta


def cross_entropy(o: Array, e: int, label: Array) -> tuple[Array, int, Array, int]:
    """Every row begins in the middle."""
    return losses.cross_entropy(o, e, label, np.full(len(o), 1 << (losses.START_BITS - 1)))


def update_adam(*v: Any) -> Any:
    """(M, v, e_v, s, e_s) of the specification's order of operands."""
    master, em, first, e_first, second, e_second, dw, e_dw, m, k, shrink, *starts = v
    r_dw, r_first, r_second = map(integers.max_abs, (dw, first, second))
    scales = (em, 0, e_dw, r_dw, e_first, r_first, e_second, r_second)
    new = moments.update_adam(master, first, second, dw, (m, k, shrink), scales, tuple(starts))
    e_1 = moments.ADAM_FIRST.after(e_first, r_first, e_dw, r_dw)
    return new[0], new[1], e_1, new[2], moments.ADAM_SECOND.after(e_second, r_second, e_dw, r_dw)


def update_lion(*v: Any) -> Any:
    """(M, v, e_v)"""
    master, em, moment, e, dw, e_dw, m, k, shrink, *starts = v
    r_dw, r = map(integers.max_abs, (dw, moment))
    new = moments.update_lion(master, moment, dw, (m, k, shrink), (em, 0, e_dw, r_dw, e, r), tuple(starts))
    return *new, moments.LION.after(e, r, e_dw, r_dw)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "R": rounding.round_nearest,
    "P": rounding.round_pseudo_stochastic,
    "round_shift int8": requantisation.round_shift,
    "stochastic(x, s, seed, stream, step)": rounding.round_stochastic,
    "D(x, s, t)": rounding.round_dithered,
    "dither(seed, stream, step)": randomness.dither,
    "philox(index, stream, step, seed)": randomness.philox,
    "requantise(acc, e)": requantisation.requantise,
    "requantise(acc, e, 15, 32767)": lambda a, e: requantisation.requantise(a, e, 15, integers.INT16_LIMIT),
    "align(x, e_from, e_to)": rounding.align,
    "add(a, ea, b, eb)": sums.add,
    "add static": lambda *v: sums.add(*v, static=True),
    "update_top(top, r, e)": lambda top, r, e: top_out(requantisation.update_top(top_in(top), r, e)),
    "static_shift(top, e, bits)": lambda top, e, bits: requantisation.static_shift(top_in(top), e, bits),
    "avg_multiplier(n)": sums.average_multiplier,
    "cross_entropy(o, e, label)": cross_entropy,
    "isqrt": integers.isqrt,
    "bn_statistics(x)": norms.batch_norm_statistics,
    "bn_normalise(x, e, mu, var, epsilon)": batch_norm_normalise,
    "bn_forward(xhat, gamma, eg, beta, eb)": batch_norm_forward,
    "bn_backward(dy, e, xhat, rv, e_rv, gamma, eg)": batch_norm_backward,
    "bn_running(r, new, e_new, q)": norms.batch_norm_running,
    "max_pool(x, k, stride, pad)": max_pool,
    "max_pool_dgrad(dy, e, index, shape, k, stride, pad)": max_pool_dgrad,
    "input_statistics(x)": inputs.input_statistics,
    "input_map(x, mul, off)": lambda *v: (inputs.input_map(*v), inputs.INPUT_EXPONENT),
    "update_plain(M, em, dw, e_dw, m, k)": lambda M, em, *rest: updates.update_plain(M, em, 0, *rest),
    "update_momentum(M, v, em, dw, e_dw, m, k, mom, d)": lambda M, v, em, *rest: updates.update_momentum(
        M, v, em, 0, *rest
    ),
    "update_niti(w, dw, gb)": lambda w, dw, gb: updates.update_niti(w, 0, dw, integers.max_abs(dw), gb),
    "update_adam(M, em, v, ev, s, es, dw, e_dw, m, k, decay, t, t_v, t_s)": update_adam,
    "update_lion(M, em, v, ev, dw, e_dw, m, k, decay, t, t_v)": update_lion,
    "scaled_rate(m, k, n)": updates.scaled_rate,
    "dropout(x, p, seed, stream, step)": lambda *v: (pointwise.dropout(*v), -15),
}


def listed(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [listed(v) for v in value]
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["op"].split("(")[0])
def test_primitive_gives_the_specified_numbers(case: dict[str, Any]) -> None:
    operands = [np.array(v, np.int64) if isinstance(v, list) else v for v in case["in"]]
    assert listed(FUNCTIONS[case["op"]](*operands)) == case["out"]
