"""The float stage of nitic's IR against torch: the gradients of LeNet-5 in float64, at the same weights and samples.

    python -m benchmarks.accuracy.gradients

prints the relative difference of each parameter's gradient, and fails above 1e-9.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.torch_nets import lenet as torch_lenet
from benchmarks.torch_nets import load_initial_weights
from models.lenet import lenet
from nitic.arithmetic import losses
from nitic.arithmetic.integers import Array
from nitic.frontend.importer import import_onnx
from nitic.interpret import run_function
from nitic.ir.function import function
from nitic.passes.training.insert_backward import InsertBackward
from nitic.passes.training.insert_loss import InsertLoss
from nitic.pipeline import run_passes

BATCH = 64
LIMIT = 1e-9


def nitic_gradients(x: Array, y: Array) -> list[Array]:
    """Of the mean loss, in ONNX layout and order; x is NHWC."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lenet.onnx"
        lenet().save(path)
        model = import_onnx(path, len(x))
    run_passes(model.module, [InsertLoss(), InsertBackward()])
    inputs = {"input": x, "label": y, "seed": 1, "step": 0, **model.parameters}
    outputs = run_function(function(model.module, "train_step"), inputs)
    # The IR's errors are those of the mean but for this factor, which the learning rate takes.
    scale = 2.0 ** -(losses.loss_exponent(len(x)) + 7) / len(x)
    return [model.conversions[name].to_onnx(outputs[f"{name}.gradient"] * scale) for name in model.parameters]


def torch_gradients(x: Array, y: Array) -> list[Array]:
    net = torch_lenet().double()
    load_initial_weights(net, lenet().model())
    logits = net(torch.from_numpy(x).permute(0, 3, 1, 2))
    nn.functional.cross_entropy(logits, torch.from_numpy(y)).backward()
    return [np.asarray(parameter.grad) for parameter in net.parameters()]


def main() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(BATCH, 28, 28, 1)), rng.integers(0, 10, BATCH)
    worst = 0.0
    for ours, theirs in zip(nitic_gradients(x, y), torch_gradients(x, y), strict=True):
        difference = float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))
        print(f"{theirs.shape!s:18} {difference:.1e}")
        worst = max(worst, difference)
    print(f"float stage against torch: largest relative difference {worst:.1e}")
    sys.exit(worst > LIMIT)


if __name__ == "__main__":
    main()
