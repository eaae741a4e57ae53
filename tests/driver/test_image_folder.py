"""`nitic data pack`: what it writes is the documented format, complete or not there at all."""

import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from nitic.data import image_folder
from nitic.data.image_folder import Packer, PackOptions, pack
from nitic.errors import CompileError, ExitCode
from tests.driver.pictures import FORMAT, PHOTOMETRIC, write_png, write_tiff

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


RAMP = np.linspace(0, 1, 64).reshape(8, 8)
EIGHT = (RAMP * 255).round().astype(int)


def ramp(bits: int, dtype: str = "<u2") -> NDArray[np.integer]:
    """8x8 greys from black to white."""
    return (RAMP * (2**bits - 1)).round().astype(dtype)


def twelve_bits() -> bytes:
    """The ramp, two values in three bytes."""
    return b"".join(int(a << 12 | b).to_bytes(3, "big") for a, b in ramp(12, "i4").reshape(-1, 2))


def packed_bits(bits: int) -> list[bytes]:
    """The ramp, several values in a byte."""
    planes = (ramp(bits, "u1")[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    return [np.packbits(row.astype(bool)).tobytes() for row in planes.reshape(8, -1)]


def packed(folder: Path) -> NDArray[np.uint8]:
    """The only image of a folder, packed at 8x8."""
    pack(PackOptions(folder / "in", folder / "out", size=8))
    (((image,), _),) = read_shards(folder / "out", "train")
    return image


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The folder of a class."""
    (tmp_path / "in" / "a").mkdir(parents=True)
    return tmp_path / "in" / "a"


DEEP: dict[str, Callable[[Path], object]] = {
    "16.png": lambda path: Image.fromarray(ramp(16)).save(path),
    "16.tif": lambda path: Image.fromarray(ramp(16)).save(path),
    "16 big-endian.tif": lambda path: Image.fromarray(ramp(16, ">u2")).save(path),
    "16.ppm": lambda path: path.write_bytes(b"P5 8 8 65535\n" + ramp(16, ">u2").tobytes()),
    "12.ppm": lambda path: path.write_bytes(b"P5 8 8 4095\n" + ramp(12, ">u2").tobytes()),
    "plain.ppm": lambda path: path.write_text(f"P2 8 8 65535 {' '.join(map(str, ramp(16).flat))}"),
    "12.tif": lambda path: write_tiff(path, twelve_bits(), 8, 12),
    "16 rgb.png": lambda path: write_png(path, [row.repeat(3).tobytes() for row in ramp(16, ">u2")], 8, 16, 2),
    "16 and alpha.png": lambda path: write_png(
        path, [np.insert(row, range(1, 9), 65535).astype(">u2").tobytes() for row in ramp(16, ">u2")], 8, 16, 4
    ),
    "8.tif": lambda path: Image.fromarray(ramp(8, "u1")).save(path),
    "inverted.tif": lambda path: write_tiff(path, (255 - ramp(8, "u1")).tobytes(), 8, 8, {PHOTOMETRIC: 0}),
    "cmyk.tif": lambda path: Image.fromarray(ramp(8, "u1")).convert("CMYK").save(path),
    "ycbcr.tif": lambda path: Image.fromarray(ramp(8, "u1")).convert("YCbCr").save(path),
    "palette.gif": lambda path: Image.fromarray(ramp(8, "u1")).convert("P").save(path),
}


@pytest.mark.parametrize("name", DEEP)
def test_white_stays_white_at_every_depth(place: Path, tmp_path: Path, name: str) -> None:
    DEEP[name](place / name)
    image = packed(tmp_path).astype(int)
    assert (image == image[..., :1]).all()
    assert np.abs(image[..., 0] - EIGHT).max() <= 1


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits(place: Path, tmp_path: Path, bits: int) -> None:
    write_png(place / "0.png", packed_bits(bits), 8, bits, 0)
    np.testing.assert_array_equal(packed(tmp_path)[..., 0], ramp(bits, "u1") * (255 // (2**bits - 1)))


def test_a_deep_image_is_turned_upright(place: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(ramp(16)).save(place / "0.png", exif=exif)
    assert np.abs(packed(tmp_path)[::-1, ::-1, 0].astype(int) - EIGHT).max() <= 1


UNKNOWN: dict[str, tuple[Callable[[Path], object], str]] = {
    "32.tif": (lambda path: Image.fromarray(ramp(16, "<i4")).save(path), "no unsigned integers"),
    "float.tif": (lambda path: Image.fromarray(RAMP.astype("f4")).save(path), "no unsigned integers"),
    "float.ppm": (lambda path: path.write_bytes(b"Pf 8 8 -1\n" + RAMP.astype("<f4").tobytes()), "the mode F"),
    "unsigned 32.tif": (lambda path: write_tiff(path, ramp(16, "<u4").tobytes(), 8, 32), "the mode I"),
    "signed 8.tif": (lambda path: write_tiff(path, bytes(64), 8, 8, {FORMAT: 2}), "no unsigned integers"),
    "signed 16.tif": (lambda path: write_tiff(path, bytes(128), 8, 16, {FORMAT: 2}), "no unsigned integers"),
    "inverted 16.tif": (lambda path: write_tiff(path, bytes(128), 8, 16, {PHOTOMETRIC: 0}), "are stored inverted"),
    "lab.tif": (lambda path: Image.new("LAB", (8, 8)).save(path), "the mode LAB"),
    "2 bits.png": (lambda path: write_png(path, packed_bits(2), 8, 2, 0, b"\0\1"), "one of its colours is transparent"),
    "16.png": (lambda path: write_png(path, [bytes(16)] * 8, 8, 16, 0, b"\1\0"), "one of its colours is transparent"),
    "16 rgb.png": (
        lambda path: write_png(path, [bytes(48)] * 8, 8, 16, 2, b"\1\0" * 3),
        "one of its colours is transp",
    ),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_values_without_a_known_range_are_refused(place: Path, tmp_path: Path, name: str) -> None:
    make, what = UNKNOWN[name]
    make(place / name)
    with pytest.raises(CompileError, match=f"^{place / name}: cannot be decoded: [^\n]*{what}[^\n]*$"):
        packed(tmp_path)


def ring(colour: int) -> NDArray[np.uint8]:
    """RGBA: a square of one grey in the middle of nothing."""
    image = np.zeros((8, 8, 4), np.uint8)
    image[..., :3] = colour
    image[2:6, 2:6, 3] = 255
    return image


def with_transparent_index(path: Path) -> None:
    image = Image.fromarray(ring(200)[..., 3] // 255, "P")
    image.putpalette([0, 0, 0, 200, 200, 200])
    image.save(path, transparency=0)


TRANSPARENT: dict[str, Callable[[Path], object]] = {
    "rgba.png": lambda path: Image.fromarray(ring(200)).save(path),
    "grey.png": lambda path: Image.fromarray(ring(200)[..., 2:].copy(), "LA").save(path),
    "0.webp": lambda path: Image.fromarray(ring(200)).save(path, lossless=True),
    "rgba.tif": lambda path: Image.fromarray(ring(200)).save(path),
    "palette.png": lambda path: Image.fromarray(ring(200)).quantize(4).save(path),
    "index.png": with_transparent_index,
    "index.gif": with_transparent_index,
    "colour.png": lambda path: write_png(
        path, [(row[:, 3] // 255 * 200).repeat(3).tobytes() for row in ring(200)], 8, 8, 2, b"\0\0" * 3
    ),
    "level.png": lambda path: write_png(
        path, [(row[:, 3] // 255 * 200).tobytes() for row in ring(200)], 8, 8, 0, b"\0\0"
    ),
    "one bit.png": lambda path: write_png(
        path, [np.packbits(row[:, 3] > 0).tobytes() for row in ring(0)], 8, 1, 0, b"\0\0"
    ),
}


@pytest.mark.parametrize("name", TRANSPARENT)
def test_what_is_transparent_is_grey(place: Path, tmp_path: Path, name: str) -> None:
    TRANSPARENT[name](place / name)
    inside = 255 if name == "one bit.png" else 200
    np.testing.assert_array_equal(packed(tmp_path), np.where(ring(0)[..., 3:] > 0, inside, 128).repeat(3, 2))


def test_half_transparent(place: Path, tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8, 4), 128, np.uint8) + np.array([72, 72, 72, 0], np.uint8)).save(place / "0.png")
    assert np.unique(packed(tmp_path)).tolist() == [164]


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
    with pytest.raises(CompileError, match="no image of class 'a' to train on can be decoded"):
        pack(PackOptions(tmp_path / "in", tmp_path / "out", skip_bad=True))


def test_a_class_whose_images_are_all_bad(folder: Path, tmp_path: Path) -> None:
    """Nor may a class be lost in the images to test on."""
    for split, name in (("train", "train"), ("val", "test")):
        kept = {path: path.read_bytes() for path in (folder / split / "bee").iterdir()}
        for path in kept:
            path.write_text("no")
        with pytest.raises(CompileError, match=f"^{folder}: no image of class 'bee' to {name} on can be decoded"):
            pack(PackOptions(folder, tmp_path / "out", size=8, skip_bad=True))
        assert not (tmp_path / "out").exists()
        for path, content in kept.items():
            path.write_bytes(content)


def test_hidden_folders_are_left_alone(folder: Path, tmp_path: Path) -> None:
    for hidden in (".cache/1.png", "deeper/.trash/more/1.png", "deeper/.1.png"):
        paint(folder / "train" / "ant" / hidden, 5)
    paint(folder / "train" / ".ipynb_checkpoints" / "1.png", 5)
    paint(folder / ".git" / "1.png", 5)
    assert "5 images to train on, 2 images to test on, 2 classes" in pack(PackOptions(folder, tmp_path / "out", size=8))


def test_nothing_is_left_out_without_a_word(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ant = folder / "train" / "ant"
    os.mkfifo(ant / "pipe.png")
    (ant / "null.png").symlink_to("/dev/null")
    (ant / "again").symlink_to(ant)
    paint(folder / "train" / "loose.png", 5)
    paint(folder / "validation" / "ant" / "0.png", 5)
    paint(folder / "train" / "bee" / "folder.png" / "2.png", 5)
    assert "6 images to train on" in pack(PackOptions(folder, tmp_path / "out", size=8))
    said = capfd.readouterr().err
    assert f"skipped {ant / 'pipe.png'}: it is no regular file\n" in said
    assert f"skipped {ant / 'null.png'}: it is no regular file\n" in said
    assert f"skipped {ant / 'again'}: it is a link to a folder\n" in said
    assert f"{folder / 'train'}: 1 images are left out, since they lie in no folder of a class\n" in said
    assert f"{folder}: left alone, since only train, val and test are packed: validation\n" in said
    (ant / "gone.png").symlink_to("nowhere")
    assert f"{ant / 'gone.png'}: cannot be decoded: " in refused(folder, tmp_path / "again")


def test_a_folder_that_cannot_be_read_is_not_passed_over(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def iterdir(path: Path) -> Iterator[Path]:
        if path.name == "deeper":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    read = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", iterdir)
    with pytest.raises(PermissionError):
        pack(PackOptions(folder, tmp_path / "out", size=8))


@pytest.mark.parametrize("name", [b"caf\xe9", b"\xff", b"\xed\xa0\x80"])
def test_a_class_whose_name_is_no_text(folder: Path, tmp_path: Path, name: bytes) -> None:
    paint(folder / "train" / os.fsdecode(name) / "0.png", 0)
    assert f"the name of the class {name!r} is not UTF-8: rename its folder" in refused(folder, tmp_path / "out")


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_file_whose_name_is_no_text(folder: Path, tmp_path: Path, encoding: str) -> None:
    """It needs no name in a shard. What is said of it says which bytes they are."""
    path = folder / "train" / "ant" / os.fsdecode(b"\xe9.png")
    path.write_text("no")
    command = [sys.executable, "-m", "nitic", "data", "pack", folder, tmp_path / os.fsdecode(b"\xe8"), "--size", "8"]
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    bad = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert (bad.returncode, bad.stderr.count("\n")) == (4, 1)
    assert "\\udce9.png: cannot be decoded: " in bad.stderr
    paint(path, 0)
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    assert "\\udce8: 6 images to train on" in done.stdout


def test_only_decoders_of_pictures_are_tried(place: Path, tmp_path: Path) -> None:
    """PostScript in disguise: Pillow would start another program for it."""
    (place / "0.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n%%EOF\n")
    with pytest.raises(CompileError, match="cannot identify image file"):
        packed(tmp_path)


def test_too_many_pixels(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what the file says of itself, before any is decoded."""
    write_png(place / "0.png", [b""], 90_000, 1, 0)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50_000)
    with pytest.raises(CompileError, match=r"cannot be decoded: Image size \(90000 pixels\) exceeds limit"):
        packed(tmp_path)


def test_memory_is_bounded(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images that wait to be written have few bytes, and of big ones one at a time is decoded."""
    monkeypatch.setattr(image_folder, "HELD", 2 * 8 * 8 * 3)
    monkeypatch.setattr(image_folder, "BIG", 0)
    waiting: list[int] = []
    run = Packer._progress
    monkeypatch.setattr(Packer, "_progress", lambda self, done, count: (waiting.append(done), run(self, done, count)))
    held: list[bool] = []
    convert = image_folder._rgb
    monkeypatch.setattr(
        image_folder, "_rgb", lambda image, bits: (held.append(image_folder._one_big.locked()), convert(image, bits))[1]
    )
    pack(PackOptions(folder, tmp_path / "out", size=8))
    assert waiting == [2, 4, 5, 2]
    assert held == [True] * 7


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
