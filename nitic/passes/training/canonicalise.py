"""canonicalise: as few reshapes and transposes as the network needs."""

from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.rewriter import Rewriter

from nitic.ir.function import functions
from nitic.ir.op import NnOp, set_origin
from nitic.ir.types import Shape, shape_of
from nitic.ops.reshape import ReshapeOp, TransposeOp
from nitic.passes.base import NiticPass
from nitic.passes.dead_code import remove_dead_code


@dataclass(frozen=True)
class Canonicalise(NiticPass):
    """Merges chains of reshapes and of transposes, and drops those that change nothing.

    reshape(reshape(x)) = reshape(x)        transpose(transpose(x)) = transpose(x)
    transpose(x) = reshape(x) where only axes of size one move

    The importer folds the transpose before a linear layer into the order of its weight's columns, so what it writes
    is canonical; this pass is for modules that come from elsewhere.
    """

    name = "canonicalise"

    def apply(self, module: ModuleOp) -> None:
        for func in functions(module):
            for op in list(func.body.block.ops):
                if isinstance(op, ReshapeOp | TransposeOp):
                    simplify(op)
        remove_dead_code(module)


def simplify(op: ReshapeOp | TransposeOp) -> None:
    """Replaces a reshape or transpose whose operand is already simple."""
    value = _reshaped(op.x, op.ints("shape")) if isinstance(op, ReshapeOp) else _transposed(op.x, op.ints("perm"))
    if isinstance(value, SSAValue):
        Rewriter.replace_op(op, [], [value])
    else:
        set_origin(value, op.location)
        Rewriter.replace_op(op, value)


def _reshaped(x: SSAValue, shape: Shape) -> NnOp | SSAValue:
    if isinstance(x.owner, ReshapeOp):
        return _reshaped(x.owner.x, shape)
    return x if shape_of(x) == shape else ReshapeOp.of(x, shape=shape)


def _transposed(x: SSAValue, perm: tuple[int, ...]) -> NnOp | SSAValue:
    shape = shape_of(x)
    moved = [axis for axis in perm if shape[axis] != 1]
    if moved == sorted(moved):
        return _reshaped(x, tuple(shape[axis] for axis in perm))
    if isinstance(x.owner, TransposeOp):
        inner = x.owner.ints("perm")
        return _transposed(x.owner.x, tuple(inner[axis] for axis in perm))
    return TransposeOp.of(x, perm=perm)
