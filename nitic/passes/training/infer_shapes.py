"""infer-shapes: the type of every result, from the types of the arguments."""

from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp
from xdsl.rewriter import Rewriter
from xdsl.utils.exceptions import VerifyException

from nitic.ir.function import functions, refresh
from nitic.ir.op import NnOp, matches
from nitic.passes.base import NiticPass, error_at


@dataclass(frozen=True)
class InferShapes(NiticPass):
    """Makes result types follow the arguments, in program order."""

    name = "infer-shapes"

    def run(self, module: ModuleOp, before: bool = True, after: bool = True) -> None:
        """Nothing is checked beforehand: a module whose shapes are wrong is what this pass mends or refuses."""
        self.apply(module)
        self.check(module, self.ensures, after)

    def apply(self, module: ModuleOp) -> None:
        for func in functions(module):
            for op in func.body.block.ops:
                if isinstance(op, NnOp):
                    infer(op)
            refresh(func)


def infer(op: NnOp) -> None:
    try:
        op.get_irdl_definition().verify(op)
        types = op.infer_types()
    except VerifyException as error:
        raise error_at(op, str(error), "raised by infer-shapes; rerun with --print-before=infer-shapes") from error
    for result, type_ in zip(list(op.results), types, strict=True):
        if not matches(result.type, type_):
            Rewriter.replace_value_with_new_type(result, type_)
