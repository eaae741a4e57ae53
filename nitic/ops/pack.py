"""A second copy of a tensor in the physical form that a kernel wants."""

from collections.abc import Sequence

from xdsl.dialects.builtin import StringAttr
from xdsl.ir import Attribute
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def

from nitic.arithmetic.integers import Array
from nitic.ir.op import Gradients, NnOp, NoGradient
from nitic.ir.traits import KeepsSign, Packs
from nitic.ir.types import element_of, shape_of, tensor


@irdl_op_definition
class PackOp(NnOp):
    """The same tensor in the physical form `layout`, which is the encoding of the result's type. Its values stay."""

    name = "nn.pack"
    traits = traits_def(KeepsSign(), Packs())
    x = operand_def()
    layout = prop_def(StringAttr)
    y = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        return [tensor(shape_of(self.x), element_of(self.x), self.layout)]

    def reference(self, *operands: Array) -> Array:
        return operands[0]

    def backward(self, grad: Gradients) -> None:
        raise NoGradient
