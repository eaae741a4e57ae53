"""Layer norm and its relatives, and rows that each have an exponent: statistics by row, the rest point by point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xdsl.ir import SSAValue

from nitic.arithmetic import integers, row_norms
from nitic.arithmetic.rows import TOP_BIAS
from nitic.codegen.core import integer, tir
from nitic.codegen.core.group import Emission, Evaluate, Point, Prepare, Scalar, Template
from nitic.codegen.core.tir import Expr
from nitic.codegen.loops.rows import rows
from nitic.codegen.operators.norm import aligned, square_root
from nitic.codegen.operators.product import point_of
from nitic.ir.op import NnOp
from nitic.ir.types import dtype_of, shape_of
from nitic.ops.row_norm import RowNormaliseOp, RowNormErrorOp, RowNormSumsOp, RowScaleOp, RowStatisticsOp
from nitic.ops.rows import RowRoundShiftOp, RowShiftOp, RowTopsOp

Evaluators = Mapping[SSAValue, Evaluate]
FAR = 2**20  # exponents beyond it change no result, and twice them would not fit


def _wide(value: Expr) -> Expr:
    return tir.cast(value, "int64")


def statistics(emission: Emission, op: NnOp) -> int:
    assert isinstance(op, RowStatisticsOp)
    emission.open(op, 1)
    f, x, length = emission.function, emission.buffer(op.x), shape_of(op.x)[-1]
    c, e_c = row_norms.scaled_epsilon(op.epsilon.value.data, length)
    doubled = tir.let(integer.clamp(emission.scalar(op.scale[0]), -FAR, FAR) * 2)
    epsilon = aligned(tir.constant(e_c), doubled, row_norms.EPSILON_LIMIT)(tir.constant(c, "int64"))
    least = tir.let(tir.maximum(epsilon, tir.constant(1, "int64")))

    def row(number: Expr, first: Expr) -> None:
        total = tir.register("int64", tir.constant(0, "int64"))
        squares = tir.register("int64", tir.constant(0, "int64"))
        with tir.loop(0, length) as k:
            value = tir.let(_wide(x.load(first + k)))
            total.set(total.value + value)
            squares.set(squares.value + value * value)
        mean = tir.let(total.value if op.centred.value.data else tir.constant(0, "int64"))
        w = tir.let(squares.value * length - mean * mean + least)
        h = tir.let((row_norms.INVERSE_BITS - integer.bit_length(w)) >> 1)
        left, right = (_wide(tir.maximum(each, 0)) for each in (2 * h, -2 * h))
        root = square_root(tir.let((w << left) >> right))
        point = Point(number)
        point.values[op.total] = tir.let(tir.cast(mean, "int32"))
        point.values[op.h] = h
        inverse = f.divide(root + (2 << row_norms.INVERSE_BITS), root * 2)
        emission.finish(op.inverse, tir.let(tir.cast(inverse, "int32")), point)

    return rows(f, shape_of(op.x), row)


def normalise(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, RowNormaliseOp)
    length = shape_of(op.x)[-1]

    def evaluate(point: Point) -> Expr:
        row = point_of(op.h, op.x, point)
        total, inverse, h = (emission.value(value, row) for value in (op.total, op.inverse, op.h))
        off = tir.let(_wide(emission.value(op.x, point)) * length - _wide(total))
        rounding = integer.nearest(row_norms.XHAT_SHIFT - h, "int64")
        return integer.saturate(rounding(tir.let(off * _wide(inverse))), integers.INT16_LIMIT, "int32")

    return {op.xhat: evaluate}


def scale(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, RowScaleOp)
    lowered = integer.lowered(*(emission.scalar(value) for value in op.scales)) if op.scales else None

    def evaluate(point: Point) -> Expr:
        channel = point_of(op.gamma, op.y, point)
        product = emission.value(op.xhat, point) * emission.value(op.gamma, channel)
        if lowered is None or op.beta is None:
            return product
        return lowered(product) + emission.value(op.beta, channel)

    return {op.y: evaluate}


def _factor(emission: Emission, gamma: Sequence[SSAValue], whole: SSAValue, point: Point) -> Expr:
    return _wide(emission.value(gamma[0], point_of(gamma[0], whole, point))) if gamma else tir.constant(1, "int64")


def sums(emission: Emission, op: NnOp) -> int:
    assert isinstance(op, RowNormSumsOp)
    emission.open(op, 1)
    dy, xhat, length = emission.buffer(op.dy), emission.buffer(op.xhat), shape_of(op.dy)[-1]
    gamma = emission.buffer(op.gamma[0]) if op.gamma else None

    def row(number: Expr, first: Expr) -> None:
        mean, slope = (tir.register("int64", tir.constant(0, "int64")) for _ in range(2))
        with tir.loop(0, length) as k:
            t = _wide(dy.load(first + k))
            t = tir.let(t * _wide(gamma.load(k)) if gamma else t)
            mean.set(mean.value + t)
            slope.set(slope.value + t * _wide(xhat.load(first + k)))
        point = Point(number)
        point.values[op.mean] = tir.let(mean.value if op.centred.value.data else tir.constant(0, "int64"))
        emission.finish(op.slope, tir.let(slope.value), point)

    return rows(emission.function, shape_of(op.dy), row)


def error(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, RowNormErrorOp)
    length = shape_of(op.dy)[-1]
    back = integer.nearest(tir.constant(row_norms.SLOPE_SHIFT), "int64")

    def evaluate(point: Point) -> Expr:
        row = point_of(op.h, op.dy, point)
        inverse, mean, slope = (_wide(emission.value(value, row)) for value in (op.inverse, op.mean, op.slope))
        t = _wide(emission.value(op.dy, point)) * _factor(emission, op.gamma, op.dy, point)
        along = back(tir.let(_wide(emission.value(op.xhat, point)) * slope))
        return (t * length - mean - along) * inverse

    return {op.dx: evaluate}


def tops(emission: Emission, op: NnOp) -> int:
    assert isinstance(op, RowTopsOp)
    emission.open(op, 1)
    x, h = emission.buffer(op.x), emission.buffer(op.h)
    dtype = "int64" if dtype_of(op.x).__name__ == "int64" else "int32"

    def row(number: Expr, first: Expr) -> None:
        largest = tir.register(dtype, tir.constant(0, dtype))
        with tir.loop(0, shape_of(op.x)[-1]) as k:
            largest.set(tir.maximum(largest.value, tir.absolute(tir.cast(x.load(first + k), dtype))))
        top = tir.let(integer.bit_length(_wide(largest.value)) + h.load(number) + TOP_BIAS)
        emission.finish(op.tops, tir.select(largest.value == 0, tir.constant(0), top), Point(number))

    return rows(emission.function, shape_of(op.x), row)


def row_shift(emission: Emission, op: NnOp) -> Expr:
    assert isinstance(op, RowShiftOp)
    r = tir.let(emission.scalar(op.r))
    return tir.select(r == 0, tir.constant(0), tir.cast(r - (TOP_BIAS + op.bits.value.data), "int32"))


def row_round_shift(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, RowRoundShiftOp)
    s = emission.scalar(op.s)

    def evaluate(point: Point) -> Expr:
        h = emission.value(op.h, point_of(op.h, op.x, point))
        rounding = integer.any_shift("nearest", tir.let(s - h))
        rounded = tir.let(rounding(tir.let(_wide(emission.value(op.x, point)))))
        return integer.saturate(rounded, op.limit.value.data, "int32")

    return {op.y: evaluate}


TEMPLATES = {
    "row_statistics": Template(statistics),
    "row_norm_sums": Template(sums),
    "row_tops": Template(tops),
}
SCALARS: dict[str, Scalar] = {"bfp.row_shift": row_shift}
POINTWISE: dict[str, Prepare] = {
    "nn.row_normalise": normalise,
    "nn.row_scale": scale,
    "nn.row_norm_error": error,
    "bfp.row_round_shift": row_round_shift,
}
