"""Weights of recurrent layers that the graph puts together, as torch has their gates in another order.

Its exporter does this itself where it folds constants, and leaves it to the graph in the form for training.
"""

from collections import Counter
from functools import cached_property

import numpy as np
import onnx
from onnx import numpy_helper

from nitic.frontend import folding
from nitic.frontend.nodes import Node, opset
from nitic.frontend.problems import MALFORMED
from nitic.frontend.shapes import inferred_shapes
from nitic.frontend.values import Constant, NodeError
from nitic.ir.types import Shape

_LAYERS = frozenset({"GRU", "LSTM", "RNN"})
_WEIGHTS = slice(1, 4)
"""W, R and B among the inputs of a layer."""
_MOVES = frozenset({"Cast", "Concat", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"})


def put_together(model: onnx.ModelProto) -> list[str]:
    """Makes a tensor of each weight that is made of others by moving their values. Gives the user's note.

    The others leave the file. If something else reads one of them, all stays as it is.
    """
    graph = model.graph
    layers = [node for node in graph.node if node.op_type in _LAYERS and not node.domain]
    parts = _Parts(model)
    wanted = [name for node in layers for name in node.input[_WEIGHTS] if name in parts.makers]
    made = {name for name in wanted if parts.is_moved(name)}
    floats = {name for name, value in parts.known.items() if value.array.dtype.kind == "f"}
    readers = Counter(name for node in graph.node if not floats.intersection(node.output) for name in node.input)
    if not made or any(readers[name] for name in floats - made):
        return []
    for name in made:
        graph.initializer.append(numpy_helper.from_array(parts.known[name].array, name))
    for node in [node for node in graph.node if floats.intersection(node.output)]:
        graph.node.remove(node)
    for tensor in [tensor for tensor in graph.initializer if tensor.name in floats - made]:
        graph.initializer.remove(tensor)
    count = sum(bool(made.intersection(node.input)) for node in layers)
    what = "recurrent layer is" if count == 1 else "recurrent layers are"
    return [
        f"the weight of {count} {what} put together of several tensors: it is trained and exported as the layer has it"
    ]


class _Parts:
    """What a graph makes of its initializers by moving their values, as far as somebody has asked."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.opset = opset(model)
        self.makers = {name: node for node in model.graph.node for name in node.output}
        self.tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self.known: dict[str, Constant] = {}

    @cached_property
    def _shapes(self) -> dict[str, Shape]:
        return inferred_shapes(self.model, computes=True)

    def is_moved(self, name: str) -> bool:
        """Whether a value is made so."""
        before = dict(self.known)
        try:
            self.value(name)
        except (NodeError, *MALFORMED):
            self.known = before
            return False
        return True

    def value(self, name: str) -> Constant:
        """Raises NodeError where it is not, or what a malformed node makes onnx's reference raise."""
        if name not in self.known:
            self._compute(name)
        return self.known[name]

    def _compute(self, name: str) -> None:
        if name in self.tensors:
            self.known[name] = Constant(numpy_helper.to_array(self.tensors[name]), name)
            return
        if name not in self.makers:
            raise NodeError(f"{name!r} is no constant")
        node = Node(self.makers[name], self.opset)
        if node.op == "Constant":
            self.known[name] = folding.constant(node)
        elif node.op == "Shape":
            self.known[name] = Constant(self._dimensions(node), name)
        elif node.op in folding.FOLDABLE:
            inputs = [self.value(each) if each else None for each in node.proto.input]
            if node.op not in _MOVES and any(each and each.array.dtype.kind == "f" for each in inputs):
                raise NodeError(f"{node.op} computes")
            made = folding.evaluated(node, inputs)
            self.known.update(zip(filter(None, node.proto.output), made, strict=True))
        else:
            raise NodeError(f"{node.op} does more than move values")

    def _dimensions(self, node: Node) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        shape = self._shapes.get(node.proto.input[0], ())
        found = shape[slice(node.integer("start"), node.integer("end", len(shape)))]
        if not all(found):
            raise NodeError(f"the shape {list(found)} is open")
        return np.array(found)
