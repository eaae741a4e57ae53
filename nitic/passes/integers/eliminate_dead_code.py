"""eliminate-dead-code: operators that no result needs are removed."""

from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.transforms.dead_code_elimination import is_trivially_dead

from nitic.passes.base import NiticPass


@dataclass(frozen=True)
class EliminateDeadCode(NiticPass):
    """Removes operators without effect whose results nobody uses."""

    name = "eliminate-dead-code"

    def apply(self, module: ModuleOp) -> None:
        remove_dead_code(module)


def remove_dead_code(root: Operation) -> None:
    for region in root.regions:
        for block in region.blocks:
            for op in reversed(list(block.ops)):
                remove_dead_code(op)
                if is_trivially_dead(op):
                    block.erase_op(op)
