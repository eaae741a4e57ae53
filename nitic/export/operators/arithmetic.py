"""Sums and products of tensors, and functions of one mantissa, which become tables."""

from dataclasses import replace
from typing import cast

import numpy as np

from nitic.arithmetic import sums
from nitic.arithmetic.pointwise import threshold
from nitic.export.emission import TYPES, ZERO, Emission, Form, Kind, Mapped, Tensor, pointwise
from nitic.ir.op import NnOp
from nitic.ir.types import shape_of
from nitic.ops.activation import StepOp
from nitic.ops.elementwise import AddOp
from nitic.ops.product import SumOp, broadcast_axes

INT32_MAX = 2**31 - 1


def add(e: Emission, op: NnOp) -> Tensor:
    op = cast("AddOp", op)
    ea, eb, common = (e.scalar(value) for value in op.scales)
    a, b = (e.integer(value) for value in (op.a, op.b))
    a, b = (scaled(e, x, each, common) for x, each in ((a, ea), (b, eb)))
    if op.a in e.constants:
        a, b = b, a
    return replace(e.node("Add", a, e.like(b, a).name), shape=shape_of(op.y))


def scaled(e: Emission, x: Tensor, e_x: int, e_sum: int) -> Tensor:
    factor = int(sums.add_at(np.array(1), e_x, np.array(0), e_x, e_sum))
    return x if factor == 1 else e.node("Mul", x, np.int32(factor))


def multiply(e: Emission, op: NnOp) -> Tensor:
    a, b = op.operands
    first, second = (e.integer(value) for value in (a, b))
    if first.channels_first and len(second.shape) < 4:
        first = e.channels_last(first)
    if len(second.shape) == len(first.shape):
        second = e.like(second, first)
    return replace(e.node("Mul", first, second.name), shape=shape_of(op.result))


def reduce_sum(e: Emission, op: NnOp) -> Tensor:
    op = cast("SumOp", op)
    x, shape = e.integer(op.operands[0]), op.ints("shape")
    axes = broadcast_axes(shape, x.shape)
    total = e.node("ReduceSum", x, axes=[e.axis(axis, x) for axis in axes], keepdims=1)
    if len(shape) == len(x.shape):
        return replace(total, shape=shape)
    flat = e.node("Reshape", e.channels_last(total), np.array(e.size(shape), np.int64))
    return replace(flat, shape=shape, channels_first=False)


def step(e: Emission, op: NnOp) -> Tensor | Mapped:
    op = cast("StepOp", op)
    x = e.value(op.x)
    if isinstance(x, Mapped) or x.kind == Kind.CODE:
        return pointwise(e, op)
    limit = threshold(op.threshold.value.data, e.scalar(op.scale[0]))
    above = e.node("Greater", x, x.kind.value(min(max(limit, -INT32_MAX), INT32_MAX)))
    bits = e.node("Cast", above, kind=Kind.INTEGER, to=TYPES[Kind.INTEGER])
    return e.cast(e.node("Add", bits, np.int32(ZERO)), Kind.CODE)


FORMS: dict[str, Form] = {
    "nn.add": add,
    "nn.mul": multiply,
    "nn.reduce_sum": reduce_sum,
    "nn.activation": pointwise,
    "nn.leaky_relu": pointwise,
    "nn.neg": pointwise,
    "nn.scale_const": pointwise,
    "nn.add_const": pointwise,
    "nn.dropout": pointwise,
    "nn.power": pointwise,
    "nn.log": pointwise,
    "nn.step": step,
}
