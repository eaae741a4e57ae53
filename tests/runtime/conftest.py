"""Fixtures of the runtime's tests: binaries, a data set, a session through ctypes."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.runtime.helpers import Arrays, Session, write_npy
from tests.runtime.toolchain import Toolchain


@pytest.fixture(scope="session")
def toolchain(tmp_path_factory: pytest.TempPathFactory) -> Toolchain:
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "nitic-runtime"
    folder.mkdir(exist_ok=True)
    return Toolchain(folder)


@pytest.fixture(scope="session")
def toy(toolchain: Toolchain) -> Path:
    return toolchain.toy()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """42 training and 10 test samples of 2x3; the label is what the toy predicts, for three of four."""
    folder = tmp_path / "data"
    folder.mkdir()
    for split, count, seed in (("train", 42, 1), ("test", 10, 2)):
        write_npy(folder, split, *toy_samples(count, seed))
    return folder


def toy_samples(count: int, seed: int) -> Arrays:
    x = np.random.default_rng(seed).integers(0, 256, (count, 2, 3), dtype=np.uint8)
    return x, ((x[:, 0, 0] % 3 + (np.arange(count) % 4 == 3)) % 3).astype(np.int64)


@pytest.fixture
def session(toolchain: Toolchain) -> Callable[..., Session]:
    def create(form: str = "plain", threads: int = 1) -> Session:
        return Session(toolchain.library(form), threads)

    return create
