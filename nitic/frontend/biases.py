"""Layers without a bias: torch's default exporter leaves out those that are zero, as all are in a new network."""

from collections.abc import Iterator

import onnx
from onnx import helper

from nitic.frontend.nodes import Node
from nitic.frontend.preparation import VIEWS
from nitic.frontend.shapes import inferred_shapes
from nitic.ir.types import Shape

_CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})
_LAYERS = _CONVOLUTIONS | {"Gemm"}
_NORMS = frozenset({"BatchNormalization", "GroupNormalization", "InstanceNormalization", "LayerNormalization"})
_KEEPS_OFFSETS = VIEWS | {"Add", "AveragePool", "Concat", "Dropout", "GlobalAveragePool", "Identity", "MaxPool", "Sub"}
"""Behind these an offset of a channel is one still, so that a norm or a bias may do the work of the layer's own."""
_TORCH = "pytorch"
_FEW = 3
"""Convolutions that somebody may have written without a bias."""
_MOST = 2**20
"""Channels of a layer: a weight that is computed may be described as larger than it can be."""


def note_missing(model: onnx.ModelProto) -> list[str]:
    """The note on what the exporter may have left out, if it looks so."""
    bare = [node for node in _bare_layers(model.graph) if node.op_type in _CONVOLUTIONS]
    if model.producer_name != _TORCH or len(bare) <= _FEW:
        return []
    note = (
        f"{len(bare)} convolutions, the first {Node(bare[0], 0)}, have neither a bias nor a batch normalisation behind "
        "them: torch's exporter leaves out biases of zeros, and folds batch normalisations; nitic.export_torch keeps "
        "both, and --restore biases puts the biases back"
    )
    return [note]


def restore(model: onnx.ModelProto) -> list[str]:
    """Gives a bias of zeros to layers without one. Gives the user's note."""
    shapes, names, count = inferred_shapes(model), dict[str, str](), 0
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    for node in _bare_layers(model.graph):
        weight = node.input[1]
        size = _outputs(node, shapes.get(weight, ()))
        if not 0 < size <= _MOST:
            continue
        if weight not in names:
            names[weight] = _free(model.graph, weight)
            kind = types.get(weight, onnx.TensorProto.FLOAT)
            zeros = bytes(size * helper.tensor_dtype_to_np_dtype(kind).itemsize)
            model.graph.initializer.append(helper.make_tensor(names[weight], kind, [size], zeros, raw=True))
        del node.input[2:]
        node.input.append(names[weight])
        count += 1
    return [f"{count} layers without a bias, and without a norm behind them, have one of zeros (--restore biases)"]


def _outputs(node: onnx.NodeProto, weight: Shape) -> int:
    """How many channels a layer makes, by the shape of its weight; 0 where that is not known."""
    attributes = Node(node, 0).attributes
    match node.op_type:
        case "ConvTranspose":
            return weight[1] * attributes.get("group", 1) if len(weight) > 1 else 0
        case "Gemm":
            return weight[0 if attributes.get("transB") else 1] if len(weight) > 1 else 0
        case _:
            return weight[0] if weight else 0


def _free(graph: onnx.GraphProto, weight: str) -> str:
    """What the bias of a weight is called: conv1.bias beside conv1.weight."""
    taken = {tensor.name for tensor in graph.initializer} | {name for node in graph.node for name in node.output}
    taken |= {value.name for value in graph.input}
    name = f"{weight.removesuffix('weight')}bias" if weight.endswith("weight") else f"{weight}.bias"
    while name in taken:
        name += "_"
    return name


def _bare_layers(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Layers without a bias, and with nothing behind them that makes one useless."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    varying = {value.name for value in graph.input} - {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        for name in node.input if not node.domain else ():
            readers.setdefault(name, []).append(node)
        if varying.intersection(node.input):
            varying.update(node.output)
    for node in graph.node:
        is_layer = not node.domain and node.op_type in _LAYERS and node.input[0] in varying
        if is_layer and not any(node.input[2:]) and not _is_offset(node.output[0], readers, varying):
            yield node


def _is_offset(name: str, readers: dict[str, list[onnx.NodeProto]], varying: set[str]) -> bool:
    """Whether a norm follows a value, or something is added to it that training learns."""
    seen, waiting = set[str](), [name]
    while waiting:
        for node in readers.get(waiting.pop(), []):
            has_constant = node.op_type in {"Add", "Sub"} and not varying.issuperset(node.input)
            if node.op_type in _NORMS or has_constant:
                return True
            if node.op_type in _KEEPS_OFFSETS and node.output[0] not in seen:
                seen.add(node.output[0])
                waiting.append(node.output[0])
    return False
