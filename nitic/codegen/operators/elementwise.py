"""Point-wise operators: each is an expression in its operands' elements at one point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod

import numpy as np
from xdsl.ir import SSAValue

from nitic.arithmetic.integers import INT8_LIMIT
from nitic.arithmetic.pointwise import dropout_multiplier, dropout_threshold
from nitic.codegen.core import integer, tir
from nitic.codegen.core.group import Emission, Evaluate, Point, Prepare, Template
from nitic.codegen.core.tir import Expr
from nitic.codegen.loops.broadcast import Grid
from nitic.ir.layout import ceildiv
from nitic.ir.op import NnOp
from nitic.ir.types import Shape, dtype_of, is_tensor, shape_of
from nitic.ops.bfp import DITHERED, ELEMENTS, STOCHASTIC, AlignOp, RoundShiftOp, ShiftOp
from nitic.ops.elementwise import AccumulateOp, AddOp, BiasOp, DropoutOp, InputMapOp, ReluDgradOp, ReluOp, WideAddOp
from nitic.ops.fused import FLAT
from nitic.ops.product import broadcasts

Evaluators = Mapping[SSAValue, Evaluate]
COLUMNS = 4096  # at most, of a row of a tensor to which another one broadcasts


def pointwise(emission: Emission, _: NnOp) -> int:
    """The loops of a group whose anchor is a point-wise operator: over rows and columns where an operand broadcasts."""
    f, shape = emission.function, emission.group.tail_shape()
    others = _broadcast(emission, shape)
    lanes = _lanes(emission, shape[-1]) if others == [shape[-1:]] and f.WHOLE_ROWS else 1
    emission.open(None, lanes)
    if lanes > 1:
        return _by_channels(emission, shape)
    if others:
        grid = Grid.over(shape, others, COLUMNS)
        return _by_columns(emission, grid, others) if f.WHOLE_ROWS else _by_element(emission, grid, others)
    count = prod(shape)
    with f.elements(count) as i:
        emission.finish(None, None, Point(i))
    return ceildiv(count, f.BLOCK)


def flat(emission: Emission, _: NnOp) -> int:
    """The same where all tensors have one shape: a unit is an element, and the call knows how many there are."""
    emission.open(None, 1)
    with emission.function.units() as i:
        emission.finish(None, None, Point(i))
    return prod(emission.group.tail_shape())


def _lanes(emission: Emission, channels: int) -> int:
    """How many lanes: they divide the channels, or the rest is worth a mask. (LLVM vectorises plain loops itself.)"""
    long, short = vectors = emission.function.vectors
    known = emission.registry.vectors
    if channels < short or any(op.name not in known or is_stochastic(op) for op in emission.group.op.tensor_ops):
        return 1
    return next((lanes for lanes in vectors if channels % lanes == 0), long if channels > long else short)


def _by_columns(emission: Emission, grid: Grid, others: Sequence[Shape]) -> int:
    f, block = emission.function, ceildiv(emission.function.BLOCK, grid.columns)
    with tir.loop(f.begin * block, tir.minimum(f.end * block, grid.rows)) as row:
        first = {other: tir.let(grid.first(other, row)) for other in others}
        with tir.loop(0, grid.columns) as column:
            _finish(emission, grid, row, column, first)
    return ceildiv(grid.rows, block)


def _by_element(emission: Emission, grid: Grid, others: Sequence[Shape]) -> int:
    f, count = emission.function, grid.rows * grid.columns
    with f.elements(count) as i:
        row = tir.let(i // grid.columns)
        _finish(emission, grid, row, i % grid.columns, {other: grid.first(other, row) for other in others})
    return ceildiv(count, f.BLOCK)


def _finish(emission: Emission, grid: Grid, row: Expr, column: Expr, first: Mapping[Shape, Expr]) -> None:
    points = {other: Point(start + column * grid.moves(other)) for other, start in first.items()}
    index = row * grid.columns + column
    emission.finish(None, None, Point(index, points.get(grid.shape[-1:]), others=points))


def _by_channels(emission: Emission, shape: Shape) -> int:
    """A vector of channels at a time: what belongs to them alone is computed once for the rows of a unit."""
    f, rows, channels, lanes = emission.function, prod(shape[:-1]), shape[-1], emission.lanes
    block, rest = ceildiv(f.BLOCK, channels), channels % emission.lanes

    def column(first: Expr, last: Expr, channel: Expr, valid: int | None) -> None:
        at = emission.channel(channel, valid)
        with tir.loop(first, last) as row:
            emission.finish(None, None, Point(row * channels + channel, replace(at, values={}), lanes, valid))

    with f.units() as unit:
        first, last = tir.let(unit * block), tir.let(tir.minimum((unit + 1) * block, rows))
        with tir.loop(0, channels // lanes) as vector:
            column(first, last, vector * lanes, None)
        if rest:
            column(first, last, channels - rest, rest)
    return ceildiv(rows, block)


def _broadcast(emission: Emission, shape: Shape) -> list[Shape]:
    """The shapes of operands that broadcast to `shape`, except for rank 0: those are scalars."""
    operands = [operand for op in emission.group.op.tensor_ops for operand in op.operands if is_tensor(operand)]
    found = dict.fromkeys(shape_of(operand) for operand in operands)
    return [other for other in found if other and other != shape and broadcasts(other, shape)]


def is_stochastic(op: NnOp) -> bool:
    return isinstance(op, RoundShiftOp) and op.round.data == STOCHASTIC


def round_shift(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, RoundShiftOp)
    limit = ELEMENTS[op.to.data][1]
    rounding = _rounding(emission, op)

    def evaluate(point: Point) -> Expr:
        rounded = rounding(emission.value(op.x, point), point.index)
        # Shifted by its own range, a value has no more bits than are wanted, or one more where it is rounded up.
        return integer.saturate(tir.cast(rounded, "int32") if by_range(op) else rounded, limit, "int32")

    return {op.y: evaluate}


def by_range(op: RoundShiftOp) -> bool:
    """Whether it is known here that the shift comes from a range."""
    return isinstance(op.s.owner, ShiftOp)


def _rounding(emission: Emission, op: RoundShiftOp) -> integer.IndexedRounding:
    """A shift by a range that is known here stays in [0, 62], and in [0, 30] for int32; others may be anything."""
    shift, lanes = emission.scalar(op.s), emission.lanes
    random = [emission.scalar(value) for value in op.random]
    if op.stream is not None:
        seed, step = random
        return integer.stochastic(shift, seed, step, op.stream.value.data)
    dtype = "int32" if by_range(op) and dtype_of(op.x) is not np.int64 else "int64"
    if op.round.data == DITHERED:
        return _dithered(op, shift, random[0], dtype, lanes)
    if by_range(op):
        made = integer.ROUNDINGS[op.round.data](shift, dtype, lanes)
    else:
        made = integer.any_shift(op.round.data, shift, lanes)
    return lambda x, _: made(x)


def _dithered(op: RoundShiftOp, shift: Expr, start: Expr, dtype: str, lanes: int) -> integer.IndexedRounding:
    if by_range(op):
        return integer.dithered(shift, start, dtype, lanes)
    moved = integer.shifted_left(shift, lanes)
    right = integer.dithered(integer.clamp(shift, 0, 62), start, dtype, lanes)
    return lambda x, index: right(moved(x), index)


def align(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, AlignOp)
    aligned = integer.align(emission.scalar(op.e_from), emission.scalar(op.e_to), emission.lanes)
    return {op.y: lambda point: aligned(emission.value(op.x, point))}


def bias(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, BiasOp)
    dtype = dtype_of(op.y).__name__  # not that of acc, which may be int8 mantissas
    lowered = integer.lowered(*(emission.scalar(value) for value in op.scales), dtype, emission.lanes)

    def evaluate(point: Point) -> Expr:
        assert point.channel is not None
        acc = tir.cast(emission.value(op.acc, point), dtype)
        return lowered(acc) + tir.cast(emission.value(op.b, point.channel), dtype)

    return {op.y: evaluate}


def add(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, AddOp)
    *each, common = (emission.scalar(value) for value in op.scales)
    of_a, of_b = (integer.common_factor(e, common, emission.lanes) for e in each)

    def evaluate(point: Point) -> Expr:
        a, b = (tir.cast(emission.value(x, point), "int32") for x in (op.a, op.b))
        return a * of_a + b * of_b

    return {op.y: evaluate}


def accumulate(emission: Emission, op: NnOp) -> Evaluators:
    """R(a, e - e_a) + R(b, e - e_b)."""
    assert isinstance(op, AccumulateOp | WideAddOp)
    *each, common = (emission.scalar(value) for value in op.scales)
    first, second = (integer.any_shift("nearest", tir.let(common - e), emission.lanes) for e in each)

    def evaluate(point: Point) -> Expr:
        a, b = (rounding(emission.value(x, point)) for rounding, x in ((first, op.a), (second, op.b)))
        return tir.cast(a + b, "int32")

    return {op.y: evaluate}


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
    threshold = tir.constant(dropout_threshold(p), "uint32")
    dtype = dtype_of(op.y).__name__
    multiplier = tir.constant(dropout_multiplier(p), dtype)

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
    "nn.accumulate": accumulate,
    "nn.wide_add": accumulate,
    "nn.relu": relu,
    "nn.relu_dgrad": relu_dgrad,
    "nn.dropout": dropout,
    "nn.input_map": input_map,
}
TEMPLATES = {"pointwise": Template(pointwise), FLAT: Template(flat)}
VECTORS = frozenset({"bfp.range", "bfp.round_shift", "bfp.align", "nn.bias", "nn.add", "nn.relu", "nn.relu_dgrad"})
"""What computes with vectors as with scalars."""
