"""`--format float`: the ONNX file that was compiled, with the trained values under its own names."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from nitic.arithmetic.integers import Array, wide
from nitic.arithmetic.norms import RUNNING_EXPONENT
from nitic.errors import CompileError
from nitic.export.graph import PRODUCER
from nitic.frontend.importer import ImportedModel
from nitic.frontend.network import read_network
from nitic.frontend.nodes import unique_names
from nitic.ir.function import argument_labels, arguments, function
from nitic.ir.op import NnOp
from nitic.ir.sample import parts_of
from nitic.version import VERSION

TRAINED_OTHERWISE = {"BatchNormalization": 5, "Dropout": 2}
"""Operators that have a form for training, and how many inputs that for inference takes."""


def float_model(model: ImportedModel, path: Path, state: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
    """The file at `path`, from which `model` was imported, with the values of a state. What is frozen stays.

    Where several layers share a tensor of the file and have been trained apart, each gets one of its own. Raises
    CompileError.
    """
    proto = read_network(path, model.restores_biases).model
    for_inference(proto.graph)
    with_values(model, File(proto, path.name), trained_values(model, state))
    return finished(proto, {**metadata, **standardisation(model, state), "nitic.format": "float"})


def for_inference(graph: onnx.GraphProto) -> None:
    """Batch norms and dropouts in their form for inference: in the other, predictions go by their batch, or by chance.

    nitic trains both forms.
    """
    read, left_out = _read(graph), set[str]()
    for node in graph.node:
        if node.domain or node.op_type not in TRAINED_OTHERWISE or read & {*node.output[1:]}:
            continue
        left_out |= {*node.input[TRAINED_OTHERWISE[node.op_type] :]}
        del node.output[1:], node.input[TRAINED_OTHERWISE[node.op_type] :]
        kept = [each for each in node.attribute if each.name != "training_mode"]
        del node.attribute[:]
        node.attribute.extend(kept)
    while unread := left_out - _read(graph):
        makers = [node for node in graph.node if node.output[0] in unread]
        left_out = {name for node in makers for name in node.input}
        for node in makers:
            graph.node.remove(node)
        for tensor in [tensor for tensor in graph.initializer if tensor.name in unread]:
            graph.initializer.remove(tensor)


def _read(graph: onnx.GraphProto) -> set[str]:
    """The values that nodes or the outputs of a graph take."""
    return {name for node in graph.node for name in node.input if name} | {each.name for each in graph.output}


def with_values(model: ImportedModel, file: "File", values: Mapping[str, Array]) -> dict[str, str]:
    """Gives a file the values of parameters, in nitic's layout. Gives the tensor of the file that each became."""
    shared, tensors = Counter(conversion.source for conversion in model.conversions.values()), dict[str, str]()
    for name, value in values.items():
        conversion = model.conversions[name]
        array, tensors[name] = conversion.to_onnx(value), conversion.source
        if shared[conversion.source] == 1:
            file.replace(conversion.source, array)
        else:
            tensors[name] = file.separate(conversion.source, name, array, _readers(model, name))
    return tensors


def finished(proto: onnx.ModelProto, metadata: Mapping[str, str]) -> bytes:
    """The file with what nitic says of it beside what it said before."""
    proto.producer_name, proto.producer_version = PRODUCER, VERSION
    kept = {each.key: each.value for each in proto.metadata_props}
    helper.set_model_props(proto, {**kept, **metadata})
    return proto.SerializeToString(deterministic=True)


def trained_values(model: ImportedModel, state: Mapping[str, Array]) -> dict[str, Array]:
    """The trained parameters and the running statistics in nitic's layout, as float64."""
    values: dict[str, Array] = {}
    for label in argument_labels(function(model.module, "predict")):
        if label.role == "weight":
            values[label.name] = state[label.name] * 2.0 ** int(state[f"{label.name}.exponent"])
        elif label.role == "statistic":
            values[label.name] = wide(state[label.name]) * 2.0**RUNNING_EXPONENT
    return values


def standardisation(model: ImportedModel, state: Mapping[str, Array]) -> dict[str, str]:
    """Mean and deviation of samples scaled to 0..1, where the program took them from its training set.

    Of several inputs by their names.
    """
    multiplier, offset = (state[f"input.{name}"].astype(np.float64) for name in ("multiplier", "offset"))
    if model.standardisation or not multiplier.all():
        return {}
    step, found = 2.0 ** (int(state["input.exponent"]) - 16), dict[str, Array]()
    means, deviations = -offset / (255 * multiplier), 1 / (255 * multiplier * step)
    parts, begin = parts_of(model.module), 0
    for key, size, channels in [(f".{p.name}", p.size, p.channels) for p in parts] or [("", 0, len(means))]:
        found |= {
            f"nitic.input{key}.mean": means[begin:][:channels],
            f"nitic.input{key}.std": deviations[begin:][:channels],
        }
        begin += size
    return {key: ",".join(f"{value:.6g}" for value in values) for key, values in found.items()}


def _readers(model: ImportedModel, name: str) -> set[str]:
    """The ONNX nodes that a parameter is for."""
    func = function(model.module, "predict")
    (value,) = (arg for label, arg in arguments(func) if label.name == name)
    return {use.operation.source for use in value.uses if isinstance(use.operation, NnOp)}


class File:
    """The tensors of a model by the name of the value: initializers, and what Constant nodes hold."""

    def __init__(self, model: onnx.ModelProto, name: str) -> None:
        self.graph, self.name = model.graph, name
        self.tensors = {tensor.name: tensor for tensor in self.graph.initializer}
        constants = [node for node in self.graph.node if node.op_type == "Constant"]
        self.tensors |= {
            node.output[0]: each.t for node in constants for each in node.attribute if each.name == "value"
        }
        self.nodes = dict(zip(unique_names(self.graph.node), self.graph.node, strict=True))
        self.origins = {node.output[0]: node.input[0] for node in self.graph.node if node.op_type == "Identity"}

    def replace(self, source: str, array: Array) -> None:
        """Gives a tensor another value, in its own type and shape."""
        if source not in self.tensors:
            raise CompileError(self.name, f"parameter {source!r} is computed by nodes that a value cannot be given to")
        tensor = self.tensors[source]
        dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        tensor.CopyFrom(numpy_helper.from_array(array.reshape(tensor.dims).astype(dtype), tensor.name))

    def separate(self, source: str, name: str, array: Array, readers: set[str]) -> str:
        """Gives some of the readers of a tensor one of their own, called as nitic calls it. Gives its name."""
        dims, dtype = self.tensors[source].dims, helper.tensor_dtype_to_np_dtype(self.tensors[source].data_type)
        own = self.free(name)
        places = list(self._places(source, readers))
        if not places:
            message = (
                f"parameter {name!r} shares tensor {source!r} with others, and reaches its layer through other nodes"
            )
            raise CompileError(self.name, message)
        self.graph.initializer.append(numpy_helper.from_array(array.reshape(dims).astype(dtype), own))
        for node, index in places:
            node.input[index] = own
        return own

    def _places(self, source: str, readers: set[str]) -> Iterator[tuple[onnx.NodeProto, int]]:
        for name in readers & self.nodes.keys():
            for index, value in enumerate(self.nodes[name].input):
                if self._origin(value) == source:
                    yield self.nodes[name], index

    def _origin(self, value: str) -> str:
        while value in self.origins:
            value = self.origins[value]
        return value

    def free(self, name: str) -> str:
        taken = {*self.tensors, *(output for node in self.graph.node for output in node.output)}
        return name if name not in taken else next(n for i in range(2, 2**31) if (n := f"{name}.{i}") not in taken)
