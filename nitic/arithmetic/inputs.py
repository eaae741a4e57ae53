"""Samples of uint8 as mantissas: their statistics and the map by them."""

from collections.abc import Sequence
from math import prod

import numpy as np

from nitic.arithmetic.integers import INT8_LIMIT, Array, div, isqrt, max_abs, saturate, wide
from nitic.arithmetic.rounding import round_nearest

INPUT_EXPONENT = -5  # of a map that fits: its values are below 3.97
FARTHEST = 7  # deviations: a channel that hardly varies would leave no bits for the others


def input_statistics(x: Array) -> tuple[Array, Array]:
    """(multiplier, offset) per channel from uint8 samples (..., C): their mean and standard deviation in Q16.

    A deviation is at least what puts 0 and 255 at FARTHEST deviations from the mean.
    """
    x = wide(x).reshape(-1, x.shape[-1])
    n, s1, s2 = len(x), x.sum(0), (x * x).sum(0)
    mean = div(s1 << 16, n)
    deviation = isqrt(np.maximum(div(s2 << 16, n) - (mean * mean >> 16), 0) << 16)
    least = np.maximum(mean, (255 << 16) - mean) // FARTHEST
    multiplier = div(2**37, np.maximum(deviation, least))
    return multiplier, -round_nearest(multiplier * mean, 16)


def statistics_of_parts(x: Array, shapes: Sequence[tuple[int, ...]]) -> tuple[Array, Array]:
    """(multiplier, offset) per byte of samples (N, bytes) that consist of several inputs, one behind the other: the
    statistics of each channel of an image (H, W, C), and of a vector as a whole."""
    maps, begin = list[tuple[Array, Array]](), 0
    for shape in shapes:
        size = prod(shape)
        channels = shape[-1] if len(shape) == 3 else 1
        own = input_statistics(x[:, begin : begin + size].reshape(-1, channels))
        maps.append((np.tile(own[0], size // channels), np.tile(own[1], size // channels)))
        begin += size
    multipliers, offsets = zip(*maps, strict=True)
    return np.concatenate(multipliers), np.concatenate(offsets)


def normalising(mean: Array, std: Array) -> tuple[Array, Array]:
    """(multiplier, offset) at INPUT_EXPONENT, as whole floats, by a mean and deviation of samples scaled to 0..1.

    Those that are_int32 are the map; the others no program holds.
    """
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        multiplier = np.rint(2.0**21 / (std * 255))
        return multiplier, np.rint(-multiplier * mean * 255)


def are_int32(multiplier: Array, offset: Array) -> tuple[bool, bool]:
    """Whether a map holds such multipliers, which are at least 1 (0 is one that nobody has set), and such offsets."""
    most = 2**31 - 1
    return bool(((multiplier >= 1) & (multiplier <= most)).all()), bool((np.abs(offset) <= most).all())


def fitted(multiplier: Array, offset: Array) -> tuple[Array, Array, int]:
    """(multiplier, offset, exponent) of a map at INPUT_EXPONENT, moved up until it cuts off no sample of 0 to 255."""
    multiplier, offset = wide(multiplier), wide(offset)
    most = max(max_abs(offset), max_abs(255 * multiplier + offset))
    s = next(s for s in range(64) if round_nearest(wide(most), 16 + s) <= INT8_LIMIT)
    return round_nearest(multiplier, s), round_nearest(offset, s), INPUT_EXPONENT + s


def input_map(x: Array, multiplier: Array, offset: Array) -> Array:
    """uint8 samples to int8 mantissas at the exponent of the map."""
    return saturate(round_nearest(wide(x) * multiplier + offset, 16))
