"""Losses of logits with integer labels: the error, the loss and the number of right answers in one operator."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, result_def, traits_def, var_operand_def
from xdsl.utils.exceptions import VerifyException

from nitic.arithmetic import losses
from nitic.arithmetic.integers import Array
from nitic.ir.op import E, Exponents, Gradients, Insert, NnOp, accumulator, is_float, like
from nitic.ir.traits import CoarseError, Loss, SquaredError
from nitic.ir.types import element_of, f32, i32, i64, shape_of, tensor
from nitic.ops.bfp import ExponentOfOp, exponent_beside_constant


class LossOp(NnOp):
    """(dlogits, loss, correct) of logits (N, C) and labels (N).

    The loss is a sum over the batch. dlogits is the gradient of its mean, short of the factor 2^floor(log2 N) / N that
    the learning rate takes. A row with label -1 counts for nothing.
    """

    traits = traits_def(Loss())
    DRAWS: ClassVar[bool] = False
    """Whether it takes random numbers in training."""

    def metrics_types(self) -> Sequence[Attribute]:
        """The types of loss and correct, for operands that fit each other."""
        real = element_of(self.operands[0]) == f32
        logits, label = (shape_of(operand) for operand in self.operands[:2])
        if len(logits) != 2 or label != logits[:1]:
            raise VerifyException(f"logits of {logits} need (N, C), and labels of {label} one for each row")
        return [tensor((), f32 if real else i64), tensor((), i32)]

    def backward(self, grad: Gradients) -> None:
        grad.pass_on(self.operands[0], self.results[0])


@irdl_op_definition
class CrossEntropyOp(LossOp):
    """Softmax and cross-entropy.

    dlogits is (softmax - onehot) * 2^-floor(log2 N); the loss is in bits, in Q8. Behind logits and labels come the
    exponent of integer logits, and in training seed and step, which the rounding of dlogits starts from.
    """

    name = "nn.cross_entropy"
    traits = traits_def(CoarseError())
    logits = operand_def()
    label = operand_def()
    scalars = var_operand_def()
    dlogits = result_def()
    loss = result_def()
    correct = result_def()
    DRAWS: ClassVar[bool] = True

    @property
    def exponent(self) -> SSAValue | None:
        return self.scalars[0] if len(self.scalars) % 2 else None

    @property
    def random(self) -> Sequence[SSAValue]:
        """Seed and step, or nothing."""
        return self.scalars[len(self.scalars) % 2 :]

    def infer_types(self) -> Sequence[Attribute]:
        metrics = self.metrics_types()
        if len(self.scalars) not in ((0, 2) if element_of(self.logits) == f32 else (1, 3)):
            raise VerifyException("integer logits, and only they, come with their exponent; seed and step may follow")
        return [like(self.logits), *metrics]

    def reference(self, *operands: Array) -> tuple[Array, ...]:
        logits, label, *scalars = operands
        if is_float(logits):
            return *cross_entropy(logits, label), right_answers(logits, label)
        exponent, *random = (int(value) for value in scalars)
        rows = len(logits)
        start = losses.loss_start(rows, *random) if random else np.full(rows, 1 << (losses.START_BITS - 1))
        error, _, _, loss = losses.cross_entropy(logits, exponent, label, start)
        return error, np.asarray(loss, np.int64), right_answers(logits, label)

    def to_integer(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        logits, label, *random = operands
        return CrossEntropyOp.of(logits, label, insert(ExponentOfOp.of(logits)), *random)

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.const(losses.loss_exponent(shape_of(self.logits)[0])), None, None]

    def least_divisor(self) -> int:
        """The sum of a row: its largest logit adds 2^20."""
        return 1 << 20

    def int64_bound(self, operands: Sequence[int]) -> int:
        """A logit's distance to the largest, shifted left by 30; 2^25 g with the sum of all g; 2^8 times that sum."""
        sum_ = shape_of(self.logits)[1] << 20
        return max(254 * losses.LOG2_E << 30, (2 << 20 + losses.PROBABILITY_BITS) + sum_, sum_ << 8)

    def result_bounds(self, operands: Sequence[int]) -> Sequence[int | None]:
        """The loss of a row is t, at most 2^13, and log2(S) - 20, at most that of the number of classes."""
        rows, classes = shape_of(self.logits)
        return [None, rows * ((1 << 13) + (classes.bit_length() << 8)), None]


@irdl_op_definition
class MeanSquaredErrorOp(LossOp):
    """The squared distance to the target; integers come with the exponents of logits and difference.

    The target is the one-hot row of the label, or of a single logit the label itself, which is right where it is at
    most 1/2 away. dlogits is (logits - target) * 2^-floor(log2 N), in integers an accumulator; the loss is the sum of
    squares, in Q16.
    """

    name = "nn.mean_squared_error"
    traits = traits_def(SquaredError())
    logits = operand_def()
    label = operand_def()
    scales = var_operand_def()
    dlogits = result_def()
    loss = result_def()
    correct = result_def()
    LARGEST_DIFFERENCE: ClassVar[int] = (127 << 16) + losses.LARGEST_TARGET

    def infer_types(self) -> Sequence[Attribute]:
        metrics = self.metrics_types()
        if len(self.scales) != (0 if element_of(self.logits) == f32 else 2):
            raise VerifyException("integer logits come with two exponents, floats with none")
        if (classes := shape_of(self.logits)[1]) > 1 << 16:
            raise VerifyException(f"the squares of {classes} classes may not fit 64 bits: at most 65536 do")
        return [accumulator(self.logits), *metrics]

    def reference(self, *operands: Array) -> tuple[Array, ...]:
        logits, label, *scales = operands
        if is_float(logits):
            error, loss = mean_squared_error(logits, label)
            distance, unit = logits - losses.targets(logits, label), 1
        else:
            exponent, common = (int(e) for e in scales)
            error, loss = losses.mean_squared_error(logits, exponent, common, label)
            distance, unit = error, losses.unit_at(exponent, common)
        close = 2 * abs(distance[:, 0]) <= unit
        correct = (close & (label >= 0)).sum() if self.is_number else right_answers(logits, label)
        return error, np.asarray(loss, None if is_float(logits) else np.int64), correct

    @property
    def is_number(self) -> bool:
        """Whether there is one logit, which is a number, and no classes."""
        return shape_of(self.logits)[1] == 1

    def to_integer(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        return MeanSquaredErrorOp.of(*operands, *exponent_beside_constant(operands[0], 0, insert))

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        mean = losses.loss_exponent(shape_of(self.logits)[0]) - losses.loss_exponent(1)
        return [e.add(e.shift(self.scales[1]), e.const(mean)), None, None]

    def accumulator_bound(self) -> int:
        return self.LARGEST_DIFFERENCE

    def int64_bound(self, operands: Sequence[int]) -> int:
        """The sum of a row's squares."""
        return shape_of(self.logits)[1] * self.LARGEST_DIFFERENCE**2

    def result_bounds(self, operands: Sequence[int]) -> Sequence[int | None]:
        """The loss of a row saturates at 2^30."""
        return [None, shape_of(self.logits)[0] << 30, None]


def right_answers(logits: Array, label: Array) -> Array:
    return ((logits.argmax(1) == label) & (label >= 0)).sum()


def cross_entropy(logits: Array, label: Array) -> tuple[Array, Array]:
    """(dlogits, loss in bits in Q8) in floating point."""
    rows, counted = np.arange(len(logits)), label >= 0
    z = logits - logits.max(1, keepdims=True)
    log_sum = np.log(np.exp(z).sum(1))
    p = np.exp(z - log_sum[:, None])
    p[rows, label] -= 1
    p[~counted] = 0
    loss = (log_sum - z[rows, label])[counted].sum() * 256 / np.log(2)
    return p * 2.0 ** (losses.loss_exponent(len(logits)) + 7), np.asarray(loss)


def mean_squared_error(logits: Array, label: Array) -> tuple[Array, Array]:
    """(dlogits, sum of squares in Q16) in floating point."""
    d = (logits - losses.targets(logits, label)) * (label >= 0)[:, None]
    return d * 2.0 ** (losses.loss_exponent(len(logits)) + 7), np.asarray((d * d).sum() * 2**16)
