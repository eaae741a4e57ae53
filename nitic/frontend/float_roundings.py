"""Roundings that a quantised network writes as arithmetic, as `nitic export --format qdq` does around a batch norm."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from nitic.arithmetic.integers import INT8_LIMIT, INT16_LIMIT, Array
from nitic.frontend.codes import Held
from nitic.frontend.graph import drop_unneeded
from nitic.frontend.nodes import replace_node

_ARITHMETIC = ("Div", "Round", "Clip", "Mul")
_TYPES = {INT8_LIMIT: np.int8, INT16_LIMIT: np.int16}
"""By the largest mantissa."""
_SCALE, _BIAS, _MEAN, _VARIANCE = range(1, 5)
"""Where a batch norm has what it computes with."""


def quantise_roundings(graph: onnx.GraphProto) -> None:
    """Puts QuantizeLinear and DequantizeLinear in the place of x / scale, rounded, clipped and multiplied by scale."""
    found = _Graph(graph)
    for node in [node for node in graph.node if node.op_type == _ARITHMETIC[0]]:
        chain = found.followed(node)
        if chain and (dtype := found.mantissas(chain)):
            y = chain[-1].output[0]
            scale, zero = chain[-1].input[1], f"{y}.zero"
            graph.initializer.append(numpy_helper.from_array(np.zeros((), dtype), zero))
            made = [
                helper.make_node("QuantizeLinear", [node.input[0], scale, zero], [f"{y}.codes"]),
                helper.make_node("DequantizeLinear", [f"{y}.codes", scale, zero], [y]),
            ]
            for each in chain[:-1]:
                graph.node.remove(each)
            replace_node(graph, chain[-1], made)


def join_batch_norms(graph: onnx.GraphProto) -> None:
    """Makes one of a batch norm that does nothing but normalise and one behind it that does nothing but scale.

    Between them a quantised network rounds.
    """
    found, neutral = _Graph(graph), set[str]()
    for node in [node for node in graph.node if found.is_batch_norm(node, {_MEAN: 0.0, _VARIANCE: 1.0})]:
        epsilon = next((each.f for each in node.attribute if each.name == "epsilon"), 1e-5)
        first = found.maker(node.input[0])
        if epsilon == 0 and first and found.is_batch_norm(first, {_SCALE: 1.0, _BIAS: 0.0}):
            neutral |= {*node.input[_MEAN:], *first.input[_SCALE:_MEAN]}
            node.input[:] = [first.input[0], *node.input[_SCALE:_MEAN], *first.input[_MEAN:]]
            del node.attribute[:]
            node.attribute.extend(first.attribute)
    if not neutral:
        return
    drop_unneeded(graph)
    neutral -= {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name in neutral]:
        graph.initializer.remove(tensor)


@dataclass
class _Graph:
    """Which nodes make and read the values of a graph, and what its constants hold."""

    graph: onnx.GraphProto

    def __post_init__(self) -> None:
        self.held = Held(self.graph)
        self.outputs = {value.name for value in self.graph.output}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in self.graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)

    def followed(self, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        """The nodes of a rounding from its first one on, if that is what they are."""
        chain = [node]
        for op in _ARITHMETIC[1:]:
            value = chain[-1].output[0]
            readers = self.readers.get(value, [])
            if value in self.outputs or len(readers) != 1 or readers[0].op_type != op or readers[0].input[0] != value:
                return None
            chain += readers
        return chain

    def mantissas(self, chain: list[onnx.NodeProto]) -> type[np.integer] | None:
        """The type that holds what is rounded, if there is one scale, and a range that is that of a type."""
        div, _, clip, mul = chain
        constants = [*self._constants(div, 1), *self._constants(mul, 1), *self._constants(clip, 1, 2)]
        if len(constants) != 4 or any(each.size != 1 for each in constants):
            return None
        there, back, low, high = (each.item() for each in constants)
        return _TYPES.get(high) if there == back > 0 and low == -high else None

    def is_batch_norm(self, node: onnx.NodeProto, neutral: dict[int, float]) -> bool:
        """Whether a node is a batch norm for inference, with constants of one value at these places."""
        if node.op_type != "BatchNormalization" or len(node.input) != 1 + _VARIANCE or len(node.output) != 1:
            return False
        constants = list(self._constants(node, *neutral))
        values = zip(constants, neutral.values(), strict=False)
        return len(constants) == len(neutral) and all((array == value).all() for array, value in values)

    def maker(self, name: str) -> onnx.NodeProto | None:
        """What makes a value that may have been passed on."""
        return self.held.makers.get(self.held.origin(name))

    def _constants(self, node: onnx.NodeProto, *places: int) -> Iterator[Array]:
        for place in places:
            if place < len(node.input) and node.input[place] in self.held.tensors:
                yield self.held.array(node.input[place], 0)
