"""Contractions over row-major operands, for any CPU: innermost loops are contiguous, so that LLVM vectorises them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xdsl.ir import SSAValue

from nitic.codegen.core import tir
from nitic.codegen.core.group import Emission, Point
from nitic.codegen.core.tir import Buffer, Expr, Register
from nitic.ir.types import Shape, dtype_of
from nitic.ops.conv import Window


@dataclass(frozen=True)
class Geometry:
    """A convolution as the loops see it; a matrix product is one over images of one pixel."""

    x: Shape  # N, H, W, C
    w: Shape  # OC, KH, KW, C per group
    out: Shape  # N, OH, OW, OC
    window: Window

    @property
    def channels(self) -> tuple[int, int]:
        """Input and output channels of a group."""
        return self.w[3], self.w[0] // self.window.groups

    @property
    def run(self) -> tuple[int, int]:
        """(columns of a run, runs of a row): a row of the window is one run where its pixels are neighbours."""
        whole = self.window.dilations[1] == 1 and self.window.groups == 1
        return (self.w[2], 1) if whole else (1, self.w[2])

    def taps(self, axis: int, at: Expr) -> tuple[Expr, Expr]:
        """Which rows (axis 0) or columns (1) of the window lie inside the input, at output row or column `at`."""
        window, kernel, size = self.window, self.w[1 + axis], self.x[1 + axis]
        step, stride, pad = window.dilations[axis], window.strides[axis], window.pads[axis]
        first = tir.let(pad - at * stride)
        if pad == 0 and (self.out[1 + axis] - 1) * stride + (kernel - 1) * step < size:
            return 0, kernel
        begin = tir.maximum((first + step - 1) // step, 0)
        return tir.let(begin), tir.let(tir.minimum((size + first + step - 1) // step, kernel))

    def input(self, axis: int, at: Expr, tap: Expr) -> Expr:
        """The input row or column that a tap sees from an output row or column."""
        window = self.window
        return at * window.strides[axis] + tap * window.dilations[axis] - window.pads[axis]


def product(a: Expr, b: Expr) -> Expr:
    """Of two int8: 16 bits hold it, and short multiplications are what old vector units have."""
    return tir.cast(tir.cast(a, "int16") * tir.cast(b, "int16"), "int32")


def forward(emission: Emission, x: Buffer, w: Buffer, g: Geometry, result: SSAValue) -> int:
    """Each accumulator is a dot product along the runs of the window."""
    f, (n, oh, ow, oc) = emission.function, g.out
    dtype = dtype_of(result).__name__
    with f.places(n * oh, ow, oc) as place:
        row = tir.let(place.row % oh)
        rows, columns = g.taps(0, row), g.taps(1, place.column)
        with place.channels() as k:
            channel = tir.let(place.first + k)
            acc = tir.register(dtype, tir.constant(0, dtype))
            with tir.loop(*rows) as i:
                y = (place.row // oh) * g.x[1] + g.input(0, row, i)
                _dot_row(g, acc, x, w, (y * g.x[2], i, place.column, channel), columns)
            index = (place.row * ow + place.column) * oc + channel
            emission.finish(result, acc.value, Point(index, emission.channel(channel)))
    return f.units_of_places(n * oh, ow, oc)


def _dot_row(
    g: Geometry, acc: Register, x: Buffer, w: Buffer, at: tuple[Expr, Expr, Expr, Expr], columns: tuple[Expr, Expr]
) -> None:
    """acc += one row of the window; `at` is (input row in pixels, window row, output column, output channel)."""
    source, i, column, channel = at
    c, per_group = g.channels
    begin, end = columns
    joined = g.run[1] == 1
    with tir.loop(0, 1) if joined else tir.loop(begin, end) as j:
        tap = begin if joined else j
        group = 0 if g.window.groups == 1 else channel // per_group
        a = tir.let((source + g.input(1, column, tap)) * g.x[3] + group * c)
        b = tir.let(((channel * g.w[1] + i) * g.w[2] + tap) * c)
        with tir.loop(0, (end - begin) * c if joined else c) as k:
            acc.set(acc.value + tir.cast(product(x.load(a + k), w.load(b + k)), acc.buffer.dtype))


def dgrad(emission: Emission, dy: Buffer, w: Buffer, g: Geometry, result: SSAValue) -> int:
    """The errors of a pixel's channels are sums of rows of the filter."""
    f, (n, height, width, channels), (c, per_group) = emission.function, g.x, g.channels
    dtype = dtype_of(result).__name__
    acc = tir.local(dtype, c)
    with f.places(n * height, width, g.window.groups) as place, place.channels() as number:
        unit, column, group = place.row, place.column, tir.let(place.first + number)
        with tir.loop(0, c) as k:
            acc.store(k, tir.constant(0, dtype))

        def add(i: Expr, j: Expr, y: Expr, x: Expr) -> None:
            pixel = tir.let((((unit // height) * g.out[1] + y) * g.out[2] + x) * g.out[3] + group * per_group)
            with tir.loop(0, per_group) as o:
                error = tir.let(dy.load(pixel + o))
                filter_ = tir.let((((group * per_group + o) * g.w[1] + i) * g.w[2] + j) * c)
                with tir.when(error != 0), tir.loop(0, c) as k:
                    acc.store(k, acc.load(k) + tir.cast(product(w.load(filter_ + k), error), dtype))

        each_window(g, tir.let(unit % height), column, add)
        with tir.loop(0, c) as k:
            channel = group * c + k
            point = Point((unit * width + column) * channels + channel, emission.channel(channel))
            emission.finish(result, acc.load(k), point)
    return f.units_of_places(n * height, width, g.window.groups)


def each_window(g: Geometry, row: Expr, column: Expr, body: Callable[[Expr, Expr, Expr, Expr], None]) -> None:
    """body(window row, window column, output row, output column) for every window that sees an input pixel."""
    window = g.window
    with tir.loop(0, g.w[1]) as i:
        y = tir.let(row + window.pads[0] - i * window.dilations[0])
        with tir.when(_is_output(g, 0, y)), tir.loop(0, g.w[2]) as j:
            x = tir.let(column + window.pads[1] - j * window.dilations[1])
            with tir.when(_is_output(g, 1, x)):
                body(i, j, y // window.strides[0], x // window.strides[1])


def _is_output(g: Geometry, axis: int, position: Expr) -> Expr:
    """Whether a padded position is that of an output row or column."""
    stride = g.window.strides[axis]
    inside = tir.every(position >= 0, position < g.out[1 + axis] * stride)
    return inside if stride == 1 else tir.every(inside, position % stride == 0)


def wgrad(emission: Emission, x: Buffer, dy: Buffer, g: Geometry, result: SSAValue) -> int:
    """A unit is one row of the window of one filter: the sum of rows of x times errors."""
    f, (oc, kh, kw, c) = emission.function, g.w
    wide = dtype_of(result).__name__ == "int64"
    acc = tir.local("int32", kw * c)
    total = tir.local("int64", kw * c) if wide else acc
    with f.units() as unit:
        channel, i = tir.let(unit // kh), tir.let(unit % kh)
        _clear(total, "int64" if wide else "int32", kw * c)
        with tir.loop(0, g.x[0]) as image:
            if wide:  # the sum of one image fits an int32
                _clear(acc, "int32", kw * c)
            _add_image(g, x, dy, acc, (image, channel, i))
            if wide:
                with tir.loop(0, kw * c) as k:
                    total.store(k, total.load(k) + tir.cast(acc.load(k), "int64"))
        with tir.loop(0, kw * c) as k:
            emission.finish(result, total.load(k), Point(unit * (kw * c) + k))
    return oc * kh


def _clear(buffer: Buffer, dtype: str, count: int) -> None:
    with tir.loop(0, count) as k:
        buffer.store(k, tir.constant(0, dtype))


def _add_image(g: Geometry, x: Buffer, dy: Buffer, acc: Buffer, at: tuple[Expr, Expr, Expr]) -> None:
    """acc += what one image gives to row `i` of the window of a filter."""
    (image, channel, i), c = at, g.w[3]
    group = 0 if g.window.groups == 1 else tir.let(channel // g.channels[1])
    with tir.loop(0, g.out[1]) as row:
        y = tir.let(g.input(0, row, i))
        with tir.when(tir.every(y >= 0, y < g.x[1])), tir.loop(0, g.out[2]) as column:
            error = tir.let(dy.load(((image * g.out[1] + row) * g.out[2] + column) * g.out[3] + channel))
            with tir.when(error != 0):
                begin, end = g.taps(1, column)
                joined = g.run[1] == 1
                with tir.loop(0, 1) if joined else tir.loop(begin, end) as j:
                    tap = begin if joined else j
                    pixel = (image * g.x[1] + y) * g.x[2] + g.input(1, column, tap)
                    source = tir.let(pixel * g.x[3] + group * c)
                    target = tir.let(tap * c)
                    with tir.loop(0, (end - begin) * c if joined else c) as k:
                        acc.store(target + k, acc.load(target + k) + product(x.load(source + k), error))


def images(shape: Shape) -> Shape:
    """A matrix as a batch of images of one pixel."""
    return shape if len(shape) == 4 else (shape[0], 1, 1, shape[1])
