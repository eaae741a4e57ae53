"""Writes docs/accuracy.md from the runs of accuracy.py."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Protocol

FP32, WITHOUT_BIAS = "fp32", " without bias"

HEADER = """# Accuracy

LeNet-5 on MNIST: 60,000 training samples, batch 64, 5 epochs, one thread. Every method starts from the same Xavier
weights for each seed and sees the same input, 8-bit mantissas of the normalised pixels. Accuracy is that of the 10,000
test samples after the last epoch, in percent.

- **fp32**: torch, SGD with momentum 0.9, learning rates 2^-6, 2^-6, 2^-7, 2^-7, 2^-8 by epoch.
- **niti16**: int16 masters and int8 datapath, momentum 0.9 (230/256), the same learning rates.
- **niti**: int8 alone, as published; 4, 4, 3, 3, 2 bits of the update by epoch.

Each of them also without biases. The last column compares the mean with that of fp32 on the same network.

Reproduce it with `make accuracy DATA=folder`, where the folder holds the four unpacked IDX files of MNIST.

"""


class RunLike(Protocol):
    @property
    def method(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def accuracy(self) -> list[float]: ...


def write_table(runs: Sequence[RunLike], path: Path) -> None:
    """One row per method: each seed's accuracy, their mean, the worst, and the distance from fp32."""
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
    path.write_text(HEADER + "\n".join(lines) + "\n")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
