"""CIFAR-10 in its binary format, averaged to 16x16: what ResNet-8 is trained on."""

from pathlib import Path

import numpy as np

from nitic.numerics import Array

NAMES = ("x_train", "y_train", "x_test", "y_test")


def average(source: Path, folder: Path) -> Path:
    """Writes the 10,000 samples of data_batch_1 and the test samples as the four arrays that a binary reads."""
    if not all((folder / f"{name}.npy").exists() for name in NAMES):
        folder.mkdir(parents=True, exist_ok=True)
        arrays = [*_averaged(source / "data_batch_1.bin"), *_averaged(source / "test_batch.bin")]
        for name, array in zip(NAMES, arrays, strict=True):
            np.save(folder / f"{name}.npy", array)
    return folder


def arrays(folder: Path) -> tuple[Array, Array, Array, Array]:
    """x_train, y_train, x_test, y_test"""
    x_train, y_train, x_test, y_test = (np.load(folder / f"{name}.npy") for name in NAMES)
    return x_train, y_train, x_test, y_test


def _averaged(path: Path) -> tuple[Array, Array]:
    """(n, 16, 16, 3) means of 2x2 pixels, halves up, and labels. A record is a label and 3 planes of 32x32 pixels."""
    records = np.fromfile(path, np.uint8).reshape(-1, 1 + 3 * 32 * 32)
    squares = records[:, 1:].reshape(-1, 3, 16, 2, 16, 2).astype(np.int64)
    return ((squares.sum((3, 5)) + 2) // 4).transpose(0, 2, 3, 1).astype(np.uint8), records[:, 0]
