"""Writes small classifiers as ONNX: what the scripts in models/ and `nitic demo` share."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8


@dataclass
class NetworkWriter:
    """Appends layers to one chain, whose current end is `value` of the shape `shape` (without the batch).

    Layouts are those of ONNX: activations NCHW, conv weights OIHW, linear weights [out, in]. The batch is dynamic.
    """

    name: str
    input_shape: tuple[int, ...]
    seed: int = 0
    value: str = "input"
    shape: tuple[int, ...] = ()
    nodes: list[onnx.NodeProto] = field(default_factory=list[onnx.NodeProto])
    initializers: list[TensorProto] = field(default_factory=list[TensorProto])
    opset: int = OPSET

    def __post_init__(self) -> None:
        self.shape = self.input_shape
        self._random = np.random.default_rng(self.seed)

    def conv(self, name: str, channels: int, kernel: int, *, pad: int = 0, stride: int = 1, bias: bool = True) -> None:
        in_channels, height, width = self.shape
        parameters = self._parameters(name, (channels, in_channels, kernel, kernel), bias)
        out = [(size + 2 * pad - kernel) // stride + 1 for size in (height, width)]
        self._append(
            "Conv",
            name,
            (channels, *out),
            parameters,
            kernel_shape=[kernel] * 2,
            pads=[pad] * 4,
            strides=[stride] * 2,
        )

    def linear(self, name: str, features: int, *, bias: bool = True) -> None:
        if len(self.shape) > 1:
            self._append("Flatten", f"{name}.flatten", (int(np.prod(self.shape)),))
        self._append("Gemm", name, (features,), self._parameters(name, (features, *self.shape), bias), transB=1)

    def relu(self) -> None:
        self._append("Relu", f"relu{len(self.nodes)}", self.shape)

    def batch_norm(self, name: str) -> None:
        """In training form, as the exporters write it: the running statistics start at mean 0, variance 1."""
        values = {"weight": 1, "bias": 0, "running_mean": 0, "running_var": 1}
        arrays = {f"{name}.{key}": np.full(self.shape[0], value, np.float32) for key, value in values.items()}
        self.initializers += [numpy_helper.from_array(value, key) for key, value in arrays.items()]
        self._append("BatchNormalization", name, self.shape, list(arrays))

    def add(self, name: str, other: str) -> None:
        """The sum with an earlier value of the same shape."""
        self._append("Add", name, self.shape, [other])

    def conv_norm(self, name: str, channels: int, kernel: int, stride: int = 1) -> None:
        """A convolution that keeps the size at stride 1, and batch norm."""
        self.conv(name, channels, kernel, pad=kernel // 2, stride=stride, bias=False)
        self.batch_norm(f"{name}.norm")

    def residual(self, name: str, channels: int, stride: int) -> None:
        """Two convolutions beside the identity, or beside a 1x1 convolution where the shape changes (He et al.)."""
        before, shape = self.value, self.shape
        self.conv_norm(f"{name}.conv1", channels, 3, stride)
        self.relu()
        self.conv_norm(f"{name}.conv2", channels, 3)
        body = self.value
        if self.shape != shape:
            self.value, self.shape = before, shape
            self.conv_norm(f"{name}.short", channels, 1, stride)
            before = self.value
        self.value = body
        self.add(f"{name}.add", before)
        self.relu()

    def global_average_pool(self) -> None:
        self._append("GlobalAveragePool", f"pool{len(self.nodes)}", (self.shape[0], 1, 1))

    def max_pool(self, size: int = 2, *, stride: int | None = None, pad: int = 0) -> None:
        """By default the windows lie side by side."""
        channels, step = self.shape[0], stride or size
        out = [(length + 2 * pad - size) // step + 1 for length in self.shape[1:]]
        name, kernel = f"pool{len(self.nodes)}", [size, size]
        self._append("MaxPool", name, (channels, *out), kernel_shape=kernel, pads=[pad] * 4, strides=[step] * 2)

    def dropout(self, ratio: float) -> None:
        name = f"dropout{len(self.nodes)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(ratio, np.float32), f"{name}.ratio"))
        self._append("Dropout", name, self.shape, [f"{name}.ratio"])

    def model(self) -> onnx.ModelProto:
        graph_input = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", *self.input_shape])
        graph_output = helper.make_tensor_value_info(self.value, TensorProto.FLOAT, ["N", *self.shape])
        graph = helper.make_graph(self.nodes, self.name, [graph_input], [graph_output], self.initializers)
        opsets = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="nitic")

    def save(self, path: Path) -> None:
        onnx.save(self.model(), path)

    def _append(
        self, op: str, name: str, shape: tuple[int, ...], inputs: list[str] | None = None, **attributes: int | list[int]
    ) -> None:
        node = helper.make_node(op, [self.value, *(inputs or [])], [f"{name}.out"], name=name)
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        self.nodes.append(node)
        self.value, self.shape = node.output[0], shape

    def _parameters(self, name: str, weight_shape: tuple[int, ...], bias: bool) -> list[str]:
        """Xavier-uniform weights (Glorot and Bengio 2010, eq. 16) and zero biases."""
        receptive_field = int(np.prod(weight_shape[2:]))
        limit = np.sqrt(6 / (receptive_field * (weight_shape[0] + weight_shape[1])))
        values = {f"{name}.weight": self._random.uniform(-limit, limit, weight_shape)}
        if bias:
            values[f"{name}.bias"] = np.zeros(weight_shape[0])
        self.initializers += [numpy_helper.from_array(v.astype(np.float32), key) for key, v in values.items()]
        return list(values)
