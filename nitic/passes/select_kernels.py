"""select-kernels: a name for every group's kernel; groups that mean the same share one."""

from collections import defaultdict
from dataclasses import dataclass
from io import StringIO

from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.printer import Printer

from nitic.ops.bfp import BfpOp, RangeOp, RoundShiftOp
from nitic.ops.fused import FusedOp
from nitic.passes.base import NiticPass


@dataclass(frozen=True)
class SelectKernels(NiticPass):
    """Names each nn.fused after its operators, and a number where several groups would have the name."""

    name = "select-kernels"

    def apply(self, module: ModuleOp) -> None:
        names: dict[str, str] = {}
        taken: defaultdict[str, int] = defaultdict(int)
        for group in [op for op in module.walk() if isinstance(op, FusedOp)]:
            meaning = _meaning(group)
            if meaning not in names:
                stem = _stem(group)
                taken[stem] += 1
                names[meaning] = f"{stem}_{taken[stem]}"
            group.kernel = StringAttr(names[meaning])


def _meaning(group: FusedOp) -> str:
    """The group as text, apart from where it comes from and what its values are called."""
    copy = group.clone()
    for value in (v for op in copy.walk() for region in op.regions for block in region.blocks for v in block.args):
        value.name_hint = None
    for op in copy.walk():
        for result in op.results:
            result.name_hint = None
    out = StringIO()
    Printer(stream=out).print_region(copy.body)
    copy.drop_all_references()
    return out.getvalue()


def _stem(group: FusedOp) -> str:
    named = [op for op in group.members if not isinstance(op, BfpOp) or isinstance(op, RoundShiftOp | RangeOp)]
    return "_".join(op.name.split(".")[1] for op in named or group.members)
