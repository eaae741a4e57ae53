"""nn.conv, nn.gemm and their gradients by dot products: the addresses of the two templates, and where sums go."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from xdsl.ir import SSAValue

from nitic.codegen.contractions import dot_conv, dot_wgrad
from nitic.codegen.contractions.dots import AVX2, NEON, SSE2, VNNI, Dot
from nitic.codegen.core import tir
from nitic.codegen.core.group import Emission, Point, Template, layout_of
from nitic.codegen.core.tir import Expr
from nitic.codegen.loops.geometry import images
from nitic.ir.layout import PACK, VECTOR, GroupPanels, Padded, Panels, PixelPanels, Quads
from nitic.ir.op import NnOp
from nitic.ir.types import dtype_of, shape_of
from nitic.ops.bfp import RangeOp
from nitic.ops.conv import ConvDgradOp, ConvOp, ConvWgradOp, Window

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
        for op in self.emission.group.op.tensor_ops:
            if isinstance(op, RangeOp):
                self.emission.observe(op, tir.select(counted, total, zero))


def forward(dots: Dot, emission: Emission, op: NnOp) -> int:
    """nn.conv, nn.gemm."""
    window = op.window if isinstance(op, ConvOp) else Window()
    return _slide(dots, emission, op, window.strides, window.dilations)


def dgrad(dots: Dot, emission: Emission, op: NnOp) -> int:
    """nn.conv_dgrad, nn.gemm_dgrad."""
    window = op.window if isinstance(op, ConvDgradOp) else Window()
    return _slide(dots, emission, op, (1, 1), window.dilations)


def _slide(dots: Dot, emission: Emission, op: NnOp, strides: tuple[int, int], dilations: tuple[int, int]) -> int:
    """Panels of filters over padded pixels."""
    x, w = op.operands
    padded, panels = layout_of(x) or ROW_MAJOR, layout_of(w)
    assert isinstance(padded, Padded)
    assert isinstance(panels, Panels)
    _, height, width, c = padded.padded_shape(shape_of(x))
    filters = panels.part(shape_of(w)) if isinstance(panels, GroupPanels) else shape_of(w)
    outputs, kh, kw, _ = panels.filters(filters)
    n, oh, ow, _ = images(shape_of(op.result))
    pixels = panels.pixels if isinstance(panels, PixelPanels) else 1
    row = width * c
    contraction = dot_conv.Contraction(
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
    return dot_conv.conv(emission.function, dots, emission.buffer(x), emission.buffer(w), contraction, sink)


def wgrad(dots: Dot, emission: Emission, op: NnOp) -> int:
    """nn.conv_wgrad, nn.gemm_wgrad."""
    x, dy = op.operands
    window, quads = op.window if isinstance(op, ConvWgradOp) else Window(), layout_of(x)
    assert isinstance(quads, Quads)
    n4, height, width, c = quads.padded_shape(shape_of(x))
    outputs, kh, kw, part = images(shape_of(op.result))
    _, oh, ow, _ = images(shape_of(dy))
    taps = kw > 1 and (window.dilations[1] > 1 or window.groups > 1)
    row, pixel = width * c * PACK, c * PACK
    total = dot_wgrad.Sum(
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
    return dot_wgrad.wgrad(emission.function, dots, emission.buffer(x), emission.buffer(dy), total, sink)


TEMPLATES = {
    f"{name}_{kind}": Template(partial(emit, dots))
    for name, dots in (("vnni", VNNI), ("avx2", AVX2), ("sse2", SSE2), ("neon", NEON))
    for kind, emit in (("conv", forward), ("dgrad", dgrad), ("wgrad", wgrad))
}
