"""fuse: which operators become one kernel.

A contraction, pool or other producer takes the point-wise operators on its result with it, as far as the range of that
result; a rounding takes the point-wise operators behind it. Nothing moves across a bfp.range: its value is known only
when the whole tensor is. Scalars cost nothing, so each is computed in the first kernel that needs it. A group must be
convex, which is that the graph of groups has no cycle.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import networkx as nx
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, Operation, OpResult, Region, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from nitic.ir.function import functions, return_of
from nitic.ops.bfp import AlignOp, ExpConstOp, RangeOp, RoundShiftOp, ScalarOp, TopOp
from nitic.ops.conv import ConvWgradOp
from nitic.ops.elementwise import BiasOp, ReluDgradOp, ReluOp
from nitic.ops.fused import FusedOp, YieldOp
from nitic.ops.gemm import GemmWgradOp
from nitic.ops.reshape import ReshapeOp
from nitic.passes.base import NiticPass
from nitic.passes.invariants import exponents_tracked

EPILOGUE = (BiasOp, ReluOp, RangeOp)
SUNK = (ScalarOp, TopOp, AlignOp)
Graph = nx.DiGraph


@dataclass(frozen=True)
class Fuse(NiticPass):
    """Puts every operator but nn.reshape, which is another view of the same memory, into an nn.fused.

    `merged_sums`: a kernel of weight gradients gets no operator behind it, because its sums are whole only when all of
    its blocks are done.
    """

    merged_sums: int = 0
    name = "fuse"
    requires = (exponents_tracked,)

    def apply(self, module: ModuleOp) -> None:
        for func in functions(module):
            copy_constants(func)
            Grouping(func, self.merged_sums).run()


def copy_constants(func: FuncOp) -> None:
    """Gives every user a constant of its own, so that no kernel waits for another to write one."""
    for constant in [op for op in func.body.block.ops if isinstance(op, ExpConstOp)]:
        for use in list(constant.e.uses)[1:]:
            copy = constant.clone()
            Rewriter.insert_op(copy, InsertPoint.after(constant))
            use.operation.operands[use.index] = copy.e


class Grouping:
    """Groups of one function, named by the position of their first operator."""

    def __init__(self, func: FuncOp, merged_sums: int) -> None:
        self.merged_sums = merged_sums
        self.block = func.body.block
        self.end = return_of(func)
        self.ops = [op for op in self.block.ops if op is not self.end]
        self.position = {op: i for i, op in enumerate(self.ops)}
        self.members = {i: [op] for i, op in enumerate(self.ops)}
        self.graph: Graph[int] = nx.DiGraph()
        self.graph.add_nodes_from(self.members)
        self.graph.add_edges_from((self.position[d], i) for i, op in enumerate(self.ops) for d in _definers(op))
        self.group = dict(self.position)

    def run(self) -> None:
        for op in self.ops:
            if (producer := self._joins(op)) is not None:
                self._merge(self.group[producer], self.group[op])
        self._sink()
        for group in nx.lexicographical_topological_sort(self.graph):
            self._materialise(sorted(self.members[group], key=self.position.__getitem__))

    def _joins(self, op: Operation) -> Operation | None:
        """The producer whose kernel an operator would end, if any."""
        first = op.operands[0] if op.operands else None
        if not isinstance(first, OpResult) or isinstance(first.op, ReshapeOp):
            return None
        if self.merged_sums and isinstance(first.op, ConvWgradOp | GemmWgradOp):
            return None
        if isinstance(op, EPILOGUE):
            return first.op
        return first.op if isinstance(op, ReluDgradOp) and isinstance(first.op, RoundShiftOp) else None

    def _merge(self, into: int, other: int) -> None:
        """One group of two, unless another group or a range lies between them."""
        if into == other or self._crosses_range(into, other):
            return
        if self._lies_between(into, other) or self._lies_between(other, into):
            return
        nx.contracted_nodes(self.graph, into, other, self_loops=False, copy=False, store_contraction_as=None)
        self.members[into] += self.members.pop(other)
        self.group.update(dict.fromkeys(self.members[into], into))

    def _lies_between(self, first: int, last: int) -> bool:
        """Whether a path from one group to the other leads over a third."""
        return any(nx.has_path(self.graph, after, last) for after in self.graph.successors(first) if after != last)

    def _crosses_range(self, a: int, b: int) -> bool:
        members = self.members[a] + self.members[b]
        ranges = [op for op in members if isinstance(op, RangeOp)]
        return any(use.operation in members for op in ranges for use in op.r.uses)

    def _sink(self) -> None:
        """Moves every scalar to the first group that needs it, or else to one that needs what it needs."""
        for op in reversed([op for op in self.ops if isinstance(op, SUNK)]):
            own = self.group[op]
            rank = {group: i for i, group in enumerate(nx.lexicographical_topological_sort(self.graph))}
            users = self._groups(op.results) or self._groups(op.operands) or set(self.members)
            later = [group for group in users - {own} if rank[group] > rank[own] or not self._groups(op.results)]
            for candidate in sorted(later, key=rank.__getitem__):
                self._merge(candidate, own)
                if self.group[op] == candidate:
                    break

    def _groups(self, values: Iterable[SSAValue]) -> set[int]:
        """The groups, of tensor work, that use one of the values."""
        users = [use.operation for value in values for use in value.uses if use.operation is not self.end]
        return {
            self.group[user] for user in users if not all(isinstance(op, SUNK) for op in self.members[self.group[user]])
        }

    def _materialise(self, ops: list[Operation]) -> None:
        """Moves a group to the end of the function, into an nn.fused."""
        for op in ops:
            op.detach()
        if isinstance(ops[0], ReshapeOp):
            Rewriter.insert_op(ops, InsertPoint.before(self.end))
            return
        Rewriter.insert_op(make_group(ops), InsertPoint.before(self.end))


def make_group(ops: list[Operation], yielded: Sequence[OpResult] = ()) -> FusedOp:
    """An nn.fused of detached operators in program order: it yields what others use, or else `yielded`."""
    inside = set(ops)
    inputs = list(dict.fromkeys(v for op in ops for v in op.operands if v.owner not in inside))
    outputs = [r for op in ops for r in op.results if any(use.operation not in inside for use in r.uses)] or yielded
    block = Block(arg_types=[value.type for value in inputs])
    types = [value.type for value in outputs]
    group = FusedOp.create(operands=inputs, result_types=types, regions=[Region(block)])
    for value, arg in zip(inputs, block.args, strict=True):
        arg.name_hint = value.name_hint
        value.replace_uses_with_if(arg, lambda use: use.operation in inside)
    for inner, outer in zip(outputs, group.results, strict=True):
        outer.name_hint = inner.name_hint
        inner.replace_uses_with_if(outer, lambda use: use.operation not in inside)
    block.add_ops([*ops, YieldOp.create(operands=outputs)])
    group.location = next((op.location for op in ops if not isinstance(op, SUNK)), ops[0].location)
    return group


def _definers(op: Operation) -> list[Operation]:
    return [operand.op for operand in op.operands if isinstance(operand, OpResult)]
