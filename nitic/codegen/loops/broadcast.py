"""Loops over tensors of which others broadcast: neighbouring axes that all of them treat alike become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from nitic.codegen.core import tir
from nitic.codegen.core.tir import Expr
from nitic.ir.types import Shape
from nitic.ops.product import aligned


@dataclass(frozen=True)
class Run:
    """Neighbouring axes as one: a tensor that broadcasts along them is `kept` at one element there."""

    size: int
    kept: bool


def runs(small: Shape, large: Shape) -> list[Run]:
    """The axes of `large`, as few as can be: the smaller tensor has those that are kept."""
    found: list[Run] = []
    for size, whole in zip(aligned(small, len(large)), large, strict=True):
        kept = size == whole
        if whole == 1:
            continue
        if found and found[-1].kept == kept:
            found[-1] = Run(found[-1].size * whole, kept)
        else:
            found.append(Run(whole, kept))
    return found


@dataclass(frozen=True)
class Grid:
    """A tensor as rows by columns, such that along the columns another tensor moves throughout or stands still."""

    shape: Shape
    axes: int  # how many of the last axes are the columns

    @classmethod
    def over(cls, shape: Shape, others: Sequence[Shape], most: int) -> Grid:
        """With as many columns as can be, up to `most`, but one axis at least."""

        def fits(axes: int) -> bool:
            columns = shape[-axes:]
            alike = all(len(runs(aligned(other, len(shape))[-axes:], columns)) <= 1 for other in others)
            return alike and prod(columns) <= most

        return cls(shape, max((axes for axes in range(2, len(shape) + 1) if fits(axes)), default=1))

    @property
    def columns(self) -> int:
        return prod(self.shape[-self.axes :])

    @property
    def rows(self) -> int:
        return prod(self.shape[: -self.axes])

    def moves(self, other: Shape) -> bool:
        """Whether another tensor has an element for each column."""
        return prod(aligned(other, len(self.shape))[-self.axes :]) == self.columns

    def first(self, other: Shape, row: Expr) -> Expr:
        """The index, in another tensor, of what belongs to the first column of a row."""
        head = aligned(other, len(self.shape))[: -self.axes]
        return index(runs(head, self.shape[: -self.axes]), row) * (self.columns if self.moves(other) else 1)


def index(axes: Sequence[Run], at: Expr) -> Expr:
    """The index in the smaller tensor of element `at` of the larger."""
    result: Expr = 0
    for i, run in enumerate(axes):
        if run.kept:
            coordinate = at // prod(later.size for later in axes[i + 1 :])
            result = result * run.size + (tir.let(coordinate) % run.size if i else coordinate)
    return result
