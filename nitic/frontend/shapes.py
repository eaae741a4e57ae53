"""The shapes of a graph's values, as ONNX's own inference tells them before anything is imported."""

from math import prod

import onnx
from onnx import helper

from nitic.ir.types import Shape

_SMALL = 64
"""Elements of a constant that may be the shape of another value."""


def inferred_shapes(model: onnx.ModelProto, computes: bool = False) -> dict[str, Shape]:
    """The shape of each value whose rank the inference knows; an open axis is 0. No weight is copied for it.

    computes: shapes are followed through arithmetic, too.
    """
    graph = onnx.GraphProto(name="shapes", node=model.graph.node, input=model.graph.input)
    declared = {value.name for value in graph.input}
    for tensor in model.graph.initializer:
        if prod(tensor.dims) <= _SMALL:
            graph.initializer.append(tensor)
        elif tensor.name not in declared:
            graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    light = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, graph=graph)
    try:
        inferred = onnx.shape_inference.infer_shapes(light, data_prop=computes).graph
    except (ValueError, RuntimeError):  # a broken node, which its import tells of
        return {}
    found = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    for value in (*inferred.input, *inferred.value_info):
        if value.type.tensor_type.HasField("shape"):
            found[value.name] = tuple(max(0, dim.dim_value) for dim in value.type.tensor_type.shape.dim)
    return found
