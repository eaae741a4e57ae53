"""Softplus as PyTorch's exporter writes it: with the input itself where that is so large that both are equal."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

_LEAST = 8.0
"""From here on a softplus is its input but for 2^-11, and the Where may be left out. PyTorch's threshold is 20."""


def without_thresholds(graph: onnx.GraphProto) -> None:
    """Puts the softplus in the place of each Where(x > threshold, x, softplus(x)), or softplus(beta * x) / beta."""
    makers = {name: node for node in graph.node for name in node.output}
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer if len(tensor.dims) == 0}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].type == onnx.AttributeProto.TENSOR:
            tensors[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    for node in graph.node:
        if node.op_type != "Where" or len(node.input) != 3:
            continue
        condition, large, small = node.input
        test, softplus = makers.get(condition), _softplus_behind(makers.get(small), makers)
        if test is None or softplus is None or test.op_type not in {"Greater", "GreaterOrEqual"}:
            continue
        threshold = tensors.get(test.input[1], np.zeros(()))
        argument = makers.get(softplus.input[0])
        is_own = large == softplus.input[0] or (argument is not None and large in argument.input)
        if is_own and test.input[0] == softplus.input[0] and threshold.size == 1 and threshold.item() >= _LEAST:
            node.CopyFrom(helper.make_node("Identity", [small], node.output, node.name))


def _softplus_behind(node: onnx.NodeProto | None, makers: dict[str, onnx.NodeProto]) -> onnx.NodeProto | None:
    """A softplus, or that which a product or quotient is made of."""
    if node is not None and node.op_type in {"Div", "Mul"}:
        node = next(
            (makers[name] for name in node.input if name in makers and makers[name].op_type == "Softplus"), None
        )
    return node if node is not None and node.op_type == "Softplus" else None
