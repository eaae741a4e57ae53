"""The checksum of checkpoints, in blocks, against the definition, byte by byte."""

import numpy as np
import pytest

from nitic.arithmetic.checksum import BLOCK, FACTOR, MODULUS, START, fnv1a


def by_bytes(total: int, data: bytes) -> int:
    for byte in data:
        total = (total ^ byte) * FACTOR % MODULUS
    return total


def test_published_vectors() -> None:
    """Fowler, Noll, Vo: draft-eastlake-fnv."""
    assert fnv1a(START, b"") == 0xCBF29CE484222325
    assert fnv1a(START, b"a") == 0xAF63DC4C8601EC8C
    assert fnv1a(START, b"foobar") == 0x85944171F73967E8


@pytest.mark.parametrize("start", [0, 255, START, MODULUS - 1])
@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 64, 1000, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 3])
def test_every_length_and_start(count: int, start: int) -> None:
    data = np.random.default_rng(count).integers(0, 256, count, np.uint8).tobytes()
    assert fnv1a(start, data) == by_bytes(start, data)


def test_bytes_that_are_all_alike() -> None:
    for byte in (0, 128, 255):
        assert fnv1a(START, bytes([byte]) * 5000) == by_bytes(START, bytes([byte]) * 5000)


def test_parts_are_the_whole() -> None:
    data = bytes(range(256)) * 5
    assert fnv1a(fnv1a(START, data[:77]), data[77:]) == fnv1a(START, data)
