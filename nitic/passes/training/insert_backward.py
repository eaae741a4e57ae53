"""insert-backward: the gradient of every parameter, by each operator's own rule."""

from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import OpResult, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from nitic.errors import CompileError
from nitic.ir.function import Label, arguments, function, results, return_of, set_results
from nitic.ir.op import NnOp, NoGradient, set_origin
from nitic.ir.traits import Loss
from nitic.ops.elementwise import AccumulateOp, AddOp
from nitic.ops.product import MulOp
from nitic.passes.base import NiticPass, error_at
from nitic.passes.invariants import unrounded


@dataclass(frozen=True)
class InsertBackward(NiticPass):
    """Appends the backward operators to @train_step, which then also returns `<parameter>.gradient`."""

    name = "insert-backward"
    requires = (unrounded,)

    def apply(self, module: ModuleOp) -> None:
        func = function(module, "train_step")
        parameters = [(label, arg) for label, arg in arguments(func) if label.role == "weight"]
        tape = Tape(func, {arg for _, arg in parameters})
        tape.run()
        idle = [f"'{label.name}'" for label, arg in parameters if arg not in tape.errors]
        if idle:
            what = f"parameter {idle[0]} has" if len(idle) == 1 else f"parameters {', '.join(idle)} have"
            raise CompileError("", f"{what} no influence on the loss")
        gradients = [(Label(f"{label.name}.gradient", "gradient"), tape.of(arg)) for label, arg in parameters]
        set_results(func, results(func) + gradients)


class Tape:
    """The errors known so far; where several users of a value send one back, they are added up.

    The errors of a parameter, or of one that was only moved, are accumulators, and are added up as accumulators.
    """

    def __init__(self, func: FuncOp, parameters: set[SSAValue]) -> None:
        self.end = return_of(func)
        self.forward = [op for op in func.body.block.ops if isinstance(op, NnOp)]
        self.needed = parameters
        self.weights = set(parameters)
        for op in self.forward:
            if any(v in self.needed for i, v in enumerate(op.operands) if i not in op.UNDIFFERENTIATED):
                self.needed |= set(op.results)
            if op.operands and all(operand in self.weights for operand in op.operands):
                self.weights |= set(op.results)
        self.errors: dict[SSAValue, SSAValue] = {}
        self.factors: dict[SSAValue, SSAValue] = {}  # what an error is to be multiplied by before anybody reads it
        self.current: NnOp | None = None

    def run(self) -> None:
        for op in reversed(self.forward):
            self.current = op
            if op.has_trait(Loss) or any(result in self.errors for result in op.results):
                try:
                    op.backward(self)
                except NoGradient:
                    raise error_at(op, "has no gradient, but a parameter lies before it") from None

    def needs(self, value: SSAValue) -> bool:
        return value in self.needed

    def of(self, value: SSAValue) -> SSAValue:
        if value in self.factors:
            self.errors[value] = self.insert(MulOp.of(self.errors[value], self.factors.pop(value)))
        return self.errors[value]

    def factors_of(self, value: SSAValue) -> tuple[SSAValue, SSAValue | None]:
        return self.errors[value], self.factors.get(value)

    def insert(self, op: NnOp) -> OpResult:
        """Inserts an operator of the backward pass."""
        assert self.current is not None
        set_origin(op, self.current.location)
        Rewriter.insert_op(op, InsertPoint.before(self.end))
        return op.result

    def add(self, value: SSAValue, gradient: NnOp) -> None:
        """Inserts the operator that computes the error of `value`, unless nobody needs it."""
        if value not in self.needed:
            gradient.erase()
        else:
            self.pass_on(value, self.insert(gradient))

    def pass_on(self, value: SSAValue, error: SSAValue, factor: SSAValue | None = None) -> None:
        """Adds `error` to the error of `value`. With a factor per channel, the product is made when it is asked for."""
        if value not in self.needed:
            return
        if value not in self.errors:
            self.errors[value] = error
            if factor is not None:
                self.factors[value] = factor
            return
        known, add = self.of(value), AccumulateOp if value in self.weights else AddOp
        product = error if factor is None else self.insert(MulOp.of(error, factor))
        self.errors[value] = self.insert(add.of(known, product))
