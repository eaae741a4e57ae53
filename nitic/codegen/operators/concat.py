"""Tensors joined, and tensors among zeros: nn.concat and nn.pad."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from xdsl.ir import SSAValue

from nitic.codegen.core import integer, tir
from nitic.codegen.core.group import Emission, Point, Template
from nitic.codegen.core.tir import Expr
from nitic.codegen.operators.move import point_of, strides
from nitic.ir.layout import ceildiv
from nitic.ir.op import NnOp
from nitic.ir.types import shape_of
from nitic.ops.concat import ConcatOp, PadOp

BLOCKS = 16  # of elements, in a row that several units share


def concat(emission: Emission, op: NnOp) -> int:
    """A row is what follows an index of the axes before the joined one; a unit some rows, or a piece of a long one."""
    assert isinstance(op, ConcatOp)
    emission.open(op, 1)
    f, shape, axis = emission.function, shape_of(op.y), op.axis.value.data
    rows, length, inner = prod(shape[:axis]), prod(shape[axis:]), prod(shape[axis + 1 :])
    pieces, together = ceildiv(length, BLOCKS * f.BLOCK), max(1, f.BLOCK // length)
    *each, common = (emission.scalar(e) for e in op.scales)
    roundings = [integer.align(e, common) for e in each]
    with f.units() as unit:
        first, piece = tir.let(unit // pieces * together), tir.let(unit % pieces)
        last = tir.let(tir.minimum(first + together, rows))
        for (part, offset), rounding in zip(op.offsets(), roundings, strict=True):
            size = shape_of(part)[axis] * inner
            step = ceildiv(size, pieces)
            begin = tir.let(piece * step) if pieces > 1 else 0
            end = tir.let(tir.minimum(begin + step, size)) if pieces > 1 else size
            with tir.loop(first, last) as row, tir.loop(begin, end) as k:
                value = rounding(emission.load(part, Point(row * size + k)))
                emission.finish(op.y, value, point_of(emission, op.y, row * length + offset * inner + k))
    return ceildiv(rows, together) * pieces


@dataclass(frozen=True)
class Padded:
    """An axis of a padded tensor: zeros, `size` elements with `between` zeros between two, zeros."""

    size: int
    before: int
    between: int
    after: int

    @property
    def step(self) -> int:
        return self.between + 1

    @property
    def total(self) -> int:
        return self.before + self.size * self.step - self.between + self.after

    @property
    def is_plain(self) -> bool:
        return self.before == self.between == self.after == 0


def merged(op: PadOp) -> list[Padded]:
    """The axes, those without zeros together with the one before."""
    names = ("before", "between", "after")
    axes = list(map(Padded, shape_of(op.x), *(op.ints(name) for name in names)))
    found = axes[:1]
    for axis in axes[1:]:
        outer = found[-1]
        if axis.is_plain and outer.between == 0:
            found[-1] = Padded(*(each * axis.size for each in (outer.size, outer.before, 0, outer.after)))
        else:
            found.append(axis)
    return found


def pad(emission: Emission, op: NnOp) -> int:
    """A unit is a row of the last axis: the operand's among zeros, or zeros alone."""
    assert isinstance(op, PadOp)
    emission.open(op, 1)
    *outer, last = merged(op)
    of_x = strides(tuple(axis.size for axis in (*outer, last)))
    with emission.function.units() as row:
        rest, source, inside = row, 0, list[Expr]()
        for axis, stride in reversed(list(zip(outer, of_x[:-1], strict=True))):
            at = tir.let(rest % axis.total - axis.before)
            rest = tir.let(rest // axis.total)
            source = source + at // axis.step * stride
            if not axis.is_plain:
                inside += [at >= 0, at < axis.size * axis.step, at % axis.step == 0]
        start = tir.let(row * last.total)
        tir.branch(
            tir.every(*inside) if inside else True,
            lambda: _row(emission, op, last, tir.let(source), start),
            lambda: _zeros(emission, op.y, start, last.total),
        )
    return prod(axis.total for axis in outer)


def _row(emission: Emission, op: PadOp, axis: Padded, source: Expr, start: Expr) -> None:
    _zeros(emission, op.y, start, axis.before)
    first, end = start + axis.before, axis.total - axis.after
    with tir.loop(0, axis.size) as k:
        at = tir.let(first + k * axis.step)
        emission.finish(op.y, emission.load(op.x, Point(source + k)), point_of(emission, op.y, at))
        if axis.between:
            left = tir.minimum(axis.between, start + end - 1 - at)
            _zeros(emission, op.y, at + 1, left)
    _zeros(emission, op.y, start + end, axis.after)


def _zeros(emission: Emission, y: SSAValue, first: Expr, count: Expr) -> None:
    if isinstance(count, int) and count == 0:
        return
    with tir.loop(0, count) as k:
        emission.finish(y, tir.constant(0), point_of(emission, y, first + k))


TEMPLATES = {"concat": Template(concat), "pad": Template(pad)}
