# requirements: spox==0.18.2 onnx==1.23.2 numpy==2.4.6
"""Networks put together with spox's operators."""

from typing import Any

import numpy as np
import onnx

from benchmarks.zoo.writers.files import UNIT, Folder, Samples

GREY = Samples((28, 28, 1), UNIT, channels_first=True)
ROWS = Samples((12, 16), UNIT)


def main() -> None:
    import spox.opset.ai.onnx.v17 as op
    import spox.opset.ai.onnx.v21 as op21
    from spox import Tensor, Var, argument, build

    rng = np.random.default_rng(0)

    def weight(*shape: int) -> Any:
        size = np.prod(shape[1:]) if len(shape) > 1 else 16
        return op.const((rng.normal(size=shape) / np.sqrt(size)).astype(np.float32))

    def dense(x: Var, inputs: int, outputs: int) -> Var:
        return op.gemm(x, weight(outputs, inputs), weight(outputs), transB=1)

    def mlp(x: Var) -> Var:
        return dense(op.relu(dense(op.flatten(x), 784, 32)), 32, 10)

    def cnn(x: Var) -> Var:
        x = op.relu(op.conv(x, weight(8, 1, 3, 3), weight(8), pads=[1, 1, 1, 1]))
        x, _ = op.max_pool(x, kernel_shape=[2, 2], strides=[2, 2])
        x = op.relu(op.conv(x, weight(16, 8, 3, 3), weight(16), strides=[2, 2]))
        return op.softmax(dense(op.flatten(x), 576, 10), axis=-1)

    def residual(x: Var) -> Var:
        x = op.conv(x, weight(8, 1, 3, 3), auto_pad="SAME_UPPER", strides=[2, 2])
        mean, factor, shift = (op.const(rng.uniform(0.5, 1.5, (8, 1, 1)).astype(np.float32)) for _ in range(3))
        x = op.add(op.mul(op.sub(x, mean), factor), shift)  # spox 0.18 has no batch norm but that of training
        y = op.conv(op.relu(x), weight(8, 8, 3, 3), weight(8), auto_pad="SAME_UPPER")
        x = op.global_average_pool(op.hard_swish(op.add(x, y)))
        return dense(op.reshape(x, op.const(np.array([-1, 8]))), 8, 10)

    def gelu(x: Var) -> Var:
        return dense(op21.gelu(dense(op.flatten(x), 784, 32)), 32, 10)

    def gru(x: Var) -> Var:
        x = op.transpose(x, perm=[1, 0, 2])
        _, h = op.gru(x, weight(1, 36, 16), weight(1, 36, 12), weight(1, 72), hidden_size=12)
        return dense(op.squeeze(h, op.const(np.array([0]))), 12, 10)

    folder = Folder("spox")
    for network, samples in ((mlp, GREY), (cnn, GREY), (residual, GREY), (gelu, GREY), (gru, ROWS)):

        def export(path: str, network: Any = network, samples: Samples = samples) -> None:
            shape = (samples.shape[-1], *samples.shape[:-1]) if samples.channels_first else samples.shape
            x = argument(Tensor(np.float32, ("N", *shape)))
            onnx.save(build({"x": x}, {"y": network(x)}), path)

        folder.write(export, network.__name__, "", samples, "softmax" if network is cnn else "logits")


if __name__ == "__main__":
    main()
