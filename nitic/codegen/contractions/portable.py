"""Contractions over row-major operands, for any CPU: innermost loops are contiguous, so that LLVM vectorises them."""

from __future__ import annotations

from xdsl.ir import SSAValue

from nitic.codegen.core import tir
from nitic.codegen.core.group import Emission, Point, Template
from nitic.codegen.core.integer import product
from nitic.codegen.core.tir import Buffer, Expr, Register
from nitic.codegen.loops.geometry import Geometry, each_window, images
from nitic.ir.op import NnOp
from nitic.ir.types import dtype_of, shape_of
from nitic.ops.conv import ConvDgradOp, ConvolutionOp, ConvWgradOp, Window
from nitic.ops.gemm import GemmDgradOp, GemmWgradOp


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


def by_element(emission: Emission, op: NnOp) -> int:
    """nn.conv, nn.gemm and their gradients, over row-major operands, without explicit vectors."""
    emission.open(op, 1)
    (a, b), result = op.operands, op.results[0]
    window = op.window if isinstance(op, ConvolutionOp) else Window()
    match op:
        case ConvDgradOp() | GemmDgradOp():
            loops, shaped = dgrad, (result, b, a)
        case ConvWgradOp() | GemmWgradOp():
            loops, shaped = wgrad, (a, result, b)
        case _:
            loops, shaped = forward, (a, b, result)
    x, w, out = (images(shape_of(value)) for value in shaped)
    return loops(emission, emission.buffer(a), emission.buffer(b), Geometry(x, w, out, window), result)


TEMPLATES = {"by_element": Template(by_element)}
