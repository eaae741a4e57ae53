"""check-range: the proof that no accumulator overflows.

Every int32 accumulator is bounded by 2^30, bias and alignment included: rounding needs that head-room. A longer one
becomes int64, and with it what bias and relu make of it, up to the rounding; what takes no int64 is refused.
"""

from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue
from xdsl.rewriter import Rewriter

from nitic.ir.function import functions
from nitic.ir.op import NnOp
from nitic.ir.types import element_of, i32, i64, with_element
from nitic.passes.base import NiticPass, error_at
from nitic.passes.invariants import no_float
from nitic.passes.training.infer_shapes import infer

LIMIT = 2**30


@dataclass(frozen=True)
class CheckRange(NiticPass):
    """Bounds every accumulator, and widens those whose bound is above 2^30."""

    name = "check-range"
    requires = (no_float,)

    def apply(self, module: ModuleOp) -> None:
        for func in functions(module):
            check_function(func)


def check_function(func: FuncOp) -> None:
    bounds: dict[SSAValue, int] = {}
    for op in [op for op in func.body.block.ops if isinstance(op, NnOp)]:
        if any(element_of(value) == i64 for value in op.operands):
            infer(op)  # it stands behind a widened accumulator
        bound = _bound(op, bounds)
        if bound is None or element_of(op.result) == i64:
            continue
        if bound <= LIMIT:
            bounds.update(dict.fromkeys(op.results, bound))
        else:
            widen(op, bound)


def _bound(op: NnOp, bounds: dict[SSAValue, int]) -> int | None:
    own = op.accumulator_bound()
    if op.BOUNDED:
        return own
    carried = [bounds[op.operands[i]] for i in op.ACCUMULATORS if op.operands[i] in bounds]
    return sum(carried) + (own or 0) if carried or own is not None else None


def widen(op: NnOp, bound: int) -> None:
    """Makes the accumulator int64."""
    result = op.result
    if element_of(result) != i32 or not all(_takes_int64(use.operation) for use in result.uses):
        raise error_at(op, f"its accumulator can reach {bound}, above the proved limit of {LIMIT}")
    Rewriter.replace_value_with_new_type(result, with_element(result.type, i64))


def _takes_int64(user: object) -> bool:
    """What moves values takes what those take who read them."""
    if not isinstance(user, NnOp) or not user.TAKES_INT64:
        return False
    return not user.MOVES or all(_takes_int64(use.operation) for use in user.result.uses)
