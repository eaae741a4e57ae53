"""Operators that move values: nn.transpose, nn.slice, nn.reshape where it is a copy, nn.pack.

Axes that lie together on both sides are one to the loops, so that the innermost is long and contiguous.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod

from xdsl.ir import SSAValue

from nitic.codegen.core import tir
from nitic.codegen.core.group import Emission, Point, Template, elements
from nitic.codegen.core.tir import Expr
from nitic.ir.layout import ceildiv
from nitic.ir.op import NnOp
from nitic.ir.types import Shape, shape_of
from nitic.ops.concat import SliceOp
from nitic.ops.reshape import ReshapeOp, TransposeOp

TILE = 64  # of two axes, each contiguous on one side only: with squares of this, whole lines of the cache are used


@dataclass(frozen=True)
class Axis:
    """An axis of a copy: its length, and how far apart neighbours are in the source and in the result."""

    size: int
    source: int
    result: int

    def joins(self, inner: Axis) -> bool:
        """Whether an element here is the next after the last of the inner axis, on both sides."""
        return self.source == inner.source * inner.size and self.result == inner.result * inner.size


def strides(shape: Shape) -> list[int]:
    """Row-major, in elements."""
    return list(accumulate(reversed(shape[1:]), int.__mul__, initial=1))[::-1]


def merged(axes: Sequence[Axis]) -> list[Axis]:
    """The same copy with as few axes as possible."""
    found: list[Axis] = []
    for axis in axes:
        if found and found[-1].joins(axis):
            found[-1] = Axis(found[-1].size * axis.size, axis.source, axis.result)
        elif axis.size != 1:
            found.append(axis)
    return found or [Axis(1, 1, 1)]


def tiles_of(axes: Sequence[Axis], block: int) -> list[int]:
    """How much of each axis a unit of work walks: only of those that are contiguous on one side more than 1."""
    walked = [axis is axes[-1] or axis.source == 1 for axis in axes]
    limit = block if sum(walked) == 1 else TILE
    return [min(axis.size, limit) if walks else 1 for axis, walks in zip(axes, walked, strict=True)]


def copy(emission: Emission, op: SliceOp | TransposeOp, source_strides: Sequence[int], first: int) -> int:
    """The result, whose axes have these strides in the operand, from its element `first` on."""
    emission.open(op, 1)
    shape = shape_of(op.y)
    axes = merged(list(map(Axis, shape, source_strides, strides(shape))))
    tiles = tiles_of(axes, emission.function.BLOCK)
    blocks = [ceildiv(axis.size, tile) for axis, tile in zip(axes, tiles, strict=True)]
    with emission.function.units() as unit:
        rest, source, result = unit, first, 0
        walks: list[tuple[Axis, Expr]] = []
        for axis, tile, block in reversed(list(zip(axes, tiles, blocks, strict=True))):
            begin = tir.let(rest % block * tile)
            rest = tir.let(rest // block)
            source, result = source + begin * axis.source, result + begin * axis.result
            if tile > 1:
                count = tile if axis.size % tile == 0 else tir.let(tir.minimum(axis.size - begin, tile))
                walks.insert(0, (axis, count))
        _walk(emission, op, walks, tir.let(source), tir.let(result))
    return prod(blocks)


def _walk(
    emission: Emission, op: SliceOp | TransposeOp, walks: Sequence[tuple[Axis, Expr]], source: Expr, result: Expr
) -> None:
    if not walks:
        emission.finish(op.y, emission.load(op.x, Point(source)), point_of(emission, op.y, result))
        return
    (axis, count), *rest = walks
    with tir.loop(0, count) as k:
        _walk(emission, op, rest, source + k * axis.source, result + k * axis.result)


def point_of(emission: Emission, value: SSAValue, index: Expr) -> Point:
    """The point of a row-major index."""
    return Point(index, emission.channel(index % shape_of(value)[-1]))


def transpose(emission: Emission, op: NnOp) -> int:
    assert isinstance(op, TransposeOp)
    of_x = strides(shape_of(op.x))
    return copy(emission, op, [of_x[axis] for axis in op.ints("perm")], 0)


def slice_(emission: Emission, op: NnOp) -> int:
    assert isinstance(op, SliceOp)
    pairs = list(zip(strides(shape_of(op.x)), op.ranges(), strict=True))
    return copy(emission, op, [stride * r.step for stride, r in pairs], sum(stride * r.start for stride, r in pairs))


def reshape(emission: Emission, op: NnOp) -> int:
    """A copy; most reshapes are views and have no kernel."""
    assert isinstance(op, ReshapeOp)
    emission.open(op, 1)
    f, count = emission.function, elements(op.x)
    with f.elements(count) as i:
        emission.finish(op.y, emission.load(op.x, Point(i)), Point(i))
    return ceildiv(count, f.BLOCK)


TEMPLATES = {"transpose": Template(transpose), "slice": Template(slice_), "reshape": Template(reshape)}
