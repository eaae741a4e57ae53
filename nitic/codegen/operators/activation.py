"""Activation functions: clip and leaky relu in arithmetic, the others by a table of all 256 mantissas.

That table is made once for each call, from the exponent of the operand; nitic.arithmetic.activations has the formulas.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from xdsl.ir import SSAValue

from nitic.arithmetic import pointwise
from nitic.arithmetic.activations import (
    ENTRIES,
    ENTRY_BITS,
    FAR,
    GATE_LIMIT,
    POSITION_BITS,
    REACH,
    TABLE_BITS,
    Function,
)
from nitic.arithmetic.integers import Array
from nitic.codegen.core import integer, tir
from nitic.codegen.core.group import Emission, Evaluate, Point, Prepare
from nitic.codegen.core.tir import Buffer, Expr
from nitic.ir.op import NnOp
from nitic.ir.types import dtype_of
from nitic.ops.activation import (
    ActivationDgradOp,
    ActivationOp,
    ClipDgradOp,
    ClipOp,
    LeakyReluDgradOp,
    LeakyReluOp,
    StepOp,
)

Evaluators = Mapping[SSAValue, Evaluate]
MANTISSAS = 256
MOST = 2**31 - 1  # beyond every accumulator that is an int32


def clip(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, ClipOp)
    dtype = "int64" if dtype_of(op.x) is np.int64 else "int32"
    low, high = (_bound(emission, op.scale[0], value, dtype) for value in op.bounds())

    def evaluate(point: Point) -> Expr:
        x = emission.value(op.x, point)
        above = x if low is None else tir.maximum(x, low)
        return above if high is None else tir.minimum(above, high)

    return {op.y: evaluate}


def clip_dgrad(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, ClipDgradOp)
    low, high = (_stored(_bound(emission, op.scale[0], value, "int32")) for value in op.bounds())
    zero = tir.constant(0, "int32", emission.lanes)

    def evaluate(point: Point) -> Expr:
        y, dx = emission.value(op.y, point), emission.value(op.dy, point)
        above = dx if low is None else tir.select(y > low, dx, zero)
        return above if high is None else tir.select(y < high, above, zero)

    return {op.dx: evaluate}


def _bound(emission: Emission, exponent: SSAValue, value: float | None, dtype: str) -> Expr | None:
    """arithmetic.pointwise.mantissa_of, at the exponent of a tensor."""
    if value is None:
        return None
    wide, right = _moved_left(emission, exponent, value)
    moved = integer.nearest(right, "int64")(wide)
    return _splat(emission, moved, dtype)


def _moved_left(emission: Emission, exponent: SSAValue, value: float) -> tuple[Expr, Expr]:
    """A constant as an int64, to the left as far as the exponent of a tensor asks for, and what asks for the right."""
    c, e_c = pointwise.as_integer(value, pointwise.BOUND_BITS)
    shift = tir.let(integer.clamp(emission.scalar(exponent), -(2**20), 2**20) - e_c)
    left = tir.cast(integer.clamp(-shift, 0, pointwise.BOUND_SHIFT), "int64")
    return tir.let(tir.constant(c, "int64") << left), integer.clamp(shift, 0, 62)


def _splat(emission: Emission, moved: Expr, dtype: str) -> Expr:
    if dtype == "int32":
        moved = tir.cast(integer.clamp(moved, tir.constant(-MOST, "int64"), tir.constant(MOST, "int64")), dtype)
    return tir.let(tir.splat(tir.let(moved), emission.lanes))


def _stored(bound: Expr | None) -> Expr | None:
    """A bound as a stored mantissa has it: +-128 is saturated to +-127."""
    if bound is None:
        return None
    lanes = tir.lanes_of(bound)
    for edge, stored in ((128, 127), (-128, -127)):
        bound = tir.let(tir.select(bound == edge, tir.constant(stored, "int32", lanes), bound))
    return bound


def step(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, StepOp)
    dtype = "int64" if dtype_of(op.x) is np.int64 else "int32"
    wide, right = _moved_left(emission, op.scale[0], op.threshold.value.data)
    threshold = _splat(emission, tir.let(wide >> tir.cast(right, "int64")), dtype)
    one, zero = (tir.constant(value, "int32", emission.lanes) for value in (1, 0))

    def evaluate(point: Point) -> Expr:
        return tir.select(tir.cast(emission.value(op.x, point), dtype) > threshold, one, zero)

    return {op.y: evaluate}


def leaky_relu(emission: Emission, op: NnOp) -> Evaluators:
    """nn.leaky_relu and its gradient."""
    assert isinstance(op, LeakyReluOp | LeakyReluDgradOp)
    one, alpha = (
        tir.constant(value, "int32", emission.lanes) for value in (1 << 15, pointwise.leaky_slope(op.alpha.value.data))
    )

    def evaluate(point: Point) -> Expr:
        m, x = emission.value(op.operands[0], point), emission.value(op.x, point)
        return m * tir.select(x < 0, alpha, one)

    return {op.result: evaluate}


def activation(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, ActivationOp)
    f, e = op.table(), _exponent(emission, op.scale[0])
    values = _of_all_mantissas(emission, f.tables, e, lambda m, t, v: _result(f, m, e, t, v))
    return {op.y: lambda point: values(tir.let(emission.value(op.x, point) + MANTISSAS // 2))}


def activation_dgrad(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, ActivationDgradOp)
    slopes = _of_all_mantissas(emission, op.table().slopes, _exponent(emission, op.scale[0]), lambda _m, _t, v: v)

    def evaluate(point: Point) -> Expr:
        return emission.value(op.dy, point) * slopes(tir.let(emission.value(op.x, point) + MANTISSAS // 2))

    return {op.dx: evaluate}


def _exponent(emission: Emission, value: SSAValue) -> Expr:
    return tir.let(integer.clamp(emission.scalar(value), -FAR, FAR))


def _of_all_mantissas(
    emission: Emission, tables: tuple[Array, Array], e: Expr, result: Callable[[Expr, Expr, Expr], Expr]
) -> Callable[[Expr], Expr]:
    """result(m, position, interpolated entry) of any int8 m, in int64, as an int32 by m + 128."""
    entries = emission.function.table([int(v) for table in tables for v in table])
    right = integer.any_shift("nearest", tir.let(tir.maximum(-POSITION_BITS - e, -15)))

    def value(i: Expr) -> Expr:
        m = tir.let(tir.cast(i - MANTISSAS // 2, "int64"))
        t = tir.let(tir.minimum(right(tir.absolute(m)), tir.constant(REACH << POSITION_BITS, "int64")))
        return tir.cast(result(m, t, tir.let(_interpolate(entries, m, t))), "int32")

    if not emission.function.MANY_ELEMENTS:
        return value
    made = tir.local("int32", MANTISSAS)
    with tir.loop(0, MANTISSAS) as i:
        made.store(i, value(i))
    return made.load


def _interpolate(entries: Buffer, m: Expr, t: Expr) -> Expr:
    """arithmetic.activations.interpolate from both tables in one."""
    first = tir.let(tir.select(m < 0, tir.constant(0), tir.constant(ENTRIES + 1)))
    i = tir.let(tir.cast(t >> ENTRY_BITS, "int32"))
    here, following = (tir.let(tir.cast(entries.load(first + at), "int64")) for at in (i, tir.minimum(i + 1, ENTRIES)))
    between = tir.let((following - here) * (t & (1 << ENTRY_BITS) - 1))
    return here + integer.nearest(tir.constant(ENTRY_BITS), "int64")(between)


def _result(f: Function, m: Expr, e: Expr, t: Expr, v: Expr) -> Expr:
    """activations.evaluate."""
    b = tir.let(integer.clamp(e, *(max(-FAR, min(edge, FAR)) for edge in f.exponents)))
    if not f.gated:
        value = integer.any_shift("nearest", b)(v)
        ramp = tir.let(tir.maximum(m, tir.constant(0, "int64")) << TABLE_BITS)
        return value + integer.any_shift("nearest", tir.let(b - e))(ramp) if f.ramp else value
    line = tir.let(m * v)
    if not any(f.bounded):
        return line
    limited = tir.let(integer.any_shift("nearest", tir.let(b + POSITION_BITS))(tir.let(t * v)))
    constant = tir.let(tir.select(m < 0, -limited, limited))
    negative, positive = (constant if bounded else line for bounded in f.bounded)
    return tir.select(e <= GATE_LIMIT, line, tir.select(m < 0, negative, positive))


POINTWISE: dict[str, Prepare] = {
    "nn.clip": clip,
    "nn.clip_dgrad": clip_dgrad,
    "nn.step": step,
    "nn.leaky_relu": leaky_relu,
    "nn.leaky_relu_dgrad": leaky_relu,
    "nn.activation": activation,
    "nn.activation_dgrad": activation_dgrad,
}
VECTORS = frozenset({"nn.clip", "nn.clip_dgrad", "nn.step", "nn.leaky_relu", "nn.leaky_relu_dgrad"})
"""What computes with vectors as with scalars."""
