"""Update rules. The learning rate is rate_m * 2^-rate_k; docs/numerics.md derives the integer forms.

In floats (before insert-rounding) each rule means the stochastic gradient descent that its integer form approximates.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import StringAttr
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def, var_operand_def
from xdsl.utils.exceptions import VerifyException

from nitic.arithmetic import rounding, updates
from nitic.arithmetic.integers import Array
from nitic.ir.op import Gradients, Insert, NnOp, NoGradient, is_float, like
from nitic.ir.traits import OfShape, TakesInt64
from nitic.ir.types import shape_of
from nitic.ops.arrays import in_blocks
from nitic.ops.bfp import ExponentOfOp, RangeOp, range_of
from nitic.ops.product import MulSumOp

LARGEST_RATE, LARGEST_MOMENTUM = 255, 256  # of the mantissa of a learning rate, and of a momentum
FLOAT_LAST_PLACE = -7  # a float weight has no last bit: take that of a weight below 1


class UpdateOp(NnOp):
    """What the rules share: operand 0 is the state, written in place, and the one accumulator is its gradient."""

    traits = traits_def(TakesInt64())
    round = prop_def(StringAttr)
    ACCUMULATORS: ClassVar[Sequence[int]] = (1,)
    UPDATES: ClassVar[Sequence[tuple[int, int]]] = ((0, 0),)

    def infer_types(self) -> Sequence[Attribute]:
        if self.round.data not in rounding.ROUNDINGS:
            raise VerifyException(f"unknown rounding '{self.round.data}'")
        dw = shape_of(self.operands[self.ACCUMULATORS[0]])
        if dw != shape_of(self.operands[0]):
            raise VerifyException(f"a gradient of {dw} does not fit {shape_of(self.operands[0])}")
        return [like(self.operands[operand]) for _, operand in self.UPDATES]

    def int64_bound(self, operands: Sequence[int]) -> int:
        """The gradient times a learning rate."""
        return operands[self.ACCUMULATORS[0]] * LARGEST_RATE

    def backward(self, grad: Gradients) -> None:
        raise NoGradient

    def with_exponents(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        """The integer rule: the same operands, exponent and range of the master, and the gradient's exponent."""
        master, dw = operands[0], operands[self.ACCUMULATORS[0]]
        e, r, e_dw = insert(ExponentOfOp.of(master)), range_of(master, insert), insert(ExponentOfOp.of(dw))
        return type(self).of(*operands, e, r, e_dw, round=self.round.data)


@irdl_op_definition
class UpdatePlainOp(UpdateOp):
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
class UpdateMomentumOp(UpdateOp):
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
class UpdateNitiOp(UpdateOp):
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
