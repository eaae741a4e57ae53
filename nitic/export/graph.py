"""An ONNX graph that grows node by node."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from nitic.arithmetic.integers import Array
from nitic.version import VERSION

PRODUCER = "nitic"
IR_VERSION = 7  # onnxruntime 1.5 reads no later one
DTYPES = {"uint8": TensorProto.UINT8, "int8": TensorProto.INT8, "int32": TensorProto.INT32}


@dataclass(frozen=True)
class End:
    """The input or the output of a graph; `text` says what its numbers mean."""

    name: str
    dtype: str
    shape: Sequence[int | str]
    text: str = ""

    def proto(self) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(self.name, DTYPES[self.dtype], self.shape, self.text)


@dataclass
class Graph:
    """Nodes and constants. Equal constants are stored once, and no value has the name of another."""

    opset: int
    nodes: list[onnx.NodeProto] = field(default_factory=list[onnx.NodeProto])
    constants: dict[tuple[str, tuple[int, ...], bytes], TensorProto] = field(
        default_factory=dict[tuple[str, tuple[int, ...], bytes], TensorProto]
    )
    names: set[str] = field(default_factory=set[str])

    def node(self, op: str, *inputs: str, hint: str = "", result: str = "", **attributes: Any) -> str:
        """Appends a node; gives the name of its result: `result`, or else `hint` where that is free."""
        result = result or self.fresh(hint or op.lower())
        proto = helper.make_node(op, inputs, [result])
        proto.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        self.nodes.append(proto)
        return result

    def constant(self, array: Array, hint: str = "c") -> str:
        """The name of an initializer that holds the array."""
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.constants:
            self.constants[key] = numpy_helper.from_array(np.asarray(array, order="C"), self.fresh(hint))
        return self.constants[key].name

    def fresh(self, hint: str) -> str:
        """A name that no value has yet."""
        name, count = hint, 0
        while name in self.names:
            count += 1
            name = f"{hint}.{count}"
        self.names.add(name)
        return name

    def model(self, name: str, sources: Sequence[End], sink: End, metadata: Mapping[str, str]) -> bytes:
        """The file with all nodes so far."""
        inputs, initializers = [source.proto() for source in sources], list(self.constants.values())
        graph = helper.make_graph(self.nodes, name, inputs, [sink.proto()], initializers)
        opsets = [helper.make_opsetid("", self.opset)]
        model = helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name=PRODUCER, producer_version=VERSION
        )
        helper.set_model_props(model, dict(metadata))
        return model.SerializeToString(deterministic=True)
