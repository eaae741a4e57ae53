"""Layer norm, RMS norm, and by views group and instance norm: what shares statistics is a row, the last axis.

    y = gamma * (x - mean) / sqrt(variance + epsilon) + beta

x is an int16 mantissa. The variance of a row is exact in one pass, and its inverse root has an exponent of its own, h:
so rows of very different sizes keep their bits. Training and inference compute the same.
"""

from collections.abc import Sequence
from math import prod
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import I64, Float64Type, FloatAttr, IntegerAttr
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def, var_operand_def
from xdsl.utils.exceptions import VerifyException

from nitic.arithmetic import integers, norms, row_norms, sums
from nitic.arithmetic.integers import Array
from nitic.ir.op import E, Exponents, Gradients, Insert, NnOp, NoGradient, accumulator, is_float, like
from nitic.ir.traits import Cheap, Intermediate, Pointwise, WideSums
from nitic.ir.types import element_of, exponent, f32, i16, i32, i64, is_tensor, shape_of, tensor, with_element
from nitic.ops.bfp import ExpAddOp, ExponentOfOp, aligned_parameter
from nitic.ops.elementwise import BiasGradOp
from nitic.ops.norm import ScaleGradOp
from nitic.ops.rows import check_rows, requantised_rows, row_shape
from nitic.ops.statistics import ChannelOp, check_channels, is_real

ALIGNED = integers.INT8_LIMIT << 20


@irdl_op_definition
class RowStatisticsOp(ChannelOp):
    """(sum, inverse, h) of each row: inverse * 2^h is 1 / (D * deviation), short of the factor 2^-32.

    In floats h is 0 and inverse is all of it; in integers the exponent of x follows. Of rows that are not
    `centred`, as in RMS norm, the sum counts as 0.
    """

    name = "nn.row_statistics"
    traits = traits_def(WideSums())
    x = operand_def()
    scale = var_operand_def(exponent)
    epsilon = prop_def(FloatAttr[Float64Type])
    centred = prop_def(IntegerAttr[I64])
    total = result_def()
    inverse = result_def()
    h = result_def()
    MANTISSAS16: ClassVar[Sequence[int]] = (0,)

    def infer_types(self) -> Sequence[Attribute]:
        if (length := shape_of(self.x)[-1]) > row_norms.LONGEST:
            raise VerifyException(f"rows of {length} elements are too long: at most {row_norms.LONGEST} fit 64 bits")
        if len(self.scale) != (0 if is_real(self.x) else 1):
            raise VerifyException("integers come with the exponent of x, floats with none")
        if not 0 <= self.epsilon.value.data < np.inf:
            raise VerifyException(f"epsilon must not be negative, not {self.epsilon.value.data}")
        return [tensor(row_shape(self.x), f32 if is_real(self.x) else i32)] * 3

    def reference(self, *operands: Array) -> tuple[Array, ...]:
        x, *scale = operands
        epsilon, centred = self.epsilon.value.data, bool(self.centred.value.data)
        if not is_float(x):
            return row_norms.row_statistics(x, int(scale[0]), epsilon, centred)
        total = x.sum(-1, keepdims=True) * centred
        length = x.shape[-1]
        variance = ((x - total / length) ** 2).mean(-1, keepdims=True)
        return total, 1 / (length * np.sqrt(variance + epsilon)), np.zeros_like(total)

    def to_integer(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        (x,) = operands
        e = insert(ExponentOfOp.of(x))
        return RowStatisticsOp.of(x, e, epsilon=self.epsilon.value.data, centred=self.centred.value.data)

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        of_x = e.of(self.x)
        inverse = e.add(e.multiple(of_x, -1, 1), e.const(-row_norms.INVERSE_BITS))
        return [of_x, inverse, None]

    def int64_bound(self, operands: Sequence[int]) -> int:
        """D times the sum of squares, with epsilon."""
        return (shape_of(self.x)[-1] * operands[0]) ** 2 + row_norms.EPSILON_LIMIT

    def least_divisor(self) -> int:
        """The root of 30 bits or more."""
        return 1 << 15

    def result_bounds(self, operands: Sequence[int]) -> Sequence[int | None]:
        return [shape_of(self.x)[-1] * operands[0], 1 << 17, 16]


@irdl_op_definition
class RowNormaliseOp(NnOp):
    """xhat = (D x - sum) * inverse: an int16 mantissa at exponent -9, which holds +-64."""

    name = "nn.row_normalise"
    traits = traits_def(Intermediate(), Pointwise())
    x = operand_def()
    total = operand_def()
    inverse = operand_def()
    h = operand_def()
    centred = prop_def(IntegerAttr[I64])
    xhat = result_def()
    MANTISSAS16: ClassVar[Sequence[int]] = (0,)
    ACCUMULATORS: ClassVar[Sequence[int]] = (1, 2, 3)
    UNDIFFERENTIATED: ClassVar[Sequence[int]] = (1, 2, 3)

    def infer_types(self) -> Sequence[Attribute]:
        check_rows(self.x, self.total, self.inverse, self.h)
        return [with_element(like(self.x), f32 if is_real(self.x) else i16)]

    def reference(self, *operands: Array) -> Array:
        x, total, inverse, h = operands
        if is_float(x):
            return (x.shape[-1] * x - total) * inverse
        return row_norms.normalised_rows(x, total, inverse, h)

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.const(norms.NORMALISED_EXPONENT)]

    def int64_bound(self, operands: Sequence[int]) -> int:
        """D x - sum, times the inverse."""
        x, total, inverse, _ = operands
        return (shape_of(self.x)[-1] * x + total) * inverse

    def result_bounds(self, operands: Sequence[int]) -> Sequence[int | None]:
        return [integers.INT16_LIMIT]

    def backward(self, grad: Gradients) -> None:
        """The error of x, also by way of the statistics; a factor per channel of the last axis joins it."""
        dy, gamma = grad.factors_of(self.xhat)
        factor = [] if gamma is None else [gamma]
        error = RowNormDgradOp.of(dy, self.xhat, self.inverse, self.h, *factor, centred=self.centred.value.data)
        grad.add(self.x, error)


@irdl_op_definition
class RowScaleOp(NnOp):
    """y = gamma * xhat + beta per channel, beta perhaps left out. In integers beta comes as the b of nn.bias."""

    name = "nn.row_scale"
    traits = traits_def(Cheap())
    xhat = operand_def()
    gamma = operand_def()
    others = var_operand_def()
    y = result_def()
    MANTISSAS16: ClassVar[Sequence[int]] = (0,)
    FACTORS: ClassVar[Sequence[int]] = (1,)

    @property
    def beta(self) -> SSAValue | None:
        return self.others[0] if self.others else None

    @property
    def scales(self) -> Sequence[SSAValue]:
        """In integers with a beta, the exponents of the product and of the sum."""
        return self.others[1:]

    def infer_types(self) -> Sequence[Attribute]:
        betas = [value for value in self.others if is_tensor(value)]
        check_channels(self.xhat, self.gamma, *betas)
        scales = 2 * len(betas) if element_of(self.xhat) != f32 else 0
        if len(betas) > 1 or len(self.others) != len(betas) + scales:
            raise VerifyException("a scale has at most one beta, with two exponents in integers")
        return [accumulator(self.xhat)]

    def reference(self, *operands: Array) -> Array:
        xhat, gamma, *others = operands
        product = xhat * gamma if is_float(xhat) else integers.wide(xhat) * gamma
        if not others:
            return product
        beta, *scales = others
        if is_float(xhat):
            return product + beta
        e, common = (int(v) for v in scales)
        return sums.add_parameter(product, e, beta, common)

    def to_integer(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        xhat, gamma, *beta = operands
        if not beta:
            return RowScaleOp.of(xhat, gamma)
        product = insert(ExpAddOp.of(insert(ExponentOfOp.of(xhat)), insert(ExponentOfOp.of(gamma))))
        return RowScaleOp.of(xhat, gamma, *aligned_parameter(beta[0], product, insert))

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.shift(self.scales[1]) if self.scales else e.add(e.of(self.xhat), e.of(self.gamma))]

    def accumulator_bound(self) -> int:
        return integers.INT16_LIMIT * integers.INT8_LIMIT + (ALIGNED if self.others else 0)

    def backward(self, grad: Gradients) -> None:
        """Passes dy on with gamma as a factor, and makes no product of them: nn.row_normalise multiplies later."""
        dy = grad.of(self.y)
        if self.beta is not None:
            grad.pass_on(self.beta, grad.insert(BiasGradOp.of(dy)))
        grad.pass_on(self.gamma, grad.insert(RowScaleGradOp.of(dy, self.xhat)))
        grad.pass_on(self.xhat, dy, self.gamma)


@irdl_op_definition
class RowScaleGradOp(ScaleGradOp):
    """The error of gamma: the sum of dy * xhat over all rows, with all bits of xhat."""

    name = "nn.row_scale_grad"
    dy = operand_def()
    x = operand_def()
    dgamma = result_def()
    MANTISSAS16: ClassVar[Sequence[int]] = (1,)

    def accumulator_bound(self) -> int:
        return prod(shape_of(self.dy)[:-1]) * integers.INT8_LIMIT * integers.INT16_LIMIT


class RowErrorOp(ChannelOp):
    """What the parts of the gradient share: dy, xhat, what is of rows, and last gamma, if there is one."""

    centred = prop_def(IntegerAttr[I64])

    def check_error(self, rows: Sequence[SSAValue], gamma: Sequence[SSAValue]) -> None:
        dy, xhat = self.operands[:2]
        if shape_of(dy) != shape_of(xhat):
            raise VerifyException(f"an error of {shape_of(dy)} does not fit an xhat of {shape_of(xhat)}")
        check_rows(dy, *rows)
        if len(gamma) > 1:
            raise VerifyException("there is at most one factor per channel")
        check_channels(dy, *gamma)


@irdl_op_definition
class RowNormDgradOp(RowErrorOp):
    """The error of x: (t - mean(t) - xhat * mean(t * xhat)) / deviation, with t = dy * gamma.

    In integers it is made of nn.row_norm_sums and nn.row_norm_error, whose rows are brought to one exponent.
    """

    name = "nn.row_norm_dgrad"
    dy = operand_def()
    xhat = operand_def()
    inverse = operand_def()
    h = operand_def()
    gamma = var_operand_def()
    dx = result_def()
    MANTISSAS16: ClassVar[Sequence[int]] = (1,)
    ACCUMULATORS: ClassVar[Sequence[int]] = (2, 3)

    def infer_types(self) -> Sequence[Attribute]:
        self.check_error([self.inverse, self.h], self.gamma)
        if not is_real(self.dy):
            raise VerifyException("it is an operator of floats: integers have one for each of its parts")
        return [like(self.dy)]

    def reference(self, *operands: Array) -> Array:
        dy, xhat, inverse, _, *gamma = operands
        t = dy * gamma[0] if gamma else dy
        mean = t.sum(-1, keepdims=True) * self.centred.value.data
        return (t.shape[-1] * t - mean - xhat * (t * xhat).sum(-1, keepdims=True)) * inverse

    def to_integer(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        dy, xhat, inverse, h, *gamma = operands
        centred = self.centred.value.data
        sums_of = RowNormSumsOp.of(dy, xhat, *gamma, centred=centred)
        insert(sums_of)
        error = insert(RowNormErrorOp.of(dy, xhat, inverse, h, *sums_of.results, *gamma, centred=centred))
        return requantised_rows(error, h, insert)


@irdl_op_definition
class RowNormSumsOp(RowErrorOp):
    """The sums of t = dy * gamma and of t * xhat over each row; the first is 0 where rows are not centred."""

    name = "nn.row_norm_sums"
    dy = operand_def()
    xhat = operand_def()
    gamma = var_operand_def()
    mean = result_def()
    slope = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        self.check_error([], self.gamma)
        return [tensor(row_shape(self.dy), i64)] * 2

    def reference(self, *operands: Array) -> tuple[Array, ...]:
        dy, xhat, *gamma = operands
        mean, slope = row_norms.row_norm_sums(dy, xhat, gamma[0] if gamma else 1)
        return mean * self.centred.value.data, slope

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [None, None]

    def result_bounds(self, operands: Sequence[int]) -> Sequence[int | None]:
        dy, xhat, *gamma = operands
        total = shape_of(self.dy)[-1] * dy * prod(gamma)
        return [total, total * xhat]


@irdl_op_definition
class RowNormErrorOp(RowErrorOp):
    """(D t - mean - R(xhat * slope, 18)) * inverse, whose row i is at the exponent of the result plus h_i."""

    name = "nn.row_norm_error"
    traits = traits_def(Pointwise())
    dy = operand_def()
    xhat = operand_def()
    inverse = operand_def()
    h = operand_def()
    mean = operand_def()
    slope = operand_def()
    gamma = var_operand_def()
    dx = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        self.check_error([self.inverse, self.h, self.mean, self.slope], self.gamma)
        return [with_element(like(self.dy), i64)]

    def reference(self, *operands: Array) -> Array:
        dy, xhat, inverse, _, mean, slope, *gamma = operands
        return row_norms.row_norm_dgrad(dy, xhat, inverse, mean, slope, gamma[0] if gamma else 1)

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        scaled = e.add(e.of(self.dy), e.of(self.inverse))
        return [e.add(scaled, e.of(self.gamma[0])) if self.gamma else scaled]

    def int64_bound(self, operands: Sequence[int]) -> int:
        """xhat times the sum of t * xhat."""
        return operands[1] * operands[5]

    def result_bounds(self, operands: Sequence[int]) -> Sequence[int | None]:
        dy, xhat, inverse, _, mean, slope, *gamma = operands
        t = shape_of(self.dy)[-1] * dy * prod(gamma)
        return [(t + mean + (xhat * slope >> row_norms.SLOPE_SHIFT) + 1) * inverse]

    def backward(self, grad: Gradients) -> None:
        raise NoGradient
