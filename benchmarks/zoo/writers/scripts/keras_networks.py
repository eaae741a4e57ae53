"""Small networks as users of Keras write them, and what they take: pixels, which the networks scale themselves."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

from benchmarks.zoo.writers.files import Folder, Samples

GREY, COLOUR = Samples((28, 28, 1)), Samples((32, 32, 3))
ROWS, SERIES = Samples((12, 16), 1 / 255), Samples((64, 3), 1 / 255)


def mlp() -> Any:
    return keras.Sequential([
        keras.Input((28, 28, 1)), layers.Rescaling(1 / 255), layers.Flatten(),
        layers.Dense(64, activation="relu"), layers.Dropout(0.2), layers.Dense(10),
    ])  # fmt: skip


def mnist_cnn() -> Any:
    """Keras's own MNIST example, narrower."""
    return keras.Sequential([
        keras.Input((28, 28, 1)), layers.Rescaling(1 / 255),
        layers.Conv2D(8, 3, activation="relu"), layers.MaxPooling2D(2),
        layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D(2),
        layers.Flatten(), layers.Dropout(0.5), layers.Dense(10, activation="softmax"),
    ])  # fmt: skip


def lenet() -> Any:
    return keras.Sequential([
        keras.Input((28, 28, 1)), layers.Rescaling(1 / 127.5, offset=-1),
        layers.Conv2D(6, 5, padding="same", activation="tanh"), layers.AveragePooling2D(2),
        layers.Conv2D(16, 5, activation="tanh"), layers.AveragePooling2D(2), layers.Flatten(),
        layers.Dense(120, activation="tanh"), layers.Dense(84, activation="tanh"),
        layers.Dense(10, activation="softmax"),
    ])  # fmt: skip


def conv_norm(x: Any, width: int, size: int, strides: int = 1, activation: str | None = "relu") -> Any:
    x = layers.Conv2D(width, size, strides, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return layers.Activation(activation)(x) if activation else x


def resnet() -> Any:
    source = keras.Input((32, 32, 3))
    x = layers.Normalization(mean=[125.3, 123.0, 113.9], variance=[3969.0, 3856.4, 4448.9])(source)
    x = conv_norm(x, 8, 3)
    for width, strides in ((8, 1), (16, 2), (32, 2)):
        short = x if strides == 1 else conv_norm(x, width, 1, strides, None)
        y = conv_norm(conv_norm(x, width, 3, strides), width, 3, 1, None)
        x = layers.ReLU()(layers.Add()([y, short]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(source, layers.Dense(10, activation="softmax")(x))


def mobilenet() -> Any:
    """MobileNet's blocks: depthwise and pointwise convolutions, relu6."""
    source = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(source)
    x = layers.ReLU(6.0)(conv_norm(x, 8, 3, 2, None))
    for width, strides in ((16, 1), (32, 2)):
        if strides == 2:
            x = layers.ZeroPadding2D(((0, 1), (0, 1)))(x)
        padding = "same" if strides == 1 else "valid"
        x = layers.DepthwiseConv2D(3, strides, padding=padding, use_bias=False)(x)
        x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
        x = layers.ReLU(6.0)(conv_norm(x, width, 1, 1, None))
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.Conv2D(10, 1, padding="same")(x)
    return keras.Model(source, layers.Softmax()(layers.Reshape((10,))(x)))


def separable() -> Any:
    """Separable convolutions and squeeze-and-excitation, with swish."""
    source = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 255)(source)
    x = layers.SeparableConv2D(16, 3, strides=2, padding="same", activation="swish")(x)
    gate = layers.GlobalAveragePooling2D()(x)
    gate = layers.Dense(4, activation="relu")(layers.Reshape((1, 1, 16))(gate))
    gate = layers.Dense(16, activation="sigmoid")(gate)
    x = layers.Multiply()([x, gate])
    x = layers.GlobalMaxPooling2D()(layers.LeakyReLU(0.1)(layers.Conv2D(16, 3)(x)))
    return keras.Model(source, layers.Dense(10)(x))


def lstm() -> Any:
    return keras.Sequential([keras.Input((12, 16)), layers.LSTM(24), layers.Dense(10, activation="softmax")])


def gru() -> Any:
    return keras.Sequential([
        keras.Input((12, 16)), layers.Bidirectional(layers.GRU(12)), layers.Dense(10, activation="softmax"),
    ])  # fmt: skip


def conv1d() -> Any:
    return keras.Sequential([
        keras.Input((64, 3)), layers.Conv1D(8, 7, padding="same", activation="relu"), layers.MaxPooling1D(2),
        layers.BatchNormalization(), layers.Conv1D(16, 5, padding="causal", activation="relu"),
        layers.GlobalAveragePooling1D(), layers.Dense(10, activation="softmax"),
    ])  # fmt: skip


def binary() -> Any:
    return keras.Sequential([
        keras.Input((28, 28, 1)), layers.Rescaling(1 / 255), layers.Conv2D(4, 3, strides=2, activation="elu"),
        layers.Flatten(), layers.Dense(1, activation="sigmoid"),
    ])  # fmt: skip


NETWORKS: dict[str, tuple[Callable[[], Any], Samples, str]] = {
    "mlp": (mlp, GREY, "logits"),
    "mnist_cnn": (mnist_cnn, GREY, "softmax"),
    "lenet": (lenet, GREY, "softmax"),
    "resnet": (resnet, COLOUR, "softmax"),
    "mobilenet": (mobilenet, COLOUR, "softmax"),
    "separable": (separable, COLOUR, "logits"),
    "lstm": (lstm, ROWS, "softmax"),
    "gru": (gru, ROWS, "softmax"),
    "conv1d": (conv1d, SERIES, "softmax"),
    "binary": (binary, GREY, "sigmoid"),
}


def trained(make: Callable[[], Any], samples: Samples, classes: int) -> Any:
    """A network after a few steps, with statistics, factors and offsets of batch norms that are none of a new one."""
    keras.utils.set_random_seed(0)
    model, rng = make(), np.random.default_rng(0)
    x = rng.integers(0, 256, (64, *samples.shape)) * samples.scale + samples.offset
    y = rng.integers(0, classes, 64)
    loss: Any = "binary_crossentropy"
    if classes > 2:
        has_softmax = "softmax" in str(model.layers[-1].get_config()).lower()
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=not has_softmax)
    model.compile(optimizer=keras.optimizers.Adam(0.001), loss=loss)
    model.fit(x.astype("float32"), y, batch_size=16, epochs=1, verbose=0)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            gamma, beta, mean, variance = layer.get_weights()
            change = [rng.uniform(0.5, 1.5, gamma.shape) for _ in range(4)]
            layer.set_weights([gamma * change[0], beta + change[1] - 1, mean + change[2] - 1, variance * change[3]])
    return model


def write_all(folder: Folder) -> None:
    """Every network by Keras's own export."""
    for name, (make, samples, head) in NETWORKS.items():

        def export(path: str, make: Callable[[], Any] = make, samples: Samples = samples, head: str = head) -> None:
            model = trained(make, samples, 2 if head == "sigmoid" else 10)
            model.export(path, format="onnx", verbose=False)

        folder.write(export, name, "", samples, head)
