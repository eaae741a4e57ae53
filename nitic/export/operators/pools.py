"""Pools over windows of codes."""

from dataclasses import replace
from typing import Any, cast

import numpy as np

from nitic.arithmetic.integers import INT8_LIMIT
from nitic.export.emission import ZERO, Emission, Form, Inexact, Kind, Tensor
from nitic.ir.op import NnOp
from nitic.ir.types import shape_of
from nitic.ops.pool import AveragePoolOp, MaxPoolOp, PoolOp


def geometry(op: PoolOp) -> dict[str, Any]:
    """Rows and columns of padding that no window reaches are left out: ONNX allows fewer than a window has."""
    window, kernel = op.window, op.ints("kernel")
    x, y = (shape_of(value)[1:3] for value in (op.operands[0], op.results[0]))
    behind = [
        max(0, (y[i] - 1) * window.strides[i] + window.dilations[i] * (kernel[i] - 1) + 1 - x[i] - window.pads[i])
        for i in range(2)
    ]
    pads = [*window.pads[:2], *behind]
    return {"kernel_shape": kernel, "strides": window.strides, "pads": pads, "dilations": window.dilations}


def max_pool(e: Emission, op: NnOp) -> Tensor:
    """The least code pads, which never wins: in a node of its own, where onnx.reference pads the wrong ends
    (findings/onnx-reference-pads.sh)."""
    op = cast("MaxPoolOp", op)
    x, window = e.channels_first(e.code(op.x)), geometry(op)
    if len({*window["pads"]}) > 1:
        top, left, bottom, right = window.pop("pads")
        x = e.node("Pad", x, np.array([0, 0, top, left, 0, 0, bottom, right], np.int64), np.uint8(0))
    return replace(e.node("MaxPool", x, hint=op.source, **window), shape=shape_of(op.y))


def average_pool(e: Emission, op: NnOp) -> Tensor:
    """Sums times multipliers: one for each window, where padding does not count."""
    op = cast("AveragePoolOp", op)
    total = sums_of_windows(e, op)
    counts = op.counts(shape_of(op.x), shape_of(op.y))
    multipliers = op.multipliers(counts)[:, :, None]
    if (multipliers == multipliers[0, 0]).all():
        multipliers = multipliers[0, 0, 0]
    kind = Kind.INTEGER if op.accumulator_bound() < 2**30 else Kind.REAL
    if op.accumulator_bound() >= 2**52:
        raise Inexact("its sums pass 2^52")
    factors = e.in_layout(np.asarray(multipliers), total) if multipliers.ndim else multipliers
    return e.node("Mul", e.cast(total, kind), factors.astype(kind.value))


def sums_of_windows(e: Emission, op: AveragePoolOp) -> Tensor:
    x, shape = e.channels_first(e.code(op.x)), shape_of(op.y)
    (_, h, w, c), kernel = x.shape, op.ints("kernel")
    seen = [int(op.seen(axis, x.shape, shape).max()) for axis in range(2)]
    if INT8_LIMIT * seen[0] * seen[1] >= 2**31:
        raise Inexact("its sums pass 2^31")
    if shape[1:3] == (1, 1) and seen == [h, w]:
        total = e.node("ReduceSum", e.as_integer(x), axes=[2, 3], keepdims=1)
        return replace(total, shape=shape)
    ones = np.full((c, 1, *kernel), ZERO + 1, np.uint8)
    total = e.node("ConvInteger", x, ones, np.uint8(ZERO), np.uint8(ZERO), group=c, **geometry(op))
    return Tensor(total.name, shape, Kind.INTEGER, channels_first=True)


FORMS: dict[str, Form] = {"nn.max_pool": max_pool, "nn.avg_pool": average_pool}
