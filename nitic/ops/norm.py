"""Normalisation in pieces: statistics (ops/statistics.py), normalisation, a scale per channel, and their gradients.

The axes that statistics are taken over are those along which their shape broadcasts to x (ops/product.py):

    batch norm       x (N, H, W, C)      statistics (C), the default
    layer norm       x (N, T, C)         statistics (N, T, 1)
    instance norm    x (N, H, W, C)      statistics (N, 1, 1, C)
    group norm       x (N, H, W, G, K)   statistics (N, 1, 1, G, 1), and the scale on a view as (N, H, W, G * K)
    RMS norm         as layer norm, with nn.mean_square in place of mean and variance

Two rules give the gradient: nn.batch_norm_scale that of what it scales, and nn.normalise that of x, past the
statistics. There are kernels for the axes of batch norm only.
"""

from collections.abc import Sequence
from math import prod
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import I64, IntegerAttr
from xdsl.ir import Attribute, OpResult, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def, var_operand_def
from xdsl.utils.exceptions import VerifyException

from nitic.arithmetic import integers, norms, rounding, sums
from nitic.arithmetic.integers import Array
from nitic.ir.op import E, Exponents, Gradients, Insert, NnOp, accumulator, is_float, like
from nitic.ir.traits import (
    Cheap,
    Intermediate,
    Pointwise,
    TakesInt64,
)
from nitic.ir.types import (
    Shape,
    exponent,
    f32,
    i16,
    i64,
    is_tensor,
    shape_of,
    with_element,
)
from nitic.ops.bfp import ExpAddOp, ExponentOfOp, aligned_parameter
from nitic.ops.elementwise import BiasGradOp, check_parameter_sum
from nitic.ops.product import MulSumOp, ReduceSumOp
from nitic.ops.statistics import (
    BatchNormRecallOp,
    ChannelOp,
    check_channels,
    check_statistics,
    is_real,
    requantised,
    samples,
)

# Of factors per channel in the backward pass. One channel of no variance has by far the largest factor, often with no
# error at all, and must not take the bits of the others.
FACTOR_BITS = 30
FROZEN_FACTOR_BITS = 23  # 127 * 2^23 is an int32 accumulator


@irdl_op_definition
class NormaliseOp(NnOp):
    """xhat = (x - mean) * inverse; in integers an int16 mantissa at exponent -9, which holds +-64.

    The statistics are the mean, unless that is taken to be 0, and the inverse; in integers the exponents of x and of
    the inverse follow, and that of a mean that is recalled: it may be above that of x less 8. With the others, the
    shift to xhat is never to the left: that of nn.batch_norm_inverse and its 24 bits makes it 18 at least.
    """

    name = "nn.normalise"
    traits = traits_def(Intermediate(), Pointwise())
    x = operand_def()
    others = var_operand_def()
    xhat = result_def()
    MANTISSAS16: ClassVar[Sequence[int]] = (0,)
    ACCUMULATORS: ClassVar[Sequence[int]] = (1, 2)
    UNDIFFERENTIATED: ClassVar[Sequence[int]] = (1, 2)
    NARROWING: ClassVar[int | None] = norms.NARROWING

    @property
    def statistics(self) -> Sequence[SSAValue]:
        """Mean and inverse, or the inverse alone."""
        return [value for value in self.others if is_tensor(value)]

    @property
    def mean(self) -> SSAValue | None:
        return self.others[0] if len(self.statistics) == 2 else None

    @property
    def inverse(self) -> SSAValue:
        return self.statistics[-1]

    @property
    def scales(self) -> Sequence[SSAValue]:
        """In integers the exponents of x, of the inverse, and of a mean that is recalled."""
        return self.others[len(self.statistics) :]

    def infer_types(self) -> Sequence[Attribute]:
        scales = (0,) if is_real(self.x) else (2, 1 + len(self.statistics))
        if len(self.statistics) not in (1, 2) or len(self.scales) not in scales:
            raise VerifyException(
                "x is normalised by a mean and an inverse or by an inverse; integers with an exponent of x, of the "
                "inverse, and perhaps of the mean"
            )
        check_statistics(self.x, *self.statistics)
        return [with_element(like(self.x), f32 if is_real(self.x) else i16)]

    def reference(self, *operands: Array) -> Array:
        x, others = operands[0], operands[1:]
        *mean, inverse = others[: len(self.statistics)]
        centre = mean[0] if mean else np.zeros_like(inverse)
        if is_float(x):
            return (x - centre) * inverse
        e, e_inverse, *e_mean = (int(each) for each in others[len(self.statistics) :])
        return norms.normalise(x, e, centre, inverse, e_inverse, *e_mean)

    def to_integer(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        x, *mean, inverse = operands
        recalled = [value for value in mean if isinstance(value.owner, BatchNormRecallOp)]
        return NormaliseOp.of(*operands, *(insert(ExponentOfOp.of(value)) for value in (x, inverse, *recalled)))

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.const(norms.NORMALISED_EXPONENT)]

    def int64_bound(self, operands: Sequence[int]) -> int:
        """(256 x - mean) * inverse."""
        x, *mean, inverse = operands[: 1 + len(self.statistics)]
        return (256 * x + sum(mean)) * inverse

    def backward(self, grad: Gradients) -> None:
        """The error of x, also by way of the statistics, which must be those of x unless no parameter moves them.

        dx = inverse * (dy - mean(dy) - xhat * mean(dy * xhat)), each mean over the axes of the statistics. Without a
        mean of x, the mean of dy is not there; and where no parameter moves the statistics, dx = inverse * dy. A factor
        per channel that dy is still to be multiplied by joins the inverse, where no sum goes over channels.
        """
        dy, gamma = grad.factors_of(self.xhat)
        if gamma is not None and shape_of(gamma) != shape_of(self.inverse)[-1:]:
            dy, gamma = grad.of(self.xhat), None
        means: list[SSAValue] = []
        if grad.needs(self.inverse):
            shape = shape_of(self.inverse)
            count = prod(shape_of(self.x)) // prod(shape)
            sums = [channel_sums(grad, shape, dy, self.xhat)]
            if self.mean is not None:
                sums.insert(0, channel_sums(grad, shape, dy))
            means = [grad.insert(ChannelMeanOp.of(total, count=count)) for total in sums]
        factor = self.inverse if gamma is None else grad.insert(ChannelProductOp.of(self.inverse, gamma))
        if not means:
            grad.add(self.x, ScaleDgradOp.of(dy, factor))
            return
        *mean, slope = means
        grad.add(self.x, BatchNormDgradOp.of(dy, self.xhat, factor, slope, *mean))


def channel_sums(grad: Gradients, shape: Shape, *factors: SSAValue) -> SSAValue:
    """The sums of dy, or of dy * xhat, over the axes of statistics of `shape`.

    For those of batch norm they are the errors of beta and gamma, and known already where it has a scale.
    """
    dy, *xhat = factors
    if shape != shape_of(dy)[-1:]:
        return grad.insert((MulSumOp if xhat else ReduceSumOp).of(*factors, shape=shape))
    kind = ScaleGradOp if xhat else BiasGradOp
    readers = [use.operation for use in dy.uses if isinstance(use.operation, kind)]
    known = [op.result for op in readers if tuple(op.operands) == factors]
    return known[0] if known else grad.insert(kind.of(*factors))


@irdl_op_definition
class BatchNormScaleOp(NnOp):
    """y = gamma * xhat + beta per channel. In integers beta comes as the b of nn.bias, with the same exponents."""

    name = "nn.batch_norm_scale"
    traits = traits_def(Cheap())
    xhat = operand_def()
    gamma = operand_def()
    beta = operand_def()
    scales = var_operand_def(exponent)
    y = result_def()
    MANTISSAS16: ClassVar[Sequence[int]] = (0,)
    FACTORS: ClassVar[Sequence[int]] = (1,)

    def infer_types(self) -> Sequence[Attribute]:
        check_channels(self.xhat, self.gamma, self.beta)
        check_parameter_sum(self)
        return [accumulator(self.xhat)]

    def reference(self, *operands: Array) -> Array:
        xhat, gamma, beta, *scales = operands
        if is_float(xhat):
            return xhat * gamma + beta
        e, common = (int(v) for v in scales)
        return sums.add_parameter(integers.wide(xhat) * gamma, e, beta, common)

    def to_integer(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        xhat, gamma, beta = operands
        product = insert(ExpAddOp.of(insert(ExponentOfOp.of(xhat)), insert(ExponentOfOp.of(gamma))))
        return BatchNormScaleOp.of(xhat, gamma, *aligned_parameter(beta, product, insert))

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.shift(self.scales[1])]

    def accumulator_bound(self) -> int:
        return integers.INT16_LIMIT * 127 + (integers.INT8_LIMIT << rounding.ALIGN_LEFT)

    def backward(self, grad: Gradients) -> None:
        """Passes dy on with gamma as a factor, and makes no product of them: nn.normalise multiplies later."""
        dy = grad.of(self.y)
        dbeta, dgamma = grad.insert(BiasGradOp.of(dy)), grad.insert(ScaleGradOp.of(dy, self.xhat))
        grad.pass_on(self.beta, dbeta)
        grad.pass_on(self.gamma, dgamma)
        grad.pass_on(self.xhat, dy, self.gamma)


@irdl_op_definition
class ScaleGradOp(ChannelOp):
    """The error of a factor per channel: the sum of dy * x over all axes but the last."""

    name = "nn.scale_grad"
    dy = operand_def()
    x = operand_def()
    dgamma = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        if shape_of(self.dy) != shape_of(self.x):
            raise VerifyException(f"an error of {shape_of(self.dy)} does not fit {shape_of(self.x)}")
        return [accumulator(self.dy, shape_of(self.dy)[-1:])]

    def reference(self, *operands: Array) -> Array:
        dy, x = (v if is_float(v) else integers.wide(v) for v in operands)
        return samples(dy * x, shape_of(self.dgamma)).sum(0)

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.add(e.of(self.dy), e.of(self.x))]

    def accumulator_bound(self) -> int:
        return prod(shape_of(self.dy)[:-1]) * 127 * 127


@irdl_op_definition
class ScaleDgradOp(ChannelOp):
    """dy * factor: the error past a normalisation whose statistics are fixed, with factor = gamma / sigma."""

    name = "nn.scale_dgrad"
    dy = operand_def()
    factor = operand_def()
    dx = result_def()
    ACCUMULATORS: ClassVar[Sequence[int]] = (1,)

    def infer_types(self) -> Sequence[Attribute]:
        check_statistics(self.dy, self.factor)
        return [accumulator(self.dy)]

    def reference(self, *operands: Array) -> Array:
        dy, factor = operands
        return dy * factor if is_float(dy) else integers.wide(dy) * factor

    def to_integer(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        dy, factor = operands
        assert isinstance(factor, OpResult)
        return ScaleDgradOp.of(dy, insert(requantised(factor, FROZEN_FACTOR_BITS, insert)))

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.add(e.of(self.dy), e.of(self.factor))]

    def accumulator_bound(self) -> int:
        return 127 << FROZEN_FACTOR_BITS


@irdl_op_definition
class ChannelProductOp(ChannelOp):
    """inverse * gamma, where the inverse is that of a channel; int64 in integers."""

    name = "nn.channel_product"
    inverse = operand_def()
    gamma = operand_def()
    y = result_def()
    ACCUMULATORS: ClassVar[Sequence[int]] = (0,)

    def infer_types(self) -> Sequence[Attribute]:
        check_channels(self.inverse, self.gamma)
        return [with_element(like(self.inverse), f32 if is_real(self.inverse) else i64)]

    def reference(self, *operands: Array) -> Array:
        inverse, gamma = operands
        return inverse * gamma if is_float(inverse) else integers.wide(inverse) * gamma

    def result_bounds(self, operands: Sequence[int]) -> Sequence[int | None]:
        return [prod(operands)]

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.add(e.of(self.inverse), e.of(self.gamma))]


@irdl_op_definition
class ChannelMeanOp(ChannelOp):
    """Sums over `count` elements each as their means; in integers int64 with 8 more bits."""

    name = "nn.channel_mean"
    traits = traits_def(TakesInt64())
    total = operand_def()
    count = prop_def(IntegerAttr[I64])
    mean = result_def()
    ACCUMULATORS: ClassVar[Sequence[int]] = (0,)

    def infer_types(self) -> Sequence[Attribute]:
        return [with_element(like(self.total), f32 if is_real(self.total) else i64)]

    def reference(self, *operands: Array) -> Array:
        total, n = operands[0], self.count.value.data
        return total / n if is_float(total) else integers.div(integers.wide(total) << 8, n)

    def int64_bound(self, operands: Sequence[int]) -> int:
        """2^9 total + n."""
        return (operands[0] << 9) + self.count.value.data

    def result_bounds(self, operands: Sequence[int]) -> Sequence[int | None]:
        return [self.int64_bound(operands) // (2 * self.count.value.data)]

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.add(e.of(self.total), e.const(-8))]


@irdl_op_definition
class BatchNormDgradOp(ChannelOp):
    """(dy - mean - xhat * slope) * factor; int64 in integers.

    mean is that of dy, and absent where x was not centred; slope is the mean of dy * xhat, and factor is gamma / sigma.
    """

    name = "nn.batch_norm_dgrad"
    traits = traits_def(Cheap())
    dy = operand_def()
    xhat = operand_def()
    factor = operand_def()
    slope = operand_def()
    mean = var_operand_def()
    dx = result_def()
    ACCUMULATORS: ClassVar[Sequence[int]] = (2, 3, 4)

    def infer_types(self) -> Sequence[Attribute]:
        if shape_of(self.xhat) != shape_of(self.dy) or len(self.mean) > 1:
            raise VerifyException(f"an error of {shape_of(self.dy)} takes an xhat like it and at most one mean")
        check_statistics(self.dy, self.factor, self.slope, *self.mean)
        return [with_element(like(self.dy), f32 if is_real(self.dy) else i64)]

    def reference(self, *operands: Array) -> Array:
        dy, xhat, factor, slope, *rest = operands
        mean = rest[0] if rest else np.zeros_like(slope)
        if is_float(dy):
            return (dy - mean - xhat * slope) * factor
        return norms.batch_norm_dgrad(dy, xhat, slope, mean) * factor

    def result_bounds(self, operands: Sequence[int]) -> Sequence[int | None]:
        """The product of the factor with (256 dy - mean - R(xhat * slope, 10))."""
        dy, xhat, factor, slope, *mean = operands
        return [(256 * dy + sum(mean) + (xhat * slope >> 10) + 1) * factor]

    def to_integer(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        dy, xhat, factor, *means = operands
        assert isinstance(factor, OpResult)
        return BatchNormDgradOp.of(dy, xhat, insert(requantised(factor, FACTOR_BITS, insert)), *means)

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.add(e.add(e.of(self.dy), e.const(-8)), e.of(self.factor))]
