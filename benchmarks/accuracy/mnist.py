"""MNIST in the IDX format."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nitic.arithmetic.integers import Array


@dataclass(frozen=True)
class Split:
    """Samples as uint8 [n, height, width, 1] and their classes."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


def load(folder: Path) -> tuple[Split, Split]:
    """The training and the test split of `folder`."""
    return _split(folder, "train"), _split(folder, "t10k")


def arrays(folder: Path) -> tuple[Array, Array, Array, Array]:
    """x_train, y_train, x_test, y_test"""
    train, test = load(folder)
    return train.images, train.labels, test.images, test.labels


def _split(folder: Path, prefix: str) -> Split:
    images = _idx(folder / f"{prefix}-images-idx3-ubyte")
    labels = _idx(folder / f"{prefix}-labels-idx1-ubyte")
    return Split(images[..., None], labels.astype(np.int64))


def _idx(path: Path) -> NDArray[np.uint8]:
    """An IDX file of unsigned bytes: a 4-byte magic number whose last byte is the rank, big-endian sizes, the data."""
    raw = np.frombuffer(path.read_bytes(), np.uint8)
    sizes = raw[4 : 4 + 4 * int(raw[3])].view(">u4")
    return raw[4 + 4 * int(raw[3]) :].reshape(sizes)
