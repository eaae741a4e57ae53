"""Image files of kinds that Pillow reads but does not write, byte by byte."""

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, OFFSET, SAMPLES, LENGTH, FORMAT = (
    256,
    257,
    258,
    259,
    262,
    273,
    277,
    279,
    339,
)


def write_png(path: Path, rows: list[bytes], width: int, bits: int, colours: int, transparent: bytes = b"") -> None:
    """A PNG of packed rows. colours: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA."""
    header = struct.pack(">2I5B", width, len(rows), bits, colours, 0, 0, 0)
    chunks = [(b"IHDR", header), *([(b"tRNS", transparent)] if transparent else [])]
    chunks += [(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def write_tiff(path: Path, data: bytes, size: int, bits: int, tags: Mapping[int, int] = {}) -> None:
    """A little-endian TIFF of size x size greys, where black is 0 if `tags` say nothing else."""
    start = 8 + len(data) + len(data) % 2
    entries = {WIDTH: size, HEIGHT: size, BITS: bits, COMPRESSION: 1, PHOTOMETRIC: 1, OFFSET: 8, SAMPLES: 1}
    entries |= {LENGTH: len(data), **tags}
    table = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in sorted(entries.items()))
    path.write_bytes(
        struct.pack("<2sHI", b"II", 42, start)
        + data.ljust(start - 8, b"\0")
        + struct.pack("<H", len(entries))
        + table
        + bytes(4)
    )
