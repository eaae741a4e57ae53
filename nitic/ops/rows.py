"""Rows that each have an exponent of their own (arithmetic/rows.py), and how they come to one for the whole tensor."""

from collections.abc import Sequence

from xdsl.dialects.builtin import I64, IntegerAttr
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.utils.exceptions import VerifyException

from nitic.arithmetic import integers, rows
from nitic.arithmetic.integers import Array
from nitic.ir.op import E, Exponents, Insert, NnOp
from nitic.ir.traits import Pointwise, TakesInt64
from nitic.ir.types import Shape, exponent, i16, i32, range_, shape_of, tensor, with_element
from nitic.ops.bfp import BfpOp, RangeOp, ScalarOp

BITS = 15


def row_shape(x: SSAValue) -> Shape:
    """The shape of what has one element for each row of x."""
    return (*shape_of(x)[:-1], 1)


def check_rows(x: SSAValue, *each: SSAValue) -> None:
    """Raises VerifyException where something that comes with rows does not have one element for each."""
    for value in each:
        if shape_of(value) != row_shape(x):
            raise VerifyException(f"rows of {shape_of(x)} need {row_shape(x)} beside them, not {shape_of(value)}")


@irdl_op_definition
class RowTopsOp(BfpOp):
    """The exponent of the leading bit of each row, made positive; 0 for a row of zeros. Its range is the largest."""

    name = "bfp.row_tops"
    traits = traits_def(TakesInt64())
    x = operand_def()
    h = operand_def()
    tops = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        check_rows(self.x, self.h)
        return [tensor(row_shape(self.x), i32)]

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [None]

    def reference(self, *operands: Array) -> Array:
        return rows.row_tops(*operands)


@irdl_op_definition
class RowShiftOp(ScalarOp):
    """The shift, of a row at h = 0, that leaves the largest row so many bits; from the range of bfp.row_tops."""

    name = "bfp.row_shift"
    r = operand_def(range_)
    bits = prop_def(IntegerAttr[I64])
    s = result_def(exponent)

    def scalar(self, *operands: int) -> int:
        return rows.row_shift(operands[0], self.bits.value.data)


@irdl_op_definition
class RowRoundShiftOp(BfpOp):
    """Rows at e + h_i as int16 mantissas at e + s, within +-limit."""

    name = "bfp.row_round_shift"
    traits = traits_def(Pointwise(), TakesInt64())
    x = operand_def()
    h = operand_def()
    s = operand_def(exponent)
    limit = prop_def(IntegerAttr[I64])
    y = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        check_rows(self.x, self.h)
        if not 1 <= self.limit.value.data <= integers.INT16_LIMIT:
            raise VerifyException(f"int16 holds {integers.INT16_LIMIT}, not {self.limit.value.data}")
        return [with_element(self.x.type, i16)]

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.add(e.of(self.x), e.shift(self.s))]

    def result_bounds(self, operands: Sequence[int]) -> Sequence[int | None]:
        return [self.limit.value.data]

    def reference(self, *operands: Array) -> Array:
        x, h, s = operands
        return rows.shifted_rows(x, h, int(s), self.limit.value.data)


def requantised_rows(x: SSAValue, h: SSAValue, insert: Insert, limit: int = integers.INT16_LIMIT) -> NnOp:
    """Inserts what brings rows to one exponent, but for the last operator, which it returns."""
    r = insert(RangeOp.of(insert(RowTopsOp.of(x, h))))
    return RowRoundShiftOp.of(x, h, insert(RowShiftOp.of(r, bits=BITS)), limit=limit)
