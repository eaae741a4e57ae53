"""name-kernels: a name for every group's kernel; groups that mean the same share one."""

from collections import defaultdict
from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp, StringAttr

from nitic.ops.bfp import BfpOp, RangeOp, RoundShiftOp
from nitic.ops.fused import FusedOp
from nitic.passes.base import NiticPass
from nitic.passes.invariants import templates_selected


@dataclass(frozen=True)
class NameKernels(NiticPass):
    """Names each nn.fused after its operators, and a number where several groups would have the name."""

    name = "name-kernels"
    requires = (templates_selected,)
    ANNOTATES = True

    def apply(self, module: ModuleOp) -> None:
        names: dict[str, str] = {}
        taken: defaultdict[str, int] = defaultdict(int)
        for group in [op for op in module.walk() if isinstance(op, FusedOp)]:
            meaning = group.meaning
            if meaning not in names:
                stem = _stem(group)
                taken[stem] += 1
                names[meaning] = f"{stem}_{taken[stem]}"
            group.kernel = StringAttr(names[meaning])


def _stem(group: FusedOp) -> str:
    named = [op for op in group.members if not isinstance(op, BfpOp) or isinstance(op, RoundShiftOp | RangeOp)]
    return "_".join(op.name.split(".")[1] for op in named or {op.name: op for op in group.members}.values())
