"""plan-memory: an offset in one arena for every buffer.

First come the named tensors, state before the rest, at offsets that depend on the program alone; then the ranges, which
stay zero for threads that do not exist and so share their memory with nothing; then everything else, by lifetime.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, ModuleOp, i64
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue

from nitic.arithmetic.integers import Array
from nitic.errors import CompileError
from nitic.ir.buffers import Memory, range_area, ranges_of, tensor_extents
from nitic.ir.function import arguments, functions, results
from nitic.ops.fused import FusedOp, phase_of
from nitic.passes.base import NiticPass
from nitic.passes.invariants import scheduled
from nitic.passes.kernels.call_graph import CallGraph
from nitic.targets import VARIANTS


@dataclass(frozen=True)
class PlanMemory(NiticPass):
    """Gives every nn.fused the offsets of its buffers, and the module the bytes of arena and state."""

    variant: str = "portable"
    name = "plan-memory"
    ANNOTATES = True
    requires = (scheduled,)

    def apply(self, module: ModuleOp) -> None:
        memory = VARIANTS[self.variant].memory
        tensors, state = tensor_extents(module, memory)
        base, ranges = range_area(module, memory)
        top = start = base + ranges
        for func in functions(module):
            top = max(top, _Planner(func, memory, {n: o for n, (o, _) in tensors.items()}, base, start).run())
        module.attributes["nn.arena"] = IntegerAttr(top, i64)
        module.attributes["nn.state"] = IntegerAttr(state, i64)


class _Planner:
    """Allocates the buffers of one function. Values that share memory (views, in-place updates) have one root."""

    def __init__(self, func: FuncOp, memory: Memory, tensors: dict[str, int], ranges: int, start: int) -> None:
        self.func, self.memory, self.start = func, memory, start
        self.graph = CallGraph(func)
        self.offset: dict[SSAValue, int] = {arg: tensors[label.name] for label, arg in arguments(func)}
        self._check_updates()
        for label, value in results(func):
            if self.offset.setdefault(self.find(value), tensors[label.name]) != tensors[label.name]:
                raise CompileError(f"@{func.sym_name.data}", f"result '{label.name}' would need a copy")
        for i, value in enumerate(ranges_of(func)):
            self.offset[value] = ranges + i * memory.range_bytes

    def find(self, value: SSAValue) -> SSAValue:
        return self.graph.root[value]

    def _check_updates(self) -> None:
        """A state that is updated in place is not read any more, and neither is a view of it. Raises CompileError."""
        readable: defaultdict[SSAValue, set[SSAValue]] = defaultdict(set)
        stale: set[SSAValue] = set()
        for op in self.func.body.block.ops:
            if not stale.isdisjoint(op.operands):
                raise CompileError(f"@{self.func.sym_name.data}", "a state is read after its update")
            updates = op.updates() if isinstance(op, FusedOp) else {}
            for i, result in enumerate(op.results):
                if i in updates:
                    stale |= {self.find(result), *readable.pop(self.find(result), ())}
                readable[self.find(result)].add(result)

    def run(self) -> int:
        """Allocates the remaining buffers; returns the end of the memory used."""
        lives = self._lifetimes()
        values = sorted(lives, key=lambda v: (-self.memory.bytes_of(v.type), lives[v]))
        offsets = first_fit([(*lives[v], self.memory.bytes_of(v.type)) for v in values])
        self.offset |= {value: self.start + offset for value, offset in zip(values, offsets, strict=True)}
        self._record()
        return max([self.start, *(self.offset[v] + self.memory.bytes_of(v.type) for v in values)])

    def _lifetimes(self) -> dict[SSAValue, tuple[int, int]]:
        """First and last phase that touches each buffer that has no offset yet."""
        phases = [phase_of(call) for call in self.graph.calls]
        return {
            root: (min(phases[call] for call in calls), max(phases[call] for call in calls))
            for root, calls in self.graph.touched.items()
        }

    def _record(self) -> None:
        for call in self.graph.calls:
            offsets = [self.offset[self.find(value)] for value in call.parameters]
            call.buffers = DenseArrayBase.from_list(i64, offsets)


def first_fit(buffers: Sequence[tuple[int, int, int]]) -> list[int]:
    """For each buffer (first phase, last phase, bytes), the least offset that is free of earlier ones alive with it.

    The search works on arrays: with thousands of buffers, a loop in Python would look at millions of pairs.
    """
    begin, end, size = np.array(buffers, np.int64).reshape(-1, 3).T
    offset = np.zeros(len(buffers), np.int64)
    for i in range(len(buffers)):
        alive = np.flatnonzero((begin[:i] <= end[i]) & (end[:i] >= begin[i]))
        alive = alive[np.argsort(offset[alive], kind="stable")]
        offset[i] = _first_gap(offset[alive], offset[alive] + size[alive], int(size[i]))
    return offset.tolist()


def _first_gap(begins: Array, ends: Array, size: int) -> int:
    """The least offset at which `size` bytes overlap none of the intervals, which are sorted by where they begin."""
    free = np.concatenate([[0], np.maximum.accumulate(ends)])
    fits = np.flatnonzero(begins - free[:-1] >= size)
    return int(free[fits[0] if len(fits) else -1])
