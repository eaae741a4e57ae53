"""`nitic data pack`: an image folder, decoded once, as the shards that a training binary maps into memory.

docs/data.md states the format, which runtime/data/packed.c reads.
"""

import json
import os
import shutil
import struct
import sys
import tempfile
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Generator, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

import numpy as np

from nitic.errors import CompileError, ExitCode

MAGIC, VERSION, CHANNELS = b"NITICIMG", 1, 3
HEADER = struct.Struct("<8s6IQ24x")
SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # Pillow has others, which start programs
MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}  # of Pillow, with 8 bits a channel
BEHIND = (128, 128, 128, 255)  # what a transparent pixel shows: black and white shapes both stay visible on it
SPLITS = {"train": "train", "val": "test", "test": "test"}  # folders of a data set, and what their shards are called
CHUNK = 256  # images decoded between two looks at the clock
HELD = 2**28  # bytes of decoded images that wait to be written
BIG = 2**22  # pixels; of larger images only one at a time is in memory
SECONDS = 5  # between two lines of progress
LARGEST = 32767


@dataclass(frozen=True)
class PackOptions:
    """Options of `nitic data pack`: images become `size` x `size`, and a shard has at most `shard_mb` MiB of them."""

    folder: Path
    output: Path
    size: int = 256
    shard_mb: int = 1024
    skip_bad: bool = False

    def __post_init__(self) -> None:
        """Raises CompileError."""
        if not 1 <= self.size <= LARGEST:
            raise _usage("--size", f"the side of an image is 1 to {LARGEST} pixels, not {self.size}")
        if self.shard_mb < 1:
            raise _usage("--shard-mb", f"a shard has at least 1 MiB, not {self.shard_mb}")

    @property
    def image_bytes(self) -> int:
        return self.size**2 * CHANNELS

    @property
    def images_of_shard(self) -> int:
        """How many images go into one shard."""
        return max(1, (self.shard_mb << 20) // self.image_bytes)


@dataclass(frozen=True)
class Picture:
    """An image file and its label."""

    path: Path
    label: int


def pack(options: PackOptions) -> str:
    """Packs a folder and returns a summary. The output appears when it is complete. Raises CompileError."""
    check_output(options.output)
    pillow()
    splits = find_splits(options.folder)
    classes = class_names(splits["train"])
    pictures = {name: list(find_pictures(folder, classes)) for name, folder in splits.items()}
    with _bombs_are_bad(), _folder_in_one_go(options.output) as made, ThreadPoolExecutor(os.cpu_count()) as pool:
        counts = {name: Packer(options, made, name, pool, classes).run(found) for name, found in pictures.items()}
        description = {"version": VERSION, "size": options.size, "images": counts, "classes": classes}
        (made / "classes.json").write_text(json.dumps(description, indent=1, ensure_ascii=False) + "\n", "utf-8")
    parts = ", ".join(f"{count} images to {name} on" for name, count in counts.items())
    return f"{options.output}: {parts}, {len(classes)} classes, {options.size}x{options.size}"


def check_output(output: Path) -> None:
    """Nothing is overwritten. Raises CompileError."""
    if output.exists():
        raise _usage(str(output), "it exists already: remove it, or choose another name")
    if not output.parent.is_dir():
        raise CompileError(str(output), "cannot write it: its folder does not exist", exit_code=ExitCode.RUN_TIME)


# ---- what is in the folder


def find_splits(folder: Path) -> dict[str, Path]:
    """The folders of classes by split. Raises CompileError."""
    if not folder.is_dir():
        raise CompileError(str(folder), "it is no folder", exit_code=ExitCode.RUN_TIME)
    if not (folder / "train").is_dir():
        return {"train": folder}
    found = {name: folder / name for name in SPLITS if (folder / name).is_dir()}
    if others := [name for name in _folders(folder) if name not in SPLITS]:
        say(f"{folder}: left alone, since only train, val and test are packed: {', '.join(others)}")
    if {"val", "test"} <= found.keys():
        raise _bad(folder, "it has both val and test: which one is to test on? Move the other away")
    return {SPLITS[name]: path for name, path in found.items()}


def class_names(folder: Path) -> list[str]:
    """The names of the classes by label. Raises CompileError."""
    names = _folders(folder)
    if not names:
        raise _bad(folder, "no folders of images in it, one for each class")
    for name in names:
        if not _is_utf8(name):
            raise _bad(folder, f"the name of the class {os.fsencode(name)!r} is not UTF-8: rename its folder")
    return names


def _folders(folder: Path) -> list[str]:
    """The names of the folders in a folder, without the hidden ones."""
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _is_utf8(name: str) -> bool:
    """Whether a file's name is text: Python gives bytes that are not UTF-8 as halves of surrogate pairs."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def find_pictures(folder: Path, classes: list[str]) -> Iterator[Picture]:
    """All images of a split, class by class. Raises CompileError."""
    if loose := sum(map(_is_picture, folder.iterdir())):
        say(f"{folder}: {loose} images are left out, since they lie in no folder of a class")
    for name in class_names(folder):
        if name not in classes:
            raise _bad(folder / name, "this class has no images to train on")
        paths = sorted(filter(_is_picture, _files(folder / name)))
        if not paths:
            raise _bad(folder / name, f"no image in it ({', '.join(sorted(SUFFIXES))})")
        yield from (Picture(path, classes.index(name)) for path in paths)


def _files(folder: Path) -> Iterator[Path]:
    """The files in a folder and in those below it, without hidden files and folders."""
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if not path.is_dir():
            yield path
        elif path.is_symlink():  # it may lead back to a folder above
            say(f"skipped {path}: it is a link to a folder")
        else:
            yield from _files(path)


def _is_picture(path: Path) -> bool:
    """Whether a file is an image by its name. A pipe, a socket or a device with such a name is none, and is told of."""
    if path.suffix.lower() not in SUFFIXES or path.name.startswith(".") or path.is_dir():
        return False
    special = path.exists() and not path.is_file()
    if special:
        say(f"skipped {path}: it is no regular file")
    return not special


# ---- shards


@dataclass
class Packer:
    """Writes the shards of one split."""

    options: PackOptions
    folder: Path
    split: str
    pool: Executor
    classes: list[str]
    counts: list[int] = field(default_factory=list[int])
    of_label: Counter[int] = field(default_factory=Counter[int])
    said: float = field(default_factory=time.monotonic)

    def run(self, pictures: list[Picture]) -> int:
        """How many images went in. Raises CompileError."""
        decoded = self._decoded(pictures)
        waiting = next(decoded, None)
        while waiting:
            waiting = self._shard(waiting, decoded)
        for picture in pictures:
            if not self.of_label[picture.label]:
                name = self.classes[picture.label]
                raise _bad(self.options.folder, f"no image of class {name!r} to {self.split} on can be decoded")
        for shard in range(len(self.counts)):
            self._write_header(shard)
        return sum(self.counts)

    def _shard(self, image: "Decoded | None", more: "Iterator[Decoded]") -> "Decoded | None":
        """Writes one shard; the header follows when all are known. Gives the first image of the next one."""
        labels: list[int] = []
        with self._path(len(self.counts)).open("xb") as file:
            file.write(bytes(HEADER.size))
            while image and len(labels) < self.options.images_of_shard:
                file.write(image.pixels)
                labels.append(image.label)
                image = next(more, None)
            file.write(struct.pack(f"<{len(labels)}i", *labels))
        self.counts.append(len(labels))
        self.of_label.update(labels)
        return image

    def _write_header(self, shard: int) -> None:
        with self._path(shard).open("r+b") as file:
            size = self.options.size
            header = (VERSION, shard, len(self.counts), size, size, CHANNELS, self.counts[shard])
            file.write(HEADER.pack(MAGIC, *header))
            _sync(file)

    def _path(self, shard: int) -> Path:
        return self.folder / f"{self.split}-{shard:05d}.images"

    def _decoded(self, pictures: list[Picture]) -> "Iterator[Decoded]":
        """The images in order, decoded in parallel; of one that is bad it speaks, or raises CompileError."""
        chunk = max(1, min(CHUNK, HELD // self.options.image_bytes))
        for first in range(0, len(pictures), chunk):
            for each in self.pool.map(partial(decode, size=self.options.size), pictures[first : first + chunk]):
                if isinstance(each, Decoded):
                    yield each
                elif self.options.skip_bad:
                    say(f"skipped {each}")
                else:
                    raise each
            self._progress(min(first + chunk, len(pictures)), len(pictures))

    def _progress(self, done: int, count: int) -> None:
        if done == count or time.monotonic() - self.said >= SECONDS:
            say(f"{self.split}: {done} of {count} images")
            self.said = time.monotonic()


def say(text: str) -> None:
    """Progress goes to the standard error."""
    print(text, file=sys.stderr, flush=True)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


@contextmanager
def _folder_in_one_go(output: Path) -> Generator[Path]:
    """A folder to write into, which becomes `output` at the end, or goes when anything fails."""
    made = Path(tempfile.mkdtemp(dir=output.parent, prefix=f".{output.name}."))
    try:
        yield made
        made.chmod(0o755)
        made.rename(output)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


# ---- decoding: the only place that imports Pillow


@dataclass(frozen=True)
class Decoded:
    """Pixels, RGB [size, size, 3], and the label."""

    pixels: bytes
    label: int


def decode(picture: Picture, size: int) -> Decoded | CompileError:
    """The largest centred square of an image, resampled to size x size; or what is wrong with the file."""
    image_module = pillow()
    # Whatever Pillow's decoders raise on damaged files.
    bad = (
        OSError,
        SyntaxError,
        ValueError,
        TypeError,
        EOFError,
        ArithmeticError,
        LookupError,
        struct.error,
        zlib.error,
    )
    try:
        with image_module.open(picture.path, formats=FORMATS) as image:
            return Decoded(_square(image, size).tobytes(), picture.label)
    except (*bad, *_bombs()) as error:
        return _bad(picture.path, f"cannot be decoded: {' '.join(str(error).split()) or type(error).__name__}")


def _square(image: Any, size: int) -> Any:
    """Upright, RGB, resampled. Raises ValueError for what has no place in 8 bits."""
    from PIL import ImageOps

    bits = _bits_of_grey(image)
    image.draft("RGB", (2 * size, 2 * size))  # a JPEG decodes at a fraction of its size where that is enough
    width, height = image.size
    with _one_big if width * height > BIG else nullcontext():
        upright = _rgb(ImageOps.exif_transpose(image), bits)
        width, height = upright.size
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
        return upright.resize((size, size), pillow().Resampling.BILINEAR, box=box)


_one_big = Lock()


def _bits_of_grey(image: Any) -> int:
    """The bits of one value. Raises ValueError for an image that Pillow opens without saying what its values mean."""
    tags = getattr(image, "tag_v2", {})  # of TIFF
    bits, kinds, inverted = (tags.get(tag, default) for tag, default in ((258, (8,)), (339, (1,)), (262, 1)))
    deep = image.mode.startswith("I;16")
    if set(kinds) != {1}:
        raise ValueError("its values are no unsigned integers: convert it to 8 or 16 bits")
    if deep and inverted == 0:
        raise ValueError("its greys of 16 bits are stored inverted: convert it to 8 bits")
    if image.mode not in MODES and not deep and (image.format, image.mode) != ("PPM", "I"):
        raise ValueError(
            f"it has the mode {image.mode} of Pillow, whose range is not known: convert it to 8 or 16 bits"
        )
    raw = str(image.tile[0].args) if image.format == "PNG" and image.tile else ""
    if "transparency" in image.info and image.mode in {"L", "I;16", "RGB"} and ";" in raw:
        raise ValueError(f"one of its colours is transparent, which is supported for 8 bits, not for {raw}")
    return bits[0] if deep and tags else 16 if deep or image.mode == "I" else 8


def _rgb(image: Any, bits: int) -> Any:
    """RGB of 8 bits; what is transparent shows the grey BEHIND."""
    image_module = pillow()
    if bits > 8:
        image = image_module.fromarray((np.asarray(image) >> (bits - 8)).astype(np.uint8))
    if not image.has_transparency_data:
        return image.convert("RGB")
    behind = image_module.new("RGBA", image.size, BEHIND)
    behind.alpha_composite(image.convert("RGBA"))
    return behind.convert("RGB")


def _bombs() -> tuple[type[Exception], type[Warning]]:
    """What Pillow raises, and of what it warns, where an image has more pixels than PIL.Image.MAX_IMAGE_PIXELS."""
    image_module = pillow()
    return image_module.DecompressionBombError, image_module.DecompressionBombWarning


@contextmanager
def _bombs_are_bad() -> Generator[None]:
    """Pillow's warning of too many pixels is an error for all threads meanwhile."""
    with warnings.catch_warnings(action="error", category=_bombs()[1]):
        yield


def pillow() -> Any:
    """The module PIL.Image. Raises CompileError where it is not installed."""
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        note = "pip install 'nitic[data]'"
        raise CompileError("", "packing images needs Pillow, which decodes them", note, ExitCode.RUN_TIME) from error
    Image.init()  # knows all FORMATS before threads ask for them
    return Image


def _usage(location: str, message: str) -> CompileError:
    return CompileError(location, message, exit_code=ExitCode.USAGE)


def _bad(location: Path, message: str) -> CompileError:
    return CompileError(str(location), message, exit_code=ExitCode.DATA_MISMATCH)
