"""nn.conv, nn.gemm and their gradients: which template, with which addresses."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from xdsl.ir import SSAValue

from nitic.codegen.contractions import depthwise, portable, vnni_conv, vnni_wgrad
from nitic.codegen.contractions.depthwise import Slide
from nitic.codegen.contractions.portable import Geometry, images
from nitic.codegen.core import tir
from nitic.codegen.core.group import Emission, Emit, Point, layout_of
from nitic.codegen.core.tir import Expr
from nitic.ir.layout import PACK, VECTOR, GroupPanels, Padded, Panels, PixelPanels, Quads
from nitic.ir.op import NnOp
from nitic.ir.types import dtype_of, shape_of
from nitic.ops.bfp import RangeOp
from nitic.ops.conv import ConvDgradOp, ConvolutionOp, ConvOp, ConvWgradOp, Window
from nitic.ops.gemm import GemmDgradOp, GemmWgradOp
from nitic.ops.layouts import is_depthwise

ROW_MAJOR = Padded(biased=False)  # the same bytes as no layout at all


@dataclass(frozen=True)
class Finish:
    """The sink of the contraction template: a group's tail."""

    emission: Emission
    result: SSAValue
    period: int | None = None  # after how many lanes the channels begin again

    def channels(self, channel: Expr, valid: int) -> Point:
        return replace(self.emission.channel(channel, valid), period=self.period)

    def store(self, acc: Expr, index: Expr, channel: Point, valid: int) -> None:
        self.emission.finish(self.result, acc, Point(index, channel, VECTOR, valid))


@dataclass(frozen=True)
class Accumulate:
    """The sink of the weight gradient template: memory, and the range of the final sums."""

    emission: Emission
    result: SSAValue

    def load(self, index: Expr, valid: Expr) -> Expr:
        return self.emission.buffer(self.result).load(index, VECTOR, valid)

    def store(self, total: Expr, index: Expr, valid: Expr, last: Expr) -> None:
        self.emission.store(self.result, total, Point(index, None, VECTOR, valid))
        counted = tir.splat(last, VECTOR)
        if valid is not None:
            counted = counted & tir.lane_mask(valid, VECTOR)
        zero = tir.constant(0, np.dtype(dtype_of(self.result)).name, VECTOR)
        for op in self.emission.group.tensor_ops():
            if isinstance(op, RangeOp):
                self.emission.observe(op, tir.select(counted, total, zero))


def forward(emission: Emission, op: NnOp) -> int:
    """nn.conv, nn.gemm."""
    x, w = op.operands
    window = op.window if isinstance(op, ConvOp) else Window()
    panels, padded = layout_of(w), layout_of(x) or ROW_MAJOR
    if isinstance(panels, Panels):
        assert isinstance(padded, Padded)
        return _slide(emission, op, padded, panels, window.strides, window.dilations)
    if isinstance(op, ConvOp) and is_depthwise(op):
        return _depthwise(emission, op, window)
    return by_element(emission, op)


def dgrad(emission: Emission, op: NnOp) -> int:
    """nn.conv_dgrad, nn.gemm_dgrad."""
    dy, w = op.operands
    window = op.window if isinstance(op, ConvDgradOp) else Window()
    panels = layout_of(w)
    if isinstance(panels, Panels):
        padded = layout_of(dy)
        assert isinstance(padded, Padded)
        return _slide(emission, op, padded, panels, (1, 1), window.dilations)
    if isinstance(op, ConvDgradOp) and is_depthwise(op):
        return _depthwise(emission, op, replace(window, strides=(1, 1)))
    return by_element(emission, op)


def _depthwise(emission: Emission, op: NnOp, window: Window) -> int:
    """Forward, or the data gradient as a convolution with the rotated window."""
    x, w = op.operands
    padded, flipped = layout_of(x) or ROW_MAJOR, isinstance(op, ConvDgradOp)
    assert isinstance(padded, Padded)
    slide = Slide.of(padded, shape_of(x), shape_of(op.result), shape_of(w)[1:3], window)
    emission.open(op, slide.lanes)
    return depthwise.slide(emission, emission.buffer(x), emission.buffer(w), slide, op.result, flipped)


def _slide(
    emission: Emission, op: NnOp, padded: Padded, panels: Panels, strides: tuple[int, int], dilations: tuple[int, int]
) -> int:
    """The VNNI template: filters `panels` over `padded`."""
    x, w = op.operands
    _, height, width, c = padded.padded_shape(shape_of(x))
    filters = panels.part(shape_of(w)) if isinstance(panels, GroupPanels) else shape_of(w)
    outputs, kh, kw, _ = panels.filters(filters)
    n, oh, ow, _ = images(shape_of(op.result))
    pixels = panels.pixels if isinstance(panels, PixelPanels) else 1
    row = width * c
    contraction = vnni_conv.Contraction(
        pixels=(n, oh, ow // pixels),
        pixel_strides=(height * row, strides[0] * row, pixels * strides[1] * c),
        channels=panels.lanes(filters),
        runs=(kh, kw if panels.taps else 1),
        run_strides=(dilations[0] * row, dilations[1] * c),
        run_length=panels.runs(filters)[1],
        groups=panels.groups if isinstance(panels, GroupPanels) else 1,
    )
    emission.open(op, VECTOR)
    sink = Finish(emission, op.result, outputs if pixels > 1 else None)
    return vnni_conv.conv(emission.function, emission.buffer(x), emission.buffer(w), contraction, sink)


def wgrad(emission: Emission, op: NnOp) -> int:
    """nn.conv_wgrad, nn.gemm_wgrad."""
    x, dy = op.operands
    window = op.window if isinstance(op, ConvWgradOp) else Window()
    quads = layout_of(x)
    if isinstance(quads, Quads):
        return _sum(emission, op, quads, window)
    if isinstance(op, ConvWgradOp) and is_depthwise(op):
        padded = quads or ROW_MAJOR
        assert isinstance(padded, Padded)
        emission.open(op, 1)
        slide = Slide.of(padded, shape_of(x), shape_of(dy), shape_of(op.result)[1:3], window)
        return depthwise.wgrad(emission, emission.buffer(x), emission.buffer(dy), slide, op.result)
    return by_element(emission, op)


def by_element(emission: Emission, op: NnOp) -> int:
    """Any of them, over row-major operands, without explicit vectors."""
    emission.open(op, 1)
    (a, b), result = op.operands, op.results[0]
    window = op.window if isinstance(op, ConvolutionOp) else Window()
    match op:
        case ConvDgradOp() | GemmDgradOp():
            loops, shaped = portable.dgrad, (result, b, a)
        case ConvWgradOp() | GemmWgradOp():
            loops, shaped = portable.wgrad, (a, result, b)
        case _:
            loops, shaped = portable.forward, (a, b, result)
    x, w, out = (images(shape_of(value)) for value in shaped)
    return loops(emission, emission.buffer(a), emission.buffer(b), Geometry(x, w, out, window), result)


def _sum(emission: Emission, op: NnOp, quads: Quads, window: Window) -> int:
    """The VNNI template of weight gradients."""
    x, dy = op.operands
    n4, height, width, c = quads.padded_shape(shape_of(x))
    outputs, kh, kw, part = images(shape_of(op.result))
    _, oh, ow, _ = images(shape_of(dy))
    taps = kw > 1 and (window.dilations[1] > 1 or window.groups > 1)
    row, pixel = width * c * PACK, c * PACK
    total = vnni_wgrad.Sum(
        pixels=(n4, oh, ow),
        pixel_strides=(height * row, window.strides[0] * row, window.strides[1] * pixel),
        channels=outputs // window.groups,
        runs=(kh, kw if taps else 1),
        run_strides=(window.dilations[0] * row, window.dilations[1] * pixel),
        run_length=part if taps else kw * part,
        biased=quads.biased,
        wide=dtype_of(op.result) is np.int64,
        groups=window.groups,
    )
    emission.open(op, VECTOR)
    sink = Accumulate(emission, op.result)
    return vnni_wgrad.wgrad(emission.function, emission.buffer(x), emission.buffer(dy), total, sink)


ANCHORS: dict[str, Emit] = {
    "nn.conv": forward,
    "nn.gemm": forward,
    "nn.conv_dgrad": dgrad,
    "nn.gemm_dgrad": dgrad,
    "nn.conv_wgrad": wgrad,
    "nn.gemm_wgrad": wgrad,
}
