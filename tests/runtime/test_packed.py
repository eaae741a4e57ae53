"""Packed images: read, resampled, refused where they are damaged. docs/data.md has the format."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from nitic.data import Augment, augment, centre_box, pad_value, resample, shuffle
from tests.runtime.helpers import Session, fail, read_checkpoint, run, succeed, write_npy
from tests.runtime.toolchain import Toolchain

Images = NDArray[np.uint8]
Labels = NDArray[np.int32]


def shard(x: Images, y: Labels, number: int = 0, shards: int = 1) -> bytes:
    count, *shape = x.shape
    header = struct.pack("<8s6IQ24x", b"NITICIMG", 1, number, shards, *shape, count)
    return header + x.tobytes() + y.astype("<i4").tobytes()


def write_shards(folder: Path, split: str, x: Images, y: Labels, *lengths: int) -> None:
    folder.mkdir(exist_ok=True)
    first = 0
    for number, length in enumerate(lengths):
        rows = slice(first, first + length)
        (folder / f"{split}-{number:05d}.images").write_bytes(shard(x[rows], y[rows], number, len(lengths)))
        first += length


def random_images(count: int, *shape: int) -> tuple[Images, Labels]:
    rng = np.random.default_rng(count)
    return rng.integers(0, 256, (count, *shape), dtype=np.uint8), rng.integers(0, 3, count).astype(np.int32)


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """21 and 7 images of 40x36 in three shards and one."""
    folder = tmp_path / "packed"
    write_shards(folder, "train", *random_images(21, 40, 36, 3), 10, 10, 1)
    write_shards(folder, "test", *random_images(7, 40, 36, 3), 7)
    return folder


@pytest.fixture
def cifar(toolchain: Toolchain) -> Path:
    return toolchain.toy("cifar")


def test_images_of_the_inputs_size_are_what_npy_would_be(cifar: Path, tmp_path: Path) -> None:
    x, y = random_images(20, 32, 32, 3)
    write_shards(tmp_path / "shards", "train", x, y, 7, 13)
    (tmp_path / "npy").mkdir()
    write_npy(tmp_path / "npy", "train", x, y)
    for name in ("shards", "npy"):
        options = ["--data", tmp_path / name, "--epochs", "2", "--augment", "crop,flip"]
        succeed(cifar, "train", *options, "--save", tmp_path / f"{name}.ckpt")
    assert (tmp_path / "shards.ckpt").read_bytes() == (tmp_path / "npy.ckpt").read_bytes()


def test_evaluation_resamples_the_centre(cifar: Path, packed: Path, tmp_path: Path) -> None:
    """The toy's class is the first pixel mod 3."""
    x, y = random_images(7, 40, 36, 3)
    box = centre_box((40, 36), (32, 32))
    seen = np.array([resample(image, box, (32, 32), np.zeros(3, np.uint8))[0, 0, 0] for image in x]) % 3
    assert succeed(cifar, "eval", "--data", packed).endswith(f"accuracy {100 * np.mean(seen == y):.2f} %\n")
    succeed(cifar, "predict", "--data", packed / "test-00000.images", "--output", tmp_path / "y.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), seen)


@pytest.mark.parametrize(
    ("text", "how"), [("none", Augment()), ("resized-crop,flip", Augment(resized_crop=True, flip=True))]
)
def test_training_sees_what_numpy_computes(
    toolchain: Toolchain, cifar: Path, packed: Path, tmp_path: Path, text: str, how: Augment
) -> None:
    x, y = random_images(21, 40, 36, 3)
    size = (32, 32)
    succeed(cifar, "train", "--data", packed, "--epochs", "2", "--augment", text, "--save", tmp_path / "a")
    session = Session(toolchain.library("cifar"))
    centres = [resample(image, centre_box((40, 36), size), size, np.zeros(3, np.uint8)) for image in x]
    session.set_statistics(np.stack(centres))
    session.progress.seed, session.progress.epochs = 1, 2
    pad = pad_value(*(session.tensor(f"input.{name}", np.int32, 3) for name in ("multiplier", "offset")))
    for epoch in range(2):
        session.begin_epoch(epoch)
        for batch in shuffle(21, 1, epoch)[:20].reshape(5, 4):
            images = [augment(x[i], size, how, pad, seed=1, epoch=epoch, index=int(i)) for i in batch]
            session.call("step", np.stack(images), y[batch], None)
    np.testing.assert_array_equal(session.tensor("w", np.int16, 3072), read_checkpoint(tmp_path / "a")[1]["w"])


def test_statistics_of_many_images_are_of_some(cifar: Path, tmp_path: Path) -> None:
    x, y = random_images(4100, 2, 2, 3)
    write_shards(tmp_path / "many", "train", x, y, 4100)
    done = run(cifar, "train", "--data", tmp_path / "many", "--epochs", "1")
    assert done.returncode == 0
    assert "by the statistics of 2050 samples" in done.stderr


def test_crop_needs_images_of_the_inputs_size(cifar: Path, packed: Path) -> None:
    sentence = fail(2, cifar, "train", "--data", packed, "--augment", "crop,flip")
    assert "these are 40x36 and the input is 32x32: take resized-crop" in sentence


def test_only_images_become_images(toolchain: Toolchain, packed: Path, toy: Path) -> None:
    assert "its samples are 40x36x3, the program expects 2x3x1" in fail(4, toy, "train", "--data", packed)
    flat = toolchain.toy("flat")
    assert "its samples are 40x36x3, the program expects 6" in fail(4, flat, "train", "--data", packed)


def put(offset: int, value: int, width: int = 4) -> Callable[[bytes], bytes]:
    return lambda b: b[:offset] + value.to_bytes(width, "little") + b[offset + width :]


FIRST, SECOND = "train-00000.images", "train-00001.images"
IMAGES = 40 * 36 * 3
BROKEN: list[tuple[str, Callable[[bytes], bytes], str]] = [
    (FIRST, lambda b: b"", "offset 0: the file is empty"),
    (FIRST, lambda b: b[:5], "offset 0: no packed images, expected the magic NITICIMG"),
    (FIRST, lambda b: b"x" + b[1:], "offset 0: no packed images, expected the magic NITICIMG"),
    (FIRST, lambda b: b[:63], "truncated at offset 63: the header has 64 bytes"),
    (FIRST, put(8, 2), "offset 8: version 2 of packed images, expected 1"),
    (FIRST, put(12, 1), "offset 12: shard 1 of 3, expected shard 0 of 3"),
    (FIRST, put(16, 0), "offset 12: shard 0 of 0, expected shard 0 of 0"),
    (SECOND, put(16, 4), "offset 12: shard 1 of 4, expected shard 1 of 3"),
    (SECOND, put(12, 0), "offset 12: shard 0 of 3, expected shard 1 of 3"),
    (FIRST, put(20, 0), "offset 20: images of 0x36, expected sides from 1 to 32767"),
    (FIRST, put(24, 0xFFFFFFFF), "offset 24: images of 40x4294967295, expected sides from 1 to 32767"),
    (FIRST, put(28, 5), "offset 28: 5 channels, expected 1 to 4"),
    (FIRST, put(28, 1), "goes on for"),
    (FIRST, put(32, 0, 8), "offset 32: 0 images, expected at least 1"),
    (FIRST, put(32, 2**64 - 1, 8), "offset 32: -1 images, expected at least 1"),
    (FIRST, put(32, 2**62, 8), "expected more data, the header promises 4611686018427387904 entries"),
    (
        FIRST,
        put(32, 9, 8),
        f"offset {64 + 9 * (IMAGES + 4)}: the file goes on for {IMAGES + 4} bytes, expected its end",
    ),
    (FIRST, lambda b: b[:-1], f"truncated at offset {64 + 10 * (IMAGES + 4) - 1}"),
    (FIRST, put(64 + 10 * IMAGES + 8, 3), f"offset {64 + 10 * IMAGES + 8}: label 3 of sample 2, expected 0 to 2"),
    (FIRST, put(64 + 10 * IMAGES, 0xFFFFFFFF), "label -1 of sample 0, expected 0 to 2"),
    (
        SECOND,
        lambda b: shard(*random_images(3, 36, 40, 3), 1, 3),
        "offset 20: images of 36x40x3, expected 40x36x3 as in",
    ),
]


@pytest.mark.parametrize(("name", "change", "expected"), BROKEN)
def test_broken_shards(cifar: Path, packed: Path, name: str, change: Callable[[bytes], bytes], expected: str) -> None:
    path = packed / name
    path.write_bytes(change(path.read_bytes()))
    sentence = fail(4, cifar, "train", "--data", packed)
    assert f"{path}: " in sentence
    assert expected in sentence


@pytest.mark.parametrize("name", ["train-00000", "train-00001", "train-00002"])
def test_a_missing_shard_is_named(cifar: Path, packed: Path, name: str) -> None:
    (packed / f"{name}.images").unlink()
    assert f"{name}.images: cannot open: No such file" in fail(1, cifar, "train", "--data", packed)


def test_a_data_set_of_one_split(cifar: Path, packed: Path) -> None:
    for path in packed.glob("train-*"):
        path.unlink()
    assert "no samples to train on" in fail(4, cifar, "eval", "--data", packed, "--split", "train")
    assert succeed(cifar, "eval", "--data", packed).startswith("samples 7 ")


def test_more_shards_than_64(cifar: Path, tmp_path: Path) -> None:
    write_shards(tmp_path / "many", "train", *random_images(100, 3, 3, 3), *[1] * 100)
    assert succeed(cifar, "eval", "--data", tmp_path / "many", "--split", "train").startswith("samples 100 ")


def test_damaged_shards_never_crash(toolchain: Toolchain, tmp_path: Path) -> None:
    path = tmp_path / "x.images"
    path.write_bytes(shard(*random_images(3, 5, 4, 1)))
    assert "accepted" in succeed(toolchain.fuzzer(), "images", path, "800", "3")


@pytest.mark.parametrize("sanitizer", ["memory", "thread"])
def test_reading_shards_is_clean(toolchain: Toolchain, packed: Path, sanitizer: str) -> None:
    program = toolchain.toy("cifar", sanitizer)
    succeed(program, "train", "--data", packed, "--epochs", "3", "--threads", "2")
