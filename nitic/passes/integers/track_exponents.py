"""track-exponents: every exponent that an operator asks for becomes int32 arithmetic on the device.

From each bfp.exponent_of, the exponent rules of the operators before it are applied, back to the parameters. An
exponent that no operator asks for is never computed.
"""

from dataclasses import dataclass, field

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import BlockArgument, OpResult, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from nitic.ir.function import arguments, functions
from nitic.ir.op import NnOp, set_origin
from nitic.ops.bfp import ExpAddOp, ExpClampOp, ExpConstOp, ExpMultipleOp, ExponentOfOp
from nitic.passes.base import NiticPass
from nitic.passes.invariants import exponents_tracked, no_float, no_range_of_samples


@dataclass(frozen=True)
class TrackExponents(NiticPass):
    """Replaces each bfp.exponent_of by bfp.exp_add and bfp.exp_const over shifts and parameters' exponents."""

    name = "track-exponents"
    requires = (no_float, no_range_of_samples)
    ensures = (exponents_tracked,)

    def apply(self, module: ModuleOp) -> None:
        for func in functions(module):
            tracker = ExponentTracker(func)
            for op in [op for op in func.body.block.ops if isinstance(op, ExponentOfOp)]:
                Rewriter.replace_op(op, [], [tracker.of(op.x)])


class ExponentTracker:
    """The exponents of one function's tensors; each is made once, right behind its tensor."""

    def __init__(self, func: FuncOp) -> None:
        self.block = func.body.block
        self.known: dict[SSAValue, SSAValue] = {}
        self.constants: dict[int, SSAValue] = {}
        self.names: dict[SSAValue, str] = {arg: label.name for label, arg in arguments(func)}
        self.arguments = {name: arg for arg, name in self.names.items()}

    def of(self, value: SSAValue) -> SSAValue:
        """Goes back through the operators without recursion: a network may have thousands, one behind the other."""
        path = [value]
        while path:
            missing = [v for v in _asked_by(path[-1]) if not self._has(v)]
            if missing:
                path.append(missing[0])
            elif not self._has(last := path.pop()):
                self.known[last] = self._apply_rule(last)
        if not isinstance(value, BlockArgument):
            return self.known[value]
        return self.arguments[self.names[value] + ".exponent"]

    def _has(self, value: SSAValue) -> bool:
        return isinstance(value, BlockArgument) or value in self.known

    def const(self, value: int) -> SSAValue:
        if value not in self.constants:
            op = ExpConstOp.of(value=value)
            op.e.name_hint = f"exp{value}"
            Rewriter.insert_op(op, InsertPoint.at_start(self.block))
            self.constants[value] = op.e
        return self.constants[value]

    def _apply_rule(self, value: SSAValue) -> SSAValue:
        assert isinstance(value, OpResult)
        assert isinstance(value.op, NnOp)
        exponent = value.op.exponents(ExponentsBehind(value.op, self))[value.index]
        assert exponent is not None, f"{value.op.name} gives no exponent"
        return exponent


def _asked_by(value: SSAValue) -> list[SSAValue]:
    """The values whose exponents the rule of a value's operator asks for."""
    asked = ExponentsAsked()
    if isinstance(value, OpResult) and isinstance(value.op, NnOp):
        value.op.exponents(asked)
    return asked.values


@dataclass(frozen=True)
class ExponentsAsked:
    """Notes what an exponent rule asks for, and computes nothing."""

    values: list[SSAValue] = field(default_factory=list[SSAValue])

    def of(self, value: SSAValue) -> None:
        self.values.append(value)

    def shift(self, value: SSAValue) -> None: ...

    def const(self, value: int) -> None: ...

    def add(self, a: None, b: None) -> None: ...

    def multiple(self, a: None, numerator: int, denominator: int) -> None: ...

    def clamp(self, a: None, low: int, high: int) -> None: ...


@dataclass(frozen=True)
class ExponentsBehind:
    """The arithmetic for an operator's exponent rule: SSA values, computed right behind that operator."""

    op: NnOp
    tracker: ExponentTracker
    made: list[NnOp] = field(default_factory=list[NnOp])

    def of(self, value: SSAValue) -> SSAValue:
        return self.tracker.of(value)

    def shift(self, value: SSAValue) -> SSAValue:
        return value

    def const(self, value: int) -> SSAValue:
        return self.tracker.const(value)

    def add(self, a: SSAValue, b: SSAValue) -> SSAValue:
        return self._insert(ExpAddOp.of(a, b))

    def multiple(self, a: SSAValue, numerator: int, denominator: int) -> SSAValue:
        return self._insert(ExpMultipleOp.of(a, numerator=numerator, denominator=denominator))

    def clamp(self, a: SSAValue, low: int, high: int) -> SSAValue:
        return self._insert(ExpClampOp.of(a, low=low, high=high))

    def _insert(self, op: NnOp) -> SSAValue:
        set_origin(op, self.op.location)
        Rewriter.insert_op(op, InsertPoint.after(self.made[-1] if self.made else self.op))
        self.made.append(op)
        return op.result
