"""Pools and their gradients.

A unit is a row of pixels; scratch for the channels of one pixel keeps the innermost loops contiguous.
"""

from __future__ import annotations

from collections.abc import Callable

from xdsl.ir import SSAValue

from nitic import numerics
from nitic.codegen import tir
from nitic.codegen.group import Emission, Emit, Point
from nitic.codegen.kernels.portable import Geometry, each_window
from nitic.codegen.tir import Expr
from nitic.ir.op import NnOp
from nitic.ir.types import dtype_of, shape_of
from nitic.ops.conv import Window
from nitic.ops.pool import AveragePoolDgradOp, AveragePoolOp, MaxPoolDgradOp, MaxPoolOp, PoolDgradOp, PoolOp

BELOW_ALL = -128  # no mantissa is that small


def geometry(op: PoolOp) -> Geometry:
    """The pool as a convolution of its channels."""
    (kh, kw), (sh, sw), (top, left, bottom, right) = op.ints("kernel"), op.ints("strides"), op.ints("pads")
    first, result = shape_of(op.operands[0]), shape_of(op.results[0])
    x, out = (result, first) if isinstance(op, PoolDgradOp) else (first, result)
    return Geometry(x, (x[3], kh, kw, x[3]), out, Window((sh, sw), (top, left, bottom, right)))


def max_pool(emission: Emission, op: NnOp) -> int:
    assert isinstance(op, MaxPoolOp)
    emission.open(op, 1)
    f, g, x = emission.function, geometry(op), emission.buffer(op.x)
    (n, oh, ow, c), kw = g.out, g.w[2]
    best, place = tir.local("int8", c), tir.local("int8", c)
    with tir.loop(f.begin, f.end) as unit, tir.loop(0, ow) as column:
        row = tir.let(unit % oh)
        with tir.loop(0, c) as k:
            best.store(k, tir.constant(BELOW_ALL, "int8"))
            place.store(k, tir.constant(0, "int8"))
        with tir.loop(*g.taps(0, row)) as i, tir.loop(*g.taps(1, column)) as j:
            pixel = tir.let(_pixel(g, unit, row, column, i, j) * c)
            here = tir.let(tir.cast(i * kw + j, "int8"))
            with tir.loop(0, c) as k:
                value = tir.let(x.load(pixel + k))
                better = tir.let(value > best.load(k))
                place.store(k, tir.select(better, here, place.load(k)))
                best.store(k, tir.select(better, value, best.load(k)))
        with tir.loop(0, c) as k:
            point = Point((unit * ow + column) * c + k, emission.channel(k))
            point.values[op.index] = tir.cast(place.load(k), "int32")
            emission.finish(op.y, tir.cast(best.load(k), "int32"), point)
    return n * oh


def avg_pool(emission: Emission, op: NnOp) -> int:
    assert isinstance(op, AveragePoolOp)
    emission.open(op, 1)
    f, g, x = emission.function, geometry(op), emission.buffer(op.x)
    n, oh, ow, c = g.out
    total = tir.local("int32", c)
    with tir.loop(f.begin, f.end) as unit, tir.loop(0, ow) as column:
        row = tir.let(unit % oh)
        with tir.loop(0, c) as k:
            total.store(k, 0)
        with tir.loop(*g.taps(0, row)) as i, tir.loop(*g.taps(1, column)) as j:
            pixel = tir.let(_pixel(g, unit, row, column, i, j) * c)
            with tir.loop(0, c) as k:
                total.store(k, total.load(k) + tir.cast(x.load(pixel + k), "int32"))
        with tir.loop(0, c) as k:
            point = Point((unit * ow + column) * c + k, emission.channel(k))
            emission.finish(op.y, _scaled(total.load(k), op.count(), op.y), point)
    return n * oh


def _pixel(g: Geometry, unit: Expr, row: Expr, column: Expr, i: Expr, j: Expr) -> Expr:
    """The number of the input pixel at a place of a window."""
    return ((unit // g.out[1]) * g.x[1] + g.input(0, row, i)) * g.x[2] + g.input(1, column, j)


def _scaled(total: Expr, count: int, result: SSAValue) -> Expr:
    """A sum of int8 fits an int32; times the multiplier it may be too large."""
    dtype = dtype_of(result).__name__
    return tir.cast(total, dtype) * tir.constant(numerics.average_multiplier(count)[0], dtype)


def max_pool_dgrad(emission: Emission, op: NnOp) -> int:
    assert isinstance(op, MaxPoolDgradOp)
    dy, index, kw = emission.buffer(op.dy), emission.buffer(op.index), op.ints("kernel")[1]

    def error(at: Expr, i: Expr, j: Expr) -> Expr:
        won = index.load(at) == tir.cast(i * kw + j, "int8")
        return tir.select(won, tir.cast(dy.load(at), "int32"), tir.constant(0))

    return _gather(emission, op, error, lambda total: total)


def avg_pool_dgrad(emission: Emission, op: NnOp) -> int:
    assert isinstance(op, AveragePoolDgradOp)
    dy = emission.buffer(op.dy)

    def error(at: Expr, _i: Expr, _j: Expr) -> Expr:
        return tir.cast(dy.load(at), "int32")

    return _gather(emission, op, error, lambda total: _scaled(total, op.count(), op.dx))


def _gather(
    emission: Emission, op: PoolDgradOp, error: Callable[[Expr, Expr, Expr], Expr], last: Callable[[Expr], Expr]
) -> int:
    """For each input pixel: `last` of the sum over the windows that see it of error(index in dy, place in it)."""
    emission.open(op, 1)
    f, g = emission.function, geometry(op)
    n, height, width, c = g.x
    total = tir.local("int32", c)
    with tir.loop(f.begin, f.end) as unit, tir.loop(0, width) as column:
        with tir.loop(0, c) as k:
            total.store(k, 0)

        def add(i: Expr, j: Expr, y: Expr, x: Expr) -> None:
            pixel = tir.let((((unit // height) * g.out[1] + y) * g.out[2] + x) * c)
            with tir.loop(0, c) as k:
                total.store(k, total.load(k) + error(pixel + k, i, j))

        each_window(g, tir.let(unit % height), column, add)
        with tir.loop(0, c) as k:
            point = Point((unit * width + column) * c + k, emission.channel(k))
            emission.finish(op.results[0], last(total.load(k)), point)
    return n * height


ANCHORS: dict[str, Emit] = {
    "nn.max_pool": max_pool,
    "nn.max_pool_dgrad": max_pool_dgrad,
    "nn.avg_pool": avg_pool,
    "nn.avg_pool_dgrad": avg_pool_dgrad,
}
