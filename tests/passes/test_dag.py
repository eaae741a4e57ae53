"""The graph of groups, beside networkx: merges keep it free of cycles, and keep an order without starting anew."""

from collections.abc import Iterable, Mapping

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from nitic.ir.dag import Dag

Needs = dict[int, list[int]]
Pairs = list[tuple[int, int]]
NODES = 12
PAIRS = st.lists(st.tuples(st.integers(0, NODES - 1), st.integers(0, NODES - 1)), max_size=NODES)


@st.composite
def graphs(draw: st.DrawFn) -> Needs:
    count = draw(st.integers(2, NODES))
    return {i: draw(st.lists(st.integers(0, i - 1), max_size=3)) if i else [] for i in range(count)}


def oracle(needs: Mapping[int, Iterable[int]]) -> "nx.DiGraph[int]":
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(needs)
    graph.add_edges_from((needed, node) for node, all_needed in needs.items() for needed in all_needed)
    return graph


def assert_equal(dag: Dag, graph: "nx.DiGraph[int]") -> None:
    """The same nodes and edges, in both directions, and so the same paths."""
    assert dag.after == {node: set(graph.succ[node]) for node in graph}
    assert dag.before == {node: set(graph.pred[node]) for node in graph}


@given(graphs(), PAIRS)
def test_a_merge_is_made_where_it_makes_no_cycle(needs: Needs, pairs: Pairs) -> None:
    dag, graph = Dag(needs), oracle(needs)
    for into, other in pairs:
        if into == other or into not in graph or other not in graph:
            continue
        merged = nx.contracted_nodes(graph, into, other, self_loops=False)
        assert dag.merge(into, other) == nx.is_directed_acyclic_graph(merged)
        graph = merged if nx.is_directed_acyclic_graph(merged) else graph
        assert_equal(dag, graph)


@given(graphs(), PAIRS)
def test_the_ranks_stay_a_topological_order(needs: Needs, pairs: Pairs) -> None:
    dag = Dag(needs)
    for into, other in pairs:
        if into != other and into in dag.rank and other in dag.rank:
            dag.merge(into, other)
        assert set(dag.rank) == set(dag.after)
        assert len(set(dag.rank.values())) == len(dag.rank)
        for node in dag.after:
            assert all(dag.rank[node] < dag.rank[later] for later in nx.descendants(oracle(dag.before), node))


@given(graphs(), PAIRS)
def test_the_order_is_topological_and_the_first_of_those(needs: Needs, pairs: Pairs) -> None:
    dag = Dag(needs)
    for into, other in pairs:
        if into != other and into in dag.rank and other in dag.rank:
            dag.merge(into, other)
    done: set[int] = set()
    for node in dag.order():
        ready = [i for i, needed in dag.before.items() if i not in done and done.issuperset(needed)]
        assert node == min(ready)
        done.add(node)
    assert done == set(dag.before)
