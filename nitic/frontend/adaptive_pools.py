"""Adaptive average pools whose sizes do not divide, as PyTorch's exporter writes them.

It gathers the pixels of each window (GatherND), puts zeros where a window is smaller than the largest one, and divides
the sums by how many pixels each has. Which arithmetic does that differs, so it is found by what it computes.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import onnx
from onnx import helper, numpy_helper

from nitic.arithmetic.integers import Array
from nitic.frontend import folding
from nitic.frontend.nodes import Node, replace_node
from nitic.frontend.problems import MALFORMED
from nitic.frontend.shapes import inferred_shapes
from nitic.frontend.values import Constant, NodeError

_ARITHMETIC = frozenset(
    {"Add", "Div", "Gather", "GatherND", "Mul", "ReduceMean", "ReduceSum", "Squeeze", "Transpose", "Unsqueeze", "Where"}
)
_ROWS_FIRST = [2, 3, 0, 1]
_MOST_NODES = 20
"""Behind the gathering, besides three for each pixel of a window."""
Window = tuple[int, int]


def with_adaptive_pools(model: onnx.ModelProto, opset: int) -> None:
    """Puts average pools in the place of the gathering and what follows it."""
    graph, makers = model.graph, {name: node for node in model.graph.node for name in node.output}
    gathering = [node for node in graph.node if node.op_type == "GatherND" and node.input[0] in makers]
    if not gathering:
        return
    shapes, constants = inferred_shapes(model), dict(_constants(graph))
    for node in gathering:
        source, indices = makers[node.input[0]], constants.get(node.input[1])
        is_transpose = source.op_type == "Transpose" and Node(source, opset).attributes.get("perm") == _ROWS_FIRST
        if not is_transpose or indices is None or indices.ndim != 5:
            continue
        x, sizes = source.input[0], (indices.shape[0], indices.shape[2])
        windows = [_windows(n, m) for n, m in zip(shapes.get(x, ())[2:], sizes, strict=False) if n]
        if len(windows) == 2 and (last := _Trace(graph, constants, opset).end(source, node, windows)):
            replace_node(graph, last, _pools(graph, x, last, windows))


def _constants(graph: onnx.GraphProto) -> Iterator[tuple[str, Array]]:
    for tensor in graph.initializer:
        yield tensor.name, numpy_helper.to_array(tensor)
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            yield node.output[0], numpy_helper.to_array(node.attribute[0].t)


def _windows(size: int, count: int) -> list[Window]:
    """Where each window begins and ends, as PyTorch defines it."""
    return [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


class _Trace:
    """What a graph makes of one value, for a sample."""

    def __init__(self, graph: onnx.GraphProto, constants: dict[str, Array], opset: int) -> None:
        self.graph, self.constants, self.opset = graph, constants, opset

    def end(
        self, first: onnx.NodeProto, gather: onnx.NodeProto, windows: Sequence[list[Window]]
    ) -> onnx.NodeProto | None:
        """The node that gives the means over the windows of the input of the first one, if there is one."""
        height, width = (each[-1][1] for each in windows)
        sample = np.random.default_rng(0).normal(size=(1, 2, height, width)).astype(np.float32)
        wanted = np.stack([sample[:, :, a:b].mean(2) for a, b in windows[0]], 2)
        wanted = np.stack([wanted[..., a:b].mean(3) for a, b in windows[1]], 3)
        values = {first.input[0]: sample}
        left = _MOST_NODES + 3 * int(np.prod(self.constants[gather.input[1]].shape[1:4:2]))
        for node in self.graph.node:
            if left == 0 or not values.keys() & set(node.input) or not self._is_known(node, values):
                continue
            left -= 1
            try:
                made = self._computed(node, values)
            except (NodeError, *MALFORMED):
                continue
            values[node.output[0]] = made
            if made.shape == wanted.shape and np.allclose(made, wanted, 1e-4, 1e-5):
                return node
        return None

    def _is_known(self, node: onnx.NodeProto, values: dict[str, Array]) -> bool:
        return node.op_type in _ARITHMETIC and all(
            not name or name in values or name in self.constants for name in node.input
        )

    def _computed(self, node: onnx.NodeProto, values: dict[str, Array]) -> Array:
        known = {**self.constants, **values}
        inputs = [Constant(known[name], name) if name else None for name in node.input]
        return folding.evaluated(Node(node, self.opset), inputs)[0].array


def _pools(
    graph: onnx.GraphProto, x: str, last: onnx.NodeProto, windows: Sequence[list[Window]]
) -> list[onnx.NodeProto]:
    """One pool where all windows are alike, else the means of rows, and then of columns, each a piece of its own."""
    y, name = last.output[0], last.name or last.output[0]
    kernels = [{end - begin for begin, end in each} for each in windows]
    strides = [{b[0] - a[0] for a, b in pairwise(each)} or {1} for each in windows]
    if all(len(each) == 1 for each in (*kernels, *strides)):
        size, stride = ([min(each) for each in sizes] for sizes in (kernels, strides))
        return [helper.make_node("AveragePool", [x], [y], name, kernel_shape=size, strides=stride)]
    made: list[onnx.NodeProto] = []
    for axis, each in zip((2, 3), windows, strict=True):
        parts: list[str] = []
        for i, (begin, end) in enumerate(each):
            part = f"{y}.{axis}.{i}"
            bounds = [f"{part}.{key}" for key in ("begin", "end", "axis")]
            for bound, value in zip(bounds, (begin, end, axis), strict=True):
                graph.initializer.append(numpy_helper.from_array(np.array([value]), bound))
            made.append(helper.make_node("Slice", [x, *bounds], [f"{part}.window"], part))
            size = [end - begin, 1] if axis == 2 else [1, end - begin]
            made.append(helper.make_node("AveragePool", [f"{part}.window"], [part], part, kernel_shape=size))
            parts.append(part)
        x = f"{y}.rows" if axis == 2 else y
        made.append(helper.make_node("Concat", parts, [x], name, axis=axis))
    return made
