"""Test accuracy by epoch on CIFAR-10: ResNet-20 and MobileNetV2 of half width, integer recipes and torch fp32.

    python -m benchmarks.accuracy.curves --cifar cifar-10-batches-bin/       all runs, then docs/accuracy.md
    python -m benchmarks.accuracy.curves --cifar cifar-10-batches-bin/ --nets resnet20 --methods fp32

A network is exported by torch and compiled as it is, so all methods start from the same weights, and all see the same
samples in the same order, shifted and mirrored alike. One JSON line per run goes to --log; runs that are there are not
repeated, and integer runs that were interrupted go on from their checkpoint.
"""

import argparse
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import cos, pi
from pathlib import Path

import numpy as np
import torch

from benchmarks.accuracy import cifar
from benchmarks.accuracy.recipes import Run, recorded, test_accuracies
from benchmarks.accuracy.tables import FP32, write_tables
from benchmarks.torch_nets import NETS, Trainer
from benchmarks.zoo.export_models import legacy
from nitic import data
from nitic.arithmetic import inputs
from nitic.arithmetic.integers import Array

BATCH, SEED, RATE_SHIFT = 128, 0, 5
AUGMENT = data.Augment(crop=4, flip=True)
STOCHASTIC = "niti16 stochastic"
RECIPES = {
    "niti16": ("--recipe", "niti16"),
    STOCHASTIC: ("--recipe", "niti16", "--option", "errors=stochastic"),
    "niti": ("--recipe", "niti"),
}
METHODS = (FP32, *RECIPES)


@dataclass(frozen=True)
class Task:
    """A network and how long it is trained; `gradient_bits` is what stands for the rate in the recipe niti."""

    net: str
    epochs: int
    gradient_bits: str

    def module(self) -> torch.nn.Module:
        """With the weights that torch draws."""
        torch.manual_seed(SEED)
        return NETS[self.net]()

    def options(self, method: str) -> list[str]:
        """Of the binary."""
        if method == "niti":
            return ["--gb", self.gradient_bits]
        return ["--lr", f"2^-{RATE_SHIFT}", "--momentum", "0.9", "--schedule", "cosine"]

    def rate(self, epoch: int) -> float:
        """The same schedule, for torch."""
        return 2.0**-RATE_SHIFT * (1 + cos(pi * epoch / self.epochs)) / 2


TASKS = (Task("resnet20", 20, "5@0,4@10,3@15"), Task("mobilenet_v2", 8, "5@0,4@4,3@6"))


def run_nitic(task: Task, method: str, folder: Path, work: Path, threads: int) -> Run:
    """Export the network, compile it, train its binary, and read its log."""
    model, binary = work / f"{task.net}.onnx", work / f"{task.net}-{method.replace(' ', '-')}"
    checkpoint, log = binary.with_suffix(".ckpt"), binary.with_suffix(".jsonl")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        legacy(task.module(), torch.randn(2, 3, 32, 32), model)
    compile_options = [*RECIPES[method], "--batch-size", str(BATCH), "--init", "keep"]
    subprocess.run(
        [sys.executable, "-m", "nitic", "compile", str(model), "-o", str(binary), *compile_options], check=True
    )
    train = [str(binary), "train", "--data", str(folder), "--threads", str(threads), "--log", str(log)]
    start = ["--seed", str(SEED), "--epochs", str(task.epochs), "--augment", "crop:4,flip", *task.options(method)]
    begun = time.perf_counter()
    resume = ["--resume", str(checkpoint)] if checkpoint.exists() else start
    subprocess.run([*train, *resume, "--save", str(checkpoint)], check=True)
    return Run(method, SEED, list(test_accuracies(log)), time.perf_counter() - begun, task.net)


def run_torch(task: Task, folder: Path, threads: int) -> Run:
    """SGD with momentum 0.9, channels last."""
    torch.set_num_threads(threads)
    x_train, y_train, x_test, y_test = cifar.images(folder)
    multiplier, offset = inputs.input_statistics(x_train)
    labels = torch.from_numpy(y_train.astype(np.int64))
    test = _floats(x_test, multiplier, offset), torch.from_numpy(y_test.astype(np.int64))
    net = task.module().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    trainer = Trainer(net, task.rate(0))
    accuracy, seconds = list[float](), 0.0
    for epoch in range(task.epochs):
        trainer.set_rate(task.rate(epoch))
        net.train()
        for indices in batches(len(y_train), epoch):
            x = _floats(augmented(x_train, indices, epoch, data.pad_value(multiplier, offset)), multiplier, offset)
            start = time.perf_counter()
            trainer.step(x, labels[indices])
            seconds += time.perf_counter() - start
        accuracy.append(round(100 * trainer.accuracy(*test), 2))
        print(f"{task.net} fp32 epoch {epoch + 1}: {accuracy[-1]} %", file=sys.stderr, flush=True)
    return Run(FP32, SEED, accuracy, seconds, task.net)


def batches(count: int, epoch: int) -> Iterator[Array]:
    """The sample numbers of an epoch's steps, as the binary has them."""
    order = data.shuffle(count, SEED, epoch)
    return iter(order[: count // BATCH * BATCH].reshape(-1, BATCH))


def augmented(x: Array, indices: Array, epoch: int, pad: Array) -> Array:
    """What the binary sees of these samples."""
    size = x.shape[1], x.shape[2]
    images = [data.augment(x[i], size, AUGMENT, pad, seed=SEED, epoch=epoch, index=int(i)) for i in indices]
    return np.stack(images)


def _floats(x: Array, multiplier: Array, offset: Array) -> torch.Tensor:
    """The mantissas of the binary at their exponent, [N, C, H, W] and channels last in memory."""
    values = inputs.input_map(x, multiplier, offset) * 2.0**inputs.INPUT_EXPONENT
    return torch.from_numpy(values.astype("float32")).permute(0, 3, 1, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar", type=Path, required=True, help="folder with the six binary files of CIFAR-10")
    parser.add_argument("--nets", default=",".join(task.net for task in TASKS))
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--log", type=Path, default=Path("build/accuracy.jsonl"))
    parser.add_argument("--table", type=Path, default=Path("docs/accuracy.md"))
    options = parser.parse_args()
    options.log.parent.mkdir(parents=True, exist_ok=True)
    for task in (task for task in TASKS if task.net in options.nets.split(",")):
        done = {run.method for run in recorded(options.log) if run.net == task.net}
        for method in (name for name in options.methods.split(",") if name not in done):
            folder, work = options.cifar.resolve(), options.log.parent.resolve()
            if method == FP32:
                run = run_torch(task, folder, options.threads)
            else:
                run = run_nitic(task, method, folder, work, options.threads)
            with options.log.open("a") as file:
                file.write(json.dumps(asdict(run)) + "\n")
    write_tables(recorded(options.log), options.table)


if __name__ == "__main__":
    main()
