"""Data sets: every format, every order of channels, every kind of wrong file."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.runtime.conftest import toy_samples
from tests.runtime.helpers import IDX, fail, idx, read_checkpoint, succeed, write_idx, write_npy
from tests.runtime.toolchain import Toolchain


def weights(toy: Path, folder: Path, save: Path) -> bytes:
    """The state after one epoch: equal if and only if the same samples were seen in the same order."""
    succeed(toy, "train", "--data", folder, "--epochs", "1", "--save", save)
    return b"".join(tensor.tobytes() for _, tensor in sorted(read_checkpoint(save)[1].items()))


@pytest.fixture
def expected(toy: Path, data: Path, tmp_path: Path) -> bytes:
    return weights(toy, data, tmp_path / "expected")


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 1), (1, 2, 3), (6,)])
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_npy_samples(toy: Path, tmp_path: Path, expected: bytes, shape: tuple[int, ...], dtype: str) -> None:
    x, y = toy_samples(42, 1)
    x = x if dtype == "uint8" else (x.astype(np.int16) - 128).astype(np.int8)
    (tmp_path / "set").mkdir()
    write_npy(tmp_path / "set", "train", x.reshape(42, *shape), y)
    assert weights(toy, tmp_path / "set", tmp_path / "a") == expected


@pytest.mark.parametrize("dtype", ["u1", "i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8"])
def test_npy_labels(toy: Path, tmp_path: Path, expected: bytes, dtype: str) -> None:
    x, y = toy_samples(42, 1)
    (tmp_path / "set").mkdir()
    write_npy(tmp_path / "set", "train", x, y.astype(dtype).reshape(-1, 1))
    assert weights(toy, tmp_path / "set", tmp_path / "a") == expected


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32"])
def test_idx(toy: Path, tmp_path: Path, expected: bytes, dtype: str) -> None:
    x, y = toy_samples(42, 1)
    write_idx(tmp_path / "set", "train", x, y.astype(dtype))
    assert weights(toy, tmp_path / "set", tmp_path / "a") == expected


def test_a_vector_takes_any_shape_of_its_length(toolchain: Toolchain, data: Path, tmp_path: Path) -> None:
    x, y = toy_samples(42, 1)
    (tmp_path / "set").mkdir()
    write_npy(tmp_path / "set", "train", x.reshape(42, 6), y)
    toy = toolchain.toy("flat")
    assert weights(toy, data, tmp_path / "a") == weights(toy, tmp_path / "set", tmp_path / "b")


@pytest.mark.parametrize(("form", "height", "width"), [("rgb", 2, 3), ("cube", 3, 3)])
def test_channels_first_and_last(toolchain: Toolchain, tmp_path: Path, form: str, height: int, width: int) -> None:
    """Channels first are preferred, which only a cube can tell."""
    x = np.random.default_rng(0).integers(0, 256, (12, 3, height, width), dtype=np.uint8)
    y = np.zeros(12, np.int64)
    seen: list[bytes] = []
    for i, samples in enumerate((x, x.transpose(0, 2, 3, 1))):
        folder = tmp_path / str(i)
        folder.mkdir()
        write_npy(folder, "train", np.ascontiguousarray(samples), y)
        seen.append(weights(toolchain.toy(form), folder, tmp_path / f"{i}.ckpt"))
    assert (seen[0] == seen[1]) == (form == "rgb")


def test_a_sequence_is_an_image_of_one_row(toolchain: Toolchain, tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (12, 4, 3), dtype=np.uint8)
    seen: list[bytes] = []
    for i, samples in enumerate((x, x.transpose(0, 2, 1), x[:, None], x.transpose(0, 2, 1)[:, :, None])):
        folder = tmp_path / str(i)
        folder.mkdir()
        write_npy(folder, "train", np.ascontiguousarray(samples), np.zeros(12, np.int64))
        seen.append(weights(toolchain.toy("sequence"), folder, tmp_path / f"{i}.ckpt"))
    assert len(set(seen)) == 1


def test_cifar(toolchain: Toolchain, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (20, 3, 32, 32), dtype=np.uint8), rng.integers(0, 3, 20)
    toy, binary, arrays = toolchain.toy("cifar"), tmp_path / "binary", tmp_path / "arrays"
    binary.mkdir()
    arrays.mkdir()
    records = np.concatenate([y[:, None].astype(np.uint8), x.reshape(20, -1)], axis=1)
    for i in (1, 2):
        (binary / f"data_batch_{i}.bin").write_bytes(records[10 * i - 10 : 10 * i].tobytes())
    (binary / "test_batch.bin").write_bytes(records[:6].tobytes())
    write_npy(arrays, "train", x, y)
    assert weights(toy, binary, tmp_path / "a") == weights(toy, arrays, tmp_path / "b")
    assert succeed(toy, "eval", "--data", binary).startswith("samples 6 ")
    (binary / "data_batch_2.bin").write_bytes(records[10:].tobytes()[:-1])
    sentence = fail(4, toy, "train", "--data", binary)
    assert (
        "data_batch_2.bin: truncated at offset 30729: expected records of 3073 bytes, the last one has 3072" in sentence
    )


Broken = tuple[str, Callable[[bytes], bytes], int, str]
NPY_BROKEN: list[Broken] = [
    ("x_train.npy", lambda b: b"", 4, "offset 0: the file is empty"),
    ("x_train.npy", lambda b: b"PNG" + b[3:], 4, "offset 0: no .npy file, expected the magic"),
    ("x_train.npy", lambda b: b[:9], 4, "offset 0: no .npy file"),
    ("x_train.npy", lambda b: b[:50], 4, "truncated at offset 50: the header has 128 bytes"),
    ("x_train.npy", lambda b: b[:6] + b"\x09" + b[7:], 4, "offset 6: .npy version 9, expected 1 to 3"),
    ("x_train.npy", lambda b: b[:-1], 4, "truncated at offset 379"),
    ("x_train.npy", lambda b: b + b"xx", 4, "offset 380: the file goes on for 2 bytes, expected its end"),
    (
        "x_train.npy",
        lambda b: b.replace(b"(42, 2, 3)", b"(21, 4, 3)"),
        4,
        "its samples are 4x3, the program expects 2x3x1",
    ),
    (
        "x_train.npy",
        lambda b: b.replace(b"(42, 2, 3)", b"(42, 3, 2)"),
        4,
        "its samples are 3x2, the program expects 2x3x1",
    ),
    ("x_train.npy", lambda b: b.replace(b"(42, 2, 3)", b"(42, -2,3)"), 4, "expected a shape of whole numbers"),
    ("x_train.npy", lambda b: b.replace(b"(42, 2, 3), }", b"(0, 99999999)"), 4, "goes on for 252 bytes"),
    ("x_train.npy", lambda b: b.replace(b"(42, 2, 3)", b"          "), 4, "expected 'shape'"),
    ("x_train.npy", lambda b: b.replace(b"False", b"True "), 4, "Fortran order, expected C order"),
    ("x_train.npy", lambda b: b.replace(b"descr", b"dtype"), 4, "expected 'descr'"),
    ("y_train.npy", lambda b: b[:128] + b"\x03" + b[129:], 4, "offset 128: label 3 of sample 0, expected 0 to 2"),
    ("y_train.npy", lambda b: b[:-8] + b"\xff" * 8, 4, "offset 456: label -1 of sample 41, expected 0 to 2"),
    ("y_train.npy", lambda b: b.replace(b"<i8", b">i8"), 4, "labels of dtype >i8, expected little-endian integers"),
    ("y_train.npy", lambda b: b.replace(b"(42,)", b"(41,)")[:-8], 4, "expected 42 labels in one dimension"),
    ("x_test.npy", lambda b: b[:-1], 4, "truncated at offset"),
]


@pytest.mark.parametrize(("name", "change", "code", "expected"), NPY_BROKEN)
def test_broken_npy(
    toy: Path, data: Path, name: str, change: Callable[[bytes], bytes], code: int, expected: str
) -> None:
    path = data / name
    path.write_bytes(change(path.read_bytes()))
    sentence = fail(code, toy, "train", "--data", data)
    assert f"{path}: " in sentence
    assert expected in sentence


IMAGES, LABELS = IDX["train"]
IDX_BROKEN: list[Broken] = [
    (IMAGES, lambda b: b"\1" + b[1:], 4, "offset 0: no IDX file, expected uint8 images (magic 0x00000803)"),
    (IMAGES, lambda b: b[:2], 4, "offset 0: no IDX file"),
    (IMAGES, lambda b: b[:3] + b"\1" + b[4:8] + b[16:58], 4, "magic 0x00000801, expected uint8 images"),
    (IMAGES, lambda b: b[:2] + b"\x07" + b[3:], 4, "offset 0: magic 0x00000703, expected uint8 images"),
    (IMAGES, lambda b: b[:10], 4, "truncated at offset 10: the header has 16 bytes"),
    (IMAGES, lambda b: b[:-5], 4, "truncated at offset 263"),
    (IMAGES, lambda b: b + b"x", 4, "offset 268: the file goes on for 1 bytes"),
    (IMAGES, lambda b: b[:4] + b"\xff" * 12 + b[16:], 4, "the header promises 4294967295 entries"),
    (IMAGES, lambda b: idx(np.frombuffer(b[16:], np.uint8).reshape(21, 4, 3)), 4, "its samples are 4x3"),
    (IMAGES, lambda b: idx(np.zeros((42, 2, 3), np.float32)), 4, "offset 2: the elements are floats"),
    (IMAGES, lambda b: idx(np.zeros((42, 2, 3), np.int32)), 4, "magic 0x00000c03, expected uint8 images"),
    (LABELS, lambda b: b[:20] + b"\x63" + b[21:], 4, "offset 20: label 99 of sample 12, expected 0 to 2"),
    (LABELS, lambda b: idx(np.zeros(41, np.uint8)), 4, "offset 4: 41 labels, expected 42 as in"),
    (LABELS, lambda b: idx(np.zeros((42, 1), np.uint8)), 4, "magic 0x00000802, expected labels (magic 0x00000801)"),
]


@pytest.mark.parametrize(("name", "change", "code", "expected"), IDX_BROKEN)
def test_broken_idx(
    toy: Path, tmp_path: Path, name: str, change: Callable[[bytes], bytes], code: int, expected: str
) -> None:
    x, y = toy_samples(42, 1)
    write_idx(tmp_path / "set", "train", x, y.astype(np.uint8))
    path = tmp_path / "set" / name
    path.write_bytes(change(path.read_bytes()))
    sentence = fail(code, toy, "train", "--data", tmp_path / "set")
    assert f"{path}: " in sentence
    assert expected in sentence


def test_bad_data_overwrites_nothing(toy: Path, data: Path, tmp_path: Path) -> None:
    save, log = tmp_path / "a", tmp_path / "log"
    save.write_text("checkpoint")
    log.write_text("log")
    (data / "x_test.npy").write_bytes(b"damaged")
    fail(4, toy, "train", "--data", data, "--save", save, "--log", log)
    assert (save.read_text(), log.read_text()) == ("checkpoint", "log")


@pytest.mark.parametrize("name", ["x_train.npy", "y_train.npy"])
def test_floats_are_refused_with_the_command_that_converts_them(toy: Path, data: Path, name: str) -> None:
    before = np.load(data / name)
    np.save(data / name, before / 255 if name[0] == "x" else before.astype(np.float64))
    given = (data / name).read_bytes()
    sentence = fail(4, toy, "train", "--data", data)
    command = re.search(r'python3 -c "(.*)"$', sentence)
    assert command, sentence
    said = subprocess.run([sys.executable, "-c", command[1]], check=True, capture_output=True, text=True).stdout
    assert said.startswith("0..1 is assumed, found 0." if name[0] == "x" else "")
    assert (data / name).read_bytes() == given
    (data / f"{name}.{'u1' if name[0] == 'x' else 'i4'}.npy").rename(data / name)
    np.testing.assert_array_equal(np.load(data / name), before)
    succeed(toy, "train", "--data", data, "--epochs", "1")


def test_the_conversion_stops_at_floats_outside_its_range(toy: Path, data: Path) -> None:
    np.save(data / "x_train.npy", np.load(data / "x_train.npy") / 64 - 1)
    command = re.search(r'python3 -c "(.*)"$', fail(4, toy, "train", "--data", data))
    assert command
    done = subprocess.run([sys.executable, "-c", command[1]], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout[:24]) == (1, "0..1 is assumed, found -")
    assert not list(data.glob("*.u1.npy"))


def test_folders_without_data(toy: Path, tmp_path: Path) -> None:
    assert "cannot open: No such file or directory" in fail(1, toy, "train", "--data", tmp_path / "no")
    (tmp_path / "file").write_text("")
    assert "not a folder" in fail(1, toy, "train", "--data", tmp_path / "file")
    assert "no data set here: expected train-images-idx3-ubyte" in fail(4, toy, "train", "--data", tmp_path)
    (tmp_path / f"{IMAGES}.gz").write_text("")
    assert "unpack with: gunzip" in fail(4, toy, "train", "--data", tmp_path)


def test_missing_labels(toy: Path, data: Path) -> None:
    (data / "y_train.npy").unlink()
    assert "y_train.npy: cannot open: No such file" in fail(1, toy, "train", "--data", data)


@pytest.mark.parametrize("kind", ["npy", "idx"])
def test_damaged_files_never_crash(toolchain: Toolchain, tmp_path: Path, kind: str) -> None:
    x, _ = toy_samples(8, 3)
    path = tmp_path / f"x.{kind}"
    path.write_bytes(idx(x)) if kind == "idx" else np.save(path, x)
    assert "accepted" in succeed(toolchain.fuzzer(), kind, path, "800", "3")
