"""Point-wise operators: each is an expression in its operands' elements at one point."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod

import numpy as np
from xdsl.ir import SSAValue

from nitic import numerics
from nitic.codegen import integer, tir
from nitic.codegen.group import Emission, Evaluate, Point, Prepare
from nitic.codegen.tir import Expr
from nitic.ir.layout import ceildiv
from nitic.ir.op import NnOp
from nitic.ir.types import Shape, dtype_of, is_tensor, shape_of
from nitic.numerics import INT8_LIMIT
from nitic.ops.bfp import ELEMENTS, AlignOp, RoundShiftOp, ShiftOp
from nitic.ops.elementwise import AccumulateOp, AddOp, BiasOp, DropoutOp, InputMapOp, ReluDgradOp, ReluOp

Evaluators = Mapping[SSAValue, Evaluate]
LANES = (16, 8)  # of explicit vectors; in plain loops LLVM makes them


def pointwise(emission: Emission, _: NnOp) -> int:
    """The loops of a group without another owner: over rows and channels where an operator asks for the channel."""
    f, shape, ops = emission.function, _domain(emission), emission.group.tensor_ops()
    by_channel = any(_needs_channel(op) for op in ops)
    if by_channel and f.WHOLE_ROWS:
        lanes = _lanes(ops, shape[-1])
        emission.open(None, lanes)
        return _by_channel(emission, shape) if lanes == 1 else _by_channels(emission, shape)
    emission.open(None, 1)
    count = prod(shape)
    with tir.loop(f.begin * f.BLOCK, tir.minimum(f.end * f.BLOCK, count)) as i:
        emission.finish(None, None, Point(i, emission.channel(i % shape[-1]) if by_channel else None))
    return ceildiv(count, f.BLOCK)


def _lanes(ops: Sequence[NnOp], channels: int) -> int:
    """As many as divide the channels, or leave a rest that is worth a mask."""
    if channels < min(LANES) or any(op.name not in VECTORS or is_stochastic(op) for op in ops):
        return 1
    return next((lanes for lanes in LANES if channels % lanes == 0), LANES[0] if channels > LANES[0] else LANES[-1])


def _by_channel(emission: Emission, shape: Shape) -> int:
    f, rows, channels = emission.function, prod(shape[:-1]), shape[-1]
    block = ceildiv(f.BLOCK, channels)
    with tir.loop(f.begin * block, tir.minimum(f.end * block, rows)) as row, tir.loop(0, channels) as channel:
        emission.finish(None, None, Point(row * channels + channel, emission.channel(channel)))
    return ceildiv(rows, block)


def _by_channels(emission: Emission, shape: Shape) -> int:
    """A vector of channels at a time: what belongs to them alone is computed once for the rows of a unit."""
    f, rows, channels, lanes = emission.function, prod(shape[:-1]), shape[-1], emission.lanes
    block, rest = ceildiv(f.BLOCK, channels), channels % emission.lanes

    def column(first: Expr, last: Expr, channel: Expr, valid: int | None) -> None:
        at = emission.channel(channel, valid)
        with tir.loop(first, last) as row:
            emission.finish(None, None, Point(row * channels + channel, replace(at, values={}), lanes, valid))

    with tir.loop(f.begin, f.end) as unit:
        first, last = tir.let(unit * block), tir.let(tir.minimum((unit + 1) * block, rows))
        with tir.loop(0, channels // lanes) as vector:
            column(first, last, vector * lanes, None)
        if rest:
            column(first, last, channels - rest, rest)
    return ceildiv(rows, block)


def _needs_channel(op: NnOp) -> bool:
    """Whether an operand has a value per channel of another operand."""
    shapes = [shape_of(operand) for operand in op.operands if is_tensor(operand)]
    largest = max(shapes, key=prod)
    return any(shape == largest[-1:] != largest for shape in shapes)


def _domain(emission: Emission) -> tuple[int, ...]:
    """The shape of what is computed, which every operator keeps; an aligned bias alone is smaller."""
    return max((shape_of(op.operands[0]) for op in emission.group.tensor_ops()), key=prod)


def is_stochastic(op: NnOp) -> bool:
    return isinstance(op, RoundShiftOp) and op.stream is not None


def round_shift(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, RoundShiftOp)
    limit = ELEMENTS[op.to.data][1]
    rounding = _rounding(emission, op)

    def evaluate(point: Point) -> Expr:
        rounded = rounding(emission.value(op.x, point), point)
        # By a shift of its range a value has no more bits than are wanted, and one where it is rounded up.
        return integer.saturate(tir.cast(rounded, "int32") if by_range(op) else rounded, limit, "int32")

    return {op.y: evaluate}


def by_range(op: RoundShiftOp) -> bool:
    """Whether it is known here that the shift comes from a range."""
    return isinstance(op.s.owner, ShiftOp)


def _rounding(emission: Emission, op: RoundShiftOp) -> Callable[[Expr, Point], Expr]:
    """A shift by a range that is known here stays in [0, 62], and in [0, 30] for int32; others may be anything."""
    shift, lanes = emission.scalar(op.s), emission.lanes
    if op.stream is not None:
        seed, step = (emission.scalar(value) for value in op.random)
        stochastic = integer.stochastic(shift, seed, step, op.stream.value.data)
        return lambda x, point: stochastic(x, point.index)
    if by_range(op):
        dtype = "int64" if dtype_of(op.x) is np.int64 else "int32"
        made = integer.ROUNDINGS[op.round.data](shift, dtype, lanes)
    else:
        made = integer.any_shift(op.round.data, shift, lanes)
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
    """An operand whose exponent is below that of the sum is dropped: its factor is 0."""
    assert isinstance(op, AddOp)
    *each, common = (emission.scalar(value) for value in op.scales)
    factors = [integer.common_factor(e, common, emission.lanes) for e in each]

    def evaluate(point: Point) -> Expr:
        a, b = (tir.cast(emission.value(x, point), "int32") for x in (op.a, op.b))
        return a * factors[0] + b * factors[1]

    return {op.y: evaluate}


def accumulate(emission: Emission, op: NnOp) -> Evaluators:
    """R(a, e - e_a) + R(b, e - e_b)."""
    assert isinstance(op, AccumulateOp)
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


VECTORS = frozenset(
    {
        "bfp.range",
        "bfp.round_shift",
        "bfp.align",
        "nn.bias",
        "nn.add",
        "nn.relu",
        "nn.relu_dgrad",
        "nn.normalise",
        "nn.batch_norm_scale",
        "nn.batch_norm_dgrad",
    }
)
"""What computes with vectors as with scalars."""
POINTWISE: dict[str, Prepare] = {
    "bfp.round_shift": round_shift,
    "bfp.align": align,
    "nn.bias": bias,
    "nn.add": add,
    "nn.accumulate": accumulate,
    "nn.relu": relu,
    "nn.relu_dgrad": relu_dgrad,
    "nn.dropout": dropout,
    "nn.input_map": input_map,
}
