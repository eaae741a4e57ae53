"""What the verifier checks of a stage, beyond each operator's own rules. Each raises VerifyException."""

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.utils.exceptions import VerifyException

from nitic.ir.function import arguments, functions
from nitic.ir.types import element_of, f32, is_tensor
from nitic.ops.bfp import BfpOp, ExponentOfOp, RangeOp
from nitic.ops.fused import FusedOp

INFERENCE = ("predict", "eval_step")


def unrounded(module: ModuleOp) -> None:
    """Before insert-rounding, there is neither block floating point nor a kernel."""
    for func in functions(module):
        for op in func.walk():
            if isinstance(op, BfpOp | FusedOp):
                location = f"{op.name} in @{func.sym_name.data}"
                raise VerifyException(f"{location} is of a later stage: this pass works on floats")


def only_predict(module: ModuleOp) -> None:
    """Before insert-loss, @predict is the only function."""
    for func in functions(module):
        if func.sym_name.data != "predict":
            raise VerifyException(f"@{func.sym_name.data} is of a later stage: this pass works on @predict alone")


def no_float(module: ModuleOp) -> None:
    """From insert-rounding on, nothing is a float."""
    for func in functions(module):
        for op in func.walk():
            if any(element_of(value) == f32 for value in (*op.operands, *op.results)):
                raise VerifyException(f"{op.name} in @{func.sym_name.data} still computes in floating point")


def templates_selected(module: ModuleOp) -> None:
    """From select-kernels on, every kernel has a template."""
    for op in module.walk():
        if isinstance(op, FusedOp) and op.template is None:
            raise VerifyException("an nn.fused has no template: select-kernels comes before")


def no_range_of_samples(module: ModuleOp) -> None:
    """From insert-rounding on, what inference gives for a sample does not depend on the others of its batch.

    It takes no range of a tensor that depends on the input. (Exponents and shifts then do not either: they come from
    parameters and statistics.)
    """
    for func in functions(module):
        if func.sym_name.data not in INFERENCE:
            continue
        samples: set[SSAValue] = {arg for label, arg in arguments(func) if label.role == "input"}
        for op in func.body.block.ops:
            if samples.isdisjoint(op.operands):
                continue
            if isinstance(op, RangeOp):
                location = f"{op.name} in @{func.sym_name.data}" + (f" of node '{op.source}'" if op.source else "")
                raise VerifyException(f"{location} is of samples: inference shifts by statistics, not by its batch")
            samples |= {result for result in op.results if is_tensor(result)}


def scheduled(module: ModuleOp) -> None:
    """From schedule-calls on, every kernel has a phase."""
    for op in module.walk():
        if isinstance(op, FusedOp) and op.phase is None:
            raise VerifyException("an nn.fused has no phase: schedule-calls comes before")


def exponents_tracked(module: ModuleOp) -> None:
    """From track-exponents on, operators compute every exponent: no bfp.exponent_of asks for one."""
    for op in module.walk():
        if isinstance(op, ExponentOfOp):
            raise VerifyException("bfp.exponent_of is left after track-exponents")
