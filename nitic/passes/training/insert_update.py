"""insert-update: each gradient becomes the parameter of the next step, by the recipe's rule."""

from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import BlockArgument, OpResult, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from nitic.arithmetic.rounding import ROUNDINGS
from nitic.ir.function import (
    Label,
    Signature,
    argument_labels,
    function,
    functions,
    results,
    return_of,
    set_arguments,
    set_results,
)
from nitic.ir.op import set_origin
from nitic.ir.types import i32, shape_of, tensor
from nitic.ops.update import UpdateAdamOp, UpdateLionOp, UpdateMomentumOp, UpdateNitiOp, UpdateOp, UpdatePlainOp
from nitic.passes.base import NiticPass, option_error
from nitic.passes.invariants import unrounded

Updated = list[tuple[Label, SSAValue]]
MOMENTS = {"iadam": (UpdateAdamOp, ("first_moment", "second_moment")), "ilion": (UpdateLionOp, ("first_moment",))}
RULES = ("momentum", "plain", "niti", *MOMENTS)


@dataclass(frozen=True)
class InsertUpdate(NiticPass):
    """Replaces every `<parameter>.gradient` of @train_step by updates of its state.

    rule: `momentum`, `plain`, `iadam` and `ilion` keep an int16 master; `niti` keeps int8 weights, but 1-D parameters
    follow `plain`. round: how a gradient is rounded on its way into the state; `iadam` and `ilion` dither it.
    """

    rule: str = "momentum"
    round: str = "pseudo_stochastic"
    name = "insert-update"
    requires = (unrounded,)

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise option_error(self, f"unknown rule '{self.rule}'; the rules are {', '.join(RULES)}")
        if self.round not in ROUNDINGS:
            raise option_error(self, f"unknown rounding '{self.round}'; the roundings are {', '.join(ROUNDINGS)}")

    def apply(self, module: ModuleOp) -> None:
        func = function(module, "train_step")
        kept = [(label, value) for label, value in results(func) if label.role != "gradient"]
        signature = Signature(func)
        for label, dw in results(func):
            if label.role == "gradient":
                kept += self.update(signature, label.name.removesuffix(".gradient"), dw)
        signature.write()
        set_results(func, kept)
        roles = {label.name: label.role for label, _ in kept}
        for each in functions(module):
            set_arguments(each, [Label(x.name, roles.get(x.name, x.role)) for x in argument_labels(each)])

    def update(self, signature: Signature, name: str, dw: SSAValue) -> Updated:
        """Inserts the update of one parameter; gives the new state that @train_step returns."""
        _, state = signature.arguments[name]
        if self.rule == "momentum":
            return self._momentum(signature, name, state, dw)
        if self.rule in MOMENTS:
            return self._moments(signature, name, state, dw)
        if self.rule == "niti" and len(shape_of(state)) > 1:
            op = UpdateNitiOp.of(state, dw, hyper(signature, "gb"), round=self.round)
            return [(Label(name, "weight"), self._insert(signature.func, op, dw))]
        op = UpdatePlainOp.of(state, dw, hyper(signature, "rate_m"), hyper(signature, "rate_k"), round=self.round)
        return [(Label(name, "master"), self._insert(signature.func, op, dw))]

    def _momentum(self, signature: Signature, name: str, state: SSAValue, dw: SSAValue) -> Updated:
        label = Label(f"{name}.velocity", "velocity")
        velocity = signature.add(label, state.type)
        hypers = [hyper(signature, each) for each in ("rate_m", "rate_k", "momentum", "decay")]
        op = UpdateMomentumOp.of(state, velocity, dw, *hypers, round=self.round)
        return [(Label(name, "master"), self._insert(signature.func, op, dw)), (label, op.new_velocity)]

    def _moments(self, signature: Signature, name: str, state: SSAValue, dw: SSAValue) -> Updated:
        rule, roles = MOMENTS[self.rule]
        labels = [Label(f"{name}.{role}", role) for role in roles]
        kept = [signature.add(label, state.type) for label in labels]
        rates = [hyper(signature, each) for each in ("lr_m", "lr_k", "shrink")]
        op = rule.of(state, *kept, dw, *rates, decays=int(len(shape_of(state)) > 1))
        self._insert(signature.func, op, dw)
        return list(zip((Label(name, "master"), *labels), op.results, strict=True))

    def _insert(self, func: FuncOp, op: UpdateOp, dw: SSAValue) -> SSAValue:
        if isinstance(dw, OpResult):
            set_origin(op, dw.op.location)
        Rewriter.insert_op(op, InsertPoint.before(return_of(func)))
        return op.result


def hyper(signature: Signature, name: str) -> BlockArgument:
    """A run-time scalar of the step."""
    return signature.add(Label(name, "hyper"), tensor((), i32))
