"""check-range: the proof that no integer overflows.

Every int32 accumulator is bounded by 2^30, bias and alignment included: rounding needs that head-room. A longer one
becomes int64, and so do the results of bias and relu behind it, up to the rounding; if one of its readers takes no
int64, the program is refused.

Every int64, result or intermediate, is bounded by 2^62 for the same reason: a rounding adds less than 2^62 (half
of the last place of a shift by 62, or up to all of it where it is dithered). A larger bound is refused.

Nothing is divided by an integer that can be 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Attribute, BlockArgument, SSAValue
from xdsl.rewriter import Rewriter

from nitic.arithmetic import integers, norms
from nitic.ir.function import functions
from nitic.ir.op import NnOp
from nitic.ir.traits import Bounded, Moves, TakesInt64
from nitic.ir.types import element_of, i8, i16, i32, i64, is_tensor, u8, with_element
from nitic.passes.base import NiticPass, error_at
from nitic.passes.invariants import no_float
from nitic.passes.training.infer_shapes import infer

LIMIT = 2**30
INT64_LIMIT = 2**62
HELD: dict[Attribute, int] = {i8: integers.INT8_LIMIT, u8: 255, i16: integers.INT16_LIMIT, i32: 2**31, i64: 2**63}
"""The largest magnitude that an element holds; int8 and int16 mantissas are saturated symmetrically."""


@dataclass(frozen=True)
class CheckRange(NiticPass):
    """Bounds every accumulator, widens those whose bound is above 2^30, and refuses int64 ones above 2^62."""

    name = "check-range"
    requires = (no_float,)

    def apply(self, module: ModuleOp) -> None:
        for func in functions(module):
            bounds = Bounds()
            for op in [op for op in func.body.block.ops if isinstance(op, NnOp)]:
                bounds.check(op)


@dataclass
class Bounds:
    """The bounds that are known of one function's values: those of accumulators, and those of any tensor."""

    accumulators: dict[SSAValue, int] = field(default_factory=dict[SSAValue, int])
    tensors: dict[SSAValue, int] = field(default_factory=dict[SSAValue, int])

    def check(self, op: NnOp) -> None:
        """Adds the bounds of an operator's results. Raises CompileError where one is beyond its limit."""
        if any(element_of(value) == i64 for value in op.operands):
            infer(op)  # an operand may be a widened accumulator: so the result may be int64, too
        operands = [self.of(value) if is_tensor(value) else 0 for value in op.operands]
        bounds = list(op.result_bounds(operands))
        if bounds[0] is None and element_of(op.result) in (i32, i64):
            bounds[0] = self._check_accumulator(op)
        self.tensors.update({r: bound for r, bound in zip(op.results, bounds, strict=True) if bound is not None})
        self._check_int64(op, operands)
        _check_divisor(op)

    def _check_accumulator(self, op: NnOp) -> int | None:
        """The bound of an operator's accumulator, which becomes int64 if the bound is above the limit of int32."""
        bound = self._accumulator(op)
        if bound is not None:
            self.accumulators[op.result] = bound
            if bound > LIMIT and element_of(op.result) == i32:
                widen(op, bound)
        return bound

    def _accumulator(self, op: NnOp) -> int | None:
        own = op.accumulator_bound()
        if op.has_trait(Bounded):
            return own
        operands = [value for i, value in enumerate(op.operands) if i in op.ACCUMULATORS]
        carried = [self.accumulators[value] for value in operands if value in self.accumulators]
        return sum(carried) + (own or 0) if carried or own is not None else None

    def of(self, value: SSAValue) -> int:
        """A bound of a tensor's magnitude: the one that is known, or what its elements hold."""
        if isinstance(value, BlockArgument) and element_of(value) == i64:
            return norms.RUNNING_LIMIT  # the only int64 numbers that a program stores are running statistics
        return self.tensors.get(value, HELD[element_of(value)])

    def _check_int64(self, op: NnOp, operands: Sequence[int]) -> None:
        results = [self.of(result) for result in op.results if element_of(result) == i64]
        bound = max(op.int64_bound(operands), *results, 0)
        if bound > INT64_LIMIT:
            message = f"an int64 on the way to its result can reach {bound}, above the proved limit of {INT64_LIMIT}"
            raise error_at(op, message)


def _check_divisor(op: NnOp) -> None:
    divisor = op.least_divisor()
    if divisor is not None and divisor < 1:
        raise error_at(op, f"it divides by an integer that can be {divisor}, but must be at least 1")


def widen(op: NnOp, bound: int) -> None:
    """Makes the accumulator int64."""
    result = op.result
    if not all(_takes_int64(use.operation) for use in result.uses):
        raise error_at(op, f"its accumulator can reach {bound}, above the proved limit of {LIMIT}")
    Rewriter.replace_value_with_new_type(result, with_element(result.type, i64))


def _takes_int64(user: object) -> bool:
    """Whether a reader takes int64. An operator that only moves values does if every reader of its result does."""
    if not isinstance(user, NnOp) or not user.has_trait(TakesInt64):
        return False
    return not user.has_trait(Moves) or all(_takes_int64(use.operation) for use in user.result.uses)
