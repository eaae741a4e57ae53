"""LeNet-5 on MNIST, exported after two of four epochs and imported again: the second table of docs/export.md.

    python -m benchmarks.accuracy.detours --mnist mnist/

Batch 64, momentum 0.9, rates 2^-6, 2^-6, 2^-7, 2^-7 by epoch. For each seed, which shuffles, the straight run and those
by way of a file see the same samples in the same order. The velocities do not travel with a file.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import nitic
from benchmarks.accuracy import mnist
from benchmarks.accuracy.exports import BATCH, Arrays, predicted
from models.lenet import lenet

SHIFTS, TURN = (6, 6, 7, 7), 2
WAYS = ("straight", "float", "qdq")


def session(model: Path, arrays: Arrays) -> nitic.TrainingSession:
    made = nitic.TrainingSession(nitic.compile(model, batch_size=BATCH), threads=1)
    made.configure(momentum="0.9", schedule="constant")
    made.set_statistics(arrays[0])
    return made


def accuracies(way: str, seed: int, arrays: Arrays, folder: Path) -> Iterator[float]:
    """Percent of the test samples, after each epoch."""
    x_train, y_train, x_test, y_test = arrays
    lenet(seed).save(folder / "lenet.onnx")
    at, rng = session(folder / "lenet.onnx", arrays), np.random.default_rng(seed)
    for epoch, shift in enumerate(SHIFTS):
        if epoch == TURN and way != "straight":
            at.export_model(folder / "again.onnx", way)
            at = session(folder / "again.onnx", arrays)
        at.configure(lr=f"2^-{shift}")
        for rows in rng.permutation(len(x_train))[: len(x_train) // BATCH * BATCH].reshape(-1, BATCH):
            at.train_step(x_train[rows], y_train[rows])
        yield 100 * (predicted(at, x_test).argmax(1) == y_test).mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mnist", type=Path, required=True, help="folder with the four IDX files, unpacked")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    arrays = mnist.arrays(options.mnist)
    print("| way | seed | epoch 1 | 2 | 3 | 4 |\n| --- | --- | --- | --- | --- | --- |")
    for seed in range(options.seeds):
        for way in WAYS:
            with tempfile.TemporaryDirectory() as folder:
                cells = [f"{value:.2f}" for value in accuracies(way, seed, arrays, Path(folder))]
                print(f"| {way} | {seed} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
