"""Layer norms and RMS norms that an exporter wrote as arithmetic: each becomes the one node that it computes.

    x - mean(x), divided by the root of the mean of its square + epsilon (LayerNormalization)
    x, divided by the root of the mean of its square + epsilon           (RMSNormalization)

The factor and the offset behind it, if each is a constant of as many elements as were normalised, belong to the node.
onnxruntime's SimplifiedLayerNormalization, which files hold in any domain, is RMSNormalization by another name.
"""

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np
import onnx
from onnx import helper, numpy_helper

from nitic.arithmetic.integers import Array
from nitic.frontend.nodes import Node, constants, replace_node
from nitic.frontend.shapes import inferred_shapes
from nitic.ir.types import Shape

_CASTS = frozenset({"Cast", "CastLike", "Identity"})


def with_row_norms(model: onnx.ModelProto, opset: int) -> None:
    """Replaces every such arithmetic in the graph."""
    for node in model.graph.node:
        if node.op_type == "SimplifiedLayerNormalization":
            node.op_type, node.domain = "RMSNormalization", ""
    if any(node.op_type == "ReduceMean" for node in model.graph.node):
        graph = _Graph(model, opset)
        for node in list(model.graph.node):
            if found := graph.norm_ending_in(node):
                last, made = found
                replace_node(model.graph, last, [made])


class _Graph:
    """The makers and readers of values, and what is constant."""

    def __init__(self, model: onnx.ModelProto, opset: int) -> None:
        self.opset = opset
        self.makers = {name: node for node in model.graph.node for name in node.output if name}
        self.readers: dict[str, list[onnx.NodeProto]] = {value.name: [] for value in model.graph.output}
        self.outputs = set(self.readers)
        for node in model.graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.tensors = constants(model.graph)
        self.shapes: dict[str, Shape] = inferred_shapes(model)

    def norm_ending_in(self, node: onnx.NodeProto) -> tuple[onnx.NodeProto, onnx.NodeProto] | None:
        """The last node of a normalisation whose division is `node`, and what takes its place."""
        found = next(filter(None, (self._rows(*pair) for pair in self._quotients(node))), None)
        if found is None:
            return None
        x, axis, epsilon, op = found
        last, gamma, beta = self._affine(node, self._length(x, axis))
        operands = [x, gamma, beta] if beta else [x, gamma] if gamma else [x]
        made = helper.make_node(op, operands, [last.output[0]], last.name, axis=axis, epsilon=epsilon)
        return last, made

    def _quotients(self, node: onnx.NodeProto) -> Iterator[tuple[str, str]]:
        """What is divided and the square root of what it is divided by, if a node is such a division."""
        if node.op_type == "Div":
            if root := self._square_of_root(node.input[1]):
                yield node.input[0], root
        elif node.op_type == "Mul":
            for x, factor in (node.input, reversed(node.input)):
                if root := self._square_of_inverse(factor):
                    yield x, root

    def _square_of_root(self, name: str) -> str | None:
        """v, of a value that is sqrt(v)."""
        maker = self._maker(name)
        if maker and (maker.op_type == "Sqrt" or self._is_power(maker, 0.5)):
            return maker.input[0]
        return None

    def _square_of_inverse(self, name: str) -> str | None:
        """v, of a value that is 1 / sqrt(v)."""
        maker = self._maker(name)
        if maker is None:
            return None
        if self._is_power(maker, -0.5):
            return maker.input[0]
        if maker.op_type == "Reciprocal":
            return self._square_of_root(maker.input[0])
        if maker.op_type == "Div" and self._number(maker.input[0]) == 1:
            return self._square_of_root(maker.input[1])
        return None

    def _rows(self, x: str, variance: str) -> tuple[str, int, float, str] | None:
        """(input, first axis, epsilon, operator) where `variance` is the mean square of x, plus an epsilon."""
        added = self._maker(variance)
        if added is None or added.op_type != "Add":
            return None
        for name, other in (added.input, reversed(added.input)):
            epsilon, mean = self._number(other), self._maker(name)
            if epsilon is None or mean is None or mean.op_type != "ReduceMean":
                continue
            axis, square = self._first_axis(mean), self._square_root(mean.input[0])
            if axis is None or square is None or not self._same(square, x):
                continue
            if (centred := self._centred(x, axis)) is not None:
                return centred, axis, epsilon, "LayerNormalization"
            return self._plain(x), axis, epsilon, "RMSNormalization"
        return None

    def _square_root(self, name: str) -> str | None:
        """x, of a value that is x squared."""
        maker = self._maker(name)
        if maker and (self._is_power(maker, 2) or (maker.op_type == "Mul" and maker.input[0] == maker.input[1])):
            return maker.input[0]
        return None

    def _centred(self, name: str, axis: int) -> str | None:
        """x, of a value that is x less its mean over the axes from one on."""
        maker = self._maker(name)
        mean = self._maker(maker.input[1]) if maker and maker.op_type == "Sub" else None
        if maker is None or mean is None or mean.op_type != "ReduceMean" or self._first_axis(mean) != axis:
            return None
        return self._plain(maker.input[0]) if self._same(mean.input[0], maker.input[0]) else None

    def _same(self, a: str, b: str) -> bool:
        """Whether two values are one, or two differences of the same values."""
        a, b = self._plain(a), self._plain(b)
        if a == b:
            return True
        first, second = (self.makers.get(name) for name in (a, b))
        if first is None or second is None or {first.op_type, second.op_type} != {"Sub"}:
            return False
        return all(self._plain(p) == self._plain(q) for p, q in zip(first.input, second.input, strict=True))

    def _affine(self, node: onnx.NodeProto, length: int) -> tuple[onnx.NodeProto, str, str]:
        """The last node of a normalisation, with the factor and the offset behind it; empty names for none."""
        behind, gamma = self._constant_behind(node, "Mul", length)
        last, beta = self._constant_behind(behind, "Add", length) if gamma else (behind, "")
        return last, gamma, beta

    def _constant_behind(self, node: onnx.NodeProto, op: str, length: int) -> tuple[onnx.NodeProto, str]:
        """The only reader of a node's result, behind casts, if it combines that with a constant per element."""
        reader = node
        while (name := reader.output[0]) not in self.outputs and len(self.readers.get(name, [])) == 1:
            reader = self.readers[name][0]
            if reader.op_type not in _CASTS:
                break
        if reader is node or reader.op_type != op:
            return node, ""
        constants = [each for each in map(self._plain, reader.input) if each in self.tensors]
        fits = len(constants) == 1 and prod(self.tensors[constants[0]].dims) == length
        return (reader, constants[0]) if fits else (node, "")

    def _length(self, x: str, axis: int) -> int:
        return prod(self.shapes.get(x, ())[axis:])

    def _first_axis(self, mean: onnx.NodeProto) -> int | None:
        """The first of the axes of a mean, counted from the end, if they are the last ones and are kept."""
        node = Node(mean, self.opset)
        axes: Sequence[int] = node.attributes.get("axes", ())
        if len(mean.input) > 1 and mean.input[1] in self.tensors:
            axes = self._array(mean.input[1]).reshape(-1).tolist()
        rank = len(self.shapes.get(self._plain(mean.input[0]), ()))
        axes = sorted(axis if axis < 0 else axis - rank for axis in axes)
        are_last = bool(axes) and axes == list(range(-len(axes), 0))
        return axes[0] if are_last and node.attributes.get("keepdims", 1) else None

    def _maker(self, name: str) -> onnx.NodeProto | None:
        return self.makers.get(self._plain(name))

    def _plain(self, name: str) -> str:
        """The value before casts."""
        while (maker := self.makers.get(name)) is not None and maker.op_type in _CASTS:
            name = maker.input[0]
        return name

    def _is_power(self, node: onnx.NodeProto, exponent: float) -> bool:
        return node.op_type == "Pow" and self._number(node.input[1]) == exponent

    def _number(self, name: str) -> float | None:
        name = self._plain(name)
        array = self._array(name) if name in self.tensors and prod(self.tensors[name].dims) == 1 else np.zeros(0)
        return float(array.reshape(-1)[0]) if array.size == 1 else None

    def _array(self, name: str) -> Array:
        return numpy_helper.to_array(self.tensors[name])
