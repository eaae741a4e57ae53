"""How a tensor lies in memory where that is not row-major: the operands of AVX512-VNNI and tensor core kernels.

vpdpbusd multiplies unsigned by signed bytes. A signed operand that has to be the unsigned one is stored as x + 128
("biased", x ^ 0x80 on the bits); what that adds to a sum, 128 times the sum of the other operand, the kernel subtracts.

Each class gives the bytes of a logical shape and packs a NumPy array; the packing kernels reproduce it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from math import prod

import numpy as np

from nitic.arithmetic.integers import Array

SLACK = 64  # bytes after the elements that a kernel may read, whatever they hold
BIAS = 128
VECTOR = 16  # channels of a vector: int32 lanes of 512 bits
PACK = 4  # bytes of one dot product
CHUNK = 16  # bytes that a GPU copies at once, whose address is a multiple of it

Shape = Sequence[int]


def ceildiv(a: int, b: int) -> int:
    return -(-a // b)


class Layout(ABC):
    """A physical form of an int8 tensor."""

    @abstractmethod
    def size(self, shape: Shape) -> int:
        """Bytes of a tensor of a logical shape, slack included."""

    @abstractmethod
    def pack(self, x: Array) -> Array:
        """The bytes (uint8) of a tensor; slack is zero here and anything in memory."""

    def __str__(self) -> str:
        """`padded(1, 1, 1, 1, 1, 1, True)`: what `parse_layout` reads."""
        fields: list[str] = []
        for value in astuple(self):  # pyright: ignore[reportArgumentType]
            fields += map(str, value) if isinstance(value, tuple) else [str(value)]
        return f"{type(self).__name__.lower()}({', '.join(fields)})"


def _images(shape: Shape) -> tuple[int, int, int, int]:
    """A matrix is a batch of images of one pixel."""
    n, *middle, c = shape
    height, width = middle or (1, 1)
    return n, height, width, c


def _biased_bytes(x: Array, biased: bool) -> Array:
    raw = np.ascontiguousarray(x).astype(np.int8).view(np.uint8)
    return raw ^ np.uint8(BIAS) if biased else raw


@dataclass(frozen=True)
class Padded(Layout):
    """Activations (N, H, W, C) or (M, K) as bytes, with a frame of zeros; what a contraction slides over.

    `pads` is (top, left, bottom, right); a negative one crops. `insert` - 1 zero rows (columns) come between two rows
    (columns): over this form, the data gradient of a convolution with strides is a convolution without strides.
    """

    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    insert: tuple[int, int] = (1, 1)
    biased: bool = True

    def padded_shape(self, shape: Shape) -> tuple[int, int, int, int]:
        n, height, width, c = _images(shape)
        top, left, bottom, right = self.pads
        height, width = ((size - 1) * step + 1 for size, step in zip((height, width), self.insert, strict=True))
        return n, height + top + bottom, width + left + right, c

    def size(self, shape: Shape) -> int:
        return prod(self.padded_shape(shape)) + SLACK

    def pack(self, x: Array) -> Array:
        n, height, width, c = _images(x.shape)
        spread = np.zeros((n, (height - 1) * self.insert[0] + 1, (width - 1) * self.insert[1] + 1, c), np.int8)
        spread[:, :: self.insert[0], :: self.insert[1]] = x.reshape(n, height, width, c)
        ends = ((0, 0), self.pads[::2], self.pads[1::2], (0, 0))  # what is added before and after each axis
        frame = [(max(0, a), max(0, b)) for a, b in ends]
        crop = [slice(max(0, -a), size - max(0, -b)) for size, (a, b) in zip(spread.shape, ends, strict=True)]
        packed = _biased_bytes(np.pad(spread[tuple(crop)], frame), self.biased)
        return np.concatenate([packed.ravel(), np.zeros(SLACK, np.uint8)])


@dataclass(frozen=True)
class Panels(Layout):
    """Weights (OC, KH, KW, C) or (N, K): first an int32 per output channel, then [OC/16][runs][K4][16][4] bytes.

    A run is what is contiguous in the other operand: KW * C bytes of a row or, for dilated windows (`taps`), the C
    bytes of a pixel. Its end is filled with zeros to whole 4 bytes, and OC to whole vectors. The int32 is what the
    accumulator starts from: -128 * the sum of the channel's weights where the other operand is `biased`, else 0.

    `flipped` packs for the data gradient: inputs and outputs are exchanged, the window is rotated by half a turn.
    """

    taps: bool = False
    flipped: bool = False
    biased: bool = True

    def filters(self, shape: Shape) -> tuple[int, int, int, int]:
        """(outputs, KH, KW, inputs) of the contraction."""
        oc, kh, kw, c = _images(shape)
        return (c, kh, kw, oc) if self.flipped else (oc, kh, kw, c)

    def runs(self, shape: Shape) -> tuple[int, int]:
        """(number of runs, bytes of each)."""
        _, kh, kw, c = self.filters(shape)
        return (kh * kw, c) if self.taps else (kh, kw * c)

    def lanes(self, shape: Shape) -> int:
        """How many lanes of the vectors are used."""
        return self.filters(shape)[0]

    def vectors(self, shape: Shape) -> int:
        return ceildiv(self.lanes(shape), VECTOR)

    def vector_bytes(self, shape: Shape) -> int:
        """Bytes of the weights of 16 output channels."""
        runs, length = self.runs(shape)
        return runs * ceildiv(length, PACK) * VECTOR * PACK

    def size(self, shape: Shape) -> int:
        return self.vectors(shape) * (VECTOR * 4 + self.vector_bytes(shape)) + SLACK

    def rows(self, w: Array) -> Array:
        """What each lane is multiplied with, (lanes, runs, bytes of a run), from filters (outputs, KH, KW, inputs)."""
        outputs, kh, kw, c = w.shape
        return w.reshape(outputs, kh * kw, c) if self.taps else w.reshape(outputs, kh, kw * c)

    def pack(self, x: Array) -> Array:
        w = x.reshape(_images(x.shape)).astype(np.int8)
        if self.flipped:
            w = w[:, ::-1, ::-1].transpose(3, 1, 2, 0)
        (runs, length), vectors = self.runs(x.shape), self.vectors(x.shape)
        k4 = ceildiv(length, PACK)
        full = np.zeros((vectors * VECTOR, runs, k4 * PACK), np.int8)
        full[: self.lanes(x.shape), :, :length] = self.rows(w)
        start = full.sum((1, 2), dtype=np.int32) * np.int32(-BIAS if self.biased else 0)
        panels = full.reshape(vectors, VECTOR, runs, k4, PACK).transpose(0, 2, 3, 1, 4)
        slack = np.zeros(SLACK, np.uint8)
        return np.concatenate([start.view(np.uint8), np.ascontiguousarray(panels).view(np.uint8).ravel(), slack])


@dataclass(frozen=True)
class PixelPanels(Panels):
    """Panels for few output channels: the lanes of one vector are the channels of `pixels` neighbouring pixels.

    The window of the second pixel begins `step` columns after that of the first: a run covers all of their windows.
    """

    pixels: int = 2
    step: int = 1

    def runs(self, shape: Shape) -> tuple[int, int]:
        _, kh, kw, c = self.filters(shape)
        return kh, (kw + (self.pixels - 1) * self.step) * c

    def lanes(self, shape: Shape) -> int:
        return self.pixels * self.filters(shape)[0]

    def rows(self, w: Array) -> Array:
        outputs, kh, kw, c = w.shape
        rows = np.zeros((self.pixels, outputs, kh, kw + (self.pixels - 1) * self.step, c), np.int8)
        for pixel in range(self.pixels):
            rows[pixel, :, :, pixel * self.step : pixel * self.step + kw] = w
        return rows.reshape(self.pixels * outputs, kh, -1)


@dataclass(frozen=True)
class GroupPanels(Panels):
    """The panels of each group's filters, one group after the other. A run is a group's part of one pixel."""

    groups: int = 2

    def part(self, shape: Shape) -> Shape:
        """The filters of one group."""
        return (shape[0] // self.groups, *shape[1:])

    def size(self, shape: Shape) -> int:
        return self.groups * (super().size(self.part(shape)) - SLACK) + SLACK

    def pack(self, x: Array) -> Array:
        packed = [super(GroupPanels, self).pack(part)[:-SLACK] for part in np.split(x, self.groups)]
        return np.concatenate([*packed, np.zeros(SLACK, np.uint8)])


@dataclass(frozen=True)
class Quads(Layout):
    """Activations (N, H, W, C) or (M, K) as [N/4][Hp][Wp][C][4] bytes: four images side by side.

    Missing images of the last four are zeros of the format: 128 where biased.
    """

    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    biased: bool = True

    def padded_shape(self, shape: Shape) -> tuple[int, int, int, int]:
        """(N/4, Hp, Wp, C)"""
        n, height, width, c = _images(shape)
        top, left, bottom, right = self.pads
        return ceildiv(n, PACK), height + top + bottom, width + left + right, c

    def size(self, shape: Shape) -> int:
        return prod(self.padded_shape(shape)) * PACK + SLACK

    def pack(self, x: Array) -> Array:
        quads, height, width, c = self.padded_shape(x.shape)
        top, left, bottom, right = self.pads
        frame = ((0, quads * PACK - len(x)), (top, bottom), (left, right), (0, 0))
        packed = _biased_bytes(np.pad(x.reshape(_images(x.shape)), frame), self.biased)
        packed = packed.reshape(quads, PACK, height, width, c).transpose(0, 2, 3, 4, 1)
        return np.concatenate([packed.ravel(), np.zeros(SLACK, np.uint8)])


@dataclass(frozen=True)
class Runs(Layout):
    """Weights (OC, KH, KW, C) or (N, K) as [outputs][runs][length]: an output's row for the tensor cores of a GPU.

    A run is what is contiguous in the other operand, as in `Panels`; its end is filled with zeros to whole 16 bytes.
    `flipped` packs for the data gradient, as in `Panels`. With `groups`, a run is one tap of the window and has the
    inputs of `joined` neighbouring groups; the weights of inputs outside of the output's own group are zeros.
    """

    taps: bool = False
    flipped: bool = False
    groups: int = 1
    joined: int = 1

    def filters(self, shape: Shape) -> tuple[int, int, int, int]:
        """(outputs, KH, KW, inputs of a group)"""
        oc, kh, kw, c = _images(shape)
        return (c * self.groups, kh, kw, oc // self.groups) if self.flipped else (oc, kh, kw, c)

    def shape(self, shape: Shape) -> tuple[int, int, int]:
        """(outputs, runs, bytes of a run before it is filled)."""
        outputs, kh, kw, inputs = self.filters(shape)
        inputs *= self.joined
        return (outputs, kh * kw, inputs) if self.taps else (outputs, kh, kw * inputs)

    def size(self, shape: Shape) -> int:
        outputs, runs, length = self.shape(shape)
        return outputs * runs * ceildiv(length, CHUNK) * CHUNK + SLACK

    def pack(self, x: Array) -> Array:
        oc, kh, kw, c = _images(x.shape)
        w = x.reshape(self.groups, oc // self.groups, kh, kw, c).astype(np.int8)
        if self.flipped:
            w = w[:, :, ::-1, ::-1].transpose(0, 4, 2, 3, 1)
        rows = np.zeros((*w.shape[:-1], self.joined, w.shape[-1]), np.int8)
        for group in range(self.groups):
            rows[group, ..., group % self.joined, :] = w[group]
        rows = rows.reshape(self.shape(x.shape))
        filled = np.pad(rows, ((0, 0), (0, 0), (0, -rows.shape[2] % CHUNK)))
        return np.concatenate([filled.view(np.uint8).ravel(), np.zeros(SLACK, np.uint8)])


@dataclass(frozen=True)
class BatchLast(Layout):
    """Activations (N, H, W, C) or (M, K) as [C][H][W][N]: what a GPU sums over the batch. N is filled to whole 16."""

    def shape(self, shape: Shape) -> tuple[int, int, int, int]:
        """(C, H, W, N filled)"""
        n, height, width, c = _images(shape)
        return c, height, width, ceildiv(n, CHUNK) * CHUNK

    def size(self, shape: Shape) -> int:
        return prod(self.shape(shape)) + SLACK

    def pack(self, x: Array) -> Array:
        images = x.reshape(_images(x.shape)).astype(np.int8)
        filled = np.pad(images, ((0, -len(images) % CHUNK), (0, 0), (0, 0), (0, 0)))
        packed = np.ascontiguousarray(filled.transpose(3, 1, 2, 0)).view(np.uint8)
        return np.concatenate([packed.ravel(), np.zeros(SLACK, np.uint8)])


def parse_layout(text: str) -> Layout:
    """The layout that prints as `text`."""
    name, _, rest = text.partition("(")
    words = {"True": 1, "False": 0}
    if name not in _LAYOUTS:
        raise ValueError(f"'{text}' is not a layout")
    return _LAYOUTS[name](
        [words[word] if word in words else int(word) for word in rest.rstrip(")").split(", ") if word]
    )


_LAYOUTS: dict[str, Callable[[list[int]], Layout]] = {
    "padded": lambda v: Padded((v[0], v[1], v[2], v[3]), (v[4], v[5]), bool(v[6])),
    "panels": lambda v: Panels(bool(v[0]), bool(v[1]), bool(v[2])),
    "pixelpanels": lambda v: PixelPanels(bool(v[0]), bool(v[1]), bool(v[2]), v[3], v[4]),
    "grouppanels": lambda v: GroupPanels(bool(v[0]), bool(v[1]), bool(v[2]), v[3]),
    "quads": lambda v: Quads((v[0], v[1], v[2], v[3]), bool(v[4])),
    "runs": lambda v: Runs(bool(v[0]), bool(v[1]), v[2], v[3]),
    "batchlast": lambda _: BatchLast(),
}
