"""Matrix products of a linear layer: x (M, K) by w (N, K), and the two gradients."""

from collections.abc import Sequence
from typing import ClassVar

from xdsl.ir import Attribute
from xdsl.irdl import irdl_op_definition, operand_def, result_def, traits_def
from xdsl.utils.exceptions import VerifyException

from nitic.arithmetic.integers import Array
from nitic.ir.op import E, Exponents, Gradients, NnOp, NoGradient, accumulator
from nitic.ir.traits import Contraction, Repeatable
from nitic.ir.types import shape_of
from nitic.ops.arrays import exact_matmul


class ProductOp(NnOp):
    """What the three products share; `CONTRACTED` names the axis of each operand that is summed over."""

    traits = traits_def(Contraction())
    CONTRACTED: ClassVar[tuple[int, int]]

    def infer_types(self) -> Sequence[Attribute]:
        a, b = (shape_of(operand) for operand in self.operands)
        i, j = self.CONTRACTED
        if len(a) != 2 or len(b) != 2 or a[i] != b[j]:
            raise VerifyException(
                f"cannot multiply {a} by {b}: axis {i} of the first must match axis {j} of the second"
            )
        return [accumulator(self.operands[0], (a[1 - i], b[1 - j]))]

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.add(e.of(self.operands[0]), e.of(self.operands[1]))]

    def reduction_length(self) -> int:
        return shape_of(self.operands[0])[self.CONTRACTED[0]]

    def accumulator_bound(self) -> int:
        return self.reduction_length() * 127 * 127


@irdl_op_definition
class GemmOp(ProductOp):
    """acc = x . w^T."""

    name = "nn.gemm"
    traits = traits_def(Repeatable())
    x = operand_def()
    w = operand_def()
    acc = result_def()
    CONTRACTED: ClassVar[tuple[int, int]] = (1, 1)

    def reference(self, *operands: Array) -> Array:
        x, w = operands
        return exact_matmul(x, w.T)

    def backward(self, grad: Gradients) -> None:
        dy = grad.of(self.acc)
        grad.add(self.x, GemmDgradOp.of(dy, self.w))
        grad.add(self.w, GemmWgradOp.of(self.x, dy))


@irdl_op_definition
class GemmDgradOp(ProductOp):
    """dx (M, K) = dy (M, N) . w (N, K)."""

    name = "nn.gemm_dgrad"
    traits = traits_def(Repeatable())
    dy = operand_def()
    w = operand_def()
    dx = result_def()
    CONTRACTED: ClassVar[tuple[int, int]] = (1, 0)

    def reference(self, *operands: Array) -> Array:
        dy, w = operands
        return exact_matmul(dy, w)

    def backward(self, grad: Gradients) -> None:
        raise NoGradient


@irdl_op_definition
class GemmWgradOp(ProductOp):
    """dw (N, K) = dy (M, N)^T . x (M, K)."""

    name = "nn.gemm_wgrad"
    x = operand_def()
    dy = operand_def()
    dw = result_def()
    CONTRACTED: ClassVar[tuple[int, int]] = (0, 0)

    def infer_types(self) -> Sequence[Attribute]:
        k, n = shape_of(super().infer_types()[0])
        return [accumulator(self.x, (n, k))]

    def reference(self, *operands: Array) -> Array:
        x, dy = operands
        return exact_matmul(dy.T, x)

    def backward(self, grad: Gradients) -> None:
        raise NoGradient
