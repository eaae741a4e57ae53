"""Point-wise operators: bias, relu, dropout, and the map of input samples."""

from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import I64, Float64Type, FloatAttr, IntegerAttr
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, opt_prop_def, prop_def, result_def, traits_def, var_operand_def
from xdsl.utils.exceptions import VerifyException

from nitic.arithmetic import inputs, integers, pointwise, rounding, sums
from nitic.arithmetic.integers import Array
from nitic.ir.op import E, Exponents, Gradients, Insert, NnOp, NoGradient, accumulator, is_float, like
from nitic.ir.traits import Bias, Bounded, Cheap, Clamp, Epilogue, Gate, KeepsSign, Repeatable, Scales, Sum, TakesInt64
from nitic.ir.types import element_of, exponent, f32, i8, i16, i32, shape_of, with_element
from nitic.ops.bfp import (
    ExpCommonOp,
    ExponentOfOp,
    ExpSumOp,
    ExpWideCommonOp,
    RangeOp,
    aligned_parameter,
    range_if_zero,
)


def check_parameter_sum(op: NnOp) -> None:
    """Whether the last operands of a sum with a parameter are the two exponents. Raises VerifyException."""
    given = sum(value.type == exponent for value in op.operands)
    if given != (0 if element_of(op.operands[0]) == f32 else 2):
        raise VerifyException("a parameter is added to integers with two exponents, to floats with none")


@irdl_op_definition
class BiasOp(NnOp):
    """acc + b along the last axis.

    In integers b comes aligned to the exponent of the sum, and the exponents of acc and of the sum follow
    (bfp.exp_parameter_sum).
    """

    name = "nn.bias"
    traits = traits_def(Bias(), Epilogue(), TakesInt64())
    acc = operand_def()
    b = operand_def()
    scales = var_operand_def(exponent)
    y = result_def()
    ACCUMULATORS: ClassVar[Sequence[int]] = (0,)

    def infer_types(self) -> Sequence[Attribute]:
        if shape_of(self.b) != shape_of(self.acc)[-1:]:
            raise VerifyException(f"a bias of {shape_of(self.b)} does not fit a last axis of {shape_of(self.acc)[-1]}")
        check_parameter_sum(self)
        return [accumulator(self.acc)]

    def reference(self, *operands: Array) -> Array:
        acc, b, *scales = operands
        if is_float(acc):
            return acc + b
        e, common = (int(v) for v in scales)
        return sums.add_parameter(integers.wide(acc), e, b, common)

    def to_integer(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        acc, b = operands
        return BiasOp.of(acc, *aligned_parameter(b, insert(ExponentOfOp.of(acc)), insert))

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.shift(self.scales[1])]

    def accumulator_bound(self) -> int:
        return integers.INT8_LIMIT << rounding.ALIGN_LEFT

    def backward(self, grad: Gradients) -> None:
        grad.pass_on(self.acc, grad.of(self.y))
        grad.add(self.b, BiasGradOp.of(grad.of(self.y)))


@irdl_op_definition
class BiasGradOp(NnOp):
    """The sum of the errors over all axes but the last."""

    name = "nn.bias_grad"
    dy = operand_def()
    db = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        return [accumulator(self.dy, shape_of(self.dy)[-1:])]

    def reference(self, *operands: Array) -> Array:
        dy = operands[0]
        rows = dy.reshape(-1, dy.shape[-1])
        return rows.sum(0) if is_float(dy) else rows.sum(0, dtype=np.int64)

    def accumulator_bound(self) -> int:
        shape = shape_of(self.dy)
        return int(np.prod(shape[:-1])) * 127

    def backward(self, grad: Gradients) -> None:
        raise NoGradient


@irdl_op_definition
class ReluOp(NnOp):
    """max(x, 0)."""

    name = "nn.relu"
    traits = traits_def(Clamp(), TakesInt64())
    x = operand_def()
    y = result_def()
    ACCUMULATORS: ClassVar[Sequence[int]] = (0,)

    def infer_types(self) -> Sequence[Attribute]:
        return [like(self.x)]

    def reference(self, *operands: Array) -> Array:
        return np.maximum(operands[0], 0)

    def is_nonnegative(self, holds: Callable[[SSAValue], bool]) -> bool:
        return True

    def backward(self, grad: Gradients) -> None:
        grad.add(self.x, ReluDgradOp.of(grad.of(self.y), self.y))


@irdl_op_definition
class ReluDgradOp(NnOp):
    """dy where the stored y is positive, else 0."""

    name = "nn.relu_dgrad"
    traits = traits_def(Gate(), Scales())
    dy = operand_def()
    y = operand_def()
    dx = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        if shape_of(self.dy) != shape_of(self.y):
            raise VerifyException(f"an error of {shape_of(self.dy)} does not fit an activation of {shape_of(self.y)}")
        return [like(self.dy)]

    def reference(self, *operands: Array) -> Array:
        dy, y = operands
        return np.where(y > 0, dy, 0)

    def backward(self, grad: Gradients) -> None:
        raise NoGradient


@irdl_op_definition
class AddOp(NnOp):
    """a + b: a residual connection, or the errors that meet at a fork.

    In integers also the exponents of a, of b and of the sum (bfp.exp_common).
    """

    name = "nn.add"
    traits = traits_def(Cheap(), Sum())
    a = operand_def()
    b = operand_def()
    scales = var_operand_def(exponent)
    y = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        if shape_of(self.a) != shape_of(self.b):
            raise VerifyException(f"a tensor of {shape_of(self.b)} cannot be added to one of {shape_of(self.a)}")
        if len(self.scales) != (0 if element_of(self.a) == f32 else 3):
            raise VerifyException("integers are added with three exponents, floats with none")
        return [accumulator(self.a)]

    def reference(self, *operands: Array) -> Array:
        a, b, *scales = operands
        if is_float(a):
            return a + b
        ea, eb, e = (int(v) for v in scales)
        return sums.add_at(a, ea, b, eb, e)

    def to_integer(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        a, b = operands
        exponents = insert(ExponentOfOp.of(a)), insert(ExponentOfOp.of(b))
        ranges = () if insert.static else (range_if_zero(a, insert), range_if_zero(b, insert))
        if i16 in (element_of(a), element_of(b)):
            return WideAddOp.of(a, b, *exponents, insert(ExpWideCommonOp.of(*exponents, *ranges)))
        return AddOp.of(a, b, *exponents, insert(ExpCommonOp.of(*exponents, *ranges)))

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.shift(self.scales[2])]

    def accumulator_bound(self) -> int:
        return (127 << 16) + 127

    def backward(self, grad: Gradients) -> None:
        for operand in (self.a, self.b):
            grad.pass_on(operand, grad.of(self.y))


@irdl_op_definition
class WideAddOp(NnOp):
    """The integer form of nn.add where an operand is int16: each is rounded to the exponent of the sum.

    The exponents of a, of b and of the sum follow (bfp.exp_wide_common).
    """

    name = "nn.wide_add"
    traits = traits_def(Cheap())
    a = operand_def()
    b = operand_def()
    scales = var_operand_def(exponent)
    y = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        if shape_of(self.a) != shape_of(self.b):
            raise VerifyException(f"a tensor of {shape_of(self.b)} cannot be added to one of {shape_of(self.a)}")
        if len(self.scales) != 3 or f32 in (element_of(self.a), element_of(self.b)):
            raise VerifyException("it adds integers, with three exponents")
        return [with_element(like(self.a), i32)]

    def reference(self, *operands: Array) -> Array:
        a, b, *scales = operands
        ea, eb, e = (int(v) for v in scales)
        return sums.accumulate(a, ea, b, eb, e)

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.shift(self.scales[2])]

    def accumulator_bound(self) -> int:
        return (integers.INT16_LIMIT << sums.WIDE_TERM_SHIFT) + integers.INT16_LIMIT

    def backward(self, grad: Gradients) -> None:
        raise NoGradient


@irdl_op_definition
class AccumulateOp(NnOp):
    """a + b of two gradients of one parameter, which stay accumulators.

    In integers also their exponents and that of the sum (bfp.exp_sum), at which neither is above 2^29.
    """

    name = "nn.accumulate"
    traits = traits_def(Bounded(), TakesInt64())
    a = operand_def()
    b = operand_def()
    scales = var_operand_def(exponent)
    y = result_def()
    ACCUMULATORS: ClassVar[Sequence[int]] = (0, 1)

    def infer_types(self) -> Sequence[Attribute]:
        if shape_of(self.a) != shape_of(self.b):
            raise VerifyException(f"a gradient of {shape_of(self.b)} cannot be added to one of {shape_of(self.a)}")
        real = element_of(self.a) == f32
        if len(self.scales) != (0 if real else 3):
            raise VerifyException("integers are added with three exponents, floats with none")
        return [with_element(like(self.a), f32 if real else i32)]

    def reference(self, *operands: Array) -> Array:
        a, b, *scales = operands
        if is_float(a):
            return a + b
        ea, eb, e = (int(v) for v in scales)
        return sums.accumulate(a, ea, b, eb, e)

    def to_integer(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        exponents = [insert(ExponentOfOp.of(x)) for x in operands]
        ranges = [insert(RangeOp.of(x)) for x in operands]
        return AccumulateOp.of(*operands, *exponents, insert(ExpSumOp.of(*exponents, *ranges)))

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.shift(self.scales[2])]

    def accumulator_bound(self) -> int:
        return 2 << sums.TERM_BITS

    def int64_bound(self, operands: Sequence[int]) -> int:
        """What is shifted to the exponent of the sum."""
        return max(operands)

    def backward(self, grad: Gradients) -> None:
        raise NoGradient


@irdl_op_definition
class DropoutOp(NnOp):
    """x times a Philox mask over 1 - p; its gradient is itself. Without seed and step it is the identity."""

    name = "nn.dropout"
    traits = traits_def(KeepsSign(), Repeatable(), Scales())
    x = operand_def()
    random = var_operand_def()
    p = prop_def(FloatAttr[Float64Type])
    stream = opt_prop_def(IntegerAttr[I64])
    y = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        if not 0 <= self.p.value.data < 1:
            raise VerifyException(f"a dropout probability is in [0, 1), not {self.p.value.data}")
        if (len(self.random) == 2) != (self.stream is not None):
            raise VerifyException("a dropout takes a seed, a step and a stream, or none of them")
        return [accumulator(self.x)]

    def reference(self, *operands: Array) -> Array:
        x, *random = operands
        if self.stream is None:
            return x
        seed, step = (int(v) for v in random)
        masked = pointwise.dropout(np.ones(x.shape, np.int64), self.p.value.data, seed, self.stream.value.data, step)
        return x * (masked * 2.0**-15) if is_float(x) else x * masked

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.of(self.x) if self.stream is None else e.add(e.of(self.x), e.const(-15))]

    def accumulator_bound(self) -> int:
        return 127 * pointwise.dropout_multiplier(self.p.value.data)

    def backward(self, grad: Gradients) -> None:
        if self.stream is None:
            raise NoGradient
        stream = self.stream.value.data
        grad.add(self.x, DropoutOp.of(grad.of(self.y), *self.random, p=self.p.value.data, stream=stream))


@irdl_op_definition
class InputMapOp(NnOp):
    """uint8 samples to int8 mantissas at `<x>.exponent`, by a multiplier and an offset per channel or one for all."""

    name = "nn.input_map"
    x = operand_def()
    multiplier = operand_def()
    offset = operand_def()
    y = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        channels = shape_of(self.multiplier)
        if channels != shape_of(self.offset) or channels not in ((1,), shape_of(self.x)[-1:]):
            raise VerifyException(f"multipliers of {channels} do not fit samples of {shape_of(self.x)}")
        return [with_element(self.x.type, i8)]

    def reference(self, *operands: Array) -> Array:
        return inputs.input_map(*operands)

    def int64_bound(self, operands: Sequence[int]) -> int:
        """x * multiplier + offset."""
        x, multiplier, offset = operands
        return x * multiplier + offset

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.of(self.x)]

    def backward(self, grad: Gradients) -> None:
        raise NoGradient
