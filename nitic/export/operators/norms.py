"""Batch normalisation by running statistics, in doubles that hold exact integers."""

from typing import cast

import numpy as np

from nitic.arithmetic.integers import INT16_LIMIT, Array
from nitic.arithmetic.norms import NORMALISED_EXPONENT
from nitic.export.emission import Emission, Form, Inexact, Tensor
from nitic.export.operators.contractions import plus, shifted_down
from nitic.ir.op import NnOp
from nitic.ops.norm import BatchNormScaleOp, NormaliseOp


def normalise(e: Emission, op: NnOp) -> Tensor:
    op = cast("NormaliseOp", op)
    if op.inverse not in e.constants:
        raise Inexact("its statistics depend on the input")
    inverse = e.constants[op.inverse]
    if inverse.ndim != 1:
        raise Inexact("its statistics are not one for each channel")
    e_x, e_inverse, *e_mean = (e.scalar(value) for value in op.scales)
    mean = np.zeros_like(inverse) if op.mean is None else e.constants[op.mean]
    above = e_mean[0] - (e_x - 8) if e_mean else 0
    if above > 8:
        raise Inexact("what it normalises is tiny beside its running deviations")
    return normalised(e, e.real(op.x), mean * 2**above, inverse, NORMALISED_EXPONENT - (e_x - 8 + e_inverse))


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


FORMS: dict[str, Form] = {"nn.normalise": normalise, "nn.batch_norm_scale": scale}
