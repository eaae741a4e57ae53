"""CIFAR-10 in its binary format, whole, and averaged to 16x16: what ResNet-8 is trained on."""

from pathlib import Path

import numpy as np

from nitic.arithmetic.integers import Array

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


def images(source: Path) -> tuple[Array, Array, Array, Array]:
    """x_train, y_train, x_test, y_test: samples (n, 32, 32, 3)."""
    train = [_records(source / f"data_batch_{i}.bin") for i in range(1, 6)]
    x_test, y_test = _records(source / "test_batch.bin")
    return np.concatenate([x for x, _ in train]), np.concatenate([y for _, y in train]), x_test, y_test


def _averaged(path: Path) -> tuple[Array, Array]:
    """(n, 16, 16, 3) means of 2x2 pixels, halves up, and labels."""
    x, y = _records(path)
    squares = x.reshape(-1, 16, 2, 16, 2, 3).astype(np.int64)
    return ((squares.sum((2, 4)) + 2) // 4).astype(np.uint8), y


def _records(path: Path) -> tuple[Array, Array]:
    """Samples (n, 32, 32, 3) and labels. A record is a label and 3 planes of 32x32 pixels."""
    records = np.fromfile(path, np.uint8).reshape(-1, 1 + 3 * 32 * 32)
    return records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), records[:, 0]
