"""recompute-pointwise: what is cheaper to compute twice than to store.

A point-wise accumulator of int8 operands is four or eight bytes where its operands are two: for its range it is
computed and forgotten, for its rounding it is computed again. So fuse can put range and rounding into two kernels.

On a machine with little memory that goes for the accumulators of contractions, too: twice the products, and a quarter
of the bytes.
"""

from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, OpResult, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from nitic.ir.buffers import tensor_bytes
from nitic.ir.function import functions
from nitic.ir.traits import Cheap, Clamp, Contraction, Epilogue, Intermediate
from nitic.ops.bfp import RangeOp, RoundShiftOp, own_range
from nitic.passes.base import NiticPass
from nitic.passes.invariants import exponents_tracked


@dataclass(frozen=True)
class RecomputePointwise(NiticPass):
    """Gives every rounding of a cheap accumulator whose range is taken a copy of what computes it.

    With `speculate`, not where fuse puts the range and the rounding into one group. `most`: bytes of a contraction's
    accumulator above which it is computed twice; 0: never.
    """

    speculate: int = 0
    most: int = 0
    name = "recompute-pointwise"
    requires = (exponents_tracked,)

    def apply(self, module: ModuleOp) -> None:
        for func in functions(module):
            recompute(func, bool(self.speculate), self.most)


def recompute(func: FuncOp, speculate: bool = False, most: int = 0) -> None:
    for op in [op for op in func.body.block.ops if isinstance(op, RoundShiftOp)]:
        if speculate and range_to_guess(op):
            continue
        chain = producers(op.x) or (contraction(op) if most and tensor_bytes(op.x.type) > most else [])
        if any(isinstance(use.operation, RangeOp) for each in chain for use in each.results[0].uses):
            copies: dict[SSAValue, SSAValue] = {}
            for each in chain:
                copy = each.clone(copies)
                Rewriter.insert_op(copy, InsertPoint.before(op))
                copies[each.results[0]] = copy.results[0]
            op.operands[0] = copies[op.x]


def contraction(op: RoundShiftOp) -> list[Operation]:
    """The contraction, and the operators behind it in its kernel, whose result this rounding and its range alone read;
    none where there is no such, or others read what is between."""
    found: list[Operation] = []
    value = op.x if range_to_guess(op) else None
    while isinstance(value, OpResult) and (found == [] or value.has_one_use()):
        inner = (each.op for each in value.op.operands[1:] if isinstance(each, OpResult))
        found = [*(each for each in inner if each.has_trait(Intermediate)), value.op, *found]
        if value.op.has_trait(Contraction):
            return found
        value = value.op.operands[0] if value.op.has_trait(Epilogue) else None
    return []


def range_to_guess(op: RoundShiftOp) -> RangeOp | None:
    """The range that gives a rounding its shift, where only this range and the rounding read the accumulator."""
    taken = own_range(op)
    if taken is None or not isinstance(op.x, OpResult):
        return None
    alone = all(use.operation in (op, taken) for use in op.x.uses)
    return taken if alone else None


def producers(value: SSAValue) -> list[Operation]:
    """The operators, in order, that compute a cheap accumulator from stored values; none, if it is not cheap."""
    if not isinstance(value, OpResult):
        return []
    if value.op.has_trait(Clamp):
        before = producers(value.op.operands[0])
        return [*before, value.op] if before else []
    if not value.op.has_trait(Cheap):
        return []
    before = (operand.op for operand in value.op.operands if isinstance(operand, OpResult))
    return [*(op for op in before if op.has_trait(Intermediate)), value.op]
