"""The statistics of a normalisation: of a batch, or the running ones, and the inverse deviation that follows from them.

In batch norm a training step takes the statistics of the batch and lets the running ones follow; inference recalls the
running ones. The axes that statistics are taken over are those along which their shape broadcasts to x
(ops/product.py). The integer forms are those of docs/numerics.md: x is an int16 mantissa, and statistics have exponents
that depend on that of x. They have no gradients: that of nn.normalise (ops/norm.py) reaches x past them.
"""

from collections.abc import Sequence
from math import prod
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import I64, DenseArrayBase, Float64Type, FloatAttr
from xdsl.ir import Attribute, OpResult, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, opt_prop_def, prop_def, result_def, traits_def, var_operand_def
from xdsl.utils.exceptions import VerifyException

from nitic.arithmetic import integers, norms
from nitic.arithmetic.integers import Array
from nitic.ir.op import E, Exponents, Gradients, Insert, NnOp, NoGradient, is_float, like
from nitic.ir.traits import (
    BatchStatistics,
    RunningStatistics,
)
from nitic.ir.types import (
    Shape,
    element_of,
    exponent,
    f32,
    i32,
    i64,
    range_,
    shape_of,
    tensor,
)
from nitic.ops.bfp import ExponentOfOp, RangeOp, RoundShiftOp, ScalarOp, ShiftOp, range_of
from nitic.ops.product import broadcast_axes, check_broadcast

INVERSE_BITS = 24


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

    In integers the exponent of the mean stands for x, and that of the variance behind it. `momentum` is how much a
    running statistic keeps in a training step, `epsilon` that of the inverse deviation.
    """

    name = "nn.batch_norm_recall"
    traits = traits_def(RunningStatistics())
    mean = operand_def()
    variance = operand_def()
    x = operand_def()
    scale = var_operand_def(exponent)
    momentum = prop_def(FloatAttr[Float64Type])
    epsilon = prop_def(FloatAttr[Float64Type])
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
        largest, values = range_of(variance, insert), {"epsilon": self.epsilon.value.data}
        scales = (
            insert(RecalledMeanExponentOp.of(e, largest, **values)),
            insert(RecalledVarianceExponentOp.of(largest)),
        )
        return BatchNormRecallOp.of(mean, variance, *scales, momentum=self.momentum.value.data, **values)

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.shift(scale) for scale in self.operands[2:]]


@irdl_op_definition
class RecalledVarianceExponentOp(ScalarOp):
    """The exponent of running variances by their range."""

    name = "nn.recalled_variance_exponent"
    r = operand_def(range_)
    e = result_def(exponent)

    def scalar(self, *operands: int) -> int:
        return norms.recalled_variance_exponent(*operands)


@irdl_op_definition
class RecalledMeanExponentOp(ScalarOp):
    """The exponent of running means by the range of the variances, for an x at an exponent."""

    name = "nn.recalled_mean_exponent"
    x = operand_def(exponent)
    r = operand_def(range_)
    epsilon = prop_def(FloatAttr[Float64Type])
    e = result_def(exponent)

    def scalar(self, *operands: int) -> int:
        e, r = operands
        return norms.recalled_mean_exponent(e, r, norms.integer_epsilon(self.epsilon.value.data))


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
        return norms.integer_epsilon(self.epsilon.value.data)

    def result_bounds(self, operands: Sequence[int]) -> Sequence[int | None]:
        """The sum is at least 1, so the root at least 2^8, and 2^44 is divided by that."""
        return [2**36]

    def to_integer(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        e = insert(ExponentOfOp.of(operands[0]))
        raw = insert(BatchNormInverseOp.of(operands[0], e, epsilon=self.epsilon.value.data))
        return requantised(raw, INVERSE_BITS, insert)

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        at = e.clamp(e.of(self.variance), norms.least_exponent(self.integer_epsilon()), 2**30)
        return [e.add(e.const(-36), e.multiple(at, -1, 2))]
