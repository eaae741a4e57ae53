"""Writes docs/accuracy.md from the runs of accuracy.py."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Protocol

FP32, WITHOUT_BIAS = "fp32", " without bias"

HEADER = """# Accuracy

Every method starts from the same Xavier weights for each seed and sees the same input, 8-bit mantissas of the
normalised pixels. Accuracy is that of the 10,000 test samples after the last epoch, in percent. Batch 64, one thread.

- **fp32**: torch, SGD with momentum 0.9.
- **niti16**: int16 masters and int8 datapath, momentum 0.9 (230/256), the learning rates of fp32.
- **niti**: int8 alone, as published; its rate is how many bits of the update are kept.

The last column compares the mean with that of fp32 on the same network. Reproduce it with
`make accuracy DATA=folder CIFAR=folder`: the four unpacked IDX files of MNIST, and the six binary files of CIFAR-10.
"""
SECTIONS = {
    "lenet": """
## LeNet-5 on MNIST

60,000 training samples, 5 epochs. Learning rates 2^-6, 2^-6, 2^-7, 2^-7, 2^-8 by epoch, or 4, 4, 3, 3, 2 bits of the
update. Each method also without biases.

""",
    "resnet8": """
## ResNet-8 on CIFAR-10, 16x16

The 10,000 samples of data_batch_1 and all test samples, averaged over 2x2 pixels; batch norm, residual connections,
global average pool; 4 epochs. Learning rates 2^-5, 2^-5, 2^-6, 2^-7 by epoch, or 4, 4, 3, 2 bits of the update.

""",
}


class RunLike(Protocol):
    @property
    def net(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def accuracy(self) -> list[float]: ...


def write_tables(runs: Sequence[RunLike], path: Path) -> None:
    """One section per network that has runs."""
    tables = {net: _table([run for run in runs if run.net == net]) for net in SECTIONS}
    path.write_text(HEADER + "".join(SECTIONS[net] + table for net, table in tables.items() if table))


def _table(runs: Sequence[RunLike]) -> str:
    """One row per method: each seed's accuracy, their mean, the worst, and the distance from fp32."""
    if not runs:
        return ""
    methods = list(dict.fromkeys(run.method for run in runs))
    seeds = sorted({run.seed for run in runs})
    final = {(run.method, run.seed): run.accuracy[-1] for run in runs}
    means = {m: fmean(final[m, s] for s in seeds if (m, s) in final) for m in methods}
    columns = ["method", *(f"seed {seed}" for seed in seeds), "mean", "worst", "mean - fp32"]
    lines = [_row(columns), _row(["---"] * len(columns))]
    for method in methods:
        values = [final.get((method, seed)) for seed in seeds]
        known = [value for value in values if value is not None]
        twin = FP32 + WITHOUT_BIAS if method.endswith(WITHOUT_BIAS) else FP32
        distance = f"{means[method] - means[twin]:+.2f}" if twin in means and twin != method else ""
        cells = ["" if value is None else f"{value:.2f}" for value in values]
        lines.append(_row([method, *cells, f"{means[method]:.2f}", f"{min(known):.2f}", distance]))
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
