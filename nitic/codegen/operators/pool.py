"""Pools and their gradients."""

from __future__ import annotations

from dataclasses import replace

from xdsl.ir import SSAValue

from nitic.arithmetic import integers, sums
from nitic.codegen.core import tir
from nitic.codegen.core.group import Emission, Point, Template
from nitic.codegen.core.tir import Expr
from nitic.codegen.loops.geometry import Geometry
from nitic.codegen.loops.windows import Factor, Tap, slide, slide_transposed
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
    index_type = dtype_of(op.index).__name__
    with f.places(n * oh, ow, c) as at:
        row, best, index = tir.let(at.row % oh), tir.local("int8", at.count), tir.local(index_type, at.count)
        with at.channels() as k:
            best.store(k, tir.constant(BELOW_ALL, "int8"))
            index.store(k, tir.constant(0, index_type))
        with tir.loop(*g.taps(0, row)) as i, tir.loop(*g.taps(1, at.column)) as j:
            pixel = (at.row // oh * g.x[1] + g.input(0, row, i)) * g.x[2] + g.input(1, at.column, j)
            first, here = tir.let(pixel * c + at.first), tir.let(tir.cast(i * kw + j, index_type))
            with at.channels() as k:
                value = tir.let(x.load(first + k))
                better = tir.let(value > best.load(k))
                index.store(k, tir.select(better, here, index.load(k)))
                best.store(k, tir.select(better, value, best.load(k)))
        with at.channels() as k:
            point = Point((at.row * ow + at.column) * c + at.first + k, emission.channel(at.first + k))
            point.values[op.index] = tir.cast(index.load(k), "int32")
            emission.finish(op.y, tir.cast(best.load(k), "int32"), point)
    return f.units_of_places(n * oh, ow, c)


def avg_pool(emission: Emission, op: NnOp) -> int:
    assert isinstance(op, AveragePoolOp)
    emission.open(op, 1)
    x, g = emission.buffer(op.x), geometry(op)

    def term(at: Expr, _channel: Expr, _tap: Tap) -> Expr:
        return tir.cast(x.load(at), "int32")

    return slide(emission, g, op.y, term, multipliers(op, g, op.y))


def multipliers(op: Mean, g: Geometry, result: SSAValue) -> Factor:
    """What the sum of the window at an output row and column is multiplied with, in the element type of the result."""
    dtype, full = dtype_of(result).__name__, op.full
    if not op.counted:
        return lambda _row, _column: tir.constant(sums.average_multiplier(full)[0], dtype)
    top, left, bottom, right = op.ints("counted")
    pads = [pad - kept for pad, kept in zip(op.window.pads, (top, left, bottom, right), strict=True)]
    window = replace(op.window, pads=tuple(pads))
    counted = replace(g, x=(g.x[0], g.x[1] + top + bottom, g.x[2] + left + right, g.x[3]), window=window)

    def multiplier(row: Expr, column: Expr) -> Expr:
        (top, bottom), (left, right) = counted.taps(0, row), counted.taps(1, column)
        n = tir.let(tir.cast(tir.constant(1) * (bottom - top) * (right - left), "int64"))
        doubled = tir.constant(2 ** (15 + integers.bit_length(full)), "int64") + n
        return tir.let(tir.cast(tir.truncated_division(doubled, n * 2), dtype))

    return multiplier


def max_pool_dgrad(emission: Emission, op: NnOp) -> int:
    assert isinstance(op, MaxPoolDgradOp)
    emission.open(op, 1)
    dy, index, kw = emission.buffer(op.dy), emission.buffer(op.index), op.ints("kernel")[1]

    def error(at: Expr, _channel: Expr, tap: Tap) -> Expr:
        value = tir.let(tir.cast(dy.load(at), "int32"))  # in any case: so neighbours are loaded together
        return tir.select(index.load(at) == tir.cast(tap.i * kw + tap.j, index.dtype), value, tir.constant(0))

    return slide_transposed(emission, geometry(op), op.dx, error)


def avg_pool_dgrad(emission: Emission, op: NnOp) -> int:
    assert isinstance(op, AveragePoolDgradOp)
    emission.open(op, 1)
    dy, g, dtype = emission.buffer(op.dy), geometry(op), dtype_of(op.dx).__name__

    def error(at: Expr, _channel: Expr, tap: Tap) -> Expr:
        return tir.cast(dy.load(at), dtype) * tap.factor

    return slide_transposed(emission, g, op.dx, error, multipliers(op, g, op.dx))


TEMPLATES = {
    "max_pool": Template(max_pool),
    "max_pool_dgrad": Template(max_pool_dgrad),
    "avg_pool": Template(avg_pool),
    "avg_pool_dgrad": Template(avg_pool_dgrad),
}
