"""Batch normalisation over all axes but the last, in pieces: statistics, inverse deviation, normalisation, scale.

A training step takes the statistics of the batch and lets the running ones follow; inference recalls the running ones.
The integer forms are those of docs/numerics.md: x is an int16 mantissa, and the statistics of a channel have exponents
that depend on that of x. The gradient is one for the whole chain, and nn.batch_norm_scale gives it.
"""

from collections.abc import Sequence
from math import prod
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import I64, Float64Type, FloatAttr, IntegerAttr
from xdsl.ir import Attribute, OpResult, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, var_operand_def
from xdsl.utils.exceptions import VerifyException

from nitic.arithmetic import integers, norms
from nitic.arithmetic.integers import Array
from nitic.ir.op import E, Emit, Exponents, Gradients, NnOp, NoGradient, accumulator, is_float, like
from nitic.ir.types import element_of, exponent, f32, i16, i32, i64, shape_of, tensor, with_element
from nitic.ops.bfp import AlignOp, ExpAddOp, ExponentOfOp, RangeOp, RoundShiftOp, ShiftOp
from nitic.ops.elementwise import BiasGradOp

INVERSE_BITS, SCALE_BITS = 24, 15


def rows(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1])


def check_channels(x: SSAValue, *others: SSAValue) -> None:
    for other in others:
        if shape_of(other) != shape_of(x)[-1:]:
            raise VerifyException(f"a value per channel has the shape {shape_of(x)[-1:]}, not {shape_of(other)}")


def is_real(value: SSAValue) -> bool:
    return element_of(value) == f32


def requantised(acc: OpResult, bits: int, emit: Emit) -> NnOp:
    """The last of the operators that round a value per channel to `bits` bits, as int32."""
    shift = emit(ShiftOp.of(emit(RangeOp.of(acc)), bits=bits))
    return RoundShiftOp.of(acc, shift, round="nearest", to="i32")


class ChannelOp(NnOp):
    """A piece without a gradient of its own."""

    def backward(self, grad: Gradients) -> None:
        raise NoGradient


class StatisticsOp(ChannelOp):
    """What the two sources of (mean, variance) share: exponents e - 8 and 2e - 8 for an x at exponent e."""

    def statistics_types(self, x: SSAValue, channels: tuple[int, ...]) -> Sequence[Attribute]:
        elements = (f32, f32) if is_real(x) else (i32, i64)
        return [tensor(channels, element) for element in elements]

    def statistics_exponents(self, e: Exponents[E], of_x: E) -> Sequence[E | None]:
        eight = e.const(-8)
        return [e.add(of_x, eight), e.add(e.add(of_x, of_x), eight)]


@irdl_op_definition
class BatchNormStatisticsOp(StatisticsOp):
    """(mean, variance) per channel of the batch."""

    name = "nn.batch_norm_statistics"
    x = operand_def()
    mean = result_def()
    variance = result_def()
    MANTISSAS16: ClassVar[Sequence[int]] = (0,)

    def infer_types(self) -> Sequence[Attribute]:
        return self.statistics_types(self.x, shape_of(self.x)[-1:])

    def reference(self, *operands: Array) -> tuple[Array, ...]:
        x = rows(operands[0])
        return (x.mean(0), x.var(0)) if is_float(x) else norms.batch_norm_statistics(x)

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return self.statistics_exponents(e, e.of(self.x))


@irdl_op_definition
class BatchNormRecallOp(StatisticsOp):
    """(mean, variance) as the running statistics have them, for the x that is to be normalised.

    In integers its exponent stands for x. `momentum` is how much a running statistic keeps in a training step.
    """

    name = "nn.batch_norm_recall"
    mean = operand_def()
    variance = operand_def()
    x = operand_def()
    momentum = prop_def(FloatAttr[Float64Type])
    recalled_mean = result_def()
    recalled_variance = result_def()
    MANTISSAS16: ClassVar[Sequence[int]] = (2,)
    ACCUMULATORS: ClassVar[Sequence[int]] = (0, 1)

    def infer_types(self) -> Sequence[Attribute]:
        if shape_of(self.mean) != shape_of(self.variance):
            raise VerifyException(f"means of {shape_of(self.mean)} come with variances of {shape_of(self.variance)}")
        return self.statistics_types(self.mean, shape_of(self.mean))

    def reference(self, *operands: Array) -> tuple[Array, ...]:
        mean, variance, x = operands
        if is_float(mean):
            return mean, variance
        return norms.batch_norm_recall(mean, variance, int(x))

    def to_integer(self, operands: Sequence[SSAValue], emit: Emit) -> NnOp:
        mean, variance, x = operands
        return BatchNormRecallOp.of(mean, variance, emit(ExponentOfOp.of(x)), momentum=self.momentum.value.data)

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return self.statistics_exponents(e, e.shift(self.x))


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

    def to_integer(self, operands: Sequence[SSAValue], emit: Emit) -> NnOp:
        running, new = operands
        return BatchNormRunningOp.of(running, new, emit(ExponentOfOp.of(new)), momentum=self.momentum.value.data)

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.const(norms.RUNNING_EXPONENT)]


@irdl_op_definition
class BatchNormInverseOp(ChannelOp):
    """1 / sqrt(variance + epsilon). In integers it is to be rounded to 24 bits, with one shift for all channels."""

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
        epsilon = self.epsilon.value.data
        if is_float(variance):
            return 1 / np.sqrt(variance + epsilon)
        return norms.batch_norm_inverse(variance, int(scale[0]), round(epsilon * 2**48))

    def to_integer(self, operands: Sequence[SSAValue], emit: Emit) -> NnOp:
        e = emit(ExponentOfOp.of(operands[0]))
        raw = emit(BatchNormInverseOp.of(operands[0], e, epsilon=self.epsilon.value.data))
        return requantised(raw, INVERSE_BITS, emit)

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.add(e.const(-36), e.inverse_root(e.of(self.variance)))]


@irdl_op_definition
class NormaliseOp(ChannelOp):
    """xhat = (x - mean) * inverse; in integers an int16 mantissa at exponent -9, which holds +-64.

    The shift to it is never to the left: that of nn.batch_norm_inverse and its 24 bits makes it 18 to 31.
    """

    name = "nn.normalise"
    x = operand_def()
    mean = operand_def()
    inverse = operand_def()
    scales = var_operand_def(exponent)
    xhat = result_def()
    MANTISSAS16: ClassVar[Sequence[int]] = (0,)
    ACCUMULATORS: ClassVar[Sequence[int]] = (1, 2)

    def infer_types(self) -> Sequence[Attribute]:
        check_channels(self.x, self.mean, self.inverse)
        return [with_element(like(self.x), f32 if is_real(self.x) else i16)]

    def reference(self, *operands: Array) -> Array:
        x, mean, inverse, *scales = operands
        if is_float(x):
            return (x - mean) * inverse
        return norms.normalise(x, int(scales[0]), mean, inverse, int(scales[1]))

    def to_integer(self, operands: Sequence[SSAValue], emit: Emit) -> NnOp:
        x, _, inverse = operands
        return NormaliseOp.of(*operands, emit(ExponentOfOp.of(x)), emit(ExponentOfOp.of(inverse)))

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.const(norms.NORMALISED_EXPONENT)]


@irdl_op_definition
class BatchNormScaleOp(NnOp):
    """y = gamma * xhat + beta per channel. In integers beta comes aligned to the product."""

    name = "nn.batch_norm_scale"
    xhat = operand_def()
    gamma = operand_def()
    beta = operand_def()
    y = result_def()
    MANTISSAS16: ClassVar[Sequence[int]] = (0,)

    def infer_types(self) -> Sequence[Attribute]:
        check_channels(self.xhat, self.gamma, self.beta)
        return [accumulator(self.xhat)]

    def reference(self, *operands: Array) -> Array:
        xhat, gamma, beta = operands
        return xhat * gamma + beta if is_float(xhat) else integers.wide(xhat) * gamma + beta

    def to_integer(self, operands: Sequence[SSAValue], emit: Emit) -> NnOp:
        xhat, gamma, beta = operands
        product = emit(ExpAddOp.of(emit(ExponentOfOp.of(xhat)), emit(ExponentOfOp.of(gamma))))
        return BatchNormScaleOp.of(xhat, gamma, emit(AlignOp.of(beta, emit(ExponentOfOp.of(beta)), product)))

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.add(e.of(self.xhat), e.of(self.gamma))]

    def accumulator_bound(self) -> int:
        return integers.INT16_LIMIT * 127 + (127 << 20)

    def backward(self, grad: Gradients) -> None:
        """The errors of gamma and beta, and past the statistics that of the x they were taken of."""
        norm, dy = self.xhat.owner, grad.of(self.y)
        if not isinstance(norm, NormaliseOp):
            raise NoGradient
        dbeta, dgamma = grad.emit(BiasGradOp.of(dy)), grad.emit(ScaleGradOp.of(dy, self.xhat))
        grad.pass_on(self.beta, dbeta)
        grad.pass_on(self.gamma, dgamma)
        if isinstance(norm.mean.owner, BatchNormRecallOp):  # statistics that x has no part in
            grad.add(norm.x, ScaleDgradOp.of(dy, grad.emit(ChannelProductOp.of(norm.inverse, self.gamma))))
            return
        count = prod(shape_of(dy)[:-1])
        mean, slope = (grad.emit(ChannelMeanOp.of(total, count=count)) for total in (dbeta, dgamma))
        factor = grad.emit(ChannelProductOp.of(norm.inverse, self.gamma))
        grad.add(norm.x, BatchNormDgradOp.of(dy, self.xhat, factor, slope, mean))


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
        return rows(dy * x).sum(0)

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.add(e.of(self.dy), e.of(self.x))]

    def accumulator_bound(self) -> int:
        return prod(shape_of(self.dy)[:-1]) * 127 * 127


@irdl_op_definition
class ScaleDgradOp(ChannelOp):
    """dy * factor per channel: the error past a batch norm whose statistics are fixed, with factor = gamma / sigma."""

    name = "nn.scale_dgrad"
    dy = operand_def()
    factor = operand_def()
    dx = result_def()
    ACCUMULATORS: ClassVar[Sequence[int]] = (1,)

    def infer_types(self) -> Sequence[Attribute]:
        check_channels(self.dy, self.factor)
        return [accumulator(self.dy)]

    def reference(self, *operands: Array) -> Array:
        dy, factor = operands
        return dy * factor if is_float(dy) else integers.wide(dy) * factor

    def to_integer(self, operands: Sequence[SSAValue], emit: Emit) -> NnOp:
        dy, factor = operands
        assert isinstance(factor, OpResult)
        return ScaleDgradOp.of(dy, emit(requantised(factor, SCALE_BITS, emit)))

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.add(e.of(self.dy), e.of(self.factor))]

    def accumulator_bound(self) -> int:
        return 127 << SCALE_BITS


@irdl_op_definition
class ChannelProductOp(ChannelOp):
    """inverse * gamma per channel; int64 in integers."""

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

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.add(e.of(self.inverse), e.of(self.gamma))]


@irdl_op_definition
class ChannelMeanOp(ChannelOp):
    """A sum over `count` elements per channel as their mean; in integers int64 with 8 more bits."""

    name = "nn.channel_mean"
    total = operand_def()
    count = prop_def(IntegerAttr[I64])
    mean = result_def()
    ACCUMULATORS: ClassVar[Sequence[int]] = (0,)
    TAKES_INT64: ClassVar[bool] = True

    def infer_types(self) -> Sequence[Attribute]:
        return [with_element(like(self.total), f32 if is_real(self.total) else i64)]

    def reference(self, *operands: Array) -> Array:
        total, n = operands[0], self.count.value.data
        return total / n if is_float(total) else integers.div(integers.wide(total) << 8, n)

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.add(e.of(self.total), e.const(-8))]


@irdl_op_definition
class BatchNormDgradOp(ChannelOp):
    """(dy - mean - xhat * slope) * factor; int64 in integers.

    mean is that of dy, slope that of dy * xhat, and factor is gamma / sigma.
    """

    name = "nn.batch_norm_dgrad"
    dy = operand_def()
    xhat = operand_def()
    factor = operand_def()
    slope = operand_def()
    mean = operand_def()
    dx = result_def()
    ACCUMULATORS: ClassVar[Sequence[int]] = (2, 3, 4)

    def infer_types(self) -> Sequence[Attribute]:
        check_channels(self.dy, self.factor, self.slope, self.mean)
        return [with_element(like(self.dy), f32 if is_real(self.dy) else i64)]

    def reference(self, *operands: Array) -> Array:
        dy, xhat, factor, slope, mean = operands
        if is_float(dy):
            return (dy - mean - xhat * slope) * factor
        return norms.batch_norm_dgrad(dy, xhat, slope, mean) * factor

    def to_integer(self, operands: Sequence[SSAValue], emit: Emit) -> NnOp:
        dy, xhat, factor, slope, mean = operands
        assert isinstance(factor, OpResult)
        return BatchNormDgradOp.of(dy, xhat, emit(requantised(factor, SCALE_BITS, emit)), slope, mean)

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.add(e.add(e.of(self.dy), e.const(-8)), e.of(self.factor))]
