"""Cutting an index space into register tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from nitic.codegen.core import tir
from nitic.codegen.core.tir import Expr
from nitic.ir.layout import ceildiv


@dataclass(frozen=True)
class Cut:
    """An extent cut into `big` pieces of `size` and then `small` pieces of `size` - 1."""

    size: int
    big: int
    small: int

    @property
    def pieces(self) -> int:
        return self.big + self.small

    def start(self, piece: Expr) -> Expr:
        """Where a piece begins; that of the piece after the last is the extent."""
        if not self.small:
            return piece * self.size
        return piece * self.size - tir.maximum(piece - self.big, 0)

    def is_big(self, piece: Expr) -> Expr:
        """Whether a piece is one of `size`: a condition, or True where every piece is."""
        return piece < self.big if self.small else True


def cut(extent: int, at_most: int) -> Cut:
    """As few pieces as possible, as equal as possible."""
    pieces = ceildiv(extent, at_most)
    size = ceildiv(extent, pieces)
    small = pieces * size - extent
    return Cut(size, pieces - small, small)


@dataclass(frozen=True)
class Tiles:
    """Tiles of an index space: a piece of one axis, one step of the axes before it, all of the axes behind it."""

    dims: Sequence[int]
    axis: int
    pieces: Cut

    @property
    def behind(self) -> int:
        return prod(self.dims[self.axis + 1 :])

    @property
    def count(self) -> int:
        return prod(self.dims[: self.axis]) * self.pieces.pieces

    @property
    def largest(self) -> int:
        return self.pieces.size * self.behind

    def members(self, size: int) -> Sequence[tuple[int, ...]]:
        """Coordinates, relative to the tile's first, of every point of a tile with `size` steps of the axis."""
        points: list[tuple[int, ...]] = [(0,) * self.axis]
        for extent in (size, *self.dims[self.axis + 1 :]):
            points = [(*point, step) for point in points for step in range(extent)]
        return points


def tiles(dims: Sequence[int], at_most: int) -> Tiles:
    """Tiles of at most so many points, as large as they get."""
    axis = next(a for a in range(len(dims)) if prod(dims[a + 1 :]) <= at_most)
    return Tiles(dims, axis, cut(dims[axis], at_most // prod(dims[axis + 1 :])))
