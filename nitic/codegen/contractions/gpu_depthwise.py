"""Depthwise convolutions, and sums that tensor cores do not serve, on a GPU: neighbouring threads have neighbouring
channels. Depthwise convolutions are sums over windows of every channel by itself."""

from __future__ import annotations

from dataclasses import dataclass

from nitic.codegen.core import tir
from nitic.codegen.core.group import Emission, Split, Template, elements
from nitic.codegen.core.integer import product
from nitic.codegen.core.tir import Buffer, Expr
from nitic.codegen.cuda.function import call, pointer
from nitic.codegen.cuda.parts import parts_of, split
from nitic.codegen.loops.geometry import Geometry
from nitic.codegen.loops.windows import Tap, slide, slide_transposed
from nitic.ir.layout import ceildiv
from nitic.ir.op import NnOp
from nitic.ir.types import shape_of
from nitic.ops.conv import ConvDgradOp, ConvOp, ConvWgradOp

LONGEST = 2**16  # products of two int8 that an int32 sums for certain


def forward(emission: Emission, op: NnOp) -> int:
    """nn.conv, nn.conv_dgrad."""
    assert isinstance(op, ConvOp | ConvDgradOp)
    a, w = (emission.buffer(operand) for operand in op.operands)
    (_, kh, kw, _), (x, out) = shape_of(op.w), (shape_of(v) for v in (op.operands[0], op.result))
    emission.open(op, 1)

    def term(at: Expr, channel: Expr, tap: Tap) -> Expr:
        return product(a.load(at), w.load((channel * kh + tap.i) * kw + tap.j))

    if isinstance(op, ConvOp):
        return slide(emission, Geometry(x, shape_of(op.w), out, op.window), op.result, term)
    return slide_transposed(emission, Geometry(out, shape_of(op.w), x, op.window), op.result, term)


@dataclass(frozen=True)
class Filters:
    """The sums of a weight gradient: neighbouring threads have neighbouring filters, and a part is rows of pixels."""

    g: Geometry

    @property
    def rows(self) -> int:
        return self.g.x[0] * self.g.out[1]

    @property
    def share(self) -> int:
        """Rows of a part."""
        (oc, kh, kw, c), width = self.g.w, self.g.out[2]
        parts = parts_of(oc * kh * kw * c, self.rows * width)
        return min(ceildiv(self.rows, parts), max(1, LONGEST // width))

    def add(self, x: Buffer, dy: Buffer, emission: Emission, memory: Buffer) -> int:
        (oc, kh, kw, c), share = self.g.w, self.share
        with emission.function.units() as unit:
            channel, rest = tir.let(unit % oc), tir.let(unit // oc)
            k, j, i = rest % c, tir.let(rest // c % kw), tir.let(rest // (c * kw) % kh)
            part = tir.let(rest // (c * kw * kh))
            total = tir.register("int32", 0)
            source = tir.let(channel // self.g.channels[1] * c + k)
            with tir.loop(part * share, tir.minimum((part + 1) * share, self.rows)) as row:
                total.set(total.value + self._row(x, dy, row, (i, j), (source, channel)))
            index = ((channel * kh + i) * kw + j) * c + k
            call("nitic_atomic_add", pointer(memory, index), tir.cast(total.value, memory.dtype))
        return oc * kh * kw * c * ceildiv(self.rows, share)

    def _row(self, x: Buffer, dy: Buffer, row: Expr, tap: tuple[Expr, Expr], channels: tuple[Expr, Expr]) -> Expr:
        """What a row of pixels gives to a tap of a filter."""
        g, total = self.g, tir.register("int32", 0)
        _, height, width, inputs = g.x
        y = tir.let(g.input(0, row % g.out[1], tap[0]))
        with tir.when(tir.every(y >= 0, y < height)), tir.loop(0, g.out[2]) as column:
            at = tir.let(g.input(1, column, tap[1]))
            with tir.when(tir.every(at >= 0, at < width)):
                pixel = (row // g.out[1] * height + y) * width + at
                error = dy.load((row * g.out[2] + column) * g.out[3] + channels[1])
                total.set(total.value + product(x.load(pixel * inputs + channels[0]), error))
        return total.value


def split_wgrad(op: NnOp) -> Split:
    """nn.conv_wgrad."""
    assert isinstance(op, ConvWgradOp)
    x, dy = op.operands
    filters = Filters(Geometry(shape_of(x), shape_of(op.result), shape_of(dy), op.window))

    def add(emission: Emission, memory: Buffer) -> int:
        return filters.add(emission.buffer(x), emission.buffer(dy), emission, memory)

    return split(op.result, elements(op.result), add)


TEMPLATES = {"gpu_depthwise": Template(forward), "gpu_filters": Template(None, split_wgrad)}
