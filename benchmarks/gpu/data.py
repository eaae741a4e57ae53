"""Data for a run: folders of the real sets, or random ones of the same form, for what only takes time."""

import random
from pathlib import Path

IMAGES = 10_000


def mnist(given: "Path | None", folder: Path) -> Path:
    """The folder given, else one of random digits that is made."""
    if given is None and not (folder / "t10k-labels-idx1-ubyte").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for prefix, count in (("train", 60_000), ("t10k", IMAGES)):
            _idx(folder / f"{prefix}-images-idx3-ubyte", (count, 28, 28), random.randbytes(count * 28 * 28))
            _idx(folder / f"{prefix}-labels-idx1-ubyte", (count,), _labels(count))
    return (given or folder).resolve()


def cifar(given: "Path | None", folder: Path) -> Path:
    """The folder given, else one of random images that is made."""
    if given is None and not (folder / "test_batch.bin").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
            records = (bytes([label]) + random.randbytes(3 * 32 * 32) for label in _labels(IMAGES))
            (folder / f"{name}.bin").write_bytes(b"".join(records))
    return (given or folder).resolve()


def _labels(count: int) -> bytes:
    return bytes(random.choices(range(10), k=count))


def _idx(path: Path, shape: tuple[int, ...], content: bytes) -> None:
    header = bytes([0, 0, 8, len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)
    path.write_bytes(header + content)
