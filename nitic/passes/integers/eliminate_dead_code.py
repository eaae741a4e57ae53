"""eliminate-dead-code: operators that no result needs are removed."""

from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp

from nitic.passes.base import NiticPass
from nitic.passes.dead_code import remove_dead_code


@dataclass(frozen=True)
class EliminateDeadCode(NiticPass):
    """Removes operators without effect whose results nobody uses."""

    name = "eliminate-dead-code"

    def apply(self, module: ModuleOp) -> None:
        remove_dead_code(module)
