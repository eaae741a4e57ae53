"""Powers of an activation with a constant exponent, and its logarithm: tables of mantissas (arithmetic.powers)."""

from collections.abc import Callable, Sequence
from math import gcd

import numpy as np
from xdsl.dialects.builtin import I64, Float64Type, FloatAttr, IntegerAttr
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.utils.exceptions import VerifyException

from nitic.arithmetic import integers, powers
from nitic.arithmetic.integers import Array
from nitic.arithmetic.powers import Power
from nitic.ir.op import E, Exponents, Gradients, NoGradient, accumulator, is_float
from nitic.ir.traits import OnMantissas
from nitic.ops.activation import ConstantOp


class FractionOp(ConstantOp):
    """What a power and its gradient share: x^(numerator / denominator), in lowest terms.

    signed: 1 where x may be negative, 0 where such a one counts as 0.
    """

    traits = traits_def(OnMantissas())
    numerator = prop_def(IntegerAttr[I64])
    denominator = prop_def(IntegerAttr[I64])
    signed = prop_def(IntegerAttr[I64])

    def fraction(self) -> tuple[int, int]:
        return self.numerator.value.data, self.denominator.value.data

    def check(self, *tensors: SSAValue) -> None:
        super().check(*tensors)
        n, d = self.fraction()
        if not 1 <= d <= powers.MOST_ROWS or gcd(n, d) != 1:
            raise VerifyException(
                f"{n} / {d} is no fraction in lowest terms with a denominator up to {powers.MOST_ROWS}"
            )

    def scaled(self, e: Exponents[E], table: Power) -> E:
        """The exponent of the entries of a table for x at its exponent."""
        x = e.clamp(e.shift(self.scale[0]), -powers.FARTHEST, powers.FARTHEST)
        return e.add(e.multiple(x, *self.fraction()), e.const(-table.scale))


@irdl_op_definition
class PowerOp(FractionOp):
    """x^(numerator / denominator)."""

    name = "nn.power"
    x = operand_def()
    y = result_def()

    def table(self) -> Power:
        return Power(*self.fraction(), bool(self.signed.value.data))

    def infer_types(self) -> Sequence[Attribute]:
        self.check(self.x)
        n, d = self.fraction()
        if not (n and powers.SMALLEST * d <= n <= powers.LARGEST * d):
            raise VerifyException(f"a power is from {powers.SMALLEST} to {powers.LARGEST} and not 0, not {n} / {d}")
        return [accumulator(self.x)]

    def reference(self, *operands: Array) -> Array:
        x, *scale = operands
        return self.table().value(x) if is_float(x) else self.table().evaluate(x, int(scale[0]))

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [self.scaled(e, self.table())]

    def accumulator_bound(self) -> int:
        return self.table().bound

    def is_nonnegative(self, holds: Callable[[SSAValue], bool]) -> bool:
        return not self.table().is_odd or holds(self.x)

    def backward(self, grad: Gradients) -> None:
        n, d = self.fraction()
        slope = {"numerator": n - d, "denominator": d, "signed": self.signed.value.data, "factor": n / d}
        grad.add(self.x, PowerDgradOp.of(grad.of(self.y), self.x, **slope))


@irdl_op_definition
class PowerDgradOp(FractionOp):
    """dy * factor * x^(numerator / denominator), 0 where x is 0 or counts as 0."""

    name = "nn.power_dgrad"
    dy = operand_def()
    x = operand_def()
    dx = result_def()
    factor = prop_def(FloatAttr[Float64Type])

    def table(self) -> Power:
        signed, factor = bool(self.signed.value.data), self.factor.value.data
        return Power(*self.fraction(), signed, factor, powers.SLOPE_BITS, vanishes=True)

    def infer_types(self) -> Sequence[Attribute]:
        self.check(self.dy, self.x)
        return [accumulator(self.dy)]

    def reference(self, *operands: Array) -> Array:
        dy, x, *scale = operands
        if is_float(dy):
            return dy * self.table().value(x)
        return integers.wide(dy) * self.table().evaluate(x, int(scale[0]))

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.add(e.of(self.dy), self.scaled(e, self.table()))]

    def accumulator_bound(self) -> int:
        return 127 * self.table().bound

    def backward(self, grad: Gradients) -> None:
        raise NoGradient


@irdl_op_definition
class LogOp(ConstantOp):
    """The natural logarithm of x."""

    name = "nn.log"
    traits = traits_def(OnMantissas())
    x = operand_def()
    y = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        self.check(self.x)
        return [accumulator(self.x)]

    def reference(self, *operands: Array) -> Array:
        x, *scale = operands
        return np.log(np.maximum(x, powers.TINY)) if is_float(x) else powers.logarithm(x, int(scale[0]))

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.const(-powers.LOG_BITS)]

    def accumulator_bound(self) -> int:
        table, of_two = powers.log_table()
        return int(np.abs(table).max()) + powers.FAR_LOG * of_two

    def backward(self, grad: Gradients) -> None:
        slope = {"numerator": -1, "denominator": 1, "signed": 0, "factor": 1.0}
        grad.add(self.x, PowerDgradOp.of(grad.of(self.y), self.x, **slope))
