"""Batch normalisation by running statistics, in doubles that hold exact integers, and local response normalisation."""

from typing import cast

import numpy as np

from nitic.arithmetic.integers import INT8_LIMIT, INT16_LIMIT, Array
from nitic.arithmetic.norms import NORMALISED_EXPONENT
from nitic.export.emission import Emission, Form, Inexact, Tensor
from nitic.export.operators.contractions import plus, shifted_down
from nitic.export.rounding import nudged_factor, rounded_real
from nitic.ir.op import NnOp
from nitic.ops.lrn import LrnOp
from nitic.ops.norm import BatchNormScaleOp, NormaliseOp

MOST_SQUARES = 2**20  # entries of a table of factors


def normalise(e: Emission, op: NnOp) -> Tensor:
    op = cast("NormaliseOp", op)
    if op.inverse not in e.constants:
        raise Inexact("its statistics depend on the input")
    inverse = e.constants[op.inverse]
    if inverse.ndim != 1:
        raise Inexact("its statistics are not one for each channel")
    e_x, e_inverse, *e_mean = (e.scalar(value) for value in op.scales)
    mean = np.zeros_like(inverse) if op.mean is None else e.constants[op.mean]
    above, x = e_mean[0] - (e_x - 8) if e_mean else 0, e.real(op.x)
    if above > 8:  # the mean is of so large an exponent that x is rounded to it
        x, e_x, above = rounded_real(e, x, nudged_factor(above - 8), (-INT16_LIMIT, INT16_LIMIT)), e_x + above - 8, 8
    return normalised(e, x, mean * 2**above, inverse, NORMALISED_EXPONENT - (e_x - 8 + e_inverse))


def normalised(e: Emission, x: Tensor, mean: Array, inverse: Array, s: int) -> Tensor:
    """R((256 x - mean) * inverse, s), saturated to int16: (x - mean / 256) times a factor.

    The factor is two steps of a double above inverse * 2^(8 - s), so that ties go away from zero.
    """
    factor = np.nextafter(np.nextafter(inverse * 2.0 ** (8 - s), np.inf), np.inf)
    if mean.any():
        x = e.node("Sub", x, e.per_channel(mean / 256.0, x))
    rounded = e.node("Round", e.node("Mul", x, e.per_channel(factor, x)))
    return e.node("Clip", rounded, np.float64(-INT16_LIMIT), np.float64(INT16_LIMIT))


def scale(e: Emission, op: NnOp) -> Tensor:
    """gamma * xhat + beta in int32."""
    op = cast("BatchNormScaleOp", op)
    x = e.integer(op.xhat)
    product = e.node("Mul", x, e.per_channel(e.constants[op.gamma].astype(np.int32), x))
    return plus(e, shifted_down(e, product, *op.scales), e.constants[op.beta])


def response(e: Emission, op: NnOp) -> Tensor:
    """x times a factor: a table of every sum of squares that a window may have."""
    op = cast("LrnOp", op)
    r, x = op.response, e.integer(op.x)
    most = min(r.size, x.shape[-1]) * INT8_LIMIT**2
    if most >= MOST_SQUARES:
        raise Inexact(f"the squares in its windows add up to {most}, too many numbers for a table")
    table = r.factor(np.arange(most + 1), *(e.scalar(value) for value in op.scale)).astype(np.int32)
    squares = sums_of_neighbours(e, e.node("Mul", x, x.name), *r.reach)
    factor = e.graph.node("Gather", e.graph.constant(table, "factors"), squares.name)
    return e.node("Mul", x, factor, hint=op.source)


def sums_of_neighbours(e: Emission, x: Tensor, before: int, behind: int) -> Tensor:
    """Over channels from `before` before each to `behind` behind it: the difference of two running sums."""
    channels, axis = np.arange(x.shape[-1]), e.axis(3, x)
    place = np.array(axis, np.int32)
    ends = (e.node("CumSum", x, place), np.minimum(channels + behind, channels[-1]))
    begins = (e.node("CumSum", x, place, exclusive=1), np.maximum(channels - before, 0))
    last, first = (e.node("Gather", total, at.astype(np.int32), axis=axis) for total, at in (ends, begins))
    return e.node("Sub", last, first.name)


FORMS: dict[str, Form] = {"nn.normalise": normalise, "nn.batch_norm_scale": scale, "nn.lrn": response}
