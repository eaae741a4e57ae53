"""Point-wise operators: each is an expression in its operands' elements at one point."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

import numpy as np
from xdsl.ir import SSAValue

from nitic import numerics
from nitic.codegen import integer, tir
from nitic.codegen.group import Emission, Evaluate, Point, Prepare
from nitic.codegen.kernels.broadcast import Grid
from nitic.codegen.tir import Expr
from nitic.ir.layout import ceildiv
from nitic.ir.op import NnOp
from nitic.ir.types import Shape, dtype_of, is_tensor, shape_of
from nitic.numerics import INT8_LIMIT
from nitic.ops.bfp import ELEMENTS, AlignOp, RoundShiftOp, ShiftOp
from nitic.ops.elementwise import AddOp, BiasOp, DropoutOp, InputMapOp, ReluDgradOp, ReluOp
from nitic.ops.product import broadcasts

Evaluators = Mapping[SSAValue, Evaluate]
BLOCK = 4096  # elements of a unit of work


def pointwise(emission: Emission, _: NnOp) -> int:
    """The loops of a group without another owner: over rows and columns where an operand broadcasts."""
    emission.open(None, 1)
    f, shape = emission.function, _domain(emission)
    others = _broadcast(emission, shape)
    if not others:
        count = prod(shape)
        with tir.loop(f.begin * BLOCK, tir.minimum(f.end * BLOCK, count)) as i:
            emission.finish(None, None, Point(i))
        return ceildiv(count, BLOCK)
    grid = Grid.over(shape, others, BLOCK)
    block = ceildiv(BLOCK, grid.columns)
    with tir.loop(f.begin * block, tir.minimum(f.end * block, grid.rows)) as row:
        first = {other: tir.let(grid.first(other, row)) for other in others}
        with tir.loop(0, grid.columns) as column:
            points = {other: Point(first[other] + column * grid.moves(other)) for other in others}
            emission.finish(None, None, Point(row * grid.columns + column, points.get(shape[-1:]), others=points))
    return ceildiv(grid.rows, block)


def _domain(emission: Emission) -> Shape:
    """The shape of what is computed, which every operator keeps; an aligned bias alone is smaller."""
    ops = emission.group.tensor_ops()
    shapes = [shape_of(v) for op in ops for v in (op.operands[0], *op.results) if is_tensor(v)]
    return max(shapes, key=lambda shape: (prod(shape), len(shape)))


def _broadcast(emission: Emission, shape: Shape) -> list[Shape]:
    """The shapes of operands that broadcast to it; those of rank 0 are scalars."""
    operands = [operand for op in emission.group.tensor_ops() for operand in op.operands if is_tensor(operand)]
    found = dict.fromkeys(shape_of(operand) for operand in operands)
    return [other for other in found if other and other != shape and broadcasts(other, shape)]


def round_shift(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, RoundShiftOp)
    limit = ELEMENTS[op.to.data][1]
    rounding = _rounding(emission, op)

    def evaluate(point: Point) -> Expr:
        return integer.saturate(rounding(emission.value(op.x, point), point), limit, "int32")

    return {op.y: evaluate}


def _rounding(emission: Emission, op: RoundShiftOp) -> Callable[[Expr, Point], Expr]:
    """Shifts by a range stay in [0, 30], which int32 does; others (inference) may be anything."""
    shift, lanes = emission.scalar(op.s), emission.lanes
    if op.stream is not None:
        seed, step = (emission.scalar(value) for value in op.random)
        stochastic = integer.stochastic(shift, seed, step, op.stream.value.data)
        return lambda x, point: stochastic(x, point.index)
    narrow = isinstance(op.s.owner, ShiftOp) and dtype_of(op.x).__name__ != "int64"
    made = (
        integer.ROUNDINGS[op.round.data](shift, "int32", lanes)
        if narrow
        else integer.any_shift(op.round.data, shift, lanes)
    )
    return lambda x, _: made(x)


def align(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, AlignOp)
    aligned = integer.align(emission.scalar(op.e_from), emission.scalar(op.e_to), emission.lanes)
    return {op.y: lambda point: aligned(emission.value(op.x, point))}


def bias(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, BiasOp)

    def evaluate(point: Point) -> Expr:
        assert point.channel is not None
        acc = emission.value(op.acc, point)
        return acc + tir.cast(emission.value(op.b, point.channel), dtype_of(op.acc).__name__)

    return {op.y: evaluate}


def add(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, AddOp)
    *each, common = (emission.scalar(value) for value in op.scales)
    of_a, of_b = factors(each, common, emission.lanes)

    def evaluate(point: Point) -> Expr:
        a, b = (tir.cast(emission.value(x, point), "int32") for x in (op.a, op.b))
        return a * of_a + b * of_b

    return {op.y: evaluate}


def factors(exponents: Sequence[Expr], common: Expr, lanes: int) -> list[Expr]:
    """What moves mantissas to the exponent of a sum; one whose own is below that is dropped: its factor is 0."""
    made: list[Expr] = []
    for e in exponents:
        distance = tir.let(e - common)
        kept = tir.constant(1) << tir.minimum(tir.maximum(distance, 0), 16)
        made.append(tir.let(tir.splat(tir.select(distance < 0, tir.constant(0), kept), lanes)))
    return made


def relu(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, ReluOp)
    zero = tir.constant(0, "int64" if dtype_of(op.x) is np.int64 else "int32", emission.lanes)
    return {op.y: lambda point: tir.maximum(emission.value(op.x, point), zero)}


def relu_dgrad(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, ReluDgradOp)
    zero = tir.constant(0, "int32", emission.lanes)

    def evaluate(point: Point) -> Expr:
        return tir.select(emission.value(op.y, point) > zero, emission.value(op.dy, point), zero)

    return {op.dx: evaluate}


def dropout(emission: Emission, op: NnOp) -> Evaluators:
    """Without a stream (inference) the multiplier alone: see the operator."""
    assert isinstance(op, DropoutOp)
    if op.stream is None:
        return {op.y: lambda point: emission.value(op.x, point)}
    stream, p = op.stream.value.data, op.p.value.data
    seed, step = (emission.scalar(value) for value in op.random)
    threshold = tir.constant(numerics.dropout_threshold(p), "uint32")
    dtype = dtype_of(op.y).__name__
    multiplier = tir.constant(numerics.dropout_multiplier(p), dtype)

    def evaluate(point: Point) -> Expr:
        word = integer.philox(point.index, stream, step, seed)[0]
        kept = tir.cast(emission.value(op.x, point), dtype) * multiplier
        return tir.select(word >= threshold, kept, tir.constant(0, dtype))

    return {op.y: evaluate}


def input_map(emission: Emission, op: NnOp) -> Evaluators:
    """One multiplier and offset per channel, or one for all."""
    assert isinstance(op, InputMapOp)
    rounding = integer.nearest(tir.constant(16), "int64")
    single = shape_of(op.multiplier) == (1,)

    def evaluate(point: Point) -> Expr:
        at = Point(0) if single else point.channel
        assert at is not None
        multiplier, offset = (tir.cast(emission.value(v, at), "int64") for v in (op.multiplier, op.offset))
        scaled = tir.cast(emission.value(op.x, point), "int64") * multiplier + offset
        return integer.saturate(rounding(scaled), INT8_LIMIT, "int32")

    return {op.y: evaluate}


POINTWISE: dict[str, Prepare] = {
    "bfp.round_shift": round_shift,
    "bfp.align": align,
    "nn.bias": bias,
    "nn.add": add,
    "nn.relu": relu,
    "nn.relu_dgrad": relu_dgrad,
    "nn.dropout": dropout,
    "nn.input_map": input_map,
}
