"""schedule-calls: in which order the kernel calls run, and which of them need no barrier between them.

A phase is a set of calls that need nothing of each other: a thread does its share of all of them without waiting for
the others. A call comes in a later phase than what it reads, and an update in place in a later one than the readers of
the old value. There are as few phases as that allows: as many as the longest chain of such calls has.

Within that, many a call has a choice. It takes the phase in which the buffers that it touches live for the shortest
time, since they share the arena with those that live at other times.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, i64
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation

from nitic.ir.buffers import buffer_bytes
from nitic.ir.function import functions, return_of
from nitic.passes.base import NiticPass
from nitic.passes.kernels.call_graph import CallGraph


@dataclass(frozen=True)
class ScheduleCalls(NiticPass):
    """Gives every nn.fused its `phase`, from 0 on, and brings each function into the order of the phases."""

    name = "schedule-calls"

    def apply(self, module: ModuleOp) -> None:
        for func in functions(module):
            schedule(func)


def schedule(func: FuncOp) -> None:
    graph = CallGraph(func)
    settled = [_Lifetimes(graph, phases).settle() for phases in (graph.earliest(), graph.latest())]
    phases = min(settled, key=_Lifetimes.peak).phases
    for call, phase in zip(graph.calls, phases, strict=True):
        call.phase = IntegerAttr(phase, i64)
    reorder(func, dict(zip(graph.calls, phases, strict=True)))


def reorder(func: FuncOp, phases: dict[Operation, int]) -> None:
    """Phase after phase, each in program order. A view belongs to the phase of what it is a view of."""
    end = return_of(func)
    ops = [op for op in func.body.block.ops if op is not end]
    for op in ops:
        owners = [value.owner for value in op.operands]
        phases.setdefault(op, max((phases[owner] for owner in owners if isinstance(owner, Operation)), default=0))
    for op in sorted(ops, key=phases.__getitem__):
        op.detach()
        func.body.block.insert_op_before(op, end)


class _Lifetimes:
    """How long buffers live under a choice of phases."""

    def __init__(self, graph: CallGraph, phases: Sequence[int]) -> None:
        self.waits = graph.waits
        self.phases = list(phases)
        self.end = max(phases, default=0)
        self.buffers = [(buffer_bytes(root.type), calls) for root, calls in graph.touched.items()]
        self.touches: list[list[int]] = [[] for _ in phases]
        for buffer, (_, calls) in enumerate(self.buffers):
            for call in calls:
                self.touches[call].append(buffer)

    def settle(self) -> "_Lifetimes":
        """Moves calls one by one, as long as that makes the sum of bytes times phases lived less."""
        calls, moved = range(len(self.phases)), True
        while moved:
            moved = False
            for call in (*calls, *reversed(calls)):
                moved |= self._move(call)
        return self

    def _move(self, call: int) -> bool:
        """To the best phase between those it waits for and those that wait for it; whether it was another one."""
        first = max((self.phases[before] + 1 for before in self.waits.pred[call]), default=0)
        last = min((self.phases[after] - 1 for after in self.waits.succ[call]), default=self.end)
        if first == last:
            return False
        others = [
            (size, [self.phases[other] for other in calls if other != call])
            for size, calls in map(self.buffers.__getitem__, self.touches[call])
        ]
        spans = [(size, min(lived), max(lived)) for size, lived in others if lived]

        def cost(phase: int) -> int:
            return sum(size * (max(end, phase) - min(begin, phase)) for size, begin, end in spans)

        # The cost is linear between the ends of spans: one of them is best, or an end of the choice.
        ends = {min(max(end, first), last) for _, *span in spans for end in span}
        best = min(sorted(ends | {first, last}), key=cost)
        if cost(best) >= cost(self.phases[call]):
            return False
        self.phases[call] = best
        return True

    def peak(self) -> int:
        """The bytes that live in the phase in which the most do."""
        change = np.zeros(self.end + 2, np.int64)
        for size, calls in self.buffers:
            change[min(self.phases[call] for call in calls)] += size
            change[max(self.phases[call] for call in calls) + 1] -= size
        return int(np.cumsum(change).max())
