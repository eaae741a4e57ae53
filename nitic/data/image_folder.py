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
import zlib
from collections.abc import Generator, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from nitic.errors import CompileError, ExitCode

MAGIC, VERSION, CHANNELS = b"NITICIMG", 1, 3
HEADER = struct.Struct("<8s6IQ24x")
SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
SPLITS = {"train": "train", "val": "test", "test": "test"}  # folders of a data set, and what their shards are called
CHUNK = 256  # images decoded between two looks at the clock
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
    def images_of_shard(self) -> int:
        """How many images go into one shard."""
        return max(1, (self.shard_mb << 20) // (self.size**2 * CHANNELS))


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
    with _folder_in_one_go(options.output) as made, ThreadPoolExecutor(os.cpu_count()) as pool:
        counts = {name: Packer(options, made, name, pool).run(found) for name, found in pictures.items()}
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
    if {"val", "test"} <= found.keys():
        raise _bad(folder, "it has both val and test: which one is to test on? Move the other away")
    return {SPLITS[name]: path for name, path in found.items()}


def class_names(folder: Path) -> list[str]:
    """The names of the classes by label. Raises CompileError."""
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not names:
        raise _bad(folder, "no folders of images in it, one for each class")
    return names


def find_pictures(folder: Path, classes: list[str]) -> Iterator[Picture]:
    """All images of a split, class by class. Raises CompileError."""
    for name in class_names(folder):
        if name not in classes:
            raise _bad(folder / name, "this class has no images to train on")
        paths = sorted(path for path in (folder / name).rglob("[!.]*") if path.suffix.lower() in SUFFIXES)
        if not paths:
            raise _bad(folder / name, f"no image in it ({', '.join(sorted(SUFFIXES))})")
        yield from (Picture(path, classes.index(name)) for path in paths)


# ---- shards


@dataclass
class Packer:
    """Writes the shards of one split."""

    options: PackOptions
    folder: Path
    split: str
    pool: Executor
    counts: list[int] = field(default_factory=list[int])
    said: float = field(default_factory=time.monotonic)

    def run(self, pictures: list[Picture]) -> int:
        """How many images went in. Raises CompileError."""
        decoded = self._decoded(pictures)
        waiting = next(decoded, None)
        while waiting:
            waiting = self._shard(waiting, decoded)
        if not self.counts:
            raise _bad(self.options.folder, f"none of its images of {self.split} can be decoded")
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
        for first in range(0, len(pictures), CHUNK):
            for each in self.pool.map(partial(decode, size=self.options.size), pictures[first : first + CHUNK]):
                if isinstance(each, Decoded):
                    yield each
                elif self.options.skip_bad:
                    say(f"skipped {each}")
                else:
                    raise each
            self._progress(min(first + CHUNK, len(pictures)), len(pictures))

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
        with image_module.open(picture.path) as image:
            return Decoded(_square(image, size).tobytes(), picture.label)
    except (*bad, image_module.DecompressionBombError) as error:
        return _bad(picture.path, f"cannot be decoded: {' '.join(str(error).split()) or type(error).__name__}")


def _square(image: Any, size: int) -> Any:
    """Upright, RGB, resampled."""
    from PIL import ImageOps

    image.draft("RGB", (2 * size, 2 * size))  # a JPEG decodes at a fraction of its size where that is enough
    upright = ImageOps.exif_transpose(image).convert("RGB")
    width, height = upright.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    return upright.resize((size, size), pillow().Resampling.BILINEAR, box=box)


def pillow() -> Any:
    """The module PIL.Image. Raises CompileError where it is not installed."""
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        note = "pip install 'nitic[data]'"
        raise CompileError("", "packing images needs Pillow, which decodes them", note, ExitCode.RUN_TIME) from error
    return Image


def _usage(location: str, message: str) -> CompileError:
    return CompileError(location, message, exit_code=ExitCode.USAGE)


def _bad(location: Path, message: str) -> CompileError:
    return CompileError(str(location), message, exit_code=ExitCode.DATA_MISMATCH)
