"""A graph without cycles that stays so while its nodes are merged.

The nodes are kept in a topological order (Pearce and Kelly 2006, "A dynamic topological sort algorithm for directed
acyclic graphs"): whether two may be one is then a question about those that lie between them in that order, and a merge
moves no others.
"""

from collections.abc import Iterable, Iterator, Mapping

Edges = dict[int, set[int]]


class Dag:
    """Numbered nodes, each given with those it needs; a node comes after them."""

    def __init__(self, needs: Mapping[int, Iterable[int]]) -> None:
        self.before: Edges = {node: set(needed) for node, needed in needs.items()}
        self.after: Edges = {node: set() for node in needs}
        for node, needed in self.before.items():
            for other in needed:
                self.after[other].add(node)
        self.rank = {node: i for i, node in enumerate(needs)}

    def merge(self, into: int, other: int) -> bool:
        """One node of two, unless a path between them leads over a third: that would be a cycle."""
        first, last = sorted((into, other), key=self.rank.__getitem__)
        behind = self._between(first, last, self.after)
        if any(last in self.after[node] for node in behind):
            return False
        ahead = self._between(last, first, self.before) if behind else []
        self._contract(into, other)
        if behind:
            places = sorted(self.rank.pop(node) for node in {first, last, *ahead, *behind})
            self.rank.update(zip([*ahead, into, *behind], places, strict=False))
        else:
            self.rank[into] = self.rank[last]
        self.rank.pop(other, None)
        return True

    def _between(self, start: int, stop: int, edges: Edges) -> list[int]:
        """What can be reached from one node and lies in the order before the other."""
        low, high = sorted((self.rank[start], self.rank[stop]))
        found, left = set[int](), [start]
        while left:
            fresh = {node for node in edges[left.pop()] if low < self.rank[node] < high} - found
            found |= fresh
            left += fresh
        return sorted(found, key=self.rank.__getitem__)

    def _contract(self, into: int, other: int) -> None:
        for edges, back in ((self.after, self.before), (self.before, self.after)):
            moved = edges.pop(other) - {into}
            for node in moved:
                back[node].discard(other)
                back[node].add(into)
            edges[into] |= moved
            edges[into].discard(other)

    def order(self) -> Iterator[int]:
        """Every node after those it needs; of those that may come next the one with the least number."""
        import networkx as nx

        return nx.lexicographical_topological_sort(nx.DiGraph(dict[int, Iterable[int]](self.after)))
