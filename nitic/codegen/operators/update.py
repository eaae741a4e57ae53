"""Update rules, in int64: a gradient times a rate is wide, and its shift may be anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from xdsl.ir import SSAValue

from nitic.arithmetic import losses, moments
from nitic.arithmetic.integers import INT8_LIMIT, INT16_LIMIT
from nitic.arithmetic.updates import FULL_MASTER, VELOCITY_LIMIT, full_rows
from nitic.codegen.core import integer, tir
from nitic.codegen.core.group import Emission, Evaluate, Point, Prepare
from nitic.codegen.core.tir import Expr
from nitic.codegen.operators import scalars
from nitic.ir.op import NnOp
from nitic.ir.types import shape_of
from nitic.ops.update import MomentsOp, UpdateAdamOp, UpdateLionOp, UpdateMomentumOp, UpdateNitiOp, UpdatePlainOp

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


def update_adam(emission: Emission, op: NnOp) -> Evaluators:
    """first and second are the next moments; M moves along first / sqrt(second)."""
    assert isinstance(op, UpdateAdamOp)
    rule = _Moments(emission, op)
    first, e_first = rule.moment(0, op.first, moments.ADAM_FIRST)
    second, e_second = rule.moment(1, op.second, moments.ADAM_SECOND)
    exp2, log2 = (emission.function.table(table.tolist()) for table in (losses.EXP2, losses.LOG2))
    from_first, from_second = tir.let((e_first + moments.STEP_BITS) << 8), tir.let(e_second << 8)

    def direction(point: Point) -> Expr:
        squares = tir.let(_wide(tir.maximum(emission.value(op.new_second, point), 1)))
        z = tir.let(((integer.log2_q8(squares, log2) + from_second) >> 1) - from_first)
        fraction = tir.let(z & 255)
        factor = tir.select(fraction > 0, exp2.load((256 - fraction) & 255), tir.constant(1 << 10))
        shift = tir.let(tir.select(fraction > 0, tir.constant(11), tir.constant(10)) + (z >> 8))
        quotient = integer.any_shift("nearest", shift)(_wide(emission.value(op.new_first, point)) * _wide(factor))
        return integer.saturate(quotient, moments.LARGEST_STEP, "int64")

    return {op.new_first: first, op.new_second: second, op.new: rule.master(direction)}


def update_lion(emission: Emission, op: NnOp) -> Evaluators:
    """The next moment; M moves along the sign of a mean of the old one and the gradient."""
    assert isinstance(op, UpdateLionOp)
    rule = _Moments(emission, op)
    moment, _ = rule.moment(0, op.moment, moments.LION)
    e, r = rule.scales[4:6]
    tops = [tir.let(integer.bit_length(each) + at) for each, at in ((r, e), (rule.range, rule.e_gradient))]
    larger = tir.select(r == 0, tops[1], tir.select(rule.range == 0, tops[0], tir.maximum(*tops)))
    common = tir.let(larger - moments.SIGN_BITS)
    of_moment = integer.any_shift("nearest", common - e)
    of_gradient = integer.any_shift("nearest", common - rule.e_gradient)
    kept, added = (tir.constant(each, "int64") for each in (moments.LION_KEPT, moments.LION_ADDED))

    def direction(point: Point) -> Expr:
        sum_ = of_moment(_wide(emission.value(op.moment, point))) * kept + of_gradient(rule.gradient(point)) * added
        one = tir.constant(1, "int64")
        return integer.clamp(sum_, -one, one) * tir.constant(moments.SIGN, "int64")

    return {op.new_moment: moment, op.new: rule.master(direction)}


class _Moments:
    """What the rules with moments share: arithmetic.moments."""

    def __init__(self, emission: Emission, op: MomentsOp) -> None:
        self.emission, self.op = emission, op
        first = op.ACCUMULATORS[0] + 1
        self.lr_m, self.lr_k, self.shrink = (emission.scalar(value) for value in op.operands[first : first + 3])
        given = [emission.scalar(value) for value in op.operands[first + 3 :]]
        self.scales, self.starts = given[: -len(op.UPDATES)], given[-len(op.UPDATES) :]
        self.e_dw, self.r_dw = self.scales[2:4]
        s = tir.let(scalars.gradient_shift(self.r_dw))
        self.range, self.e_gradient = scalars.gradient_range(self.r_dw, s), tir.let(self.e_dw + s)
        self.rounded = integer.nearest(s, "int64")

    def gradient(self, point: Point) -> Expr:
        """Of 15 bits, an int64."""
        return integer.saturate(self.rounded(_wide(self.emission.value(self.op.gradient, point))), INT16_LIMIT, "int64")

    def moment(self, index: int, old: SSAValue, moment: moments.Moment) -> tuple[Evaluate, Expr]:
        """The next moment, which is written over an operand, and its exponent."""
        e_old, r_old = self.scales[2 * index + 4 : 2 * index + 6]
        e = scalars.moment_after(moment, e_old, r_old, self.e_dw, self.r_dw)
        guarded = tir.let(e - moments.MOMENT_GUARD)
        of_old, of_new = (integer.exact_shift(tir.let(guarded - x)) for x in (e_old, self.e_gradient * moment.power))
        bits = tir.constant(moments.KEPT_BITS + moments.MOMENT_GUARD)
        round_ = integer.dithered(bits, self.starts[index + 1], "int64")
        kept, added = (tir.constant(each, "int64") for each in (moment.kept, moment.added))

        def evaluate(point: Point) -> Expr:
            g = tir.let(self.gradient(point))
            sum_ = of_old(_wide(self.emission.value(old, point)) * kept)
            sum_ = sum_ + of_new((g if moment.power == 1 else g * g) * added)
            return integer.saturate(round_(tir.let(sum_), point.index), moment.limit, "int32")

        return evaluate, e

    def master(self, direction: Callable[[Point], Expr]) -> Evaluate:
        """M less rate * direction (an int64 in Q12) and its decay."""
        growth = scalars.growth(self.scales[1], FULL_MASTER)
        grow = integer.nearest(growth)
        step = integer.any_shift("nearest", tir.let(self.scales[0] + growth + self.lr_k + moments.STEP_SHIFT))
        round_ = integer.dithered(tir.constant(moments.GUARD), self.starts[0], "int64")
        m, shrink = _wide(self.lr_m), _wide(self.shrink * self.op.decays.value.data)

        def evaluate(point: Point) -> Expr:
            master = tir.let(_wide(grow(self.emission.value(self.op.operands[0], point))))
            change = tir.let(step(direction(point) * m) + master * shrink)
            return integer.saturate(master - round_(change, point.index), INT16_LIMIT, "int32")

        return evaluate


def _wide(value: Expr) -> Expr:
    return tir.cast(value, "int64")


POINTWISE: dict[str, Prepare] = {
    "nn.update_plain": update_plain,
    "nn.update_momentum": update_momentum,
    "nn.update_niti": update_niti,
    "nn.update_adam": update_adam,
    "nn.update_lion": update_lion,
}
