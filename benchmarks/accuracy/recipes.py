"""Test accuracy of small networks: both integer recipes and torch fp32, from the same initial weights for each seed.

    python -m benchmarks.accuracy.recipes --mnist mnist/ --cifar cifar-10-batches-bin/    all, then docs/accuracy.md
    python -m benchmarks.accuracy.recipes --mnist mnist/ --torch     fp32 on MNIST only;  --nitic: integers only

LeNet-5 on MNIST, and ResNet-8 with batch norm on the first 10,000 samples of CIFAR-10, averaged to 16x16. One JSON line
per run goes to --log; runs that are already there are not repeated, so an interrupted call goes on. Delete that file
after a change of the compiler: the runs in it are those of the programs as they were.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.accuracy import cifar, mnist
from benchmarks.accuracy.tables import FP32, WITHOUT_BIAS, write_tables
from models.lenet import lenet
from models.resnet8 import resnet8
from nitic.arithmetic import inputs
from nitic.arithmetic.integers import Array
from nitic.frontend.writer import NetworkWriter

BATCH = 64


@dataclass(frozen=True)
class Method:
    """A row of a table."""

    recipe: str
    bias: bool = True

    @property
    def name(self) -> str:
        return self.recipe if self.bias else self.recipe + WITHOUT_BIAS

    @property
    def is_torch(self) -> bool:
        return self.recipe == FP32


@dataclass(frozen=True)
class Task:
    """A network on a data set.

    By epoch, `rate_shifts` are the binary logarithms of the learning rate of fp32 and niti16, which `schedule` says to
    the binary, and `gradient_bits` those of the update that stand for it in the recipe niti.
    """

    net: str
    network: Callable[..., NetworkWriter]
    load: Callable[[Path], tuple[Array, Array, Array, Array]]
    methods: tuple[Method, ...]
    rate_shifts: tuple[int, ...]
    schedule: str
    gradient_bits: tuple[int, ...]

    def writer(self, seed: int, method: Method) -> NetworkWriter:
        return self.network(seed) if method.bias else self.network(seed, bias=False)

    def options(self, method: Method) -> list[str]:
        """The options of the binary that state the schedule."""
        epochs = ["--epochs", str(len(self.rate_shifts))]
        if method.recipe == "niti":
            return [*epochs, "--gb", ",".join(map(str, self.gradient_bits))]
        return [*epochs, "--lr", f"2^-{self.rate_shifts[0]}", "--momentum", "0.9", "--schedule", self.schedule]


RECIPES = (FP32, "niti16", "niti")
TASKS = (
    Task(
        "lenet",
        lenet,
        mnist.arrays,
        tuple(Method(recipe, bias) for recipe in RECIPES for bias in (True, False)),
        (6, 6, 7, 7, 8),
        "step:2,4:0.5",
        (4, 4, 3, 3, 2),
    ),
    Task("resnet8", resnet8, cifar.arrays, tuple(map(Method, RECIPES)), (5, 5, 6, 7), "step:2,3:0.5", (4, 4, 3, 2)),
)


@dataclass(frozen=True)
class Run:
    """What one training run came to: test accuracy in percent after each epoch, and the seconds it took."""

    method: str
    seed: int
    accuracy: list[float]
    seconds: float
    net: str = "lenet"


def run_torch(task: Task, method: Method, seed: int, data: Path) -> Run:
    """SGD with momentum 0.9 on one thread."""
    import torch

    from benchmarks.torch_nets import NETS, Trainer, load_initial_weights

    train_x, train_y, test_x, test_y = (torch.from_numpy(values) for values in as_floats(*task.load(data)))
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    net = NETS[task.net]() if method.bias else NETS[task.net](bias=False)
    load_initial_weights(net, task.writer(seed, method).model())
    trainer = Trainer(net, rate=2.0 ** -task.rate_shifts[0])
    start, accuracy = time.perf_counter(), list[float]()
    for shift in task.rate_shifts:
        trainer.set_rate(2.0**-shift)
        net.train()
        order = torch.randperm(len(train_y))
        for batch in order[: len(order) // BATCH * BATCH].split(BATCH):
            trainer.step(train_x[batch], train_y[batch])
        accuracy.append(100 * trainer.accuracy(test_x, test_y))
    return Run(method.name, seed, accuracy, time.perf_counter() - start, task.net)


def as_floats(train_x: Array, train_y: Array, test_x: Array, test_y: Array) -> list[Array]:
    """Samples as the integer programs see them, int8 mantissas at their exponent, in torch's order; labels as int64."""
    multiplier, offset = inputs.input_statistics(train_x)
    train, test = (inputs.input_map(x, multiplier, offset) * 2.0**inputs.INPUT_EXPONENT for x in (train_x, test_x))
    images = [x.transpose(0, 3, 1, 2).astype("float32") for x in (train, test)]
    return [images[0], train_y.astype("int64"), images[1], test_y.astype("int64")]


def run_nitic(task: Task, method: Method, seed: int, data: Path, work: Path) -> Run:
    """Compile the network of this seed, train its binary, and read its log."""
    model, binary, log = (
        work / f"{task.net}-{method.name}-{seed}{suffix}".replace(" ", "-") for suffix in (".onnx", "", ".jsonl")
    )
    task.writer(seed, method).save(model)
    log.unlink(missing_ok=True)
    compile_options = ["--recipe", method.recipe, "--batch-size", str(BATCH), "--init", "keep", "--seed", str(seed)]
    subprocess.run(
        [sys.executable, "-m", "nitic", "compile", str(model), "-o", str(binary), *compile_options], check=True
    )
    start = time.perf_counter()
    command = [str(binary), "train", "--data", str(data), "--seed", str(seed), *task.options(method)]
    subprocess.run([*command, "--threads", "1", "--log", str(log), "--save", f"{binary}.ckpt"], check=True)
    return Run(method.name, seed, list(test_accuracies(log)), time.perf_counter() - start, task.net)


def test_accuracies(log: Path) -> Iterator[float]:
    """Percentages after each epoch, from the log of a binary."""
    for line in log.read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "epoch":
            yield round(100 * event["test_accuracy"], 2)


def recorded(log: Path) -> list[Run]:
    lines = log.read_text().splitlines() if log.exists() else []
    return [Run(**json.loads(line)) for line in lines]


def run_all(task: Task, methods: list[Method], seeds: list[int], data: Path, log: Path) -> None:
    done = {(run.method, run.seed) for run in recorded(log) if run.net == task.net}
    for seed in seeds:
        for method in methods:
            if (method.name, seed) in done:
                continue
            if method.is_torch:
                run = run_torch(task, method, seed, data)
            else:
                run = run_nitic(task, method, seed, data, log.parent)
            line = json.dumps(asdict(run))
            print(line, flush=True)
            with log.open("a") as file:
                file.write(line + "\n")


def folders(options: argparse.Namespace) -> dict[str, Any]:
    """Where the data of each network lies, as its binary reads it; None where no folder was given."""
    averaged = options.log.parent / "cifar16"
    return {
        "lenet": options.mnist and options.mnist.resolve(),
        "resnet8": options.cifar and cifar.average(options.cifar, averaged.resolve()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mnist", type=Path, help="folder with the four IDX files of MNIST, unpacked")
    parser.add_argument("--cifar", type=Path, help="folder with the six binary files of CIFAR-10")
    parser.add_argument("--seeds", type=lambda text: [int(s) for s in text.split(",")], default=[0, 1, 2, 3, 4])
    parser.add_argument("--log", type=Path, default=Path("build/accuracy.jsonl"))
    parser.add_argument("--table", type=Path, default=Path("docs/accuracy.md"))
    parser.add_argument("--torch", action="store_true", help="fp32 only, no table")
    parser.add_argument("--nitic", action="store_true", help="the integer recipes only, no table")
    options = parser.parse_args()
    options.log.parent.mkdir(parents=True, exist_ok=True)
    data = folders(options)
    for task in TASKS:
        methods = [m for m in task.methods if options.torch in (options.nitic, m.is_torch)]
        if data[task.net]:
            run_all(task, methods, options.seeds, data[task.net], options.log.resolve())
    if options.torch == options.nitic:
        write_tables(recorded(options.log), options.table)


if __name__ == "__main__":
    main()
