"""The checksum of checkpoints, FNV-1a of 64 bits: total = (total ^ byte) * FACTOR modulo 2^64 for each byte in turn."""

import numpy as np

from nitic.arithmetic.integers import Array

START, FACTOR, MODULUS = 0xCBF29CE484222325, 0x100000001B3, 2**64
BLOCK = 1 << 16  # bytes: all that is computed of a block fits a processor's cache
POWERS = np.multiply.accumulate(np.full(BLOCK, FACTOR, np.uint64))[::-1]  # FACTOR^BLOCK, ..., FACTOR


def fnv1a(total: int, data: bytes) -> int:
    """What a total becomes by some bytes, several times faster than byte by byte.

    A byte changes the lowest byte of the total alone, so that `total ^ byte` is the total plus a small difference, and
    n steps give total * FACTOR^n + the sum of difference_i * FACTOR^(n - i).
    """
    for begin in range(0, len(data), BLOCK):
        block = np.frombuffer(data[begin : begin + BLOCK], np.uint8)
        low = _lowest_bytes(total & 255, block)
        differences = (low ^ block).astype(np.int16) - low
        powers = POWERS[-len(block) :]
        added = np.dot(differences.astype(np.uint64), powers)
        total = (total * int(powers[0]) + int(added)) % MODULUS
    return total


def _lowest_bytes(first: int, block: Array) -> Array:
    """The lowest byte of the total before each step.

    Since FACTOR is odd, bit k of a product is bit k of the other factor, flipped or not by the bits below it. So, from
    the lowest on, each bit is a running XOR.
    """
    low = np.zeros(len(block), np.uint8)
    for bit in (np.uint8(1 << k) for k in range(8)):
        flips = np.zeros(-(-len(block) // 8) * 8, np.uint8)  # whole words of 8 bytes
        below = ((low ^ block) & (bit - 1)) * np.uint8(FACTOR & 255)
        flips[0], flips[1 : len(block)] = first & bit, ((block ^ below) & bit)[:-1]
        low |= _running_xor(flips.view("<u8"))[: len(block)]
    return low


def _running_xor(words: Array) -> Array:
    """Of bytes that come as words: first within each word, then over the words."""
    for shift in (8, 16, 32):
        words = words ^ words << shift
    before = np.bitwise_xor.accumulate(words[:-1] >> 56) * 0x0101010101010101
    words[1:] ^= before
    return words.view(np.uint8)
