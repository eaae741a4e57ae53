"""Writes docs/accuracy.md and its plots from the runs of recipes.py and curves.py."""

from collections.abc import Mapping, Sequence
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
CURVES = """
# By epoch

Two networks that torch exports, on all of CIFAR-10: 50,000 training samples shifted by up to 4 pixels and mirrored at
random, alike for every method, in the same order; batch 128, one seed, torch's initial weights. The rate of fp32 and
niti16 falls from 2^-5 by a cosine; niti keeps 5, 4, then 3 bits of the update. Accuracy on the 10,000 test samples, in
percent. `python -m benchmarks.accuracy.curves --cifar folder` reproduces it.

Both have batch norm, so niti16 dithers their errors; [numerics.md](numerics.md) says why. **niti16 stochastic** is
niti16 with `--option errors=stochastic`: random numbers instead, which make steps longer. niti has not been run.
"""
CURVE_TITLES = {"resnet20": "ResNet-20", "mobilenet_v2": "MobileNetV2 of half width"}
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
    text = HEADER + "".join(SECTIONS[net] + table for net, table in tables.items() if table)
    curves = {net: [run for run in runs if run.net == net] for net in CURVE_TITLES}
    sections = [_curves(net, found, path.parent) for net, found in curves.items() if found]
    path.write_text(text + CURVES * bool(sections) + "".join(sections))


def _curves(net: str, runs: Sequence[RunLike], folder: Path) -> str:
    """A plot beside the page, and a table with a row per method and a column per epoch."""
    title, picture = CURVE_TITLES[net], folder / f"accuracy-{net}.svg"
    plot({run.method: run.accuracy for run in runs}, picture)
    epochs = range(1, max(len(run.accuracy) for run in runs) + 1)
    columns = ["method", *map(str, epochs), "best"]
    rows = [[run.method, *(f"{value:.1f}" for value in run.accuracy), f"{max(run.accuracy):.2f}"] for run in runs]
    lines = [columns, ["---"] * len(columns), *rows]
    return f"\n## {title}\n\n![Test accuracy by epoch]({picture.name})\n\n" + "\n".join(map(_row, lines)) + "\n"


def plot(curves: Mapping[str, Sequence[float]], path: Path) -> None:
    """Test accuracy by epoch of each name, as SVG."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "nitic"  # the same file from the same runs
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4))
    for name, accuracy in curves.items():
        axes.plot(range(1, len(accuracy) + 1), accuracy, label=name, marker=".")
    axes.set(xlabel="epoch", ylabel="test accuracy, %")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)


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
