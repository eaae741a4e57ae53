"""Activation functions: clip and leaky relu by comparisons, the others by tables (nitic.arithmetic.activations)."""

from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import Float64Type, FloatAttr, StringAttr
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, opt_prop_def, prop_def, result_def, traits_def, var_operand_def
from xdsl.utils.exceptions import VerifyException

from nitic.arithmetic import activations, integers, pointwise
from nitic.arithmetic.integers import Array
from nitic.ir.op import E, Exponents, Gradients, Insert, NnOp, NoGradient, Property, accumulator, is_float, like
from nitic.ir.op import to_property as value_of
from nitic.ir.traits import Clamp, Epilogue, Gate, OnMantissas, TakesInt64
from nitic.ir.types import element_of, exponent, f32, i8, shape_of, with_element
from nitic.ops.bfp import ExponentOfOp

LARGEST_SLOPE = 2.0**7  # an accumulator of 127 * 2^15 times that stays below 2^30


class ConstantOp(NnOp):
    """An operator with float properties. Its integer form also takes the exponent of one of its operands."""

    scale = var_operand_def(exponent)

    def constants(self) -> dict[str, Property]:
        return {key: value_of(value) for key, value in self.properties.items()}

    def check(self, *tensors: SSAValue) -> None:
        """Raises VerifyException where shapes or the number of exponents do not fit."""
        shapes = [shape_of(tensor) for tensor in tensors]
        if len(set(shapes)) > 1:
            raise VerifyException(f"an error of {shapes[0]} does not fit an activation of {shapes[1]}")
        if len(self.scale) != (0 if element_of(tensors[0]) == f32 else 1):
            raise VerifyException(f"{self.name} of integers takes one exponent, of floats none")

    def to_integer(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        return type(self).of(*operands, insert(ExponentOfOp.of(operands[-1])), **self.constants())


class BoundedOp(ConstantOp):
    """What clip and its gradient share: bounds around 0, either of which may be absent."""

    low = opt_prop_def(FloatAttr[Float64Type])
    high = opt_prop_def(FloatAttr[Float64Type])

    def bounds(self) -> tuple[float | None, float | None]:
        low, high = (bound.value.data if bound else None for bound in (self.low, self.high))
        return low, high

    def check(self, *tensors: SSAValue) -> None:
        super().check(*tensors)
        low, high = self.bounds()
        if (low or 0) > 0 or (high or 0) < 0:
            raise VerifyException(f"the bounds of a clip lie around 0, not at {low} and {high}")


@irdl_op_definition
class ClipOp(BoundedOp):
    """min(max(x, low), high)."""

    name = "nn.clip"
    traits = traits_def(Clamp(), TakesInt64())
    x = operand_def()
    y = result_def()
    ACCUMULATORS: ClassVar[Sequence[int]] = (0,)

    def infer_types(self) -> Sequence[Attribute]:
        self.check(self.x)
        return [like(self.x)]

    def reference(self, *operands: Array) -> Array:
        x, *scale = operands
        low, high = self.bounds()
        if not is_float(x):
            return pointwise.clip(x, low, high, int(scale[0]))
        return np.clip(x, -np.inf if low is None else low, np.inf if high is None else high)

    def int64_bound(self, operands: Sequence[int]) -> int:
        """The largest mantissa that a bound can have."""
        return 1 << pointwise.BOUND_BITS + pointwise.BOUND_SHIFT

    def is_nonnegative(self, holds: Callable[[SSAValue], bool]) -> bool:
        return self.bounds()[0] == 0

    def backward(self, grad: Gradients) -> None:
        grad.add(self.x, ClipDgradOp.of(grad.of(self.y), self.y, **self.constants()))


@irdl_op_definition
class ClipDgradOp(BoundedOp):
    """dy where the stored y is not at a bound, else 0."""

    name = "nn.clip_dgrad"
    traits = traits_def(Gate())
    dy = operand_def()
    y = operand_def()
    dx = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        self.check(self.dy, self.y)
        return [like(self.dy)]

    def reference(self, *operands: Array) -> Array:
        dy, y, *scale = operands
        low, high = self.bounds()
        if not is_float(dy):
            return np.where(pointwise.is_inside(y, low, high, int(scale[0])), dy, 0)
        inside = (y > (-np.inf if low is None else low)) & (y < (np.inf if high is None else high))
        return np.where(inside, dy, 0)

    def int64_bound(self, operands: Sequence[int]) -> int:
        """The same as for nn.clip."""
        return 1 << pointwise.BOUND_BITS + pointwise.BOUND_SHIFT

    def backward(self, grad: Gradients) -> None:
        raise NoGradient


@irdl_op_definition
class StepOp(ConstantOp):
    """1 where x > threshold, else 0, at exponent 0. It has no slope, so x gets no error."""

    name = "nn.step"
    traits = traits_def(Epilogue(), TakesInt64())
    x = operand_def()
    y = result_def()
    threshold = prop_def(FloatAttr[Float64Type])
    ACCUMULATORS: ClassVar[Sequence[int]] = (0,)
    UNDIFFERENTIATED: ClassVar[Sequence[int]] = (0,)

    def infer_types(self) -> Sequence[Attribute]:
        self.check(self.x)
        return [like(self.x) if element_of(self.x) == f32 else with_element(like(self.x), i8)]

    def reference(self, *operands: Array) -> Array:
        x, *scale = operands
        threshold = self.threshold.value.data
        return (x > (threshold if is_float(x) else pointwise.threshold(threshold, int(scale[0])))).astype(x.dtype)

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.const(0)]

    def int64_bound(self, operands: Sequence[int]) -> int:
        """The largest mantissa that a threshold can have."""
        return 1 << pointwise.BOUND_BITS + pointwise.BOUND_SHIFT

    def is_nonnegative(self, holds: Callable[[SSAValue], bool]) -> bool:
        return True

    def backward(self, grad: Gradients) -> None:
        """Nothing to add."""


class LeakyOp(NnOp):
    """What leaky relu and its gradient share: operand 0 times 1 or alpha."""

    traits = traits_def(OnMantissas())
    alpha = prop_def(FloatAttr[Float64Type])

    def infer_types(self) -> Sequence[Attribute]:
        if abs(self.alpha.value.data) > LARGEST_SLOPE:
            raise VerifyException(f"a slope is at most {LARGEST_SLOPE:g}, not {self.alpha.value.data}")
        if shape_of(self.operands[-1]) != shape_of(self.operands[0]):
            shapes = shape_of(self.operands[0]), shape_of(self.operands[-1])
            raise VerifyException(f"an error of {shapes[0]} does not fit an activation of {shapes[1]}")
        return [accumulator(self.operands[0])]

    def reference(self, *operands: Array) -> Array:
        m, x, alpha = operands[0], operands[-1], self.alpha.value.data
        return m * np.where(x < 0, alpha, 1) if is_float(m) else pointwise.leaky_relu(m, x, alpha)

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.add(e.of(self.operands[0]), e.const(-15))]

    def accumulator_bound(self) -> int:
        return 127 * max(1 << 15, abs(pointwise.leaky_slope(self.alpha.value.data)))


@irdl_op_definition
class LeakyReluOp(LeakyOp):
    """x where x >= 0, else alpha * x."""

    name = "nn.leaky_relu"
    x = operand_def()
    y = result_def()

    def backward(self, grad: Gradients) -> None:
        grad.add(self.x, LeakyReluDgradOp.of(grad.of(self.y), self.x, alpha=self.alpha.value.data))


@irdl_op_definition
class LeakyReluDgradOp(LeakyOp):
    """dy where x >= 0, else alpha * dy."""

    name = "nn.leaky_relu_dgrad"
    dy = operand_def()
    x = operand_def()
    dx = result_def()

    def backward(self, grad: Gradients) -> None:
        raise NoGradient


class TableOp(ConstantOp):
    """What an activation function by table and its gradient share: its name, and its constants."""

    traits = traits_def(OnMantissas())
    function = prop_def(StringAttr)
    alpha = opt_prop_def(FloatAttr[Float64Type])
    beta = opt_prop_def(FloatAttr[Float64Type])

    def table(self) -> activations.Function:
        """Raises VerifyException where there is no such function, or not with such constants."""
        constants = [each.value.data for each in (self.alpha, self.beta) if each]
        try:
            return activations.function(self.function.data, *constants)
        except (TypeError, ValueError) as error:
            raise VerifyException(str(error)) from error

    def check(self, *tensors: SSAValue) -> None:
        super().check(*tensors)
        if max(self.table().bound // 127, self.table().slope_bound) > LARGEST_SLOPE * 2**15:
            raise VerifyException(f"the slope of {self.function.data} is at most {LARGEST_SLOPE:g}")


@irdl_op_definition
class ActivationOp(TableOp):
    """f(x)."""

    name = "nn.activation"
    x = operand_def()
    y = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        self.check(self.x)
        return [accumulator(self.x)]

    def reference(self, *operands: Array) -> Array:
        x, *scale = operands
        return self.table().value(x) if is_float(x) else activations.evaluate(self.table(), x, int(scale[0]))

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        base = e.clamp(e.shift(self.scale[0]), *self.table().exponents)
        return [e.add(base, e.const(-activations.TABLE_BITS))]

    def accumulator_bound(self) -> int:
        return self.table().bound

    def int64_bound(self, operands: Sequence[int]) -> int:
        """A position times an entry of the tables, which the slope bounds."""
        return self.table().bound << activations.TABLE_BITS

    def is_nonnegative(self, holds: Callable[[SSAValue], bool]) -> bool:
        return self.table().is_nonnegative

    def backward(self, grad: Gradients) -> None:
        grad.add(self.x, ActivationDgradOp.of(grad.of(self.y), self.x, **self.constants()))


@irdl_op_definition
class ActivationDgradOp(TableOp):
    """dy * f'(x)."""

    name = "nn.activation_dgrad"
    dy = operand_def()
    x = operand_def()
    dx = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        self.check(self.dy, self.x)
        return [accumulator(self.dy)]

    def reference(self, *operands: Array) -> Array:
        dy, x, *scale = operands
        if is_float(dy):
            return dy * self.table().slope(x)
        return integers.wide(dy) * activations.derivative(self.table(), x, int(scale[0]))

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.add(e.of(self.dy), e.const(-activations.TABLE_BITS))]

    def accumulator_bound(self) -> int:
        return 127 * self.table().slope_bound

    def int64_bound(self, operands: Sequence[int]) -> int:
        """The step between two entries times the rest of a position."""
        return 2 * self.table().slope_bound << activations.ENTRY_BITS

    def backward(self, grad: Gradients) -> None:
        raise NoGradient
