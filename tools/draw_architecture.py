"""Draws docs/architecture.svg from the imports of the code: python -m tools.draw_architecture

Rooms (tools/rooms.py) are boxes in layers, each above all that it imports. An arrow is left out where a longer way
leads to its end. What a box says of its room is the first sentence of the room's first docstring. The list of rooms in
docs/architecture.md is written as well.
"""

import ast
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from html import escape
from itertools import pairwise
from pathlib import Path

from tools.rooms import CHECKOUT, FILES, INCLUDES, ROOMS, RUNTIME, crossings, files_of, included_folders

PICTURE, PAGE = CHECKOUT / "docs" / "architecture.svg", CHECKOUT / "docs" / "architecture.md"
BEGIN, END = "<!-- rooms: begin -->\n", "<!-- rooms: end -->"  # around the list of rooms in the page
Graph = Mapping[str, set[str]]
"""What each room imports."""

WIDTH, HEIGHT, CHARACTERS = 186, 78, 31  # of a box, and of a line of its text
GAP, LANE, BETWEEN, MARGIN = 16, 12, 52, 24  # beside a box, beside a line that passes by, between layers, around all
COLOURS = {  # fill and border, by the first part of a room's name
    "passes": ("#e6f3e6", "#5a9a5a"),
    "codegen": ("#e4eefb", "#5580b8"),
    "runtime": ("#f6e9dc", "#b98a55"),
    "": ("#f4f4f2", "#8c8c86"),
}
REMARKS = (
    "An arrow leads from a room to one that it imports. It is left out where a longer way leads there.",
    "It is linked with a program's kernels into the binary, with cpu or with cuda. Arrows are includes.",
)
STYLE = """text { font-family: Helvetica, Arial, sans-serif; fill: #222 }
.name { font-size: 13px; font-weight: bold } .about { font-size: 10.5px; fill: #444 }
.head { font-size: 15px; font-weight: bold } .way { fill: none; stroke: #666; stroke-width: 1.1 }"""


def imports() -> Graph:
    return {room: set(crossings(room)) for room in ROOMS}


def includes() -> Graph:
    """The folders of the runtime; names as in the picture."""
    folders = {f"runtime/{name}": {f"runtime/{other}" for other in included_folders(name)} for name in INCLUDES}
    header = "runtime/nitic.h"
    return {**{name: others | {header} for name, others in folders.items()}, header: set()}


def about_room(room: str) -> str:
    """The first sentence of the docstring of a room's first file, or the files' names where none has the room's."""
    stems = [path.stem for path in files_of(room)]
    if room in FILES and not {"__init__", room.rpartition("/")[2]} & set(stems):
        return ", ".join(stems)
    documentation = ast.get_docstring(ast.parse(files_of(room)[0].read_text()))
    assert documentation, f"{room} says nowhere what it is"
    return re.split(r"(?<=\.)\s", documentation, maxsplit=1)[0].replace("\n", " ").removesuffix(".")


def about_folder(name: str) -> str:
    """The files of a folder of the runtime, or the first comment of a file."""
    path = RUNTIME / name.removeprefix("runtime/")
    if path.is_dir():
        return ", ".join(sorted(each.stem for each in path.glob("*.c")))
    comment = re.search(r"^/\* [\w./]+: ([^.]*)", path.read_text())
    assert comment, f"{name} says nowhere what it is"
    return " ".join(comment[1].replace("*", "").split())


def reduced(graph: Graph) -> Graph:
    """Without the arrows whose end is reached by a longer way, too."""
    reach: dict[str, set[str]] = {}
    for room in TopologicalSorter(graph).static_order():
        reach[room] = graph[room].union(*(reach[other] for other in graph[room]))
    return {room: others - set().union(*(reach[other] for other in others)) for room, others in graph.items()}


def layers_of(graph: Graph) -> dict[str, int]:
    """The layer of each room, from 0 at the bottom: one above the highest that it imports."""
    layers: dict[str, int] = {}
    for room in TopologicalSorter(graph).static_order():
        layers[room] = max((layers[other] + 1 for other in graph[room]), default=0)
    return layers


@dataclass
class Node:
    """A box, or the place in a layer where an arrow passes by (no name). x is its middle."""

    layer: int
    name: str = ""
    x: float = 0
    above: list["Node"] = field(default_factory=list["Node"])
    below: list["Node"] = field(default_factory=list["Node"])

    @property
    def half(self) -> float:
        """What it needs to either side."""
        return (WIDTH + GAP) / 2 if self.name else LANE / 2


class Drawing:
    """Boxes in layers (Sugiyama, Tagawa and Toda 1981): an arrow that passes a layer has a place of its own there.

    Nodes are ordered for few crossings, then moved towards those that they have arrows from and to.
    """

    def __init__(self, graph: Graph) -> None:
        layers = layers_of(graph)
        self.layers: list[list[Node]] = [[] for _ in range(max(layers.values()) + 1)]
        self.nodes = {room: self._node(layers[room], room) for room in sorted(graph)}
        self.ways = [
            self._way(self.nodes[room], self.nodes[other]) for room in sorted(graph) for other in sorted(graph[room])
        ]
        self._order()
        self._place()

    def _node(self, layer: int, name: str = "") -> Node:
        node = Node(layer, name)
        self.layers[layer].append(node)
        return node

    def _way(self, start: Node, end: Node) -> list[Node]:
        """An arrow, from the importer down: its nodes, one in each layer."""
        way = [start, *(self._node(layer) for layer in range(start.layer - 1, end.layer, -1)), end]
        for upper, lower in pairwise(way):
            upper.below.append(lower)
            lower.above.append(upper)
        return way

    def _order(self) -> None:
        """Fewer crossings: each layer by the middle of its neighbours, then by swaps of two that stand side by side."""
        best, fewest = [list(layer) for layer in self.layers], self._crossings()
        for turn in range(24):
            down = turn % 2 == 0
            for layer in reversed(self.layers) if down else self.layers:
                self._number()
                layer.sort(key=lambda node: _middle([n.x for n in (node.above if down else node.below)], node.x))
            self._swap()
            if (now := self._crossings()) < fewest:
                best, fewest = [list(layer) for layer in self.layers], now
        self.layers = best

    def _number(self) -> None:
        for layer in self.layers:
            for i, node in enumerate(layer):
                node.x = i / len(layer)

    def _swap(self) -> None:
        for layer in self.layers:
            for i in range(len(layer) - 1):
                self._number()
                left, right = layer[i], layer[i + 1]
                if _crossed(left, right) > _crossed(right, left):
                    layer[i], layer[i + 1] = right, left

    def _crossings(self) -> int:
        self._number()
        pairs = ((a, b) for layer in self.layers for i, a in enumerate(layer) for b in layer[i + 1 :])
        return sum(sum(1 for p in a.below for q in b.below if p.x > q.x) for a, b in pairs)

    def _place(self) -> None:
        for layer in self.layers:
            _spread(layer, [0.0] * len(layer))
        for turn in range(60):
            for layer in reversed(self.layers) if turn % 2 == 0 else self.layers:
                _spread(layer, [_pulled(node) for node in layer])
        left = min(node.x - node.half for layer in self.layers for node in layer)
        for layer in self.layers:
            for node in layer:
                node.x -= left

    @property
    def width(self) -> float:
        return max(node.x + node.half for layer in self.layers for node in layer)

    @property
    def height(self) -> float:
        return len(self.layers) * (HEIGHT + BETWEEN) - BETWEEN

    def top(self, node: Node) -> float:
        return (len(self.layers) - 1 - node.layer) * (HEIGHT + BETWEEN)

    def svg(self, about: Callable[[str], str]) -> Iterator[str]:
        for way in self.ways:
            yield self._arrow(way)
        for node in self.nodes.values():
            yield from _box(node, self.top(node), about(node.name))

    def _arrow(self, way: Sequence[Node]) -> str:
        start = _port(way[0].x, way[0].below, way[1])
        end = _port(way[-1].x, way[-1].above, way[-2])
        y = self.top(way[0]) + HEIGHT
        path = [f"M{start:.0f} {y:.0f}"]
        for node in way[1:]:
            x, top = (end if node is way[-1] else node.x), self.top(node) - (4 if node is way[-1] else 0)
            middle = (y + top) / 2
            path.append(f"C{start:.0f} {middle:.0f} {x:.0f} {middle:.0f} {x:.0f} {top:.0f}")
            if node is not way[-1]:
                path.append(f"V{top + HEIGHT:.0f}")
            start, y = x, top + HEIGHT
        return f'<path class="way" d="{" ".join(path)}" marker-end="url(#tip)"/>'


def _middle(places: Sequence[float], otherwise: float) -> float:
    return sum(places) / len(places) if places else otherwise


def _pulled(node: Node) -> float:
    """Where its arrows draw it to: those that pass by most, so that long ones become straight."""
    pulls = [(n.x, 1 if node.name and n.name else 2 if node.name or n.name else 8) for n in (*node.above, *node.below)]
    return sum(x * weight for x, weight in pulls) / sum(weight for _, weight in pulls) if pulls else node.x


def _crossed(left: Node, right: Node) -> int:
    """How many arrows of two neighbours cross."""
    sides = ((left.above, right.above), (left.below, right.below))
    return sum(1 for a, b in sides for p in a for q in b if p.x > q.x)


def _spread(layer: Sequence[Node], wanted: Sequence[float]) -> None:
    """The places nearest to the wanted ones that keep the order and the distances (by pooling neighbours)."""
    offsets = [0.0]
    for left, right in pairwise(layer):
        offsets.append(offsets[-1] + left.half + right.half)
    pools: list[list[float]] = []
    for place, offset in zip(wanted, offsets, strict=True):
        pools.append([place - offset])
        while len(pools) > 1 and _middle(pools[-2], 0) >= _middle(pools[-1], 0):
            last = pools.pop()
            pools[-1] += last
    moved = [_middle(pool, 0) for pool in pools for _ in pool]
    for node, base, offset in zip(layer, moved, offsets, strict=True):
        node.x = base + offset


def _port(x: float, neighbours: Sequence[Node], neighbour: Node) -> float:
    """Where the arrow of a neighbour leaves or meets a box, side by side with the others."""
    order = sorted(neighbours, key=lambda node: node.x)
    i = next(i for i, node in enumerate(order) if node is neighbour)
    step = min(18.0, (WIDTH - 40) / len(order))
    return x + (i - (len(order) - 1) / 2) * step


def _box(node: Node, top: float, about: str) -> Iterator[str]:
    fill, border = COLOURS.get(node.name.partition("/")[0], COLOURS[""])
    lines = textwrap.wrap(about.replace("`", ""), CHARACTERS)
    assert len(lines) <= 4, f"{node.name} says more than its box holds: {about}"
    left, size = node.x - WIDTH / 2, f'width="{WIDTH}" height="{HEIGHT}" rx="6"'
    yield f'<rect x="{left:.0f}" y="{top:.0f}" {size} fill="{fill}" stroke="{border}"/>'
    yield f'<text class="name" x="{left + 9:.0f}" y="{top + 18:.0f}">{escape(node.name)}</text>'
    for i, line in enumerate(lines):
        yield f'<text class="about" x="{left + 9:.0f}" y="{top + 33 + 12.5 * i:.1f}">{escape(line)}</text>'


def picture() -> str:
    """The text of the SVG: the compiler, and below it the runtime."""
    house, cellar = Drawing(reduced(imports())), Drawing(reduced(includes()))
    width = max(house.width, cellar.width) + 2 * MARGIN
    middle = MARGIN + 42 + house.height + 72
    height = middle + cellar.height + MARGIN
    tip = '<marker id="tip" markerWidth="8" markerHeight="8" refX="4" refY="4" orient="auto">'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}">',
            f'<style>{STYLE}</style>\n<defs>{tip}<path d="M1 1 L7 4 L1 7 z" fill="#666"/></marker></defs>',
            '<rect width="100%" height="100%" fill="white"/>',
            _heading(MARGIN + 4, "nitic/, the compiler"),
            _remark(
                MARGIN + 22,
                "An arrow leads from a room to one that it imports. It is left out where a longer way leads there.",
            ),
            f'<g transform="translate({MARGIN} {MARGIN + 42})">',
            *house.svg(about_room),
            "</g>",
            _heading(middle - 32, "runtime/, the library in C"),
            _remark(
                middle - 14,
                "It is linked with a program's kernels into the binary, with cpu or with cuda. Arrows are includes.",
            ),
            f'<g transform="translate({MARGIN + (house.width - cellar.width) / 2:.0f} {middle:.0f})">',
            *cellar.svg(about_folder),
            "</g>",
            "</svg>",
            "",
        ]
    )


def _remark(y: float, text: str) -> str:
    return f'<text class="about" x="{MARGIN}" y="{y:.0f}">{escape(text)}</text>'


def _heading(y: float, text: str) -> str:
    return f'<text class="head" x="{MARGIN}" y="{y:.0f}">{escape(text)}</text>'


def rooms_listed() -> str:
    """The list of the rooms, the highest first."""
    rows = [f"| {_named(room)} | {about_room(room)} | {_joined(ROOMS[room])} |\n" for room in reversed(list(ROOMS))]
    folders = reversed(list(INCLUDES))
    rows += [f"| runtime/{name} | {about_folder(name)} | {_joined(INCLUDES[name])} |\n" for name in folders]
    return "".join(["| room | what it is | may import or include |\n|---|---|---|\n", *rows])


def _named(room: str) -> str:
    """With its files, where it is no folder and its name does not say them."""
    files = [name for name in FILES.get(room, ()) if not name.endswith("__init__.py")]
    return f"{room} ({', '.join(Path(name).name for name in files)})" if len(files) > 1 else room


def _joined(rooms: Sequence[str]) -> str:
    return ", ".join(rooms) or "nothing of ours"


def with_rooms(page: str) -> str:
    """The text of the page with the list of now."""
    head, rest = page.split(BEGIN)
    return head + BEGIN + rooms_listed() + END + rest.split(END)[1]


if __name__ == "__main__":
    PICTURE.write_text(picture())
    PAGE.write_text(with_rooms(PAGE.read_text()))
