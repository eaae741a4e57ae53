"""Data sets that are not whole, and files that change while a run reads them."""

import os
from pathlib import Path

import numpy as np
import pytest

from tests.runtime.conftest import toy_samples
from tests.runtime.helpers import IDX, fail, run, start, write_idx, write_npy
from tests.runtime.toolchain import Toolchain


@pytest.mark.parametrize("have", [(1, 2, 4, 5), (1, 5), (2, 3), (10,)])
def test_a_missing_batch_of_cifar_is_named(toolchain: Toolchain, tmp_path: Path, have: tuple[int, ...]) -> None:
    for i in have:
        (tmp_path / f"data_batch_{i}.bin").write_bytes(bytes(4 * 3073))
    missing = next(i for i in range(1, 10) if i not in have)
    sentence = fail(4, toolchain.toy("cifar"), "train", "--data", tmp_path)
    assert f"data_batch_{missing}.bin is missing, while data_batch_{have[-1]}.bin is there" in sentence


def test_names_that_are_no_batches_of_cifar(toolchain: Toolchain, tmp_path: Path) -> None:
    for name in (
        "data_batch_1.bin",
        "data_batch_03.bin",
        "data_batch_4.bin.gz",
        "data_batch_.bin",
        "data_batch_9x.bin",
    ):
        (tmp_path / name).write_bytes(np.random.default_rng(0).integers(0, 3, 4 * 3073, np.uint8).tobytes())
    assert "1 batches of 4" in run(toolchain.toy("cifar"), "train", "--data", tmp_path, "--epochs", "1").stderr


HALVES = [
    ("npy", "x_train.npy"),
    ("npy", "x_test.npy"),
    ("npy", "y_test.npy"),
    ("idx", IDX["train"][0]),
    ("idx", IDX["test"][0]),
    ("idx", IDX["test"][1]),
]


@pytest.mark.parametrize(("kind", "name"), HALVES)
def test_half_a_split_is_no_missing_split(toy: Path, data: Path, tmp_path: Path, kind: str, name: str) -> None:
    folder = data
    if kind == "idx":
        folder = tmp_path / "idx"
        for split, count, seed in (("train", 42, 1), ("test", 10, 2)):
            x, y = toy_samples(count, seed)
            write_idx(folder, split, x, y.astype(np.uint8))
    (folder / name).unlink()
    assert f"{name}: cannot open: No such file" in fail(1, toy, "train", "--data", folder)


BIG = 40_000  # samples of 6 bytes: several pages


@pytest.fixture
def big(tmp_path: Path) -> Path:
    folder = tmp_path / "big"
    folder.mkdir()
    for split in ("train", "test"):
        write_npy(folder, split, *toy_samples(BIG, 1))
    return folder


@pytest.mark.parametrize(
    ("name", "options"), [("x_train.npy", []), ("x_train.npy", ["--augment", "flip"]), ("y_train.npy", [])]
)
def test_a_file_that_is_cut_short_stops_the_run_saved(
    toolchain: Toolchain, big: Path, tmp_path: Path, name: str, options: list[str]
) -> None:
    """Its pages are gone: the kernel sends SIGBUS, to the thread that reads ahead too."""
    save = tmp_path / "a"
    command = ["train", "--data", big, "--log-every", "1", "--save", save, *options]
    process = start(toolchain.toy("slow"), *command)
    os.truncate(big / name, 1000)
    stderr = process.communicate(timeout=20)[1]
    assert process.returncode == 1, stderr
    assert f"{name}: the file became shorter while it was read, so the run stopped after step" in stderr
    assert f"saved, go on with --resume {save}" in stderr
    write_npy(big, "train", *toy_samples(BIG, 1))
    process = start(toolchain.toy("slow"), *command, "--resume", save)
    process.terminate()
    assert "saved" in process.communicate(timeout=20)[1]


def test_a_file_that_is_cut_short_ends_an_evaluation(toolchain: Toolchain, big: Path) -> None:
    process = start(toolchain.toy("slow-eval"), "eval", "--data", big, until="calibrating")
    os.truncate(big / "x_test.npy", 1000)
    assert "x_test.npy: the file became shorter while it was read" in process.communicate(timeout=20)[1]
    assert process.returncode == 1


def test_a_file_that_is_replaced_by_another_one_stays_what_it_was(toolchain: Toolchain, data: Path) -> None:
    process = start(toolchain.toy("slow"), "train", "--data", data, "--epochs", "2", "--log-every", "1")
    np.save(data / "new.npy", np.zeros((2, 2, 3), np.uint8))
    (data / "new.npy").rename(data / "x_train.npy")
    stderr = process.communicate(timeout=20)[1]
    assert (process.returncode, "written to" in stderr) == (0, False)


def test_a_file_that_is_written_to_is_said_once(toolchain: Toolchain, data: Path) -> None:
    process = start(toolchain.toy("slow"), "train", "--data", data, "--epochs", "3", "--log-every", "1")
    with (data / "x_train.npy").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\0")
    stderr = process.communicate(timeout=20)[1]
    assert process.returncode == 0
    assert (
        stderr.count("x_train.npy: the file was written to while this run read it: its samples may be a mixture") == 1
    )
