"""Random numbers by counter: the same on every target, whatever the order in which they are asked for."""

import numpy as np

from nitic.arithmetic.integers import Array

WEYL_BITS, WEYL = 31, 0x5274E65B  # dithered rounding: an element's word is that of the one before it plus WEYL
DITHER_STEP, DITHER_STREAM, DITHER_SEED = 889516853, 1572067139, (1386740381, 1300411463)


def dither(seed: int, stream: int, step: int) -> int:
    """Where the words of a dithered rounding begin; step, stream and the halves of the seed turn it by irrationals."""
    halves = (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF)
    turned = sum(half * factor for half, factor in zip(halves, DITHER_SEED, strict=True))
    return (step * DITHER_STEP + stream * DITHER_STREAM + turned) % 2**WEYL_BITS


def philox(index: Array, stream: int, step: int, seed: int) -> list[Array]:
    """Philox4x32-10, counter (index low, index high, stream, step), key = seed: four words of 32 bits as int64."""
    u32, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    index = np.asarray(index, np.uint64)
    c = [index & u32, index >> shift, np.full_like(index, stream), np.full_like(index, step)]
    key = [seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF]
    for _ in range(10):
        p, q = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [(q >> shift) ^ c[1] ^ np.uint64(key[0]), q & u32, (p >> shift) ^ c[3] ^ np.uint64(key[1]), p & u32]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return [word.astype(np.int64) for word in c]
