"""Operators that move values and compute nothing."""

from collections.abc import Sequence
from math import prod
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import I64, DenseArrayBase
from xdsl.ir import Attribute
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.utils.exceptions import VerifyException

from nitic.arithmetic.integers import Array
from nitic.ir.op import Gradients, NnOp, like
from nitic.ir.traits import Moves, View
from nitic.ir.types import shape_of


@irdl_op_definition
class ReshapeOp(NnOp):
    """The same values in row-major order under another shape."""

    name = "nn.reshape"
    traits = traits_def(View())
    x = operand_def()
    shape = prop_def(DenseArrayBase[I64])
    y = result_def()
    ACCUMULATORS: ClassVar[Sequence[int]] = (0,)

    def infer_types(self) -> Sequence[Attribute]:
        shape = self.ints("shape")
        if prod(shape) != prod(shape_of(self.x)):
            raise VerifyException(f"cannot reshape {shape_of(self.x)} to {shape}")
        return [like(self.x, shape)]

    def reference(self, *operands: Array) -> Array:
        return operands[0].reshape(self.ints("shape"))

    def backward(self, grad: Gradients) -> None:
        grad.add(self.x, ReshapeOp.of(grad.of(self.y), shape=shape_of(self.x)))


@irdl_op_definition
class TransposeOp(NnOp):
    """Axis i of the result is axis perm[i] of the operand."""

    name = "nn.transpose"
    traits = traits_def(Moves())
    x = operand_def()
    perm = prop_def(DenseArrayBase[I64])
    y = result_def()
    ACCUMULATORS: ClassVar[Sequence[int]] = (0,)

    def infer_types(self) -> Sequence[Attribute]:
        shape, perm = shape_of(self.x), self.ints("perm")
        if sorted(perm) != list(range(len(shape))):
            raise VerifyException(f"{list(perm)} is not a permutation of the axes of {shape}")
        return [like(self.x, tuple(shape[axis] for axis in perm))]

    def reference(self, *operands: Array) -> Array:
        return operands[0].transpose(self.ints("perm"))

    def backward(self, grad: Gradients) -> None:
        inverse = [int(axis) for axis in np.argsort(self.ints("perm"))]
        grad.add(self.x, TransposeOp.of(grad.of(self.y), perm=inverse))
