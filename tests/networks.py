"""Networks, stages and real data for tests that run whole programs in the interpreter."""

import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp

from models.lenet import lenet
from models.mlp import mlp
from models.resnet8 import resnet8
from models.vgg_small import vgg_small
from nitic import numerics, state
from nitic.frontend.demo import digits_cnn
from nitic.frontend.onnx import ImportedModel, import_onnx
from nitic.frontend.writer import NetworkWriter
from nitic.interpret import run_function
from nitic.ir.function import function
from nitic.numerics import Array
from nitic.pipeline import run_passes, training_passes
from nitic.recipe import RECIPES


def vgg_narrow() -> NetworkWriter:
    return vgg_small(widths=(8, 16, 24))


def depthwise() -> NetworkWriter:
    """A depthwise convolution between two of all channels."""
    net = NetworkWriter("depthwise", (1, 8, 8))
    net.conv("first", 6, 3, pad=1)
    net.relu()
    weights = net._parameters("middle", (6, 1, 3, 3), bias=True)
    net._append("Conv", "middle", net.shape, weights, kernel_shape=[3] * 2, pads=[1] * 4, group=6)
    net.relu()
    net.conv("last", 10, 1, stride=2)
    net.relu()
    net.linear("fc", 10)
    return net


WRITERS = {
    "mlp": mlp,
    "lenet": lenet,
    "digits_cnn": digits_cnn,
    "resnet8": resnet8,
    "vgg_narrow": vgg_narrow,
    "depthwise": depthwise,
}
HYPERS = {"rate_m": 1, "rate_k": 6, "momentum": 230, "decay": 80, "gb": 4, "seed": 1}


def imported(name: str, batch: int) -> ImportedModel:
    """A network of models/ after import."""
    return imported_from(WRITERS[name](), batch)


def imported_from(writer: NetworkWriter, batch: int) -> ImportedModel:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{writer.name}.onnx"
        writer.save(path)
        return import_onnx(path, batch)


@cache
def digits() -> tuple[Array, Array]:
    """scikit-learn's handwriting as uint8 (n, 8, 8, 1), and its labels."""
    from sklearn.datasets import load_digits

    data: Any = load_digits()
    return (data.images.astype(np.int64) * 255 // 16).astype(np.uint8)[..., None], data.target.astype(np.int32)


def samples(shape: tuple[int, ...], count: int, seed: int = 0) -> tuple[Array, Array]:
    """`count` digits, enlarged and framed to a network's sample shape."""
    x, y = digits()
    rows = np.random.default_rng(seed).integers(0, len(y), count)
    x = x[rows]
    if len(shape) == 3 and (size := shape[0]) > 8:
        x = x.repeat(size // 8, 1).repeat(size // 8, 2).repeat(shape[2], 3)
        frame = (size - x.shape[1]) // 2
        x = np.pad(x, ((0, 0), (frame, frame), (frame, frame), (0, 0)))
    return x.reshape(count, *shape), y[rows]


class Interpreted:
    """A network trained by the interpreter."""

    def __init__(self, name: str, batch: int, recipe: str = "niti16") -> None:
        model = imported(name, batch)
        leading = state.leading_exponents(model.module, model.parameters)
        run_passes(model.module, training_passes(RECIPES[recipe]))
        self.module: ModuleOp = model.module
        self.state = state.initial_state(model.module, model.parameters, leading)
        self.steps = 0

    def normalise(self, x: Array) -> None:
        channels = x.shape[-1] if x.ndim == 4 else 1
        multiplier, offset = numerics.input_statistics(x.reshape(-1, channels))
        self.state["input.multiplier"] = multiplier.astype(np.int32)
        self.state["input.offset"] = offset.astype(np.int32)

    def step(self, x: Array, y: Array, **hypers: int) -> dict[str, Array]:
        inputs = {"input": x, "label": y, "step": self.steps, **HYPERS, **hypers, **self.state}
        outputs = run_function(function(self.module, "train_step"), inputs)
        self.state.update({name: value for name, value in outputs.items() if name in self.state})
        self.steps += 1
        return outputs

    def weights(self) -> dict[str, tuple[Array, int]]:
        """(int8 mantissas, exponent) of every parameter, as the datapath sees them."""
        names = [name for name in self.state if f"{name}.exponent" in self.state]
        pairs = {name: (self.state[name], int(self.state[f"{name}.exponent"])) for name in names}
        return {n: numerics.requantise(m, e) if m.dtype == np.int16 else (m, e) for n, (m, e) in pairs.items()}


def dequantised(pairs: Mapping[str, tuple[Array, int]]) -> dict[str, Array]:
    return {name: m * 2.0**e for name, (m, e) in pairs.items()}
