"""The graph of groups: merges keep it free of cycles, and ask no more than the nodes between."""

from hypothesis import given
from hypothesis import strategies as st

from nitic.ir.dag import Dag

Needs = dict[int, list[int]]


@st.composite
def graphs(draw: st.DrawFn) -> Needs:
    count = draw(st.integers(2, 12))
    return {i: draw(st.lists(st.integers(0, i - 1), max_size=3)) if i else [] for i in range(count)}


def reachable(edges: dict[int, set[int]], start: int) -> set[int]:
    found, left = set[int](), [start]
    while left:
        fresh = edges[left.pop()] - found
        found |= fresh
        left += fresh
    return found


def lies_between(dag: Dag, first: int, last: int) -> bool:
    return any(last in reachable(dag.after, node) for node in dag.after[first] - {last})


@given(graphs(), st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=12))
def test_a_merge_is_made_where_no_path_leads_over_a_third(needs: Needs, pairs: list[tuple[int, int]]) -> None:
    dag = Dag(needs)
    for a, b in pairs:
        if a == b or a not in dag.rank or b not in dag.rank:
            continue
        forbidden = lies_between(dag, a, b) or lies_between(dag, b, a)
        assert dag.merge(a, b) != forbidden
        assert len(set(dag.rank.values())) == len(dag.rank)
        assert all(dag.rank[node] < dag.rank[later] for node, after in dag.after.items() for later in after)
        assert all(later in dag.before and node in dag.before[later] for node in dag.after for later in dag.after[node])


@given(graphs())
def test_the_order_is_topological_and_the_first_of_those(needs: Needs) -> None:
    done: set[int] = set()
    for node in Dag(needs).order():
        ready = [i for i, needed in needs.items() if i not in done and done.issuperset(needed)]
        assert node == min(ready)
        done.add(node)
    assert done == set(needs)
