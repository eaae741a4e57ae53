"""Networks, stages and real data for tests that run whole programs in the interpreter."""

import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.rewriter import Rewriter

from models.lenet import lenet
from models.mlp import mlp
from models.resnet8 import resnet8
from models.tiny_cnn import tiny_cnn
from models.vgg_small import vgg_small
from nitic import state
from nitic.arithmetic import requantisation
from nitic.arithmetic.inputs import INPUT_EXPONENT, input_map, input_statistics
from nitic.arithmetic.integers import Array
from nitic.driver.build import parse_recipe
from nitic.frontend.demo import digits_cnn
from nitic.frontend.importer import ImportedModel, import_onnx
from nitic.frontend.writer import NetworkWriter
from nitic.interpret import run_function
from nitic.ir.function import argument, function, results
from nitic.ir.types import shape_of
from nitic.passes.integers.check_range import CheckRange
from nitic.passes.integers.insert_rounding import InsertRounding
from nitic.passes.integers.track_exponents import TrackExponents
from nitic.passes.invariants import INFERENCE
from nitic.passes.training.canonicalise import Canonicalise
from nitic.passes.training.insert_backward import InsertBackward
from nitic.passes.training.insert_loss import InsertLoss
from nitic.pipeline import run_passes, training_passes
from tests.networks.branches import BRANCHES, tables
from tests.networks.mobile import mobile


def vgg_narrow() -> NetworkWriter:
    return vgg_small(widths=(8, 16, 24))


WRITERS = {
    "mlp": mlp,
    "lenet": lenet,
    "digits_cnn": digits_cnn,
    "tiny_cnn": tiny_cnn,
    "resnet8": resnet8,
    "vgg_narrow": vgg_narrow,
    "mobile": mobile,
    "tables": tables,
    **BRANCHES,
}
DRAWN = {"seed": np.asarray(1), "step": np.asarray(0)}
"""What the random numbers of a step come from, for stages in floats, which draw none."""
OF_MOMENTS = {"lr_m": 131, "lr_k": 17, "shrink": 839}
HYPERS = {"rate_m": 1, "rate_k": 6, "momentum": 230, "decay": 80, "gb": 4, **OF_MOMENTS, "seed": 1}


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

    def __init__(self, network: str | NetworkWriter | Path, batch: int, recipe: str = "niti16") -> None:
        writer = WRITERS[network]() if isinstance(network, str) else network
        model = import_onnx(writer, batch) if isinstance(writer, Path) else imported_from(writer, batch)
        leading = state.leading_exponents(model.module, model.parameters)
        run_passes(model.module, training_passes(parse_recipe(recipe)))
        self.module: ModuleOp = model.module
        self.state = state.initial_state(model.module, model.parameters, leading)
        self.steps = 0

    def normalise(self, x: Array) -> None:
        channels = x.shape[-1] if x.ndim == 4 else 1
        multiplier, offset = input_statistics(x.reshape(-1, channels))
        self.state["input.multiplier"] = multiplier.astype(np.int32)
        self.state["input.offset"] = offset.astype(np.int32)

    def step(self, x: Array, y: Array, **hypers: int) -> dict[str, Array]:
        outputs = self.run("train_step", x, y, **hypers)
        self.state.update({name: value for name, value in outputs.items() if name in self.state})
        self.steps += 1
        return outputs

    def run(self, name: str, x: Array, y: Array, **hypers: int) -> dict[str, Array]:
        """What one of the program's functions gives; the state stays as it is."""
        inputs = {"input": x, "label": y, "step": self.steps, **HYPERS, **hypers, **self.state}
        return run_function(function(self.module, name), inputs)

    def weights(self) -> dict[str, tuple[Array, int]]:
        """(int8 mantissas, exponent) of every parameter, as the datapath sees them."""
        names = [name for name in self.state if f"{name}.exponent" in self.state]
        pairs = {name: (self.state[name], int(self.state[f"{name}.exponent"])) for name in names}
        return {n: requantisation.requantise(m, e) if m.dtype == np.int16 else (m, e) for n, (m, e) in pairs.items()}


def gradient_pairs(
    model: ImportedModel, loss: InsertLoss | None = None, seed: int = 0
) -> dict[str, tuple[Array, Array]]:
    """(float, integer) gradients by parameter, at the same int8 weights and samples of a batch."""
    leading = state.leading_exponents(model.module, model.parameters)
    run_passes(model.module, [Canonicalise(), loss or InsertLoss(), InsertBackward()])
    exact = function(model.module, "train_step").clone()
    classes = shape_of(results(function(model.module, "predict"))[0][1])[1]
    for name in INFERENCE:  # a norm that asks for the range of its statistics is none for inference
        Rewriter.erase_op(function(model.module, name))
    run_passes(model.module, [InsertRounding(), TrackExponents(), CheckRange()])
    step, rng = function(model.module, "train_step"), np.random.default_rng(seed)
    initial = state.initial_state(model.module, model.parameters, leading)
    weights = {n: (m, int(initial[f"{n}.exponent"])) for n, m in initial.items() if f"{n}.exponent" in initial}
    shape = shape_of(argument(step, "input"))
    maps = np.full(shape_of(argument(step, "input.multiplier")), 2**14, np.int32)
    x, y = rng.integers(0, 256, shape).astype(np.uint8), rng.integers(0, classes, shape[0]).astype(np.int32)
    initial |= {"input.multiplier": maps, "input.offset": -128 * maps}
    real = input_map(x, maps, -128 * maps) * 2.0**INPUT_EXPONENT
    random = {"label": y, "seed": 1, "step": 0}
    floats = run_function(exact, {**random, **model.parameters, **dequantised(weights), "input": real})
    integers = run_function(step, {**random, **initial, "input": x})
    names = [key for key in floats if key.endswith(".gradient")]
    return {n: (floats[n], integers[n] * 2.0 ** int(integers[f"{n}.exponent"])) for n in names}


def dequantised(pairs: Mapping[str, tuple[Array, int]]) -> dict[str, Array]:
    return {name: m * 2.0**e for name, (m, e) in pairs.items()}
