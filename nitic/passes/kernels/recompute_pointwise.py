"""recompute-pointwise: what is cheaper to compute twice than to store.

A point-wise accumulator of int8 operands is four or eight bytes where its operands are two: for its range it is
computed and forgotten, for its rounding it is computed again. So fuse can put range and rounding into two kernels.
"""

from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, OpResult, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from nitic.ir.function import functions
from nitic.ir.traits import Cheap, Clamp, Intermediate
from nitic.ops.bfp import RangeOp, RoundShiftOp, own_range
from nitic.passes.base import NiticPass
from nitic.passes.invariants import exponents_tracked


@dataclass(frozen=True)
class RecomputePointwise(NiticPass):
    """Gives every rounding of a cheap accumulator whose range is taken a copy of what computes it.

    With `speculate`, not where fuse puts the range and the rounding into one group.
    """

    speculate: int = 0
    name = "recompute-pointwise"
    requires = (exponents_tracked,)

    def apply(self, module: ModuleOp) -> None:
        for func in functions(module):
            recompute(func, bool(self.speculate))


def recompute(func: FuncOp, speculate: bool = False) -> None:
    for op in [op for op in func.body.block.ops if isinstance(op, RoundShiftOp)]:
        if speculate and range_to_guess(op):
            continue
        chain = producers(op.x)
        if any(isinstance(use.operation, RangeOp) for each in chain for use in each.results[0].uses):
            copies: dict[SSAValue, SSAValue] = {}
            for each in chain:
                copy = each.clone(copies)
                Rewriter.insert_op(copy, InsertPoint.before(op))
                copies[each.results[0]] = copy.results[0]
            op.operands[0] = copies[op.x]


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
