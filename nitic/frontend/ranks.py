"""How many axes the values of a graph have, as ONNX's own shape inference tells before anything is imported."""

from math import prod

import onnx
from onnx import helper

_SMALL = 64
"""Elements of a constant that may be the shape of another value."""


def ranks(model: onnx.ModelProto) -> dict[str, int]:
    """The rank of each value by name; without those that the inference does not know. No weight is copied for it."""
    graph = onnx.GraphProto(name="ranks", node=model.graph.node, input=model.graph.input)
    declared = {value.name for value in graph.input}
    for tensor in model.graph.initializer:
        if prod(tensor.dims) <= _SMALL:
            graph.initializer.append(tensor)
        elif tensor.name not in declared:
            graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    light = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, graph=graph)
    try:
        inferred = onnx.shape_inference.infer_shapes(light, data_prop=True).graph
    except (ValueError, RuntimeError):  # a broken node, which its import tells of
        return {}
    found = {tensor.name: len(tensor.dims) for tensor in model.graph.initializer}
    for value in (*inferred.input, *inferred.value_info):
        if value.type.tensor_type.HasField("shape"):
            found[value.name] = len(value.type.tensor_type.shape.dim)
    return found
