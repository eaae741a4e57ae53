"""insert-calibration: a function that gives an untrained program its statistics, from one batch."""

from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp, StringAttr

from nitic.ir.function import function
from nitic.passes.base import NiticPass
from nitic.passes.invariants import unrounded

CALIBRATE = "calibrate"


@dataclass(frozen=True)
class InsertCalibration(NiticPass):
    """Adds @calibrate: @predict again, in which insert-rounding takes the ranges that @predict takes for granted."""

    name = "insert-calibration"
    requires = (unrounded,)

    def apply(self, module: ModuleOp) -> None:
        func = function(module, "predict").clone()
        func.properties["sym_name"] = StringAttr(CALIBRATE)
        module.body.block.add_op(func)
