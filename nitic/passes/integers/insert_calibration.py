"""insert-calibration: a function that gives an untrained program its statistics, from one batch."""

from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp

from nitic.ir.function import Label, arguments, function, results, set_arguments, set_results
from nitic.passes.base import NiticPass
from nitic.passes.dead_code import remove_dead_code
from nitic.passes.invariants import no_float


@dataclass(frozen=True)
class InsertCalibration(NiticPass):
    """Adds @calibrate: @train_step reduced to the statistics of the activations."""

    name = "insert-calibration"
    requires = (no_float,)

    def apply(self, module: ModuleOp) -> None:
        func = function(module, "train_step").clone()
        func.properties["sym_name"] = StringAttr("calibrate")
        module.body.block.add_op(func)
        set_results(func, [(label, value) for label, value in results(func) if label.name.endswith(".top")])
        remove_dead_code(func)
        drop_unused_arguments(func)


def drop_unused_arguments(func: FuncOp) -> None:
    kept: list[Label] = []
    for label, arg in arguments(func):
        if arg.first_use is not None or label.role == "exponent":
            kept.append(label)
        else:
            func.body.block.erase_arg(arg)
    set_arguments(func, kept)
