"""Integer gradients of whole networks against those of the float stage at the same weights: writes docs/gradients.md.

    python -m benchmarks.accuracy.whole_gradients [--models 'resnet18,densenet121']

The networks are torchvision's and timm's in inference form, which has no dropout, with Xavier weights, before any
training step. One JSON line per network goes to --log; networks that are already there are not repeated.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from xdsl.ir import SSAValue

from benchmarks.zoo.export_models import Export
from benchmarks.zoo.measure import Record, recorded, samples
from nitic import state
from nitic.arithmetic import inputs
from nitic.arithmetic.integers import Array
from nitic.frontend.importer import ImportedModel, import_onnx
from nitic.interpret import Change, run_function
from nitic.ir.function import argument_labels, function
from nitic.ops.bfp import RoundShiftOp
from nitic.ops.norm import NormaliseOp
from nitic.passes.integers.check_range import CheckRange
from nitic.passes.integers.insert_rounding import InsertRounding, Quantiser
from nitic.passes.integers.track_exponents import TrackExponents
from nitic.passes.training.canonicalise import Canonicalise
from nitic.passes.training.insert_backward import InsertBackward
from nitic.passes.training.insert_loss import InsertLoss
from nitic.pipeline import run_passes

BATCH, SIZE = 16, 64
ZERO = 1e-6  # a float gradient so much smaller than the integer one is rounding, and nothing else
NETS = {
    "resnet18": "torchvision",
    "resnet50": "torchvision",
    "regnet_x": "timm",
    "densenet121": "torchvision",
    "mobilenet_v2": "torchvision",
    "mobilenet_v3_small": "torchvision",
    "efficientnet_lite0": "timm",
    "squeezenet": "torchvision",
}
NOISE = 0.01
HEADER = f"""# Gradients of whole networks

The integer gradient of every parameter against that of the float stage at the same int8 weights, on {BATCH} samples of
{SIZE}x{SIZE}, with Xavier weights before any training step: the cosine between the two, and the ratio of their norms.

Deep networks with batch norm are chaotic at this point: a small change of anything turns the gradient. Two columns say
how much. **rounded** is the cosine of the float gradient with that of the same float network when nothing but its
activations is rounded, each tensor to the 8 bits that the program stores: what the format costs, however exact the
arithmetic. **moved** is the same when instead every weight has moved by {NOISE:.0%} at random. The integers stay with
**rounded**: what is lost is lost by storing activations in 8 bits, not by the backward operators.

Quantiles are over the parameters of two axes and more (weights) and of one (1-D), but for those whose gradient is zero
in exact arithmetic, as that of a beta before another batch norm. `python -m benchmarks.accuracy.whole_gradients` writes
this table.

"""
QUANTILES = {"least": 0, "10 %": 0.1, "median": 0.5}
COLUMNS = [(kind, q) for kind in ("weights", "1-D", "rounded") for q in QUANTILES] + [("moved", "median")]
TITLES = ("network", *(f"{kind}, {q}" for kind, q in COLUMNS), "norm ratio, 10 to 90 %")
Gradients = dict[str, Array]


class Stages:
    """A network in floats and in integers, at the int8 weights of a program that starts from the model's."""

    def __init__(self, model: ImportedModel, x: Array, y: Array) -> None:
        leading = state.leading_exponents(model.module, model.parameters)
        run_passes(model.module, [Canonicalise(), InsertLoss(), InsertBackward()])
        self._real, self._x = function(model.module.clone(), "train_step"), x
        run_passes(model.module, [InsertRounding(), CheckRange(), TrackExponents()])
        self._integer = function(model.module, "train_step")
        self._start = state.initial_state(model.module, model.parameters, leading)
        self._start["input.multiplier"], self._start["input.offset"] = inputs.input_statistics(x)
        self._common = {"label": y, "seed": 1, "step": 0, **model.parameters}
        names = [label.name for label in argument_labels(self._integer) if label.role == "weight"]
        self.weights = {name: self._start[name] * 2.0 ** int(self._start[f"{name}.exponent"]) for name in names}

    def integer(self) -> Gradients:
        found = run_function(self._integer, {**self._common, **self._start, "input": self._x})
        keys = {name: f"{name}.gradient" for name in self.weights}
        return {name: found[key] * 2.0 ** int(found[f"{key}.exponent"]) for name, key in keys.items()}

    def real(self, weights: Mapping[str, Array], change: Change | None = None) -> Gradients:
        maps = self._start["input.multiplier"], self._start["input.offset"]
        x = inputs.input_map(self._x, *maps) * 2.0**inputs.INPUT_EXPONENT
        found = run_function(self._real, {**self._common, **weights, "input": x}, change)
        return {name: found[f"{name}.gradient"] for name in weights}

    def rounded(self) -> Gradients:
        """The float gradients when each activation has the bits that integers keep of it."""
        quantiser = Quantiser(InsertRounding(errors="nearest"), self._real, set())
        quantiser.run()
        bits = dict.fromkeys(_activations(quantiser, quantiser.narrow16), 15)
        bits |= dict.fromkeys(_activations(quantiser, quantiser.narrow), 7)
        return self.real(self.weights, lambda value, x: nearest(x, bits[value]) if value in bits else x)

    def moved(self) -> Gradients:
        """The float gradients at weights that have moved by NOISE."""
        rng = np.random.default_rng(0)
        return self.real({name: w * (1 + NOISE * rng.normal(size=w.shape)) for name, w in self.weights.items()})


def _activations(quantiser: Quantiser, rounded: Mapping[SSAValue, SSAValue]) -> list[SSAValue]:
    activations = (old for old, new in rounded.items() if isinstance(new.owner, RoundShiftOp))
    return [old for old in activations if old in quantiser.forward and not isinstance(old.owner, NormaliseOp)]


def nearest(x: Array, bits: int) -> Array:
    """A float tensor with mantissas of so many bits and one exponent."""
    e = np.floor(np.log2(np.abs(x).max() or 1)) + 1 - bits
    return np.rint(x * 2.0**-e) * 2.0**e


def measure(net: str, folder: Path) -> Record:
    """Cosines and norm ratios of the parameters."""
    path = Export(net, NETS[net], "dynamo", SIZE).write(folder)
    model = import_onnx(path, BATCH)
    model.parameters.update(state.xavier(model.module, model.parameters, 0))
    stages = Stages(model, *samples((SIZE, SIZE, 3), BATCH))
    exact, integer = stages.real(stages.weights), stages.integer()
    rounded, moved = stages.rounded(), stages.moved()
    norms = {name: (float(np.linalg.norm(exact[name])), float(np.linalg.norm(integer[name]))) for name in exact}
    known = [name for name, (real, found) in norms.items() if real > ZERO * found]
    wide = [name for name in known if exact[name].ndim > 1]
    return {
        "network": net,
        "weights": [cosine(exact[name], integer[name]) for name in wide],
        "1-D": [cosine(exact[name], integer[name]) for name in known if name not in wide],
        "rounded": [cosine(exact[name], rounded[name]) for name in wide],
        "moved": [cosine(exact[name], moved[name]) for name in wide],
        "ratios": [norms[name][1] / norms[name][0] for name in known],
    }


def cosine(a: Array, b: Array) -> float:
    return float((a * b).sum() / (np.linalg.norm(a) * np.linalg.norm(b) or 1))


def write_table(records: list[Record], path: Path) -> None:
    rows = [_row(TITLES), _row(["---"] * len(TITLES)), *(_row(_cells(record)) for record in records)]
    path.write_text(HEADER + "\n".join(rows) + "\n")


def _cells(record: Record) -> list[str]:
    cosines = [f"{np.quantile(record[kind], QUANTILES[q]):.2f}" for kind, q in COLUMNS]
    low, high = np.quantile(record["ratios"], (0.1, 0.9))
    return [record["network"], *cosines, f"{low:.2f} to {high:.2f}"]


def _row(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(NETS))
    parser.add_argument("--folder", type=Path, default=Path("build/models"), help="where the exported models go")
    parser.add_argument("--log", type=Path, default=Path("build/gradients.jsonl"))
    parser.add_argument("--table", type=Path, default=Path("docs/gradients.md"))
    options = parser.parse_args()
    options.log.parent.mkdir(parents=True, exist_ok=True)
    done = {record["network"] for record in recorded(options.log)}
    for net in options.models.split(","):
        if net not in done:
            line = json.dumps(measure(net, options.folder.resolve()))
            print(line[:100], flush=True)
            with options.log.open("a") as file:
                file.write(line + "\n")
    write_table(list(recorded(options.log)), options.table)


if __name__ == "__main__":
    main()
