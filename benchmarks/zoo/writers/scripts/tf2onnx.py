# requirements: tensorflow-cpu==2.21.0 keras==3.15.1 tf2onnx==1.17.0
"""TensorFlow functions by tf2onnx: plain, of an old opset, and with the channels first."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.zoo.writers.files import UNIT, Folder, Samples
from benchmarks.zoo.writers.scripts.keras_networks import NETWORKS, trained

if not hasattr(np, "object"):
    np.object = object  # what tf2onnx asks NumPy for, as Keras gives it, too

CHOSEN = ("mnist_cnn", "lenet", "resnet", "mobilenet", "separable", "conv1d")


def raw_cnn() -> tuple[Any, Samples]:
    """A network in TensorFlow's own functions."""
    rng = np.random.default_rng(0)

    def weight(*shape: int) -> Any:
        return tf.Variable((rng.normal(size=shape) / np.sqrt(np.prod(shape[:-1]))).astype("float32"))

    w1, b1, w2, w3, b3 = weight(3, 3, 1, 8), weight(8), weight(3, 3, 8, 16), weight(576, 10), weight(10)
    gamma, beta, mean, variance = (tf.Variable(rng.uniform(0.5, 1.5, 16).astype("float32")) for _ in range(4))

    def network(x: Any) -> Any:
        x = tf.nn.max_pool2d(tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, w1, 1, "VALID"), b1)), 2, 2, "VALID")
        x = tf.nn.conv2d(x, w2, 2, "SAME")
        x = tf.nn.relu(tf.compat.v1.nn.fused_batch_norm(x, gamma, beta, mean, variance, is_training=False)[0])
        x = tf.nn.avg_pool2d(x, 2, 1, "VALID")
        return tf.nn.softmax(tf.linalg.matmul(tf.reshape(x, [-1, 576]), w3) + b3)

    return network, Samples((28, 28, 1), UNIT)


def main() -> None:
    import tf2onnx

    folder = Folder("tf2onnx")

    def convert(function: Any, samples: Samples, path: str, **options: Any) -> None:
        spec = [tf.TensorSpec((None, *samples.shape), tf.as_dtype(samples.element), name="x")]
        tf2onnx.convert.from_function(tf.function(function), input_signature=spec, output_path=path, **options)

    def write_all(function: Callable[[], Any], name: str, samples: Samples, head: str) -> None:
        forms: dict[str, dict[str, Any]] = {"opset13": {"opset": 13}, "opset18": {"opset": 18}}
        if len(samples.shape) == 3:
            forms["channels_first"] = {"opset": 15, "inputs_as_nchw": ["x:0"]}
        for form, options in forms.items():
            taken = replace(samples, channels_first=form == "channels_first")

            def export(path: str, samples: Samples = samples, options: Any = options) -> None:
                convert(function(), samples, path, **options)

            folder.write(export, name, form, taken, head)

    for name in CHOSEN:
        make, samples, head = NETWORKS[name]
        write_all(lambda make=make, samples=samples: call(trained(make, samples, 10)), name, samples, head)
    network, samples = raw_cnn()
    write_all(lambda: network, "raw_cnn", samples, "softmax")
    make, samples, head = NETWORKS["mlp"]
    pixels = replace(samples, element="uint8")
    model = trained(make, samples, 10)
    folder.write(
        lambda path: convert(lambda x: model(tf.cast(x, tf.float32)), pixels, path, opset=17),
        "mlp",
        "uint8",
        pixels,
        head,
    )


def call(model: Any) -> Any:
    return lambda x: model(x, training=False)


if __name__ == "__main__":
    main()
