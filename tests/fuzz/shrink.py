"""Makes a network that fails smaller, as long as it still fails."""

from collections.abc import Callable, Iterator

import onnx
from onnx import helper

Fails = Callable[[onnx.ModelProto], bool]


def shrink(model: onnx.ModelProto, fails: Fails) -> onnx.ModelProto:
    """The smallest network on the way: nodes are left out one at a time, from the end, until none can be spared."""
    while True:
        smaller = next((each for each in _smaller(model) if fails(each)), None)
        if smaller is None:
            return model
        model = smaller


def _smaller(model: onnx.ModelProto) -> Iterator[onnx.ModelProto]:
    """Networks of fewer nodes: one that ends earlier, one that begins later, or one without a node that keeps its
    operand's shape."""
    shapes = _shapes(model)
    output = model.graph.output[0].name
    for node in reversed(model.graph.node):
        value = node.output[0]
        if len(shapes.get(value, ())) == 2 and value != output:
            yield _with(model, ends=value, shapes=shapes)
        if value != output:
            yield _with(model, begins=value, shapes=shapes)
        for operand in node.input:
            if shapes.get(operand) == shapes.get(value) and operand in shapes:
                yield _with(model, replaced=(value, operand), shapes=shapes)


def _shapes(model: onnx.ModelProto) -> dict[str, list[int]]:
    """Of the activations."""
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    infos = [*graph.input, *graph.value_info, *graph.output]
    return {info.name: [d.dim_value for d in info.type.tensor_type.shape.dim] for info in infos}


def _with(
    model: onnx.ModelProto,
    *,
    shapes: dict[str, list[int]],
    ends: str | None = None,
    begins: str | None = None,
    replaced: tuple[str, str] | None = None,
) -> onnx.ModelProto:
    """The model that ends or begins at another value, or reads one value for another; what nobody reads is left out."""
    names = dict([replaced] if replaced else [])
    if begins:
        names[begins] = "input"
    end = ends or model.graph.output[0].name
    end = names.get(end, end)
    nodes: list[onnx.NodeProto] = []
    wanted = {end}
    for node in reversed(model.graph.node):
        if node.output[0] in wanted and node.output[0] not in names:
            renamed = onnx.NodeProto()
            renamed.CopyFrom(node)
            renamed.input[:] = [names.get(name, name) for name in node.input]
            nodes.insert(0, renamed)
            wanted |= set(renamed.input)
    first = helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, shapes[begins or "input"])
    last = helper.make_tensor_value_info(end, onnx.TensorProto.FLOAT, shapes[end])
    initializers = [each for each in model.graph.initializer if each.name in wanted]
    graph = helper.make_graph(nodes, model.graph.name, [first], [last], initializers)
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
