"""select-kernels: a name for every group's kernel; groups that mean the same share one."""

from collections import defaultdict
from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp, StringAttr

from nitic.ir.text import meaning
from nitic.ops.bfp import BfpOp, RangeOp, RoundShiftOp
from nitic.ops.fused import FusedOp
from nitic.passes.base import NiticPass


@dataclass(frozen=True)
class SelectKernels(NiticPass):
    """Names each nn.fused after its operators, and a number where several groups would have the name."""

    name = "select-kernels"
    ANNOTATES = True

    def apply(self, module: ModuleOp) -> None:
        names: dict[str, str] = {}
        taken: defaultdict[str, int] = defaultdict(int)
        for group in [op for op in module.walk() if isinstance(op, FusedOp)]:
            text = meaning(group.body)
            if text not in names:
                stem = _stem(group)
                taken[stem] += 1
                names[text] = f"{stem}_{taken[stem]}"
            group.kernel = StringAttr(names[text])


def _stem(group: FusedOp) -> str:
    named = [op for op in group.members if not isinstance(op, BfpOp) or isinstance(op, RoundShiftOp | RangeOp)]
    return "_".join(op.name.split(".")[1] for op in named or {op.name: op for op in group.members}.values())
