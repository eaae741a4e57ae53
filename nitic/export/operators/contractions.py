"""Sums of products, and the rounding that takes them in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from nitic.ir.types import Shape, element_of, i16, shape_of
from nitic.ops.bfp import RoundShiftOp
from nitic.ops.conv import ConvDgradOp, ConvOp
from nitic.ops.elementwise import BiasOp
from nitic.ops.gemm import GemmOp

LIMIT = 2**30  # of accumulators
POINT = np.uint8(ZERO)


@dataclass(frozen=True)
class Convolution:
    """What ConvInteger and QLinearConv take: codes, weights as OIHW, and attributes; `shape` is that of the result."""

    x: Tensor
    filters: Array
    geometry: Mapping[str, Any]
    shape: Shape

    @classmethod
    def of(cls, e: Emission, op: ConvOp | ConvDgradOp) -> "Convolution":
        """Raises Inexact where the weights depend on the input, or could pass int32."""
        if op.w not in e.constants:
            raise Inexact("its filter depends on the input")
        x, w = e.channels_first(e.code(op.operands[0])), e.constants[op.w].transpose(0, 3, 1, 2)
        x, w, geometry = (x, w, _geometry(op)) if isinstance(op, ConvOp) else _transposed(e, op, x, w)
        check_sums(np.abs(wide(w)).reshape(len(w), -1).sum(1))
        return cls(x, w, geometry, shape_of(op.result))


def _geometry(op: ConvOp) -> dict[str, Any]:
    window = op.window
    return {
        "kernel_shape": op.kernel_size,
        "strides": window.strides,
        "pads": window.pads,
        "dilations": window.dilations,
        "group": window.groups,
    }


def _transposed(e: Emission, op: ConvDgradOp, x: Tensor, w: Array) -> tuple[Tensor, Array, dict[str, Any]]:
    """A transposed convolution as one by the filters turned round, over x with zeros between its pixels."""
    window, kernel, size = op.window, op.kernel_size, op.ints("size", 2)
    x = _spread(e, x, window.strides)
    reach = [d * (k - 1) for d, k in zip(window.dilations, kernel, strict=True)]
    before = [reach[i] - window.pads[i] for i in range(2)]
    behind = [size[i] + reach[i] - before[i] - x.shape[1 + i] for i in range(2)]
    x = _cropped(e, x, [max(-each, 0) for each in before], [max(-each, 0) for each in behind])
    groups, (_, channels, kh, kw) = window.groups, w.shape
    turned = (
        w.reshape(groups, -1, channels, kh, kw)[..., ::-1, ::-1].swapaxes(1, 2).reshape(-1, len(w) // groups, kh, kw)
    )
    geometry = {
        "kernel_shape": kernel,
        "pads": [max(each, 0) for each in (*before, *behind)],
        "dilations": window.dilations,
        "group": groups,
    }
    return x, turned, geometry


def _spread(e: Emission, x: Tensor, strides: Sequence[int]) -> Tensor:
    """Codes with zeros behind each row and column, so that pixels lie `strides` apart."""
    if max(strides) == 1:
        return x
    n, h, w, c = x.shape
    apart = e.node("Reshape", x, np.array(e.size((n, c, h, 1, w, 1)), np.int64))
    frame = np.array([0] * 9 + [strides[0] - 1, 0, strides[1] - 1], np.int64)
    apart, shape = e.node("Pad", apart, frame, POINT), (n, h * strides[0], w * strides[1], c)
    together = e.node("Reshape", apart, np.array(e.size((n, c, *shape[1:3])), np.int64))
    return replace(together, shape=shape)


def _cropped(e: Emission, x: Tensor, before: Sequence[int], behind: Sequence[int]) -> Tensor:
    """Without some rows and columns at the ends of an image."""
    if not any((*before, *behind)):
        return x
    ends = [x.shape[1 + i] - behind[i] for i in range(2)]
    n, _, _, c = x.shape
    cut = e.node("Slice", x, *(np.array(each, np.int64) for each in (before, ends, (2, 3))))
    return replace(cut, shape=(n, *(end - begin for begin, end in zip(before, ends, strict=True)), c))


def check_sums(magnitudes: Array) -> None:
    """Raises Inexact where mantissas times weights of these sums of magnitudes could pass what accumulators hold."""
    if (most := INT8_LIMIT * int(magnitudes.max(initial=0))) >= LIMIT:
        raise Inexact(f"its sums may be as large as {most}, beyond 2^30")


def conv(e: Emission, op: NnOp) -> Tensor:
    c = Convolution.of(e, cast("ConvOp | ConvDgradOp", op))
    node = e.node("ConvInteger", c.x, codes(c.filters), POINT, POINT, hint=op.source, **c.geometry)
    return Tensor(node.name, c.shape, Kind.INTEGER, channels_first=True)


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

    op: ConvOp | ConvDgradOp
    bias: Array

    @classmethod
    def ending_in(cls, e: Emission, value: SSAValue) -> "Layer | None":
        """The layer that gives an accumulator, if QLinearConv can compute it."""
        op = value.owner
        if isinstance(op, ConvOp | ConvDgradOp):
            return cls(op, np.zeros(shape_of(op.result)[3], np.int32))
        if isinstance(op, BiasOp) and isinstance(op.acc.owner, ConvOp | ConvDgradOp):
            e_acc, common = (e.scalar(scale) for scale in op.scales)
            return cls(op.acc.owner, e.constants[op.b]) if e_acc == common else None
        return None

    def requantised(self, e: Emission, s: int, bounds: tuple[int, int], hint: str) -> Tensor:
        """The layer and its rounding as one node, whose scale is nudged so that halves go away from zero."""
        c, one = Convolution.of(e, self.op), np.float32(1)
        biases = [self.bias.astype(np.int32)] if self.bias.any() else []
        scales = (one, POINT, codes(c.filters), nudged_scale(s), POINT, one, POINT, *biases)
        node = e.node("QLinearConv", c.x, *scales, hint=hint, **c.geometry)
        return clipped(e, Tensor(node.name, c.shape, Kind.CODE, channels_first=True), bounds, hint)


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
    "nn.conv_dgrad": conv,
    "nn.gemm": gemm,
    "nn.bias": bias,
    "nn.relu": clamp,
    "nn.clip": clamp,
    "bfp.round_shift": round_shift,
}
