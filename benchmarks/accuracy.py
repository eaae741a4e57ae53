"""Test accuracy of LeNet-5 on MNIST: both integer recipes and torch fp32, from the same initial weights for each seed.

    python benchmarks/accuracy.py --data mnist/                 everything, then docs/accuracy.md
    python benchmarks/accuracy.py --data mnist/ --torch         fp32 only;  --nitic: the integer recipes only

One JSON line per run goes to --log; runs that are already there are not repeated, so an interrupted call goes on.
Delete that file after a change of the compiler: the runs in it are those of the programs as they were.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import mnist
from report import FP32, WITHOUT_BIAS, write_table

from models.lenet import lenet

EPOCHS = 5
BATCH = 64
# Binary logarithms of the learning rates by epoch, and the bits of the update that stand for them in the recipe niti.
RATE_SHIFTS = (6, 6, 7, 7, 8)
GRADIENT_BITS = (4, 4, 3, 3, 2)


@dataclass(frozen=True)
class Method:
    """A row of the table; the learning rate of fp32 and niti16 follows RATE_SHIFTS, that of niti GRADIENT_BITS."""

    recipe: str
    bias: bool

    @property
    def name(self) -> str:
        return self.recipe if self.bias else self.recipe + WITHOUT_BIAS

    @property
    def is_torch(self) -> bool:
        return self.recipe == FP32


METHODS = tuple(Method(recipe, bias) for recipe in (FP32, "niti16", "niti") for bias in (True, False))


@dataclass(frozen=True)
class Run:
    """What one training run came to: test accuracy in percent after each epoch, and the seconds it took."""

    method: str
    seed: int
    accuracy: list[float]
    seconds: float


def run_torch(method: Method, seed: int, data: Path) -> Run:
    """SGD with momentum 0.9 on one thread."""
    import torch
    from torch_nets import Trainer, load_initial_weights
    from torch_nets import lenet as torch_lenet

    train, test = mnist.load(data)
    train_x, test_x = (torch.from_numpy(x).permute(0, 3, 1, 2).contiguous() for x in mnist.normalise(train, test))
    train_y, test_y = torch.from_numpy(train.labels), torch.from_numpy(test.labels)
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    net = torch_lenet(bias=method.bias)
    load_initial_weights(net, lenet(seed, bias=method.bias).model())
    trainer = Trainer(net, rate=2.0 ** -RATE_SHIFTS[0])
    start, accuracy = time.perf_counter(), list[float]()
    for shift in RATE_SHIFTS:
        trainer.set_rate(2.0**-shift)
        net.train()
        order = torch.randperm(len(train_y))
        for batch in order[: len(order) // BATCH * BATCH].split(BATCH):
            trainer.step(train_x[batch], train_y[batch])
        net.eval()
        with torch.no_grad():
            hits = sum(
                int((net(x).argmax(1) == y).sum()) for x, y in zip(test_x.split(500), test_y.split(500), strict=True)
            )
        accuracy.append(100 * hits / len(test_y))
    return Run(method.name, seed, accuracy, time.perf_counter() - start)


def run_nitic(method: Method, seed: int, data: Path, work: Path) -> Run:
    """Compile the network of this seed, train its binary, and read its log."""
    model, binary, log = (
        work / f"lenet-{method.name}-{seed}{suffix}".replace(" ", "-") for suffix in (".onnx", "", ".jsonl")
    )
    lenet(seed, bias=method.bias).save(model)
    log.unlink(missing_ok=True)
    compile_options = ["--recipe", method.recipe, "--batch-size", str(BATCH), "--init", "keep", "--seed", str(seed)]
    subprocess.run(
        [sys.executable, "-m", "nitic", "compile", str(model), "-o", str(binary), *compile_options], check=True
    )
    start = time.perf_counter()
    command = [str(binary), "train", "--data", str(data), "--epochs", str(EPOCHS), "--seed", str(seed), *rates(method)]
    subprocess.run([*command, "--threads", "1", "--log", str(log), "--save", f"{binary}.ckpt"], check=True)
    return Run(method.name, seed, list(test_accuracies(log)), time.perf_counter() - start)


def rates(method: Method) -> list[str]:
    """The options of the binary that state the schedule."""
    if method.recipe == "niti":
        return ["--gb", ",".join(str(bits) for bits in GRADIENT_BITS)]
    return ["--lr", f"2^-{RATE_SHIFTS[0]}", "--momentum", "0.9", "--schedule", "step:2,4:0.5"]


def test_accuracies(log: Path) -> Iterator[float]:
    """Percentages after each epoch, from the log of a binary."""
    for line in log.read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "epoch":
            yield round(100 * event["test_accuracy"], 2)


def recorded(log: Path) -> list[Run]:
    lines = log.read_text().splitlines() if log.exists() else []
    return [Run(**json.loads(line)) for line in lines]


def run_all(methods: list[Method], seeds: list[int], data: Path, log: Path) -> None:
    done = {(run.method, run.seed) for run in recorded(log)}
    for seed in seeds:
        for method in methods:
            if (method.name, seed) in done:
                continue
            run = run_torch(method, seed, data) if method.is_torch else run_nitic(method, seed, data, log.parent)
            line = json.dumps(asdict(run))
            print(line, flush=True)
            with log.open("a") as file:
                file.write(line + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the four IDX files of MNIST, unpacked")
    parser.add_argument("--seeds", type=lambda text: [int(s) for s in text.split(",")], default=[0, 1, 2, 3, 4])
    parser.add_argument("--log", type=Path, default=Path("build/accuracy.jsonl"))
    parser.add_argument("--table", type=Path, default=Path("docs/accuracy.md"))
    parser.add_argument("--torch", action="store_true", help="fp32 only, no table")
    parser.add_argument("--nitic", action="store_true", help="the integer recipes only, no table")
    options = parser.parse_args()
    options.log.parent.mkdir(parents=True, exist_ok=True)
    methods = [m for m in METHODS if options.torch in (options.nitic, m.is_torch)]
    run_all(methods, options.seeds, options.data.resolve(), options.log.resolve())
    if options.torch == options.nitic:
        write_table(recorded(options.log), options.table)


if __name__ == "__main__":
    main()
