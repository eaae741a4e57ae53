"""Update rules, in int64: a gradient times a rate is wide, and its shift may be anything."""

from __future__ import annotations

from collections.abc import Mapping

from xdsl.ir import SSAValue

from nitic.arithmetic.integers import INT8_LIMIT, INT16_LIMIT
from nitic.arithmetic.updates import FULL_MASTER, VELOCITY_LIMIT, full_rows
from nitic.codegen.core import integer, tir
from nitic.codegen.core.group import Emission, Evaluate, Point, Prepare
from nitic.codegen.core.tir import Expr
from nitic.codegen.operators import scalars
from nitic.ir.op import NnOp
from nitic.ir.types import shape_of
from nitic.ops.update import UpdateMomentumOp, UpdateNitiOp, UpdatePlainOp

Evaluators = Mapping[SSAValue, Evaluate]


def update_plain(emission: Emission, op: NnOp) -> Evaluators:
    """M = sat16(R(M, growth) - round(dw * m, em + k - e_dw))."""
    assert isinstance(op, UpdatePlainOp)
    em, r, e_dw, k = (emission.scalar(value) for value in (*op.scales, op.rate_k))
    growth = scalars.growth(r, FULL_MASTER)
    em = tir.let(em + growth)
    rounding, grown = integer.any_shift(op.round.data, em + k - e_dw), integer.nearest(growth, "int64")
    m = _wide(emission.scalar(op.rate_m))

    def evaluate(point: Point) -> Expr:
        change = rounding(_wide(emission.value(op.dw, point)) * m)
        return integer.saturate(grown(_wide(emission.value(op.master, point))) - change, INT16_LIMIT, "int32")

    return {op.new: evaluate}


def update_momentum(emission: Emission, op: NnOp) -> Evaluators:
    """v = sat(R(v * mom, 8 + growth) + round(dw * m, em - 8 + k - e_dw) + R(M', decay - 8)), M' = R(M, growth);

    M = sat16(M' - round(v, 8)).
    """
    assert isinstance(op, UpdateMomentumOp)
    em, r, e_dw, k = (emission.scalar(value) for value in (*op.scales, op.rate_k))
    growth = scalars.growth(r, FULL_MASTER)
    em = tir.let(em + growth)
    rounding = integer.any_shift(op.round.data, em - 8 + k - e_dw)
    decay = integer.any_shift("nearest", emission.scalar(op.decay) - 8)
    eight = tir.constant(8)
    keep, grow = integer.nearest(tir.let(growth + 8), "int64"), integer.nearest(growth)
    move = integer.ROUNDINGS[op.round.data](eight, "int32", 1)
    m, momentum = (_wide(emission.scalar(value)) for value in (op.rate_m, op.momentum))

    def grown(point: Point) -> Expr:
        return tir.let(grow(emission.value(op.master, point)))

    def velocity(point: Point) -> Expr:
        kept = keep(_wide(emission.value(op.velocity, point)) * momentum)
        change = rounding(_wide(emission.value(op.dw, point)) * m)
        return integer.saturate(kept + change + decay(grown(point)), VELOCITY_LIMIT, "int32")

    def master(point: Point) -> Expr:
        moved = grown(point) - move(emission.value(op.new_velocity, point))
        return integer.saturate(moved, INT16_LIMIT, "int32")

    return {op.new_velocity: velocity, op.new: master}


def update_niti(emission: Emission, op: NnOp) -> Evaluators:
    """w = sat(R(w, growth) - round(dw, max(0, BL(range) - gb)))."""
    assert isinstance(op, UpdateNitiOp)
    row, r = (emission.scalar(value) for value in op.ranges)
    rounding = integer.any_shift(op.round.data, tir.maximum(integer.shift_for(r, 0) - emission.scalar(op.gb), 0))
    grown = integer.nearest(scalars.growth(row, full_rows(shape_of(op.w))), "int64")

    def evaluate(point: Point) -> Expr:
        change = rounding(_wide(emission.value(op.dw, point)))
        return integer.saturate(grown(_wide(emission.value(op.w, point))) - change, INT8_LIMIT, "int32")

    return {op.new: evaluate}


def _wide(value: Expr) -> Expr:
    return tir.cast(value, "int64")


POINTWISE: dict[str, Prepare] = {
    "nn.update_plain": update_plain,
    "nn.update_momentum": update_momentum,
    "nn.update_niti": update_niti,
}
