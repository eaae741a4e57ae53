"""Pools and their gradients.

A unit is a row of pixels; scratch for the channels of one pixel keeps the innermost loops contiguous.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from xdsl.ir import SSAValue

from nitic import numerics
from nitic.codegen import tir
from nitic.codegen.group import Emission, Emit, Point
from nitic.codegen.kernels.portable import Geometry, each_window
from nitic.codegen.tir import Expr
from nitic.ir.op import NnOp
from nitic.ir.types import dtype_of, shape_of
from nitic.ops.pool import AveragePoolDgradOp, AveragePoolOp, MaxPoolDgradOp, MaxPoolOp, Mean, PoolDgradOp, PoolOp

BELOW_ALL = -128  # no mantissa is that small


def geometry(op: PoolOp) -> Geometry:
    """The pool as a convolution of its channels."""
    kh, kw = op.ints("kernel")
    first, result = shape_of(op.operands[0]), shape_of(op.results[0])
    x, out = (result, first) if isinstance(op, PoolDgradOp) else (first, result)
    return Geometry(x, (x[3], kh, kw, x[3]), out, op.window)


def max_pool(emission: Emission, op: NnOp) -> int:
    assert isinstance(op, MaxPoolOp)
    emission.open(op, 1)
    f, g, x = emission.function, geometry(op), emission.buffer(op.x)
    (n, oh, ow, c), kw = g.out, g.w[2]
    places = dtype_of(op.index).__name__
    best, place = tir.local("int8", c), tir.local(places, c)
    with tir.loop(f.begin, f.end) as unit, tir.loop(0, ow) as column:
        row = tir.let(unit % oh)
        with tir.loop(0, c) as k:
            best.store(k, tir.constant(BELOW_ALL, "int8"))
            place.store(k, tir.constant(0, places))
        with tir.loop(*g.taps(0, row)) as i, tir.loop(*g.taps(1, column)) as j:
            pixel = tir.let(_pixel(g, unit, row, column, i, j) * c)
            here = tir.let(tir.cast(i * kw + j, places))
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
    total, multiplier = tir.local("int32", c), multipliers(op, g, op.y)
    with tir.loop(f.begin, f.end) as unit, tir.loop(0, ow) as column:
        row = tir.let(unit % oh)
        factor = multiplier(row, column)
        with tir.loop(0, c) as k:
            total.store(k, 0)
        with tir.loop(*g.taps(0, row)) as i, tir.loop(*g.taps(1, column)) as j:
            pixel = tir.let(_pixel(g, unit, row, column, i, j) * c)
            with tir.loop(0, c) as k:
                total.store(k, total.load(k) + tir.cast(x.load(pixel + k), "int32"))
        with tir.loop(0, c) as k:
            point = Point((unit * ow + column) * c + k, emission.channel(k))
            emission.finish(op.y, tir.cast(total.load(k), dtype_of(op.y).__name__) * factor, point)
    return n * oh


def _pixel(g: Geometry, unit: Expr, row: Expr, column: Expr, i: Expr, j: Expr) -> Expr:
    """The number of the input pixel at a place of a window."""
    return ((unit // g.out[1]) * g.x[1] + g.input(0, row, i)) * g.x[2] + g.input(1, column, j)


def multipliers(op: Mean, g: Geometry, result: SSAValue) -> Callable[[Expr, Expr], Expr]:
    """What the sum of the window at an output row and column is multiplied with, in the element type of the result."""
    dtype, full = dtype_of(result).__name__, op.full
    if not op.counted:
        return lambda _row, _column: tir.constant(numerics.average_multiplier(full)[0], dtype)
    top, left, bottom, right = op.ints("counted")
    pads = [pad - kept for pad, kept in zip(op.window.pads, (top, left, bottom, right), strict=True)]
    window = replace(op.window, pads=tuple(pads))
    counted = replace(g, x=(g.x[0], g.x[1] + top + bottom, g.x[2] + left + right, g.x[3]), window=window)

    def multiplier(row: Expr, column: Expr) -> Expr:
        (top, bottom), (left, right) = counted.taps(0, row), counted.taps(1, column)
        n = tir.let(tir.cast(tir.constant(1) * (bottom - top) * (right - left), "int64"))
        doubled = tir.constant(2 ** (15 + numerics.bit_length(full)), "int64") + n
        return tir.let(tir.cast(tir.truncated_division(doubled, n * 2), dtype))

    return multiplier


def max_pool_dgrad(emission: Emission, op: NnOp) -> int:
    assert isinstance(op, MaxPoolDgradOp)
    dy, index, kw = emission.buffer(op.dy), emission.buffer(op.index), op.ints("kernel")[1]

    def error(at: Expr, place: Place) -> Expr:
        won = index.load(at) == tir.cast(place.i * kw + place.j, index.dtype)
        return tir.select(won, tir.cast(dy.load(at), "int32"), tir.constant(0))

    return _gather(emission, op, error)


def avg_pool_dgrad(emission: Emission, op: NnOp) -> int:
    assert isinstance(op, AveragePoolDgradOp)
    dy, dtype = emission.buffer(op.dy), dtype_of(op.dx).__name__
    multiplier = multipliers(op, geometry(op), op.dx)

    def error(at: Expr, place: Place) -> Expr:
        return tir.cast(dy.load(at), dtype) * place.factor

    return _gather(emission, op, error, multiplier)


@dataclass(frozen=True)
class Place:
    """A place (i, j) of a window, and what the window's error is multiplied with."""

    i: Expr
    j: Expr
    factor: Expr


def _gather(
    emission: Emission,
    op: PoolDgradOp,
    error: Callable[[Expr, Place], Expr],
    factor: Callable[[Expr, Expr], Expr] = lambda _row, _column: None,
) -> int:
    """For each input pixel: the sum over the windows that see it of error(index in dy, place in the window)."""
    emission.open(op, 1)
    f, g = emission.function, geometry(op)
    n, height, width, c = g.x
    dtype = "int64" if dtype_of(op.results[0]).__name__ == "int64" else "int32"
    total = tir.local(dtype, c)
    with tir.loop(f.begin, f.end) as unit, tir.loop(0, width) as column:
        with tir.loop(0, c) as k:
            total.store(k, tir.constant(0, dtype))

        def add(i: Expr, j: Expr, y: Expr, x: Expr) -> None:
            row, column = tir.let(y), tir.let(x)
            pixel = tir.let((((unit // height) * g.out[1] + row) * g.out[2] + column) * c)
            place = Place(i, j, factor(row, column))
            with tir.loop(0, c) as k:
                total.store(k, total.load(k) + error(pixel + k, place))

        each_window(g, tir.let(unit % height), column, add)
        with tir.loop(0, c) as k:
            point = Point((unit * width + column) * c + k, emission.channel(k))
            emission.finish(op.results[0], total.load(k), point)
    return n * height


ANCHORS: dict[str, Emit] = {
    "nn.max_pool": max_pool,
    "nn.max_pool_dgrad": max_pool_dgrad,
    "nn.avg_pool": avg_pool,
    "nn.avg_pool_dgrad": avg_pool_dgrad,
}
