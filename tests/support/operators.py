"""What several tests share."""

from typing import Any

from xdsl.dialects.test import TestOp
from xdsl.ir import Attribute

from nitic.arithmetic.integers import Array
from nitic.ir.op import NnOp, Property
from nitic.ir.types import dtype_of, exponent, f32, i8, i16, i32, i64, range_, tensor, u8

_ELEMENTS = {str(dtype_of(e)): e for e in (u8, i8, i16, i32, i64, f32)}
SCALARS = {"exponent": exponent, "range": range_}


def type_of(array: Array | str) -> Attribute:
    """The IR type of an array's values; `exponent` and `range` name the scalars."""
    return SCALARS[array] if isinstance(array, str) else tensor(array.shape, _ELEMENTS[str(array.dtype.type)])


def make(op: type[NnOp], *operands: Array | str, **properties: Property) -> NnOp:
    """An operator over operands of these types."""
    source = TestOp(result_types=[type_of(operand) for operand in operands])
    return op.of(*source.results, **properties)


def reference(op: type[NnOp], *operands: Array, **properties: Property) -> Any:
    """What an operator's reference gives for these operands."""
    return make(op, *operands, **properties).reference(*operands)
