"""Cross-entropy of logits with integer labels: the error, the loss and the number of right answers in one operator."""

from collections.abc import Sequence

import numpy as np
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, result_def, var_operand_def
from xdsl.utils.exceptions import VerifyException

from nitic import numerics
from nitic.ir.op import E, Emit, Exponents, Gradients, NnOp, is_float, like
from nitic.ir.types import element_of, f32, i32, i64, shape_of, tensor
from nitic.numerics import Array
from nitic.ops.bfp import ExponentOfOp


@irdl_op_definition
class CrossEntropyOp(NnOp):
    """(dlogits, loss, correct) of logits (N, C) and labels (N); in integers also the exponent of the logits.

    dlogits is (softmax - onehot) * 2^-floor(log2 N); the learning rate takes the rest of 1 / N. The loss is the sum
    over the batch in bits, in Q8. A row with label -1 counts for nothing.
    """

    name = "nn.cross_entropy"
    logits = operand_def()
    label = operand_def()
    exponent = var_operand_def()
    dlogits = result_def()
    loss = result_def()
    correct = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        logits, label = shape_of(self.logits), shape_of(self.label)
        if len(logits) != 2 or label != logits[:1]:
            raise VerifyException(f"logits of {logits} need (N, C), and labels of {label} one for each row")
        real = element_of(self.logits) == f32
        if real == bool(self.exponent):
            raise VerifyException("integer logits come with their exponent, and only they")
        return [like(self.logits), tensor((), f32 if real else i64), tensor((), i32)]

    def reference(self, *operands: Array) -> tuple[Array, ...]:
        logits, label, *exponent = operands
        correct = ((logits.argmax(1) == label) & (label >= 0)).sum()
        if is_float(logits):
            return *cross_entropy(logits, label), correct
        error, _, _, loss = numerics.cross_entropy(logits, int(exponent[0]), label)
        return error, np.asarray(loss, np.int64), correct

    def to_integer(self, operands: Sequence[SSAValue], emit: Emit) -> NnOp:
        return CrossEntropyOp.of(*operands, emit(ExponentOfOp.of(operands[0])))

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.const(numerics.loss_exponent(shape_of(self.logits)[0])), None, None]

    def backward(self, grad: Gradients) -> None:
        grad.pass_on(self.logits, self.dlogits)


def cross_entropy(logits: Array, label: Array) -> tuple[Array, Array]:
    """(dlogits, loss in bits in Q8) in floating point."""
    rows, counted = np.arange(len(logits)), label >= 0
    z = logits - logits.max(1, keepdims=True)
    log_sum = np.log(np.exp(z).sum(1))
    p = np.exp(z - log_sum[:, None])
    p[rows, label] -= 1
    p[~counted] = 0
    loss = (log_sum - z[rows, label])[counted].sum() * 256 / np.log(2)
    return p * 2.0 ** (numerics.loss_exponent(len(logits)) + 7), np.asarray(loss)
