"""What the runtime does with data sets, in NumPy: the order of an epoch, and what training sees of an image.

docs/data.md has the formulas; the runtime has the same in C, to the same bits (runtime/core/random.c, runtime/data/).
"""

from dataclasses import dataclass
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from nitic.arithmetic.integers import div
from nitic.arithmetic.randomness import philox

SHUFFLE_STREAM = 0x73687566
"""The random stream of the shuffle ("shuf"); the operators of a program have small stream numbers."""
AUGMENT_STREAM = 0x6175676D
"""The random stream of augmentation ("augm")."""
LEAST_AREA, LEAST_RATIO, ONE = 5243, 49152, 1 << 16
"""Of a resized crop, in Q16: 8 % of the area, sides of 3:4."""

Image = NDArray[np.uint8]
Size = tuple[int, int]


def shuffle(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The samples of an epoch in the order of training, as nitic_shuffle in runtime/core/random.c.

    Sample i has the 64-bit key w0 + 2^32 w1, where w is Philox4x32-10 with key = seed and counter =
    (i low, i high, SHUFFLE_STREAM, epoch). Samples are sorted by key, those of equal keys by i. Training leaves out the
    last count mod batch of them.
    """
    words = philox(np.arange(count), SHUFFLE_STREAM, epoch, seed)
    keys = words[0].astype(np.uint64) | words[1].astype(np.uint64) << np.uint64(32)
    return np.argsort(keys, kind="stable").astype(np.int64)


@dataclass(frozen=True)
class Box:
    """A rectangle of an image, which may reach beyond it."""

    y: int
    x: int
    height: int
    width: int
    mirrored: bool = False


@dataclass(frozen=True)
class Augment:
    """What --augment says: `crop` is the number of pixels of padding, 0 for no crop."""

    crop: int = 0
    flip: bool = False
    resized_crop: bool = False


def augment(image: Image, size: Size, how: Augment, pad: Image, *, seed: int, epoch: int, index: int) -> Image:
    """Sample `index` [H, W, C] as training sees it in an epoch, at the size (height, width) of the input."""
    box = draw_box(image.shape[:2], size, how, seed=seed, epoch=epoch, index=index)
    return resample(image, box, size, pad)


def pad_value(multiplier: NDArray[np.int32], offset: NDArray[np.int32]) -> Image:
    """The pixel that the input map takes nearest to zero, [C]."""
    return np.clip(div(-offset.astype(np.int64), multiplier.astype(np.int64)), 0, 255).astype(np.uint8)


def centre_box(stored: Size, size: Size) -> Box:
    """What evaluation sees: the image where it has the input's size, else 7/8 of the largest box of that shape."""
    if stored == size:
        return Box(0, 0, *stored)
    height, width = stored
    if height * size[1] > width * size[0]:
        height = int(div(width * size[0], size[1]))
    else:
        width = int(div(height * size[1], size[0]))
    height, width = (max(1, int(div(7 * side, 8))) for side in (height, width))
    return Box((stored[0] - height) // 2, (stored[1] - width) // 2, height, width)


def draw_box(stored: Size, size: Size, how: Augment, *, seed: int, epoch: int, index: int) -> Box:
    """What training sees of sample `index`."""
    w0, w1, w2, w3 = (int(word) for word in philox(np.asarray(index), AUGMENT_STREAM, epoch, seed))
    mirrored = how.flip and bool(w1 & 2)
    if how.resized_crop:
        height, width = _resized(stored, w0, w1)
        return Box(_below(w2, stored[0] - height + 1), _below(w3, stored[1] - width + 1), height, width, mirrored)
    if how.crop:
        choices = 2 * how.crop + 1
        return Box(_below(w2, choices) - how.crop, _below(w3, choices) - how.crop, *stored, mirrored)
    box = centre_box(stored, size)
    return Box(box.y, box.x, box.height, box.width, mirrored)


def _resized(stored: Size, w0: int, w1: int) -> Size:
    """Height and width of a random box."""
    share = LEAST_AREA + _below(w0, ONE - LEAST_AREA + 1)
    ratio = LEAST_RATIO + _below(w1, ONE - LEAST_RATIO + 1)
    area = share * stored[0] * stored[1]
    sides = isqrt(area * ratio >> 32), isqrt(area // ratio)
    height, width = sides if w1 & 1 else sides[::-1]
    return min(max(height, 1), stored[0]), min(max(width, 1), stored[1])


def resample(image: Image, box: Box, size: Size, pad: Image) -> Image:
    """The pixels of a box of an image [H, W, C], interpolated to `size`; `pad` [C] is what lies outside of it."""
    top, bottom, fy = _taps(box.y, box.height, size[0])
    left, right, fx = _taps(box.x, box.width, size[1])
    fx, fy = fx[None, :, None], fy[:, None, None]
    rows = [_pixels(image, y, left, pad) * (256 - fx) + _pixels(image, y, right, pad) * fx for y in (top, bottom)]
    result = (rows[0] * (256 - fy) + rows[1] * fy + (1 << 15)) >> 16
    return result[:, ::-1].astype(np.uint8) if box.mirrored else result.astype(np.uint8)


def _taps(start: int, length: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The two pixels that each of the result lies between, and how far it is from the first, in 256ths."""
    at = np.clip((2 * np.arange(count) + 1) * length * 128 // count - 128, 0, 256 * (length - 1))
    first = at >> 8
    return start + first, start + np.minimum(first + 1, length - 1), at & 255


def _pixels(image: Image, y: NDArray[np.int64], x: NDArray[np.int64], pad: Image) -> NDArray[np.int64]:
    height, width, _ = image.shape
    inside = ((y >= 0) & (y < height))[:, None] & ((x >= 0) & (x < width))
    found = image[np.clip(y, 0, height - 1)[:, None], np.clip(x, 0, width - 1)]
    return np.where(inside[..., None], found, pad).astype(np.int64)


def _below(word: int, n: int) -> int:
    """A whole number from 0 to n - 1."""
    return word * n >> 32
