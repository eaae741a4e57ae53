# requirements: onnxscript==0.7.2 onnx==1.23.2 onnx-ir==1.1.0 numpy==2.4.6
"""Networks written as functions of onnxscript, local functions among them."""

from typing import Any

import numpy as np
import onnx
from onnxscript import FLOAT, script
from onnxscript import opset18 as op
from onnxscript.values import Opset

from benchmarks.zoo.writers.files import UNIT, Folder, Samples

GREY = Samples((28, 28, 1), UNIT, channels_first=True)


RNG = np.random.default_rng(0)
OWN = Opset("my.layers", 1)


def tensor(name: str, *shape: int) -> onnx.TensorProto:
    array = RNG.normal(size=shape) / np.sqrt(np.prod(shape[1:]) if len(shape) > 1 else 16)
    return onnx.numpy_helper.from_array(array.astype(np.float32), name)


W1, B1, W2, B2 = tensor("w1", 784, 32), tensor("b1", 32), tensor("w2", 32, 10), tensor("b2", 10)
F1, C1, F2, C2 = tensor("f1", 8, 1, 5, 5), tensor("c1", 8), tensor("f2", 16, 8, 3, 3), tensor("c2", 16)
W3, B3 = tensor("w3", 10, 400), tensor("b3", 10)


@script(OWN, default_opset=op)
def dense(x: Any, w: Any, b: Any) -> Any:
    return op.Add(op.MatMul(x, w), b)


@script(default_opset=op)
def mlp(x: FLOAT["N", 1, 28, 28]) -> FLOAT["N", 10]:  # noqa: F821
    flat = op.Flatten(x)
    hidden = op.Relu(op.MatMul(flat, op.Constant(value=W1)) + op.Constant(value=B1))
    return op.MatMul(hidden, op.Constant(value=W2)) + op.Constant(value=B2)


@script(default_opset=op)
def functions(x: FLOAT["N", 1, 28, 28]) -> FLOAT["N", 10]:  # noqa: F821
    flat = op.Reshape(x, op.Constant(value_ints=[0, -1]))
    hidden = op.Tanh(dense(flat, op.Constant(value=W1), op.Constant(value=B1)))
    return dense(hidden, op.Constant(value=W2), op.Constant(value=B2))


@script(default_opset=op)
def cnn(x: FLOAT["N", 1, 28, 28]) -> FLOAT["N", 10]:  # noqa: F821
    y = op.Conv(x, op.Constant(value=F1), op.Constant(value=C1), pads=[2, 2, 2, 2])
    y = op.MaxPool(op.LeakyRelu(y, alpha=0.1), kernel_shape=[2, 2], strides=[2, 2])
    y = op.Conv(y, op.Constant(value=F2), op.Constant(value=C2))
    y = op.AveragePool(y * op.Sigmoid(y), kernel_shape=[4, 4], strides=[2, 2])
    y = op.Gemm(op.Flatten(y), op.Constant(value=W3), op.Constant(value=B3), transB=1)
    return op.LogSoftmax(y, axis=1)


def main() -> None:
    folder = Folder("onnxscript")
    heads = {"mlp": (mlp, "logits"), "functions": (functions, "logits"), "cnn": (cnn, "log_softmax")}
    for name, (network, head) in heads.items():
        folder.write(lambda path, network=network: onnx.save(network.to_model_proto(), path), name, "", GREY, head)


if __name__ == "__main__":
    main()
