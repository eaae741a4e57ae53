"""Linear models and scalers of ONNX's second domain, ai.onnx.ml, as the layers that they are.

scikit-learn's converters write them. Each node becomes ONNX's own operators, and its coefficients become tensors, so
that they are trained, and leave with the file.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from nitic.arithmetic.integers import Array
from nitic.errors import CompileError
from nitic.frontend.nodes import Node, opset, replace_node
from nitic.frontend.values import NodeError

_DOMAIN = "ai.onnx.ml"
_REDUCTIONS = {"L1": "ReduceL1", "L2": "ReduceL2"}
_AXES_ARE_INPUTS = 18
"""The opset from which reductions take their axes as an input."""


def read_as_layers(model: onnx.ModelProto, file: str) -> None:
    """Puts layers in the place of such nodes. Raises CompileError for one whose attributes make it none."""
    graph = model.graph
    if not any(node.domain == _DOMAIN for node in graph.node):
        return
    reader = _Reader(graph, opset(model))
    for proto in list(graph.node):
        node = Node(proto, reader.opset)
        form = _FORMS.get(node.proto.op_type) if node.proto.domain == _DOMAIN else None
        if form is None:
            continue
        try:
            made = list(form(reader, node))
        except NodeError as error:
            raise CompileError(f"{file}: {node}", str(error)) from error
        replace_node(graph, proto, made)


class _Reader:
    """What each node becomes: nodes of the same results."""

    def __init__(self, graph: onnx.GraphProto, opset: int) -> None:
        self.graph, self.opset = graph, opset
        self.makers = {name: node for node in graph.node for name in node.output}

    def scaler(self, node: Node) -> Iterator[onnx.NodeProto]:
        """(x - offset) * scale."""
        offset, scale = (np.asarray(node.attributes.get(name, ()), np.float32) for name in ("offset", "scale"))
        x, y = node.proto.input[0], node.proto.output[0]
        yield helper.make_node("Sub", [x, self.hold(node, "offset", offset)], [f"{y}.centred"])
        yield helper.make_node("Mul", [f"{y}.centred", self.hold(node, "scale", scale)], [y], node.name)

    def normalizer(self, node: Node) -> Iterator[onnx.NodeProto]:
        """x by its norm; probabilities have a sum of 1 already."""
        x, y, norm = node.proto.input[0], node.proto.output[0], node.attributes.get("norm", "MAX")
        if norm not in _REDUCTIONS:
            raise NodeError(f"attribute 'norm' is {norm!r}: only {' and '.join(_REDUCTIONS)} are supported")
        maker = self.makers.get(x)
        if norm == "L1" and maker is not None and maker.op_type in {"LinearClassifier", "Softmax"}:
            yield helper.make_node("Identity", [x], [y], node.name)
            return
        if self.opset < _AXES_ARE_INPUTS:
            reduction = helper.make_node(_REDUCTIONS[norm], [x], [f"{y}.norm"], axes=[1])
        else:
            axes = self.hold(node, "axes", np.array([1]))
            reduction = helper.make_node(_REDUCTIONS[norm], [x, axes], [f"{y}.norm"])
        yield reduction
        yield helper.make_node("Div", [x, f"{y}.norm"], [y], node.name)

    def classifier(self, node: Node) -> Iterator[onnx.NodeProto]:
        """A linear layer, softmax, and the label of the largest score."""
        strings = node.attributes.get("classlabels_strings")
        labels = np.asarray(strings or node.attributes.get("classlabels_ints", ()))
        weight, bias = _linear(node, len(labels))
        label, scores = node.proto.output
        kind = node.attributes.get("post_transform", "NONE")
        if kind == "LOGISTIC" and len(labels) == 2 and (weight[0] == -weight[1]).all() and bias[0] == -bias[1]:
            # the sigmoids of -z and z are the softmax of -z/2 and z/2
            weight, bias, kind = weight / 2, bias / 2, "SOFTMAX"
        if kind not in {"NONE", "SOFTMAX"}:
            raise NodeError(f"attribute 'post_transform' is {kind!r}, which is supported for two opposite scores only")
        logits = f"{scores}.logits" if kind == "SOFTMAX" else scores
        yield from self.linear(node, weight, bias, logits)
        if kind == "SOFTMAX":
            yield helper.make_node("Softmax", [logits], [scores], f"{node.name}.softmax", axis=1)
        yield helper.make_node("ArgMax", [logits], [f"{label}.index"], axis=1, keepdims=0)
        yield helper.make_node("Gather", [self.hold(node, "labels", labels), f"{label}.index"], [label])

    def regressor(self, node: Node) -> Iterator[onnx.NodeProto]:
        """A linear layer."""
        if (kind := node.attributes.get("post_transform", "NONE")) != "NONE":
            raise NodeError(f"attribute 'post_transform' is {kind!r}, which is not supported")
        yield from self.linear(node, *_linear(node, node.attributes.get("targets", 1)), node.proto.output[0])

    def zip_map(self, node: Node) -> Iterator[onnx.NodeProto]:
        """Dictionaries of probabilities stand for these."""
        y = node.proto.output[0]
        for value in self.graph.output:
            if value.name == y:
                value.CopyFrom(helper.make_tensor_value_info(y, onnx.TensorProto.FLOAT, None))
        yield helper.make_node("Identity", node.proto.input, [y], node.name)

    def linear(self, node: Node, weight: Array, bias: Array, y: str) -> Iterator[onnx.NodeProto]:
        x, names = node.proto.input[0], (self.hold(node, "weight", weight), self.hold(node, "bias", bias))
        yield helper.make_node("Gemm", [x, *names], [y], node.name, transB=1)

    def hold(self, node: Node, what: str, array: Array) -> str:
        """Adds a tensor to the file. Gives its name."""
        name = f"{node.name}.{what}"
        held = array.astype(np.float32) if array.dtype.kind == "f" else array
        is_text = array.dtype.kind == "U"
        self.graph.initializer.append(numpy_helper.from_array(held.astype(object) if is_text else held, name))
        return name


def _linear(node: Node, count: int) -> tuple[Array, Array]:
    """Weight [count, features] and bias [count]."""
    coefficients, intercepts = (
        np.asarray(node.attributes.get(name, ()), np.float32) for name in ("coefficients", "intercepts")
    )
    if count == 0 or coefficients.size == 0 or coefficients.size % count:
        raise NodeError(f"{coefficients.size} coefficients are no matrix of {count} rows")
    if intercepts.size not in {0, count}:
        raise NodeError(f"there are {intercepts.size} intercepts for {count} rows of coefficients")
    return coefficients.reshape(count, -1), intercepts if intercepts.size else np.zeros(count, np.float32)


_FORMS: dict[str, Callable[[_Reader, Node], Iterator[Any]]] = {
    "LinearClassifier": _Reader.classifier,
    "LinearRegressor": _Reader.regressor,
    "Normalizer": _Reader.normalizer,
    "Scaler": _Reader.scaler,
    "ZipMap": _Reader.zip_map,
}
