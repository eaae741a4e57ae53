"""Depthwise convolutions and their gradients: as many groups as channels, one filter each.

A vector is neighbouring channels; the last vector ends at the last channel, so it may compute channels again. The
operand that slides is `Padded`, so that every window is whole. Two products of int8 fit an int16, so taps (in a weight
gradient: pixels) are added in pairs before they are widened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from xdsl.ir import SSAValue

from nitic.codegen.core import tir
from nitic.codegen.core.group import Emission, Point, Template, layout_of
from nitic.codegen.core.tir import Buffer, Expr, Register
from nitic.ir.layout import Padded, ceildiv
from nitic.ir.op import NnOp
from nitic.ir.types import Shape, dtype_of, shape_of
from nitic.ops.conv import ConvDgradOp, ConvolutionOp, Window

TOGETHER = 4  # columns that share the loads of the weights
PIXELS, UNITS = 256, 32  # at least so many pixels in a unit of work, to pay for its weights; at least so many units
MOST_PRODUCTS = 1 << 16  # of two int8, in an int32


@dataclass(frozen=True)
class Slide:
    """Windows over a padded tensor: addresses are in its elements."""

    pixels: tuple[int, int, int]  # N, OH, OW
    pixel_strides: tuple[int, int, int]
    taps: tuple[int, int]  # KH, KW
    tap_strides: tuple[int, int]
    channels: int
    lanes: int = 1  # channels of a vector

    @staticmethod
    def of(padded: Padded, shape: Shape, pixels: Shape, kernel: Shape, window: Window) -> Slide:
        """`shape` is that of the tensor before it was padded; of `window`, only strides and dilations are used."""
        _, height, width, c = padded.padded_shape(shape)
        (n, oh, ow), row = pixels[:3], width * c
        strides = (height * row, window.strides[0] * row, window.strides[1] * c)
        return Slide(
            (n, oh, ow), strides, (kernel[0], kernel[1]), (window.dilations[0] * row, window.dilations[1] * c), c
        )

    def vectorised(self, vectors: tuple[int, int]) -> Slide:
        """With vectors of one of these lengths."""
        fitting = (lanes for lanes in vectors if self.channels % lanes == 0)
        return replace(self, lanes=next(fitting, min(self.channels, vectors[0])))

    @property
    def vectors(self) -> int:
        return ceildiv(self.channels, self.lanes)

    def start(self, vector: Expr) -> Expr:
        """The first channel of a vector."""
        return tir.let(tir.minimum(vector * self.lanes, self.channels - self.lanes))

    def row(self, number: Expr) -> Expr:
        """The address of the first window of a row of pixels, all images' rows counted through."""
        oh = self.pixels[1]
        return tir.let((number // oh) * self.pixel_strides[0] + (number % oh) * self.pixel_strides[1])


def short(buffer: Buffer, index: Expr, lanes: int) -> Expr:
    return tir.let(tir.cast(buffer.load(index, lanes), "int16"))


def add_products(total: Register, pairs: Sequence[tuple[Expr, Expr]]) -> None:
    """Adds products of int8 values (as int16), two at a time."""
    for i in range(0, len(pairs), 2):
        both = [a * b for a, b in pairs[i : i + 2]]
        total.set(total.value + tir.cast(tir.let(sum(both[1:], both[0])), total.buffer.dtype))


def slide(emission: Emission, x: Buffer, w: Buffer, s: Slide, result: SSAValue, flipped: bool) -> int:
    """nn.conv and, with `flipped` filters, nn.conv_dgrad. A unit is some rows of pixels."""
    n, oh, ow = s.pixels
    rows = n * oh
    block = max(1, min(ceildiv(PIXELS, ow), rows // UNITS))
    f, taps = emission.function, s.taps[0] * s.taps[1]
    weights = tir.local("int16", taps * s.lanes)
    sliding = _Rows(emission, x, weights, s, result)
    with f.units() as unit, tir.loop(0, s.vectors) as vector:
        start = s.start(vector)
        with tir.loop(0, s.lanes) as lane, tir.loop(0, taps) as tap:
            value = w.load((start + lane) * taps + (taps - 1 - tap if flipped else tap))
            weights.store(tap * s.lanes + lane, tir.cast(value, "int16"))
        channel = emission.channel(start)
        emission.read_channel(result, channel)
        with tir.loop(unit * block, tir.minimum((unit + 1) * block, rows)) as row:
            sliding.emit(row, channel)
    return ceildiv(rows, block)


@dataclass(frozen=True)
class _Rows:
    emission: Emission
    x: Buffer
    weights: Buffer
    s: Slide
    result: SSAValue

    def emit(self, row: Expr, channel: Point) -> None:
        ow, first = self.s.pixels[2], self.s.row(row)
        with tir.loop(0, ow // TOGETHER) as tile:
            self._pixels(row, first, tile * TOGETHER, TOGETHER, channel)
        if ow % TOGETHER:
            self._pixels(row, first, ow - ow % TOGETHER, ow % TOGETHER, channel)

    def _pixels(self, row: Expr, first: Expr, column: Expr, count: int, channel: Point) -> None:
        s, lanes, dtype = self.s, self.s.lanes, dtype_of(self.result).__name__
        base = tir.let(first + column * s.pixel_strides[2] + channel.index)
        totals = [tir.register(dtype, tir.constant(0, dtype), lanes) for _ in range(count)]
        with tir.loop(0, s.taps[0]) as i:
            tap = [tir.let(self.weights.load((i * s.taps[1] + j) * lanes, lanes)) for j in range(s.taps[1])]
            for pixel, total in enumerate(totals):
                at = tir.let(base + i * s.tap_strides[0] + pixel * s.pixel_strides[2])
                x = [short(self.x, at + j * s.tap_strides[1], lanes) for j in range(s.taps[1])]
                add_products(total, list(zip(x, tap, strict=True)))
        index = tir.let((row * s.pixels[2] + column) * s.channels + channel.index)
        for pixel, total in enumerate(totals):
            self.emission.finish(self.result, total.value, Point(index + pixel * s.channels, channel, lanes))


def wgrad(emission: Emission, x: Buffer, dy: Buffer, s: Slide, result: SSAValue) -> int:
    """A unit is one row of the window for a vector of channels. Its sums are int32 first, then those of the result."""
    f, (kh, kw), lanes = emission.function, s.taps, s.lanes
    rows, dtype = s.pixels[0] * s.pixels[1], dtype_of(result).__name__
    block = rows if dtype == "int32" else max(1, min(rows, MOST_PRODUCTS // s.pixels[2]))
    sums = tir.local(dtype, kw * lanes)
    with f.units() as unit:
        vector, i = tir.let(unit // kh), tir.let(unit % kh)
        start = s.start(vector)
        with tir.loop(0, kw * lanes) as k:
            sums.store(k, tir.constant(0, dtype))
        with tir.loop(0, ceildiv(rows, block)) as part:
            totals = [tir.register("int32", 0, lanes) for _ in range(kw)]
            with tir.loop(part * block, tir.minimum((part + 1) * block, rows)) as row:
                first = s.row(row) + i * s.tap_strides[0] + start
                _add_row(s, totals, x, dy, tir.let(first), tir.let(row * s.pixels[2] * s.channels + start))
            for j, total in enumerate(totals):
                sums.store(j * lanes, sums.load(j * lanes, lanes) + tir.cast(total.value, dtype))
        with tir.loop(vector * lanes - start, lanes) as lane, tir.loop(0, kw) as j:
            emission.finish(result, sums.load(j * lanes + lane), Point(((start + lane) * kh + i) * kw + j))
    return s.vectors * kh


def _add_row(s: Slide, totals: Sequence[Register], x: Buffer, dy: Buffer, first: Expr, error: Expr) -> None:
    """Adds what a row of pixels gives to each tap of a row of the window."""
    ow = s.pixels[2]

    def add(column: Expr, count: int) -> None:
        errors = [short(dy, error + (column + k) * s.channels, s.lanes) for k in range(count)]
        for j, total in enumerate(totals):
            at = first + j * s.tap_strides[1]
            values = [short(x, at + (column + k) * s.pixel_strides[2], s.lanes) for k in range(count)]
            add_products(total, list(zip(values, errors, strict=True)))

    with tir.loop(0, ow // 2) as pair:
        add(pair * 2, 2)
    if ow % 2:
        add(ow - 1, 1)


def _padded(value: SSAValue) -> Padded:
    """How the operand that slides lies; without a frame it is row-major."""
    layout = layout_of(value) or Padded(biased=False)
    assert isinstance(layout, Padded)
    return layout


def forward(emission: Emission, op: NnOp) -> int:
    """nn.conv, or nn.conv_dgrad as a convolution with the rotated window."""
    assert isinstance(op, ConvolutionOp)
    (x, w), flipped = op.operands, isinstance(op, ConvDgradOp)
    window = replace(op.window, strides=(1, 1)) if flipped else op.window
    slid = Slide.of(_padded(x), shape_of(x), shape_of(op.result), op.kernel_size, window)
    slid = slid.vectorised(emission.function.vectors)
    emission.open(op, slid.lanes)
    return slide(emission, emission.buffer(x), emission.buffer(w), slid, op.result, flipped)


def weight_gradient(emission: Emission, op: NnOp) -> int:
    """nn.conv_wgrad."""
    assert isinstance(op, ConvolutionOp)
    x, dy = op.operands
    emission.open(op, 1)
    slid = Slide.of(_padded(x), shape_of(x), shape_of(dy), op.kernel_size, op.window)
    slid = slid.vectorised(emission.function.vectors)
    return wgrad(emission, emission.buffer(x), emission.buffer(dy), slid, op.result)


TEMPLATES = {"depthwise": Template(forward), "depthwise_wgrad": Template(weight_gradient)}
