"""schedule-calls: which kernel calls need no barrier between them.

A phase is a run of calls that need nothing of each other: a thread does its share of all of them without waiting for
the others. It ends before a call that reads what the phase writes, or that updates in place what the phase reads.
"""

from dataclasses import dataclass

from xdsl.dialects.builtin import IntegerAttr, ModuleOp, i64
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue

from nitic.ir.function import functions
from nitic.ir.traits import View
from nitic.ops.fused import FusedOp
from nitic.passes.base import NiticPass


@dataclass(frozen=True)
class ScheduleCalls(NiticPass):
    """Numbers the phases: every nn.fused gets its `phase`, from 0 on, in program order."""

    name = "schedule-calls"
    ANNOTATES = True

    def apply(self, module: ModuleOp) -> None:
        for func in functions(module):
            schedule(func)


def schedule(func: FuncOp) -> None:
    memory: dict[SSAValue, SSAValue] = {}  # a view's own memory
    phase, read, written = 0, set[SSAValue](), set[SSAValue]()
    for op in func.body.block.ops:
        if op.has_trait(View):
            memory[op.results[0]] = memory.get(op.operands[0], op.operands[0])
        if not isinstance(op, FusedOp):
            continue
        reads = {memory.get(value, value) for value in op.operands}
        updated = {memory.get(op.operands[i], op.operands[i]) for i in op.updates().values()}
        if reads & written or updated & read:
            phase, read, written = phase + 1, set[SSAValue](), set[SSAValue]()
        read |= reads
        written |= {*op.results, *updated}
        op.phase = IntegerAttr(phase, i64)
