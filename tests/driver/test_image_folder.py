"""`nitic data pack`: what it writes is the documented format, complete or not there at all."""

import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from nitic.data import image_folder
from nitic.data.image_folder import PackOptions, pack
from nitic.errors import CompileError, ExitCode

Image = image_folder.pillow()


def paint(path: Path, seed: int, size: tuple[int, int] = (8, 8)) -> NDArray[np.uint8]:
    """A random picture of (height, width) in a file, and its pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def read_shards(folder: Path, split: str) -> list[tuple[NDArray[np.uint8], NDArray[np.int32]]]:
    """By the table in docs/data.md."""
    shards: list[tuple[NDArray[np.uint8], NDArray[np.int32]]] = []
    paths = sorted(folder.glob(f"{split}-*.images"))
    for i, path in enumerate(paths):
        raw = path.read_bytes()
        magic, version, number, count, *shape, n = struct.unpack_from("<8s6IQ", raw)
        assert (magic, version, number, count) == (b"NITICIMG", 1, i, len(paths))
        assert raw[40:64] == bytes(24)
        size = int(np.prod(shape))
        assert len(raw) == 64 + n * (size + 4)
        images = np.frombuffer(raw, np.uint8, n * size, 64).reshape(n, *shape)
        shards.append((images, np.frombuffer(raw, "<i4", n, 64 + n * size)))
    return shards


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Classes ant and bee with three and two images of 8x8, one of each for validation."""
    for i, name in enumerate(("ant/0.png", "ant/1.png", "ant/deeper/2.png", "bee/0.png", "bee/1.bmp")):
        paint(tmp_path / "in" / "train" / name, i)
    for i, name in enumerate(("bee/0.png", "ant/0.png"), start=10):
        paint(tmp_path / "in" / "val" / name, i)
    (tmp_path / "in" / "train" / "ant" / "notes.txt").write_text("no image")
    (tmp_path / "in" / "train" / "ant" / "._0.png").write_text("no image")
    return tmp_path / "in"


def pixels(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def test_images_of_the_size_are_stored_as_they_are(folder: Path, tmp_path: Path) -> None:
    summary = pack(PackOptions(folder, tmp_path / "out", size=8))
    assert summary == f"{tmp_path / 'out'}: 5 images to train on, 2 images to test on, 2 classes, 8x8"
    ((images, labels),) = read_shards(tmp_path / "out", "train")
    np.testing.assert_array_equal(images, np.stack([pixels(i) for i in range(5)]))
    assert labels.tolist() == [0, 0, 0, 1, 1]
    ((images, labels),) = read_shards(tmp_path / "out", "test")
    np.testing.assert_array_equal(images, np.stack([pixels(11), pixels(10)]))
    assert labels.tolist() == [0, 1]
    description = json.loads((tmp_path / "out" / "classes.json").read_text())
    assert description == {"version": 1, "size": 8, "images": {"train": 5, "test": 2}, "classes": ["ant", "bee"]}


def test_shards_and_chunks_do_not_change_the_order(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_folder, "CHUNK", 2)
    monkeypatch.setattr(PackOptions, "images_of_shard", 2)
    pack(PackOptions(folder, tmp_path / "out", size=8))
    shards = read_shards(tmp_path / "out", "train")
    assert [len(images) for images, _ in shards] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate([x for x, _ in shards]), np.stack([pixels(i) for i in range(5)]))


def test_the_size_of_a_shard() -> None:
    assert PackOptions(Path(), Path(), size=512, shard_mb=3).images_of_shard == 4
    assert PackOptions(Path(), Path(), size=1024, shard_mb=1).images_of_shard == 1


def test_a_folder_without_splits_is_to_train_on(folder: Path, tmp_path: Path) -> None:
    pack(PackOptions(folder / "train", tmp_path / "out", size=4))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["classes.json", "train-00000.images"]


def test_an_oblong_image_gives_its_centre(tmp_path: Path) -> None:
    wide = paint(tmp_path / "in" / "a" / "0.png", 0, (6, 10))
    tall = paint(tmp_path / "in" / "a" / "1.png", 1, (10, 6))
    pack(PackOptions(tmp_path / "in", tmp_path / "out", size=6))
    ((images, _),) = read_shards(tmp_path / "out", "train")
    np.testing.assert_array_equal(images, np.stack([wide[:, 2:8], tall[2:8]]))


def test_images_of_every_kind_become_upright_rgb(tmp_path: Path) -> None:
    folder = tmp_path / "in" / "a"
    folder.mkdir(parents=True)
    grey = np.full((16, 16), 90, np.uint8)
    for suffix in ("png", "jpg", "webp", "tif", "gif"):
        Image.fromarray(grey).save(folder / f"0.{suffix}")
    Image.fromarray(grey).convert("RGBA").save(folder / "rgba.png")
    Image.fromarray(np.full((16, 16, 4), 128, np.uint8), "CMYK").save(folder / "z.jpeg")
    turned = Image.fromarray(np.repeat(np.array([[0, 255]], np.uint8), 16, 0).repeat(8, 1))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right to see it upright: left becomes top
    turned.save(folder / "y.png", exif=exif)
    pack(PackOptions(tmp_path / "in", tmp_path / "out", size=4))
    ((images, labels),) = read_shards(tmp_path / "out", "train")
    assert len(labels) == 8
    assert (np.abs(images[:6].astype(int) - 90) <= 2).all()
    assert images[6, 0].max() <= 40
    assert images[6, 3].min() >= 215


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"GIF89a" + b[6:]])
def test_a_bad_image_is_named(
    folder: Path, tmp_path: Path, damage: Callable[[bytes], bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    path = folder / "train" / "ant" / "1.png"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CompileError, match=f"^{path}: cannot be decoded: [^\n]+$") as caught:
        pack(PackOptions(folder, tmp_path / "out", size=8))
    assert caught.value.exit_code == ExitCode.DATA_MISMATCH
    assert [each.name for each in tmp_path.iterdir()] == ["in"]
    summary = pack(PackOptions(folder, tmp_path / "out", size=8, skip_bad=True))
    assert "4 images to train on" in summary
    assert f"skipped {path}: cannot be decoded: " in capfd.readouterr().err
    assert [labels.tolist() for _, labels in read_shards(tmp_path / "out", "train")] == [[0, 0, 1, 1]]


def test_nothing_but_bad_images(tmp_path: Path) -> None:
    (tmp_path / "in" / "a").mkdir(parents=True)
    (tmp_path / "in" / "a" / "0.png").write_text("no")
    with pytest.raises(CompileError, match="none of its images of train can be decoded"):
        pack(PackOptions(tmp_path / "in", tmp_path / "out", skip_bad=True))


def refused(folder: Path, output: Path, size: int = 8, shard_mb: int = 1) -> str:
    with pytest.raises(CompileError) as caught:
        pack(PackOptions(folder, output, size, shard_mb))
    return str(caught.value)


def test_what_is_refused(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "it exists already" in refused(folder, folder)
    assert "its folder does not exist" in refused(folder, out / "deeper")
    assert "it is no folder" in refused(tmp_path / "no", out)
    assert "no folders of images in it" in refused(folder / "train" / "bee", out)
    assert "the side of an image is 1 to 32767 pixels, not 0" in refused(folder, out, size=0)
    assert "a shard has at least 1 MiB, not 0" in refused(folder, out, shard_mb=0)
    paint(folder / "val" / "cat" / "0.png", 5)
    assert f"{folder / 'val' / 'cat'}: this class has no images to train on" in refused(folder, out)
    (folder / "train" / "cat").mkdir()
    assert f"{folder / 'train' / 'cat'}: no image in it (.bmp, .gif" in refused(folder, out)
    (folder / "test").mkdir()
    assert "it has both val and test" in refused(folder, out)
    assert [each.name for each in tmp_path.iterdir()] == ["in"]


def test_an_interrupted_pack_leaves_nothing(tmp_path: Path) -> None:
    paint(tmp_path / "in" / "a" / "0.png", 0, (600, 600))
    for i in range(1, 400):
        (tmp_path / "in" / "a" / f"{i}.png").hardlink_to(tmp_path / "in" / "a" / "0.png")
    command = [sys.executable, "-m", "nitic", "data", "pack", str(tmp_path / "in"), str(tmp_path / "out")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob(".out.*/*.images")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) != 0
    assert [each.name for each in tmp_path.iterdir()] == ["in"]


def test_the_command(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nitic", "data", "pack", folder, tmp_path / "out", "--size", "8"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("2 classes, 8x8\n")
    assert done.stderr == "train: 5 of 5 images\ntest: 2 of 2 images\n"
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 2
    assert again.stderr == f"{tmp_path / 'out'}: it exists already: remove it, or choose another name\n"
