"""The kernel calls of a function as a graph: which must wait for which, and what memory they touch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue

from nitic.ir.buffers import tensor_bytes
from nitic.ir.function import return_of
from nitic.ir.traits import View
from nitic.ir.types import range_
from nitic.ops.fused import FusedOp

if TYPE_CHECKING:
    import networkx as nx


def memory_roots(func: FuncOp) -> dict[SSAValue, SSAValue]:
    """The value whose memory each value lies in: itself, or what it is a view of or an update in place of."""
    root: dict[SSAValue, SSAValue] = {arg: arg for arg in func.body.block.args}
    for op in func.body.block.ops:
        root |= {result: result for result in op.results}
        if op.has_trait(View):
            root[op.results[0]] = root[op.operands[0]]
        if isinstance(op, FusedOp):
            root |= {op.results[result]: root[op.operands[operand]] for result, operand in op.updates().items()}
    return root


def moved_bytes(call: FusedOp) -> int:
    """The bytes of all buffers that a call reads or writes: what it costs, as far as the IR tells."""
    return sum(tensor_bytes(value.type) for value in call.parameters)


class CallGraph:
    """The calls of a function, numbered in program order.

    waits: an edge leads from each call to every one that must start after its end. Its `values` are what the later one
    reads of the results of the earlier one. It has none where the later one only overwrites what the earlier one reads.
    touched: the calls that read or write each buffer that plan-memory is free to place, by the root of its memory.
    Named tensors and ranges are not among them.
    """

    def __init__(self, func: FuncOp) -> None:
        self.calls = [op for op in func.body.block.ops if isinstance(op, FusedOp)]
        self.root = memory_roots(func)
        self.touched = self._touched(func)

    @cached_property
    def waits(self) -> nx.DiGraph[int]:
        import networkx as nx

        graph: nx.DiGraph[int] = nx.DiGraph()
        graph.add_nodes_from(range(len(self.calls)))
        writer: dict[SSAValue, int] = {}
        readers: defaultdict[SSAValue, list[int]] = defaultdict(list)  # since it was last written
        for i, call in enumerate(self.calls):
            for operand in call.updates().values():
                graph.add_edges_from((reader, i) for reader in readers.pop(self.root[call.operands[operand]], ()))
            for value in call.operands:
                readers[self.root[value]].append(i)
                if (earlier := writer.get(self.root[value])) is not None:
                    known = graph.get_edge_data(earlier, i, {}).get("values", [])
                    graph.add_edge(earlier, i, values=[*known, value])
            writer |= {self.root[value]: i for value in call.results}
        return graph

    def _touched(self, func: FuncOp) -> dict[SSAValue, list[int]]:
        fixed = {self.root[value] for value in (*func.body.block.args, *return_of(func).operands)}
        touched: defaultdict[SSAValue, list[int]] = defaultdict(list)
        for i, call in enumerate(self.calls):
            for root in dict.fromkeys(self.root[value] for value in (*call.operands, *call.results)):
                if root not in fixed and root.type != range_:
                    touched[root].append(i)
        return dict(touched)

    def earliest(self) -> list[int]:
        """The first phase in which each call can be, where no phase has both a call and one that it waits for."""
        import networkx as nx

        phases = {i: phase for phase, calls in enumerate(nx.topological_generations(self.waits)) for i in calls}
        return [phases[i] for i in self.waits]

    def latest(self) -> list[int]:
        """The last phase in which each call can be, where there are as few phases as possible."""
        import networkx as nx

        phases = {
            i: phase
            for phase, calls in enumerate(nx.topological_generations(self.waits.reverse(copy=False)))
            for i in calls
        }
        return [max(phases.values()) - phases[i] for i in self.waits]

    def longest_path(self, costs: Sequence[int]) -> list[int]:
        """Of all chains of calls that wait for each other, the one of the highest cost: the critical path."""
        import networkx as nx

        start = -1  # a node before all, so that the cost of a call can be that of the edges to it
        weighted: nx.DiGraph[int] = nx.DiGraph()
        edges = [*self.waits.edges, *((start, i) for i in self.waits)]
        weighted.add_weighted_edges_from((before, i, costs[i]) for before, i in edges)
        return nx.dag_longest_path(weighted, topo_order=[start, *self.waits])[1:] if self.calls else []
