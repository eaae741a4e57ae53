"""Products, and what else broadcasts: sums of products, negation, broadcasts and constants of the program.

`b` broadcasts to `a` where, aligned at its last axis, each of its dimensions is 1 or that of a.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import I64, DenseArrayBase, Float64Type, FloatAttr
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def, var_operand_def
from xdsl.utils.exceptions import VerifyException

from nitic.arithmetic import integers, pointwise, sums
from nitic.arithmetic.integers import Array
from nitic.ir.op import E, Exponents, Gradients, Insert, NnOp, NoGradient, accumulator, is_float, like
from nitic.ir.traits import OnMantissas, Scales
from nitic.ir.types import Shape, element_of, exponent, f32, shape_of
from nitic.ops.bfp import exponent_beside_constant

FACTOR_BITS, SUMMAND_BITS = 15, 13


def aligned(small: Shape, rank: int) -> Shape:
    """The same shape with more dimensions of 1 before it."""
    return (1,) * (rank - len(small)) + small


def broadcasts(small: Shape, large: Shape) -> bool:
    pairs = zip(aligned(small, len(large)), large, strict=False)
    return len(small) <= len(large) and all(size in (1, whole) for size, whole in pairs)


def check_broadcast(small: Shape, large: Shape) -> None:
    """Raises VerifyException where one shape does not broadcast to the other."""
    if not broadcasts(small, large):
        raise VerifyException(f"a tensor of {small} does not broadcast to one of {large}")


def broadcast_axes(small: Shape, large: Shape) -> tuple[int, ...]:
    """The axes of the larger shape along which the smaller one broadcasts."""
    return tuple(i for i, size in enumerate(aligned(small, len(large))) if size != large[i])


def exact(x: Array) -> Array:
    return x if is_float(x) else integers.wide(x)


def summed(x: Array, shape: Shape) -> Array:
    """The adjoint of a broadcast from `shape`."""
    return x.sum(broadcast_axes(shape, x.shape), keepdims=True).reshape(shape)


@irdl_op_definition
class MulOp(NnOp):
    """a * b, b broadcast to a."""

    name = "nn.mul"
    traits = traits_def(OnMantissas())
    a = operand_def()
    b = operand_def()
    y = result_def()
    FACTORS: ClassVar[Sequence[int]] = (0, 1)

    def infer_types(self) -> Sequence[Attribute]:
        check_broadcast(shape_of(self.b), shape_of(self.a))
        return [accumulator(self.a)]

    def reference(self, *operands: Array) -> Array:
        a, b = map(exact, operands)
        return a * b

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.add(e.of(self.a), e.of(self.b))]

    def accumulator_bound(self) -> int:
        return 127 * 127

    def is_nonnegative(self, holds: Callable[[SSAValue], bool]) -> bool:
        return holds(self.a) and holds(self.b)

    def backward(self, grad: Gradients) -> None:
        dy, shape = grad.of(self.y), shape_of(self.b)
        grad.add(self.a, MulOp.of(dy, self.b))
        same = shape == shape_of(self.a)
        grad.add(self.b, MulOp.of(dy, self.a) if same else MulSumOp.of(dy, self.a, shape=shape))


class SumOp(NnOp):
    """Sums over the axes along which a tensor of `shape` broadcasts to operand 0."""

    shape = prop_def(DenseArrayBase[I64])

    def infer_types(self) -> Sequence[Attribute]:
        x, shape = self.operands[0], self.ints("shape")
        check_broadcast(shape, shape_of(x))
        if any(shape_of(operand) != shape_of(x) for operand in self.operands):
            raise VerifyException(f"an error of {shape_of(x)} does not fit {shape_of(self.operands[1])}")
        return [accumulator(x, shape)]

    def count(self) -> int:
        """How many elements each sum has."""
        return prod(shape_of(self.operands[0])) // prod(self.ints("shape"))

    def backward(self, grad: Gradients) -> None:
        raise NoGradient


@irdl_op_definition
class MulSumOp(SumOp):
    """The error of the broadcast operand of a product: the sums of dy * a."""

    name = "nn.mul_sum"
    dy = operand_def()
    a = operand_def()
    db = result_def()

    def reference(self, *operands: Array) -> Array:
        dy, a = map(exact, operands)
        return summed(dy * a, self.ints("shape"))

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.add(e.of(self.dy), e.of(self.a))]

    def accumulator_bound(self) -> int:
        return self.count() * 127 * 127


@irdl_op_definition
class ReduceSumOp(SumOp):
    """The error of a broadcast tensor: the sums of dy."""

    name = "nn.reduce_sum"
    dy = operand_def()
    dx = result_def()

    def reference(self, *operands: Array) -> Array:
        return summed(exact(operands[0]), self.ints("shape"))

    def accumulator_bound(self) -> int:
        return self.count() * 127


@irdl_op_definition
class ExpandOp(NnOp):
    """x broadcast to `shape`."""

    name = "nn.expand"
    x = operand_def()
    shape = prop_def(DenseArrayBase[I64])
    y = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        check_broadcast(shape_of(self.x), self.ints("shape"))
        return [like(self.x, self.ints("shape"))]

    def reference(self, *operands: Array) -> Array:
        return np.broadcast_to(operands[0], self.ints("shape"))

    def backward(self, grad: Gradients) -> None:
        grad.add(self.x, ReduceSumOp.of(grad.of(self.y), shape=shape_of(self.x)))


@irdl_op_definition
class NegOp(NnOp):
    """-x."""

    name = "nn.neg"
    traits = traits_def(OnMantissas())
    x = operand_def()
    y = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        return [like(self.x)]

    def reference(self, *operands: Array) -> Array:
        return -exact(operands[0])

    def backward(self, grad: Gradients) -> None:
        grad.add(self.x, NegOp.of(grad.of(self.y)))


@irdl_op_definition
class ScaleConstOp(NnOp):
    """x times a constant of the program, which integers know to 15 bits."""

    name = "nn.scale_const"
    traits = traits_def(OnMantissas(), Scales())
    x = operand_def()
    factor = prop_def(FloatAttr[Float64Type])
    y = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        return [accumulator(self.x)]

    def multiplier(self) -> tuple[int, int]:
        """(mantissa, exponent) of the factor."""
        return pointwise.as_integer(self.factor.value.data, FACTOR_BITS)

    def reference(self, *operands: Array) -> Array:
        x = exact(operands[0])
        return x * (self.factor.value.data if is_float(x) else self.multiplier()[0])

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.add(e.of(self.x), e.const(self.multiplier()[1]))]

    def accumulator_bound(self) -> int:
        return 127 << FACTOR_BITS

    def backward(self, grad: Gradients) -> None:
        grad.add(self.x, ScaleConstOp.of(grad.of(self.y), factor=self.factor.value.data))


@irdl_op_definition
class AddConstOp(NnOp):
    """x plus a constant of the program, which integers know to 13 bits.

    In integers also the exponents of x and of the sum (bfp.exp_common).
    """

    name = "nn.add_const"
    traits = traits_def(OnMantissas())
    x = operand_def()
    scales = var_operand_def(exponent)
    value = prop_def(FloatAttr[Float64Type])
    y = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        if len(self.scales) != (0 if element_of(self.x) == f32 else 2):
            raise VerifyException("a constant is added to integers with two exponents, to floats with none")
        return [accumulator(self.x)]

    def summand(self) -> tuple[int, int]:
        """(mantissa, exponent) of the value."""
        return pointwise.as_integer(self.value.value.data, SUMMAND_BITS)

    def reference(self, *operands: Array) -> Array:
        x, *scales = operands
        if is_float(x):
            return x + self.value.value.data
        (c, e_c), (e, common) = self.summand(), (int(v) for v in scales)
        return sums.add_at(x, e, integers.wide(c), e_c, common)

    def to_integer(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        exponents = exponent_beside_constant(operands[0], self.summand()[1], insert)
        return AddConstOp.of(operands[0], *exponents, value=self.value.value.data)

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.shift(self.scales[1])]

    def accumulator_bound(self) -> int:
        return (127 << 16) + (1 << SUMMAND_BITS << 16)

    def backward(self, grad: Gradients) -> None:
        grad.pass_on(self.x, grad.of(self.y))
