"""Update rules. The learning rate is rate_m * 2^-rate_k; docs/numerics.md derives the integer forms.

In floats (before insert-rounding) each rule means the stochastic gradient descent that its integer form approximates.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import I64, IntegerAttr, StringAttr
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def, var_operand_def
from xdsl.utils.exceptions import VerifyException

from nitic.arithmetic import moments, rounding, updates
from nitic.arithmetic.integers import Array
from nitic.ir.op import Gradients, Insert, NnOp, NoGradient, is_float, like
from nitic.ir.traits import OfShape, TakesInt64
from nitic.ir.types import shape_of
from nitic.ops.arrays import in_blocks
from nitic.ops.bfp import ExponentOfOp, MomentExponentOp, RangeOp, range_of
from nitic.ops.product import MulSumOp

LARGEST_RATE, LARGEST_MOMENTUM = 255, 256  # of the mantissa of a learning rate, and of a momentum
FLOAT_LAST_PLACE = -7  # a float weight has no last bit: take that of a weight below 1


class UpdateOp(NnOp):
    """What the rules share: operand 0 is the state, written in place, and the one accumulator is its gradient."""

    traits = traits_def(TakesInt64())
    ACCUMULATORS: ClassVar[Sequence[int]] = (1,)
    UPDATES: ClassVar[Sequence[tuple[int, int]]] = ((0, 0),)

    @property
    def gradient(self) -> SSAValue:
        return self.operands[self.ACCUMULATORS[0]]

    def infer_types(self) -> Sequence[Attribute]:
        states = [self.operands[operand] for _, operand in self.UPDATES]
        for state in states:
            if shape_of(state) != shape_of(self.gradient):
                raise VerifyException(f"a gradient of {shape_of(self.gradient)} does not fit {shape_of(state)}")
        return [like(state) for state in states]

    def int64_bound(self, operands: Sequence[int]) -> int:
        """The gradient times a learning rate."""
        return operands[self.ACCUMULATORS[0]] * LARGEST_RATE

    def backward(self, grad: Gradients) -> None:
        raise NoGradient

    def next_exponents(self, insert: Insert) -> Sequence[tuple[int, SSAValue]]:
        """Of the integer rule: operands with the exponents that they have after it, where `bfp.grow` does not say."""
        return ()


class RoundedUpdateOp(UpdateOp):
    """A rule whose gradient is rounded, as `round` says, on its way into the state."""

    round = prop_def(StringAttr)

    def infer_types(self) -> Sequence[Attribute]:
        if self.round.data not in rounding.ROUNDINGS:
            raise VerifyException(f"unknown rounding '{self.round.data}'")
        return super().infer_types()

    def with_exponents(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        """The integer rule: the same operands, exponent and range of the master, and the gradient's exponent."""
        master, dw = operands[0], operands[self.ACCUMULATORS[0]]
        e, r, e_dw = insert(ExponentOfOp.of(master)), range_of(master, insert), insert(ExponentOfOp.of(dw))
        return type(self).of(*operands, e, r, e_dw, round=self.round.data)


@irdl_op_definition
class UpdatePlainOp(RoundedUpdateOp):
    """M = M - dw * rate."""

    name = "nn.update_plain"
    master = operand_def()
    dw = operand_def()
    rate_m = operand_def()
    rate_k = operand_def()
    scales = var_operand_def()
    new = result_def()

    def reference(self, *operands: Array) -> Array:
        master, dw, m, k, *scales = operands
        if is_float(master):
            return master - dw * (m * 2.0**-k)
        em, r, e_dw = (int(v) for v in scales)

        def rule(master: Array, dw: Array) -> Array:
            return updates.update_plain(master, em, r, dw, e_dw, int(m), int(k), self.round.data)

        return in_blocks(rule, master, dw)[0]

    def to_integer(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        return self.with_exponents(operands, insert)


@irdl_op_definition
class UpdateMomentumOp(RoundedUpdateOp):
    """v = v * momentum / 256 + dw * rate + M * 2^-decay; M = M - v."""

    name = "nn.update_momentum"
    master = operand_def()
    velocity = operand_def()
    dw = operand_def()
    rate_m = operand_def()
    rate_k = operand_def()
    momentum = operand_def()
    decay = operand_def()
    scales = var_operand_def()
    new = result_def()
    new_velocity = result_def()
    UPDATES: ClassVar[Sequence[tuple[int, int]]] = ((0, 0), (1, 1))
    ACCUMULATORS: ClassVar[Sequence[int]] = (2,)

    def reference(self, *operands: Array) -> tuple[Array, ...]:
        master, velocity, dw, m, k, momentum, decay, *scales = operands
        if is_float(master):
            v = velocity * (momentum / 256) + dw * (m * 2.0**-k) + master * (2.0**-decay if decay <= 70 else 0)
            return master - v, v
        em, r, e_dw = (int(v) for v in scales)
        rates = (int(m), int(k), int(momentum), int(decay))

        def rule(master: Array, velocity: Array, dw: Array) -> tuple[Array, Array]:
            return updates.update_momentum(master, velocity, em, r, dw, e_dw, *rates, self.round.data)

        return in_blocks(rule, master, velocity, dw)

    def int64_bound(self, operands: Sequence[int]) -> int:
        """As for the other rules, or the velocity times the momentum where that is larger."""
        return max(super().int64_bound(operands), updates.VELOCITY_LIMIT * LARGEST_MOMENTUM)

    def to_integer(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        return self.with_exponents(operands, insert)


@irdl_op_definition
class UpdateNitiOp(RoundedUpdateOp):
    """w minus the gradient rounded to gb bits of the weight's last place (NITI, equation 7).

    In integers `ranges` are the largest sum of squares of a row of the weight, and the range of the gradient.
    """

    name = "nn.update_niti"
    traits = traits_def(TakesInt64(), OfShape())
    w = operand_def()
    dw = operand_def()
    gb = operand_def()
    ranges = var_operand_def()
    new = result_def()

    def reference(self, *operands: Array) -> Array:
        w, dw, gb, *ranges = operands
        if is_float(w):
            top = np.abs(dw).max(initial=0)
            return w - dw * 2.0 ** (gb - np.ceil(np.log2(top)) + FLOAT_LAST_PLACE) if top else w

        row, r = (int(v) for v in ranges)
        g = updates.growth(row, updates.full_rows(w.shape))

        def rule(w: Array, dw: Array) -> Array:
            return updates.update_niti(w, g, dw, r, int(gb), self.round.data)

        return in_blocks(rule, w, dw)[0]

    def to_integer(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        w, dw = operands[:2]
        return UpdateNitiOp.of(*operands, largest_row(w, insert), insert(RangeOp.of(dw)), round=self.round.data)


def largest_row(w: SSAValue, insert: Insert) -> SSAValue:
    """The largest sum of squares of a row of a weight: the one that is known already, or a new one."""
    known = next((use.operation for use in w.uses if isinstance(use.operation, MulSumOp)), None)
    rows = [shape_of(w)[0], *(1 for _ in shape_of(w)[1:])]
    return range_of(known.db if known else insert(MulSumOp.of(w, w, shape=rows)), insert)


class MomentsOp(UpdateOp):
    """What the rules with moments of the gradient share: the moments follow the master, then the gradient, the rate.

    In floats the moments are exact, and the integer rule needs no `round`: each of its roundings is dithered.
    """

    decays = prop_def(IntegerAttr[I64])
    """1 for a parameter that decays, 0 for one of a single axis, which by custom does not."""

    @property
    def kept(self) -> Sequence[str]:
        """The moments by their names in arithmetic.moments, in the order of the operands."""
        raise NotImplementedError

    def shrunk(self, shrink: Array) -> int:
        return int(shrink) * self.decays.value.data

    def int64_bound(self, operands: Sequence[int]) -> int:
        """A moment before its rounding, which is more than a step; the gradient is rounded, too."""
        return max(2 * operands[self.ACCUMULATORS[0]], 1 << 54)

    def to_integer(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        """The operands; exponent and range of master, gradient and moments; what the dithered roundings start from."""
        states = [operands[0], operands[self.ACCUMULATORS[0]], *operands[1 : self.ACCUMULATORS[0]]]
        scales = [each for x in states for each in (insert(ExponentOfOp.of(x)), range_of(x, insert))]
        starts = [insert.dither() for _ in self.UPDATES]
        return type(self).of(*operands, *scales, *starts, decays=self.decays.value.data)

    def next_exponents(self, insert: Insert) -> Sequence[tuple[int, SSAValue]]:
        scales = self.operands[self.ACCUMULATORS[0] + 4 :]
        e_dw, r_dw = scales[2:4]
        return [
            (i + 1, insert(MomentExponentOp.of(*scales[2 * i + 4 : 2 * i + 6], e_dw, r_dw, moment=name)))
            for i, name in enumerate(self.kept)
        ]


@irdl_op_definition
class UpdateAdamOp(MomentsOp):
    """M = M - rate * first / sqrt(second) - shrink * 2^-24 * M, of the next moments; a quotient is at most 4."""

    name = "nn.update_adam"
    master = operand_def()
    first = operand_def()
    second = operand_def()
    dw = operand_def()
    lr_m = operand_def()
    lr_k = operand_def()
    shrink = operand_def()
    scales = var_operand_def()
    new = result_def()
    new_first = result_def()
    new_second = result_def()
    UPDATES: ClassVar[Sequence[tuple[int, int]]] = ((0, 0), (1, 1), (2, 2))
    ACCUMULATORS: ClassVar[Sequence[int]] = (3,)

    @property
    def kept(self) -> Sequence[str]:
        return "adam_first", "adam_second"

    def reference(self, *operands: Array) -> tuple[Array, ...]:
        master, first, second, dw, m, k, shrink, *scales = operands
        if is_float(master):
            first = mean_with(first, dw, moments.ADAM_FIRST)
            second = mean_with(second, dw**2, moments.ADAM_SECOND)
            root = np.sqrt(np.maximum(second, 0))
            u = np.clip(np.divide(first, root, out=np.zeros_like(first), where=root > 0), -4, 4)
            return master - u * (m * 2.0**-k) - master * (self.shrunk(shrink) * 2.0**-moments.GUARD), first, second
        rates, (*scales, t, t_first, t_second) = (int(m), int(k), self.shrunk(shrink)), map(int, scales)
        return moments.update_adam(master, first, second, dw, rates, tuple(scales), (t, t_first, t_second))


@irdl_op_definition
class UpdateLionOp(MomentsOp):
    """M = M - rate * sign(moment and gradient) - shrink * 2^-24 * M; the moment then takes in the gradient."""

    name = "nn.update_lion"
    master = operand_def()
    moment = operand_def()
    dw = operand_def()
    lr_m = operand_def()
    lr_k = operand_def()
    shrink = operand_def()
    scales = var_operand_def()
    new = result_def()
    new_moment = result_def()
    UPDATES: ClassVar[Sequence[tuple[int, int]]] = ((0, 0), (1, 1))
    ACCUMULATORS: ClassVar[Sequence[int]] = (2,)

    @property
    def kept(self) -> Sequence[str]:
        return ("lion",)

    def reference(self, *operands: Array) -> tuple[Array, ...]:
        master, moment, dw, m, k, shrink, *scales = operands
        if is_float(master):
            kept = moments.LION_KEPT / 2**moments.KEPT_BITS
            u = np.sign(moment * kept + dw * (1 - kept))
            new = master - u * (m * 2.0**-k) - master * (self.shrunk(shrink) * 2.0**-moments.GUARD)
            return new, mean_with(moment, dw, moments.LION)
        rates, (*scales, t, t_moment) = (int(m), int(k), self.shrunk(shrink)), map(int, scales)
        return moments.update_lion(master, moment, dw, rates, tuple(scales), (t, t_moment))


def mean_with(old: Array, new: Array, moment: moments.Moment) -> Array:
    """A moment in floats."""
    kept = moment.kept / 2**moments.KEPT_BITS
    return old * kept + new * (1 - kept)
