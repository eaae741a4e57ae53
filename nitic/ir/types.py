"""Types of the IR: builtin tensors, and the two scalars of block floating point."""

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import (
    FixedBitwidthType,
    IntegerType,
    NoneAttr,
    Signedness,
    TensorType,
    f32,
    i8,
    i16,
    i32,
    i64,
)
from xdsl.ir import Attribute, ParametrizedAttribute, SSAValue, TypeAttribute
from xdsl.irdl import irdl_attr_definition
from xdsl.utils.exceptions import VerifyException

from nitic.arithmetic.integers import Array

__all__ = ["Tensor", "element_of", "exponent", "f32", "i8", "i16", "i32", "i64", "range_", "shape_of", "tensor", "u8"]

Shape = tuple[int, ...]
Tensor = TensorType[Attribute]
u8 = IntegerType(8, Signedness.UNSIGNED)


@irdl_attr_definition
class ExponentType(ParametrizedAttribute, TypeAttribute):
    """A power-of-two exponent or a shift: one int32 in device memory."""

    name = "bfp.exp"


@irdl_attr_definition
class RangeType(ParametrizedAttribute, TypeAttribute):
    """max|x| of a tensor. In device memory one int64 slot per thread, of which a reader takes the maximum."""

    name = "bfp.range"


exponent = ExponentType()
range_ = RangeType()

_DTYPES: dict[Attribute, type[np.generic]] = {
    f32: np.float64,  # the interpreter is a reference: it keeps the precision that finite differences need
    u8: np.uint8,
    i8: np.int8,
    i16: np.int16,
    i32: np.int32,
    i64: np.int64,
    exponent: np.int32,
    range_: np.int64,
}


def tensor(shape: Sequence[int], element: Attribute, encoding: Attribute | None = None) -> Tensor:
    return TensorType(element, shape, encoding or NoneAttr())


def tensor_type(value: SSAValue | Attribute) -> Tensor:
    """Raises VerifyException where it is no tensor."""
    attribute = value.type if isinstance(value, SSAValue) else value
    if not isinstance(attribute, TensorType):
        raise VerifyException(f"expected a tensor, found {attribute}")
    return attribute


def is_tensor(value: SSAValue | Attribute) -> bool:
    return isinstance(value.type if isinstance(value, SSAValue) else value, TensorType)


def shape_of(value: SSAValue | Attribute, rank: int | None = None) -> Shape:
    """Raises VerifyException where it is no tensor, or not one of the rank."""
    shape = tuple(tensor_type(value).get_shape())
    if rank not in (None, len(shape)):
        raise VerifyException(f"expected a tensor of {rank} dimensions, found {shape}")
    return shape


def element_of(value: SSAValue | Attribute) -> Attribute:
    """The element type of a tensor; a scalar is its own element."""
    attribute = value.type if isinstance(value, SSAValue) else value
    return attribute.element_type if isinstance(attribute, TensorType) else attribute


def with_element(type_: Attribute, element: Attribute) -> Tensor:
    old = tensor_type(type_)
    return tensor(old.get_shape(), element, old.encoding)


def dtype_of(value: SSAValue | Attribute) -> type[np.generic]:
    return _DTYPES[element_of(value)]


def byte_size(element: Attribute) -> int:
    if isinstance(element, FixedBitwidthType):
        return element.size
    return np.dtype(_DTYPES[element]).itemsize


def store(array: Array, type_: Attribute) -> Array:
    """The array as values of a type. Raises OverflowError where a value does not fit: nothing wraps."""
    dtype = np.dtype(dtype_of(type_))
    if np.array_equal(stored := np.asarray(array).astype(dtype), array) or dtype.kind == "f":
        return stored
    raise OverflowError(f"a value of {np.abs(array).max()} does not fit {type_}")
