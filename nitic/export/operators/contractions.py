"""Sums of products, and the rounding that takes them in."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from xdsl.ir import SSAValue

from nitic.arithmetic.integers import INT8_LIMIT, Array, wide
from nitic.export.emission import ZERO, Emission, Form, Inexact, Kind, Mapped, Tensor, codes, pointwise
from nitic.export.rounding import (
    LARGEST_SCALE,
    bounds_of,
    clipped,
    nudged_factor,
    nudged_scale,
    requantised,
    rounded_real,
    within,
)
from nitic.ir.op import NnOp
from nitic.ir.traits import Clamp
from nitic.ir.types import element_of, i16, shape_of
from nitic.ops.bfp import RoundShiftOp
from nitic.ops.conv import ConvOp
from nitic.ops.elementwise import BiasOp
from nitic.ops.gemm import GemmOp

LIMIT = 2**30  # of accumulators
POINT = np.uint8(ZERO)


def filters(op: ConvOp, e: Emission) -> Array:
    """The weights of a convolution as OIHW. Raises Inexact where they depend on the input, or could pass int32."""
    if op.w not in e.constants:
        raise Inexact("its filter depends on the input")
    w = e.constants[op.w]
    check_sums(np.abs(wide(w)).reshape(len(w), -1).sum(1))
    return w.transpose(0, 3, 1, 2)


def check_sums(magnitudes: Array) -> None:
    """Raises Inexact where mantissas times weights of these sums of magnitudes could pass what accumulators hold."""
    if (most := INT8_LIMIT * int(magnitudes.max(initial=0))) >= LIMIT:
        raise Inexact(f"its sums may be as large as {most}, beyond 2^30")


def geometry(op: ConvOp) -> dict[str, Any]:
    window = op.window
    return {
        "kernel_shape": op.kernel_size,
        "strides": window.strides,
        "pads": window.pads,
        "dilations": window.dilations,
        "group": window.groups,
    }


def conv(e: Emission, op: NnOp) -> Tensor:
    op = cast("ConvOp", op)
    x, w = e.channels_first(e.code(op.x)), codes(filters(op, e))
    node = e.node("ConvInteger", x, w, POINT, POINT, hint=op.source, **geometry(op))
    return Tensor(node.name, shape_of(op.acc), Kind.INTEGER, channels_first=True)


def gemm(e: Emission, op: NnOp) -> Tensor:
    op = cast("GemmOp", op)
    x = e.code(op.x)
    if op.w not in e.constants:
        raise Inexact("its weight depends on the input")
    w = e.constants[op.w]
    check_sums(np.abs(wide(w)).sum(1))
    node = e.node("MatMulInteger", x, codes(w.T), POINT, POINT, hint=op.source)
    return Tensor(node.name, shape_of(op.acc), Kind.INTEGER)


def bias(e: Emission, op: NnOp) -> Tensor:
    op = cast("BiasOp", op)
    acc, b = e.written(op.acc), e.constants[op.b]
    acc = shifted_down(e, acc if acc.kind == Kind.REAL else e.as_integer(acc), *op.scales)
    return plus(e, acc, b)


def shifted_down(e: Emission, acc: Tensor, e_acc: SSAValue, common: SSAValue) -> Tensor:
    """An accumulator at the exponent of its sum with a parameter, rounded down."""
    shift = min(e.scalar(common) - e.scalar(e_acc), LIMIT.bit_length() - 1)
    if shift <= 0:
        return acc
    if acc.kind == Kind.REAL:
        return e.node("Floor", e.node("Mul", acc, np.float64(2.0**-shift)))
    step = np.int32(1 << shift)
    rest = e.node("Mod", acc, step)  # of the sign of the divisor
    return e.node("Div", e.node("Sub", acc, rest.name), step)


def plus(e: Emission, acc: Tensor, b: Array) -> Tensor:
    """A value per channel is added."""
    return e.node("Add", acc, e.per_channel(b.astype(acc.kind.value), acc)) if b.any() else acc


def clamp(e: Emission, op: NnOp) -> Tensor | Mapped:
    x = e.value(op.operands[0])
    if isinstance(x, Mapped):
        return pointwise(e, op)
    low, high = bounds_of(e, op)
    match x.kind:
        case Kind.CODE:
            return clipped(e, x, (max(low, -INT8_LIMIT), min(high, INT8_LIMIT)), op.source)
        case Kind.REAL:
            return e.node("Clip", x, np.float64(low), np.float64(high))
        case Kind.INTEGER:
            return within(e, x, (max(low, -LIMIT), min(high, LIMIT)))


@dataclass(frozen=True)
class Layer:
    """A convolution, and its bias at the exponent of the accumulator."""

    conv: ConvOp
    bias: Array

    @classmethod
    def ending_in(cls, e: Emission, value: SSAValue) -> "Layer | None":
        """The layer that gives an accumulator, if QLinearConv can compute it."""
        op = value.owner
        if isinstance(op, ConvOp):
            return cls(op, np.zeros(shape_of(op.acc)[3], np.int32))
        if isinstance(op, BiasOp) and isinstance(op.acc.owner, ConvOp):
            e_acc, common = (e.scalar(scale) for scale in op.scales)
            return cls(op.acc.owner, e.constants[op.b]) if e_acc == common else None
        return None

    def requantised(self, e: Emission, s: int, bounds: tuple[int, int], hint: str) -> Tensor:
        """The layer and its rounding as one node, whose scale is nudged so that halves go away from zero."""
        op = self.conv
        x, w = e.channels_first(e.code(op.x)), codes(filters(op, e))
        one = np.float32(1)
        biases = [self.bias.astype(np.int32)] if self.bias.any() else []
        scales = (one, POINT, w, nudged_scale(s), POINT, one, POINT, *biases)
        node = e.node("QLinearConv", x, *scales, hint=hint, **geometry(op))
        return clipped(e, Tensor(node.name, shape_of(op.acc), Kind.CODE, channels_first=True), bounds, hint)


def round_shift(e: Emission, op: NnOp) -> Tensor | Mapped:
    op = cast("RoundShiftOp", op)
    if op.round.data != "nearest":
        raise Inexact(f"its rounding is {op.round.data}")
    s, hint = e.scalar(op.s), op.result.name_hint or ""
    clamps, source = clamps_before(op.x)
    bounds = bounds_of(e, *clamps, op)
    if element_of(op.y) == i16:
        return rounded_real(e, e.real(source), nudged_factor(s), bounds)
    if s <= LARGEST_SCALE and (layer := Layer.ending_in(e, source)):
        return layer.requantised(e, s, bounds, hint)
    x = e.value(source)
    if isinstance(x, Mapped) or x.kind == Kind.CODE:
        return pointwise(e, op)
    return requantised(e, x, s, bounds, hint)


def clamps_before(value: SSAValue) -> tuple[list[NnOp], SSAValue]:
    """The operators that keep a value within bounds, first to last, and the value before them."""
    clamps: list[NnOp] = []
    while isinstance(op := value.owner, NnOp) and op.has_trait(Clamp):
        clamps.insert(0, op)
        value = op.operands[0]
    return clamps, value


FORMS: dict[str, Form] = {
    "nn.conv": conv,
    "nn.gemm": gemm,
    "nn.bias": bias,
    "nn.relu": clamp,
    "nn.clip": clamp,
    "bfp.round_shift": round_shift,
}
