"""Normalisation in pieces: statistics, inverse deviation, normalisation, and a scale per channel.

The axes that statistics are taken over are those along which their shape broadcasts to x (ops/product.py):

    batch norm       x (N, H, W, C)      statistics (C), the default
    layer norm       x (N, T, C)         statistics (N, T, 1)
    instance norm    x (N, H, W, C)      statistics (N, 1, 1, C)
    group norm       x (N, H, W, G, K)   statistics (N, 1, 1, G, 1), and the scale on a view as (N, H, W, G * K)
    RMS norm         as layer norm, with nn.mean_square in place of mean and variance

In batch norm a training step takes the statistics of the batch and lets the running ones follow; inference recalls the
running ones. The integer forms are those of docs/numerics.md: x is an int16 mantissa, and statistics have exponents
that depend on that of x. Two rules give the gradient: nn.batch_norm_scale that of what it scales, and nn.normalise that
of x, past the statistics. There are kernels for the axes of batch norm only.
"""

from collections.abc import Sequence
from math import prod
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import I64, DenseArrayBase, Float64Type, FloatAttr, IntegerAttr
from xdsl.ir import Attribute, OpResult, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, opt_prop_def, prop_def, result_def, traits_def, var_operand_def
from xdsl.utils.exceptions import VerifyException

from nitic.arithmetic import integers, norms, rounding, sums
from nitic.arithmetic.integers import Array
from nitic.ir.op import E, Exponents, Gradients, Insert, NnOp, NoGradient, accumulator, is_float, like
from nitic.ir.traits import (
    BatchStatistics,
    Cheap,
    Intermediate,
    Pointwise,
    RunningStatistics,
    TakesInt64,
)
from nitic.ir.types import (
    Shape,
    element_of,
    exponent,
    f32,
    i16,
    i32,
    i64,
    is_tensor,
    range_,
    shape_of,
    tensor,
    with_element,
)
from nitic.ops.bfp import ExpAddOp, ExponentOfOp, RangeOp, RoundShiftOp, ScalarOp, ShiftOp, aligned_parameter, range_of
from nitic.ops.elementwise import BiasGradOp, check_parameter_sum
from nitic.ops.product import MulSumOp, ReduceSumOp, broadcast_axes, check_broadcast

INVERSE_BITS, SCALE_BITS = 24, 15


def samples(x: Array, shape: Shape) -> Array:
    """x as (elements of a statistic, statistics), for statistics of `shape`."""
    axes = broadcast_axes(shape, x.shape)
    kept = [i for i in range(x.ndim) if i not in axes]
    return x.transpose(*axes, *kept).reshape(-1, prod(x.shape[i] for i in kept))


def check_statistics(x: SSAValue, *statistics: SSAValue) -> None:
    """Raises VerifyException unless statistics, or values like them, have one shape, which broadcasts to x."""
    first = shape_of(statistics[0])
    check_broadcast(first, shape_of(x))
    for other in statistics[1:]:
        if shape_of(other) != first:
            raise VerifyException(f"statistics of {first} come with others of {shape_of(other)}")


def check_channels(x: SSAValue, *others: SSAValue) -> None:
    for other in others:
        if shape_of(other) != shape_of(x)[-1:]:
            raise VerifyException(f"a value per channel has the shape {shape_of(x)[-1:]}, not {shape_of(other)}")


def is_real(value: SSAValue) -> bool:
    return element_of(value) == f32


def requantised(acc: OpResult, bits: int, insert: Insert) -> NnOp:
    """Inserts what rounds a value per channel to `bits` bits, as int32, but for the last operator, which it returns."""
    shift = insert(ShiftOp.of(insert(RangeOp.of(acc)), bits=bits))
    return RoundShiftOp.of(acc, shift, round="nearest", to="i32")


class ChannelOp(NnOp):
    """A part of a normalisation without a backward rule of its own: the rule of nn.normalise covers it."""

    def backward(self, grad: Gradients) -> None:
        raise NoGradient


class StatisticsOp(ChannelOp):
    """What the two sources of (mean, variance) share."""

    def statistics_types(self, x: SSAValue, shape: Shape) -> Sequence[Attribute]:
        elements = (f32, f32) if is_real(x) else (i32, i64)
        return [tensor(shape, element) for element in elements]


class MeasureOp(StatisticsOp):
    """Statistics of `shape`, taken of x over the axes along which that broadcasts; without one, of each channel."""

    x = operand_def()
    shape = opt_prop_def(DenseArrayBase[I64])
    MANTISSAS16: ClassVar[Sequence[int]] = (0,)

    def taken(self) -> Shape:
        """The shape of the statistics."""
        return self.ints("shape") if self.shape else shape_of(self.x)[-1:]

    def count(self) -> int:
        """How many elements each statistic is taken of."""
        return prod(shape_of(self.x)) // prod(self.taken())

    def infer_types(self) -> Sequence[Attribute]:
        check_broadcast(self.taken(), shape_of(self.x))
        return self.statistics_types(self.x, self.taken())

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        of_x, eight = e.of(self.x), e.const(-8)
        return [e.add(of_x, eight), e.add(e.add(of_x, of_x), eight)]


@irdl_op_definition
class BatchNormStatisticsOp(MeasureOp):
    """(mean, variance) of the batch per channel, or over other axes."""

    name = "nn.batch_norm_statistics"
    traits = traits_def(BatchStatistics())
    mean = result_def()
    variance = result_def()

    def reference(self, *operands: Array) -> tuple[Array, ...]:
        x = samples(operands[0], self.taken())
        found = (x.mean(0), x.var(0)) if is_float(x) else norms.batch_norm_statistics(x)
        return tuple(each.reshape(self.taken()) for each in found)

    def int64_bound(self, operands: Sequence[int]) -> int:
        """n (16 |x| + 2)^2, for the sum of n squares.

        With d = 256 x - mean, the sum of d^2 is at most n ((256 |x|)^2 + 1/4), since the mean is within 1/2 of the
        exact one. The cut to d >> 4 is less than 1, which by Cauchy-Schwarz adds less than 1 to the root of the mean
        square. On a GPU the parts are sums of x and of x^2, and their products are at most this, too.
        """
        return max(self.count() * (16 * operands[0] + 2) ** 2, (2 * 256 * operands[0] + 1) * self.count())

    def result_bounds(self, operands: Sequence[int]) -> Sequence[int | None]:
        """A mean is at most the largest of its elements."""
        return [256 * operands[0], (16 * operands[0] + 2) ** 2]


@irdl_op_definition
class MeanSquareOp(MeasureOp):
    """The mean of the squares of x: the variance, where the mean is taken to be 0 (RMS norm)."""

    name = "nn.mean_square"
    square = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        return super().infer_types()[1:]

    def reference(self, *operands: Array) -> Array:
        x = samples(operands[0], self.taken())
        square = (x**2).mean(0) if is_float(x) else ((integers.wide(x) << 4) ** 2).sum(0) // len(x)
        return square.reshape(self.taken())

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return super().exponents(e)[1:]

    def int64_bound(self, operands: Sequence[int]) -> int:
        """The sum of squares."""
        return self.count() * (16 * operands[0]) ** 2

    def result_bounds(self, operands: Sequence[int]) -> Sequence[int | None]:
        return [(16 * operands[0]) ** 2]


@irdl_op_definition
class BatchNormRecallOp(StatisticsOp):
    """(mean, variance) as the running statistics have them, for the x that is to be normalised.

    In integers the exponent of the mean (nn.recalled_exponent) stands for x, and that of the variance behind it.
    `momentum` is how much a running statistic keeps in a training step.
    """

    name = "nn.batch_norm_recall"
    traits = traits_def(RunningStatistics())
    mean = operand_def()
    variance = operand_def()
    x = operand_def()
    scale = var_operand_def(exponent)
    momentum = prop_def(FloatAttr[Float64Type])
    recalled_mean = result_def()
    recalled_variance = result_def()
    UNDIFFERENTIATED: ClassVar[Sequence[int]] = (2,)
    MANTISSAS16: ClassVar[Sequence[int]] = (2,)
    ACCUMULATORS: ClassVar[Sequence[int]] = (0, 1)
    FACTORS: ClassVar[Sequence[int]] = (1,)

    def infer_types(self) -> Sequence[Attribute]:
        if shape_of(self.mean) != shape_of(self.variance):
            raise VerifyException(f"means of {shape_of(self.mean)} come with variances of {shape_of(self.variance)}")
        if len(self.scale) != (0 if is_real(self.mean) else 1):
            raise VerifyException("integers are recalled with the exponents of mean and variance, floats without")
        return self.statistics_types(self.mean, shape_of(self.mean))

    def reference(self, *operands: Array) -> tuple[Array, ...]:
        mean, variance, *scales = operands
        if is_float(mean):
            return mean, variance
        e_mean, e_variance = (int(e) for e in scales)
        return norms.batch_norm_recall(mean, variance, e_mean, e_variance)

    def int64_bound(self, operands: Sequence[int]) -> int:
        """The statistic that is shifted; the shift saturates."""
        return max(operands)

    def result_bounds(self, operands: Sequence[int]) -> Sequence[int | None]:
        return [norms.MEAN_LIMIT, norms.VARIANCE_LIMIT]

    def to_integer(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        mean, variance, x = operands
        e = insert(ExponentOfOp.of(x))
        scales = [
            insert(RecalledExponentOp.of(e, range_of(value, insert), power=power))
            for power, value in enumerate((mean, variance), 1)
        ]
        return BatchNormRecallOp.of(mean, variance, *scales, momentum=self.momentum.value.data)

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.shift(scale) for scale in self.operands[2:]]


@irdl_op_definition
class RecalledExponentOp(ScalarOp):
    """The exponent of running means (power 1) or variances (2) by their range, for an x at an exponent."""

    name = "nn.recalled_exponent"
    x = operand_def(exponent)
    r = operand_def(range_)
    power = prop_def(IntegerAttr[I64])
    e = result_def(exponent)

    def infer_types(self) -> Sequence[Attribute]:
        if self.power.value.data not in norms.RECALLED_LIMITS:
            raise VerifyException(f"running statistics are of power 1 or 2, not {self.power.value.data}")
        return super().infer_types()

    def scalar(self, *operands: int) -> int:
        return norms.recalled_exponent(*operands, power=self.power.value.data)


@irdl_op_definition
class BatchNormRunningOp(ChannelOp):
    """A running statistic after a training step; integers are int64 at exponent -32."""

    name = "nn.batch_norm_running"
    running = operand_def()
    new = operand_def()
    scale = var_operand_def(exponent)
    momentum = prop_def(FloatAttr[Float64Type])
    updated = result_def()
    ACCUMULATORS: ClassVar[Sequence[int]] = (1,)
    UPDATES: ClassVar[Sequence[tuple[int, int]]] = ((0, 0),)

    def infer_types(self) -> Sequence[Attribute]:
        check_channels(self.running, self.new)
        return [like(self.running)]

    def reference(self, *operands: Array) -> Array:
        running, new, *scale = operands
        momentum = self.momentum.value.data
        if is_float(running):
            return running * momentum + new * (1 - momentum)
        return norms.batch_norm_running(running, new, int(scale[0]), norms.running_rate(momentum))

    def int64_bound(self, operands: Sequence[int]) -> int:
        """The shifted statistic, the difference of two saturated ones, or the fraction of it that is added."""
        rate = abs(norms.running_rate(self.momentum.value.data))
        return max(*operands, max(2**15, rate) * (2 * norms.RUNNING_LIMIT >> 15))

    def result_bounds(self, operands: Sequence[int]) -> Sequence[int | None]:
        return [norms.RUNNING_LIMIT]

    def to_integer(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        running, new = operands
        return BatchNormRunningOp.of(running, new, insert(ExponentOfOp.of(new)), momentum=self.momentum.value.data)

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.const(norms.RUNNING_EXPONENT)]


@irdl_op_definition
class BatchNormInverseOp(ChannelOp):
    """1 / sqrt(variance + epsilon). In integers it is to be rounded to 24 bits, with one shift for all channels.

    Where the variance is tiny beside epsilon, it is moved to the least exponent that holds epsilon.
    """

    name = "nn.batch_norm_inverse"
    variance = operand_def()
    scale = var_operand_def(exponent)
    epsilon = prop_def(FloatAttr[Float64Type])
    inverse = result_def()
    ACCUMULATORS: ClassVar[Sequence[int]] = (0,)

    def infer_types(self) -> Sequence[Attribute]:
        return [like(self.variance)]

    def reference(self, *operands: Array) -> Array:
        variance, *scale = operands
        if is_float(variance):
            return 1 / np.sqrt(variance + self.epsilon.value.data)
        return norms.batch_norm_inverse(variance, int(scale[0]), self.integer_epsilon())

    def int64_bound(self, operands: Sequence[int]) -> int:
        """Epsilon at exponent -48, or what the root is compared with: no square of 31 bits reaches 2^62.

        Variance and epsilon saturate at 2^40 each, and 16 bits are appended to their sum: below 2^58.
        """
        return max(2**62, self.integer_epsilon())

    def least_divisor(self) -> int:
        """The root of 2^16 times a sum that is at least 1, if it is of a variance, which is never negative."""
        return 2**8 if isinstance(self.variance.owner, StatisticsOp) else 0

    def integer_epsilon(self) -> int:
        """Epsilon at exponent -48."""
        return round(self.epsilon.value.data * 2**48)

    def result_bounds(self, operands: Sequence[int]) -> Sequence[int | None]:
        """The sum is at least 1, so the root at least 2^8, and 2^44 is divided by that."""
        return [2**36]

    def to_integer(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        e = insert(ExponentOfOp.of(operands[0]))
        raw = insert(BatchNormInverseOp.of(operands[0], e, epsilon=self.epsilon.value.data))
        return requantised(raw, INVERSE_BITS, insert)

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        at = e.clamp(e.of(self.variance), norms.least_exponent(self.integer_epsilon()), 2**30)
        return [e.add(e.const(-36), e.inverse_root(at))]


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
        return ScaleDgradOp.of(dy, insert(requantised(factor, SCALE_BITS, insert)))

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.add(e.of(self.dy), e.of(self.factor))]

    def accumulator_bound(self) -> int:
        return 127 << SCALE_BITS


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
        return BatchNormDgradOp.of(dy, xhat, insert(requantised(factor, SCALE_BITS, insert)), *means)

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.add(e.add(e.of(self.dy), e.const(-8)), e.of(self.factor))]
