"""plan-memory: an offset in one arena for every buffer.

First come the named tensors, state before the rest, at offsets that depend on the program alone; then the ranges, which
stay zero for threads that do not exist and so share their memory with nothing; then everything else, by lifetime.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import networkx as nx
from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, ModuleOp, i64
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue

from nitic.errors import CompileError
from nitic.ir.buffers import RANGE_BYTES, buffer_bytes, place_tensors, range_area, ranges_of
from nitic.ir.function import Label, arguments, functions, results
from nitic.ops.fused import FusedOp, phase_of
from nitic.ops.reshape import ReshapeOp
from nitic.passes.base import NiticPass
from nitic.passes.invariants import scheduled


@dataclass(frozen=True)
class PlanMemory(NiticPass):
    """Gives every nn.fused the offsets of its buffers, and the module the bytes of arena and state."""

    name = "plan-memory"
    requires = (scheduled,)

    def apply(self, module: ModuleOp) -> None:
        tensors, state = place_tensors(module)
        base, ranges = range_area(module)
        top = start = base + ranges
        for func in functions(module):
            top = max(top, _Planner(func, {n: o for n, (o, _) in tensors.items()}, base, start).run())
        module.attributes["nn.arena"] = IntegerAttr(top, i64)
        module.attributes["nn.state"] = IntegerAttr(state, i64)


class _Planner:
    """Places the buffers of one function. Values that share memory (views, in-place updates) have one root."""

    def __init__(self, func: FuncOp, tensors: dict[str, int], ranges: int, start: int) -> None:
        self.func, self.start = func, start
        self.ops = list(func.body.block.ops)
        self.root: dict[SSAValue, SSAValue] = {}
        self.offset: dict[SSAValue, int] = {arg: tensors[label.name] for label, arg in arguments(func)}
        self._share()
        for label, value in results(func):
            self._fix(label, self.find(value), tensors[label.name])
        for i, value in enumerate(ranges_of(func)):
            self.offset[value] = ranges + i * RANGE_BYTES

    def find(self, value: SSAValue) -> SSAValue:
        return self.root.get(value, value)

    def _share(self) -> None:
        for op in self.ops:
            if isinstance(op, ReshapeOp):
                self.root[op.y] = self.find(op.x)
            if isinstance(op, FusedOp):
                for result, operand in op.updates().items():
                    self._update_in_place(op, result, operand)

    def _update_in_place(self, group: FusedOp, result: int, operand: int) -> None:
        old = self.find(group.operands[operand])
        later = self.ops[self.ops.index(group) + 1 :]
        if any(self.find(value) is old for op in later for value in op.operands):
            raise CompileError(f"@{self.func.sym_name.data}", "a state is read after its update")
        self.root[group.results[result]] = old

    def _fix(self, label: Label, value: SSAValue, offset: int) -> None:
        if self.offset.setdefault(value, offset) != offset:
            raise CompileError(f"@{self.func.sym_name.data}", f"result '{label.name}' would need a copy")

    def run(self) -> int:
        """Places what is left; gives the end of the memory used."""
        lives = self._lifetimes()
        clashes = interference(lives)
        top = self.start
        for value in sorted(lives, key=lambda v: (-buffer_bytes(v.type), lives[v])):
            placed = [
                (self.offset[v], self.offset[v] + buffer_bytes(v.type)) for v in clashes[value] if v in self.offset
            ]
            self.offset[value] = _first_gap(placed, buffer_bytes(value.type), self.start)
            top = max(top, self.offset[value] + buffer_bytes(value.type))
        self._record()
        return top

    def _lifetimes(self) -> dict[SSAValue, tuple[int, int]]:
        """First and last phase that touches each buffer that has no place yet."""
        lives: dict[SSAValue, tuple[int, int]] = {}
        i = 0
        for op in self.ops:
            i = phase_of(op) if isinstance(op, FusedOp) else i
            for value in map(self.find, (*op.operands, *op.results)):
                if value not in self.offset:
                    lives[value] = (lives.get(value, (i, i))[0], i)
        return lives

    def _record(self) -> None:
        for op in self.ops:
            if isinstance(op, FusedOp):
                offsets = [self.offset[self.find(value)] for value in op.parameters]
                op.buffers = DenseArrayBase.from_list(i64, offsets)


def interference(lives: dict[SSAValue, tuple[int, int]]) -> "nx.Graph[SSAValue]":
    """Which buffers exist at the same time."""
    graph: nx.Graph[SSAValue] = nx.Graph()
    graph.add_nodes_from(lives)
    items = sorted(lives.items(), key=lambda item: item[1])
    for i, (a, (_, end)) in enumerate(items):
        for b, (begin, _) in items[i + 1 :]:
            if begin > end:
                break
            graph.add_edge(a, b)
    return graph


def _first_gap(placed: Iterable[tuple[int, int]], size: int, start: int) -> int:
    at = start
    for begin, end in sorted(placed):
        if begin - at >= size:
            break
        at = max(at, end)
    return at
