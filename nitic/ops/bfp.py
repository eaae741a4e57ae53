"""Block floating point: what the number format adds to a network. value = mantissa * 2^exponent.

Range, shift and rounding are three operators, so that speculation, an all-reduce or a static scale fits between them.
"""

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import I64, IntegerAttr, StringAttr
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, opt_prop_def, prop_def, result_def, traits_def, var_operand_def
from xdsl.utils.exceptions import VerifyException

from nitic.arithmetic import integers, moments, randomness, requantisation, rounding, sums, updates
from nitic.arithmetic.integers import Array
from nitic.ir.op import E, Exponents, Gradients, Insert, NnOp, NoGradient
from nitic.ir.traits import Epilogue, Intermediate, KeepsSign, Pointwise, TakesInt64
from nitic.ir.types import element_of, exponent, i8, i16, i32, range_, shape_of, tensor, tensor_type, with_element
from nitic.ops.arrays import in_blocks

ELEMENTS = {"i8": (i8, integers.INT8_LIMIT), "i16": (i16, integers.INT16_LIMIT), "i32": (i32, 2**31 - 1)}
STOCHASTIC, DITHERED = "stochastic", "dithered"


class BfpOp(NnOp):
    """An operator of the number format: it exists only in integers, and nothing is differentiated through it."""

    def backward(self, grad: Gradients) -> None:
        raise NoGradient


class ScalarOp(BfpOp):
    """An operator whose only result is an exponent, a shift, or another int32 of a whole tensor."""

    def infer_types(self) -> Sequence[Attribute]:
        return [exponent]

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [None]

    def reference(self, *operands: Array) -> Array:
        return np.int64(self.scalar(*(int(v) for v in operands)))  # pyright: ignore[reportReturnType]

    @abstractmethod
    def scalar(self, *operands: int) -> int:
        """The result as a number."""


@irdl_op_definition
class RangeOp(BfpOp):
    """max|x|."""

    name = "bfp.range"
    traits = traits_def(Epilogue(), TakesInt64())
    x = operand_def()
    r = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        tensor_type(self.x)
        return [range_]

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [None]

    def reference(self, *operands: Array) -> Array:
        return np.asarray(integers.max_abs(operands[0]), np.int64)


@irdl_op_definition
class ShiftOp(ScalarOp):
    """The right shift that brings a range to `bits` bits: max(0, BL(r) - bits)."""

    name = "bfp.shift"
    r = operand_def(range_)
    bits = prop_def(IntegerAttr[I64])
    s = result_def(exponent)

    def scalar(self, *operands: int) -> int:
        return requantisation.shift_for(operands[0], self.bits.value.data)


@irdl_op_definition
class StaticShiftOp(ScalarOp):
    """The shift of a stored activation at inference, from its statistic `top` and the accumulator's exponent."""

    name = "bfp.static_shift"
    top = operand_def()
    e = operand_def(exponent)
    bits = prop_def(IntegerAttr[I64])
    s = result_def(exponent)

    def scalar(self, *operands: int) -> int:
        top, e = operands
        return requantisation.static_shift(top, e, self.bits.value.data)


@irdl_op_definition
class ExpAddOp(ScalarOp):
    """The sum of two exponents."""

    name = "bfp.exp_add"
    lhs = operand_def(exponent)
    rhs = operand_def(exponent)
    e = result_def(exponent)

    def scalar(self, *operands: int) -> int:
        return operands[0] + operands[1]


@irdl_op_definition
class ExpConstOp(ScalarOp):
    """An exponent known at compile time."""

    name = "bfp.exp_const"
    value = prop_def(IntegerAttr[I64])
    e = result_def(exponent)

    def scalar(self, *operands: int) -> int:
        return self.value.value.data


@irdl_op_definition
class ExpMultipleOp(ScalarOp):
    """floor(numerator * e / denominator): the exponent of a power of a value at exponent e, but for the rest."""

    name = "bfp.exp_multiple"
    x = operand_def(exponent)
    numerator = prop_def(IntegerAttr[I64])
    denominator = prop_def(IntegerAttr[I64])
    e = result_def(exponent)

    def scalar(self, *operands: int) -> int:
        return self.numerator.value.data * operands[0] // self.denominator.value.data


@irdl_op_definition
class ExpClampOp(ScalarOp):
    """An exponent within [low, high]."""

    name = "bfp.exp_clamp"
    x = operand_def(exponent)
    low = prop_def(IntegerAttr[I64])
    high = prop_def(IntegerAttr[I64])
    e = result_def(exponent)

    def scalar(self, *operands: int) -> int:
        return min(max(operands[0], self.low.value.data), self.high.value.data)


@irdl_op_definition
class ExpCommonOp(ScalarOp):
    """The exponent at which two tensors add up exactly: the smaller of their exponents.

    Where these are more than 16 apart, the larger one counts, and the other tensor is dropped. With their ranges (in
    training) an all-zero tensor does not count either.
    """

    name = "bfp.exp_common"
    lhs = operand_def(exponent)
    rhs = operand_def(exponent)
    ranges = var_operand_def(range_)
    e = result_def(exponent)

    def scalar(self, *operands: int) -> int:
        lhs, rhs, *ranges = operands
        return sums.common_exponent(lhs, rhs, *ranges)


@irdl_op_definition
class ExpWideCommonOp(ScalarOp):
    """The exponent of the sum of two tensors of at most int16, by their ranges in training as bfp.exp_common."""

    name = "bfp.exp_wide_common"
    lhs = operand_def(exponent)
    rhs = operand_def(exponent)
    ranges = var_operand_def(range_)
    e = result_def(exponent)

    def scalar(self, *operands: int) -> int:
        lhs, rhs, *ranges = operands
        return sums.wide_common_exponent(lhs, rhs, *ranges)


@irdl_op_definition
class ExpParameterSumOp(ScalarOp):
    """The exponent of an accumulator plus a parameter: the accumulator's, unless the parameter is too large for it."""

    name = "bfp.exp_parameter_sum"
    acc = operand_def(exponent)
    parameter = operand_def(exponent)
    r = operand_def(range_)
    e = result_def(exponent)

    def scalar(self, *operands: int) -> int:
        return sums.parameter_sum_exponent(*operands)


@irdl_op_definition
class ExpLargestOp(ScalarOp):
    """The largest exponent of some int8 tensors; with their ranges (in training) that of the largest value."""

    name = "bfp.exp_largest"
    inputs = var_operand_def()
    e = result_def(exponent)

    @property
    def each(self) -> Sequence[SSAValue]:
        """The exponents."""
        return [value for value in self.operands if value.type == exponent]

    @property
    def ranges(self) -> Sequence[SSAValue]:
        return self.operands[len(self.each) :]

    def infer_types(self) -> Sequence[Attribute]:
        if not self.each or len(self.ranges) not in (0, len(self.each)):
            raise VerifyException(f"{len(self.each)} exponents come with a range each or none, not {len(self.ranges)}")
        return super().infer_types()

    def scalar(self, *operands: int) -> int:
        count = len(self.each)
        return sums.largest_exponent(operands[:count], operands[count:])


@irdl_op_definition
class ExpSumOp(ScalarOp):
    """The exponent at which two accumulators add up below 2^30: the smaller of theirs, unless the larger tensor then
    has more than 29 bits. An all-zero tensor does not count."""

    name = "bfp.exp_sum"
    lhs = operand_def(exponent)
    rhs = operand_def(exponent)
    lhs_range = operand_def(range_)
    rhs_range = operand_def(range_)
    e = result_def(exponent)

    def scalar(self, *operands: int) -> int:
        return sums.sum_exponent(*operands)


@irdl_op_definition
class DitherOp(ScalarOp):
    """The number in [0, 2^31) that a dithered rounding starts from in a step. Each rounding has a stream of its own.

    The rounding takes this number as an operand, instead of a stream as a property: so equal roundings share a kernel.
    """

    name = "bfp.dither"
    seed = operand_def()
    step = operand_def()
    stream = prop_def(IntegerAttr[I64])
    t = result_def(exponent)

    def scalar(self, *operands: int) -> int:
        seed, step = operands
        return randomness.dither(seed, self.stream.value.data, step)


@irdl_op_definition
class ExponentOfOp(ScalarOp):
    """The exponent of a tensor, asked for: track-exponents replaces it by the operators that compute the exponent."""

    name = "bfp.exponent_of"
    x = operand_def()
    e = result_def(exponent)

    def scalar(self, *operands: int) -> int:
        raise NotImplementedError("the interpreter follows the operand to its definition")


@irdl_op_definition
class RoundShiftOp(BfpOp):
    """saturate(round(x, s)), to int8 or int16.

    Stochastic rounding takes seed, step, and a stream of its own; dithered rounding a number to begin with.
    """

    name = "bfp.round_shift"
    traits = traits_def(KeepsSign(), Pointwise(), TakesInt64())
    x = operand_def()
    s = operand_def(exponent)
    random = var_operand_def()
    round = prop_def(StringAttr)
    to = prop_def(StringAttr)
    stream = opt_prop_def(IntegerAttr[I64])
    y = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        if self.round.data not in (*rounding.ROUNDINGS, STOCHASTIC, DITHERED):
            raise VerifyException(f"unknown rounding '{self.round.data}'")
        if self.to.data not in ELEMENTS:
            raise VerifyException(f"a rounding gives i8 or i16, not '{self.to.data}'")
        taken = {STOCHASTIC: (2, True), DITHERED: (1, False)}.get(self.round.data, (0, False))
        if taken != (len(self.random), self.stream is not None):
            raise VerifyException(
                "a stochastic rounding takes a seed, a step and a stream, a dithered one a dither; the others take none"
            )
        return [with_element(self.x.type, ELEMENTS[self.to.data][0])]

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.add(e.of(self.x), e.shift(self.s))]

    def result_bounds(self, operands: Sequence[int]) -> Sequence[int | None]:
        """A shift by the range of x leaves at most so many bits, or rounds up to the next power of two."""
        by_range = self.s.owner.bits.value.data if own_range(self) and isinstance(self.s.owner, ShiftOp) else 62
        return [min(ELEMENTS[self.to.data][1], 1 << by_range)]

    def reference(self, *operands: Array) -> Array:
        x, s, *random = operands
        if not random:
            return in_blocks(partial(self._rounded, s=int(s)), x)[0]
        return self._rounded(x, int(s), *(int(v) for v in random))

    def _rounded(self, x: Array, s: int, *random: int) -> Array:
        match random:
            case (seed, step):
                assert self.stream is not None
                rounded = rounding.round_stochastic(x, s, seed, self.stream.value.data, step)
            case (start,):
                rounded = rounding.round_dithered(x, s, start)
            case _:
                rounded = rounding.ROUNDINGS[self.round.data](x, s)
        return integers.saturate(rounded, ELEMENTS[self.to.data][1])


@irdl_op_definition
class AlignOp(BfpOp):
    """An int8 tensor moved from one exponent to another, as int32."""

    name = "bfp.align"
    traits = traits_def(Intermediate())
    x = operand_def()
    e_from = operand_def(exponent)
    e_to = operand_def(exponent)
    y = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        return [with_element(self.x.type, i32)]

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.shift(self.e_to)]

    def reference(self, *operands: Array) -> Array:
        x, e_from, e_to = operands
        return rounding.align(x, int(e_from), int(e_to))


class ScalarUpdateOp(BfpOp):
    """An operator whose only result is a scalar of the state, written over operand 0."""

    UPDATES: ClassVar[Sequence[tuple[int, int]]] = ((0, 0),)

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [None]


@irdl_op_definition
class TopOp(ScalarUpdateOp):
    """The statistic of a stored activation: a decaying maximum (Q8) of the exponent of its leading bit."""

    name = "bfp.top"
    top = operand_def()
    r = operand_def(range_)
    e = operand_def(exponent)
    new = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        if shape_of(self.top) != () or element_of(self.top) != i32:
            raise VerifyException(f"a statistic is a tensor<i32>, not {self.top.type}")
        return [tensor((), i32)]

    def reference(self, *operands: Array) -> Array:
        return np.asarray(requantisation.update_top(*(int(v) for v in operands)), np.int64)


class NextExponentOp(ScalarUpdateOp):
    """The exponent of a part of the state from the end of this step on; until then all go by the old one."""

    def infer_types(self) -> Sequence[Attribute]:
        return [exponent]


@irdl_op_definition
class GrowOp(NextExponentOp):
    """Of a parameter, by its range: see arithmetic.updates.growth."""

    name = "bfp.grow"
    e = operand_def(exponent)
    r = operand_def(range_)
    full = prop_def(IntegerAttr[I64])
    new = result_def(exponent)

    def reference(self, *operands: Array) -> Array:
        e, r = (int(v) for v in operands)
        return np.asarray(e + updates.growth(r, self.full.value.data), np.int64)


@irdl_op_definition
class MomentExponentOp(NextExponentOp):
    """Of a moment of a gradient, by its exponent and range and those of the gradient's accumulator.

    `moment` names it in arithmetic.moments.MOMENTS.
    """

    name = "bfp.moment_exponent"
    e = operand_def(exponent)
    r = operand_def(range_)
    e_dw = operand_def(exponent)
    r_dw = operand_def(range_)
    moment = prop_def(StringAttr)
    new = result_def(exponent)

    def infer_types(self) -> Sequence[Attribute]:
        if self.moment.data not in moments.MOMENTS:
            raise VerifyException(f"unknown moment '{self.moment.data}'")
        return super().infer_types()

    def reference(self, *operands: Array) -> Array:
        return np.asarray(moments.MOMENTS[self.moment.data].after(*(int(v) for v in operands)), np.int64)


def range_of(value: SSAValue, insert: Insert) -> SSAValue:
    """The range of a tensor: the one that is known already, or a new one."""
    known = (use.operation for use in value.uses)
    return next((op.r for op in known if isinstance(op, RangeOp)), None) or insert(RangeOp.of(value))


def range_if_zero(value: SSAValue, insert: Insert) -> SSAValue:
    """A range that is zero where a tensor is: the tensor's own, or that of the accumulator that was rounded to it."""
    taken = own_range(value.owner) if isinstance(value.owner, RoundShiftOp) else None
    return taken.r if taken else range_of(value, insert)


def aligned_parameter(b: SSAValue, e: SSAValue, insert: Insert) -> tuple[SSAValue, SSAValue, SSAValue]:
    """A parameter, moved to the exponent of its sum with an accumulator at exponent e; then e and that exponent."""
    e_b = insert(ExponentOfOp.of(b))
    common = insert(ExpParameterSumOp.of(e, e_b, range_if_zero(b, insert)))
    return insert(AlignOp.of(b, e_b, common)), e, common


def exponent_beside_constant(x: SSAValue, e_c: int, insert: Insert) -> tuple[SSAValue, SSAValue]:
    """The exponents of x, and of its sum with a constant at exponent e_c that is not zero."""
    e, constant = insert(ExponentOfOp.of(x)), insert(ExpConstOp.of(value=e_c))
    ranges = () if insert.static else (range_if_zero(x, insert),) * 2  # where x is zero, its exponent does not count
    return e, insert(ExpCommonOp.of(constant, e, *ranges))


def own_range(op: RoundShiftOp) -> RangeOp | None:
    """The range of the tensor that is rounded, if the shift comes from it."""
    taken = op.s.owner.r.owner if isinstance(op.s.owner, ShiftOp) else None
    return taken if isinstance(taken, RangeOp) and taken.x is op.x else None


def follows(value: SSAValue) -> bool:
    """Whether a value is a scalar of block floating point, which costs nothing to compute."""
    return value.type in (exponent, range_)
