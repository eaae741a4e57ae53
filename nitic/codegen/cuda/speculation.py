"""Rounding by the shifts of the step before: kernels that may be wrong, and those behind them that make it right.

A group with n shifts of ranges that it takes itself becomes n + 1 kernels. The first guesses every shift. The second
knows the first shift, the third two, and so on: where the shift that a kernel learns is the one that was used, it ends
at once, and otherwise it computes everything again. A range of what was rounded by a guess is provisional, and in
memory of its own, until a kernel knows all shifts before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from xdsl.ir import SSAValue

from nitic.codegen.core import integer, tir
from nitic.codegen.core.group import Emission, Group, Registry
from nitic.codegen.core.kernel import Scratch
from nitic.codegen.core.tir import Buffer, Expr
from nitic.codegen.cuda.function import CudaFunction
from nitic.ir.op import NnOp
from nitic.ir.types import dtype_of
from nitic.ops.bfp import RangeOp, ScalarUpdateOp, ShiftOp
from nitic.ops.fused import YieldOp


def guessed_shifts(group: Group) -> list[ShiftOp]:
    """The shifts of ranges that the group itself takes, in order."""
    return [op for op in group.op.members if isinstance(op, ShiftOp) and isinstance(op.r.owner, RangeOp)]


@dataclass(frozen=True)
class Speculation:
    """One of the kernels of a group: it knows the first `known` shifts."""

    group: Group
    registry: Registry
    shifts: Sequence[ShiftOp]
    known: int

    def emit(self, function: CudaFunction) -> int:
        function.zeroed = tuple(self.provisional().values())
        return _Stage(self.group, function, self.registry, of=self).emit()

    def scratch(self) -> Mapping[str, Scratch]:
        """Memory of the shifts that are guessed and were used, and of provisional ranges."""
        one, number = Scratch("int32", 1), range(len(self.shifts))
        ranges = dict.fromkeys(self.provisional().values(), Scratch("int64", 1))
        return {**{_guess(i): replace(one, kept=True) for i in number}, **{_used(i): one for i in number}, **ranges}

    def provisional(self) -> Mapping[RangeOp, str]:
        """The ranges that this kernel takes of values that may be wrong."""
        return {r: f"range{i}_{self.known}" for i, r in enumerate(self.ranges) if self.level(r) > self.known}

    @property
    def ranges(self) -> list[RangeOp]:
        return [op for op in self.group.op.members if isinstance(op, RangeOp)]

    def level(self, taken: RangeOp) -> int:
        """How many of the guessed shifts come before a range."""
        members = self.group.op.members
        return sum(members.index(shift) < members.index(taken) for shift in self.shifts)

    def is_known(self, taken: RangeOp) -> bool:
        return self.level(taken) < self.known

    def asks_for_zero(self, taken: RangeOp) -> bool:
        """Whether an exponent depends on a range being zero. The guess is that it is not."""
        inside = (use.operation for use in taken.r.uses if use.operation in self.group.op.members)
        return any(not isinstance(op, (ShiftOp, ScalarUpdateOp, YieldOp)) for op in inside)


@dataclass
class _Stage(Emission):
    of: Speculation = field(kw_only=True)

    def open(self, anchor: NnOp | None, lanes: int) -> None:
        """Scalars are written by the last kernel alone: nobody needs them before it has run."""
        if self.of.known == 0:
            for i, shift in enumerate(self.of.shifts):
                self._remember(_used(i), self.scalar(shift.s))
        else:
            self._go_on_if_wrong(self.of.known - 1)
        self.prepare(anchor, lanes)

    def _go_on_if_wrong(self, last: int) -> None:
        if self.of.known == len(self.of.shifts):
            self.write_scalars()
        shift = self.of.shifts[last]
        right, taken = self.scalar(shift.s), shift.r.owner
        self._remember(_guess(last), right)
        wrong = tir.select(right != self.function[_used(last)].load(0), tir.constant(1), tir.constant(0))
        if isinstance(taken, RangeOp) and self.of.asks_for_zero(taken):
            wrong = tir.select(self.scalar(taken.r) == 0, tir.constant(1), wrong)
        wrong = tir.let(wrong)
        for r, found in replace(self.of, known=last).provisional().items():
            with tir.when(tir.every(self.function.thread == 0, wrong == 0)):
                self.buffer(r.r).store(0, self.function[found].load(0))
        assert isinstance(self.function, CudaFunction)
        self.function.only_if(wrong != 0)

    def _remember(self, name: str, value: Expr) -> None:
        with tir.when(self.function.thread == 0):
            self.function[name].store(0, value)

    def buffer(self, value: SSAValue) -> Buffer:
        name = self.of.provisional().get(value.owner) if isinstance(value.owner, RangeOp) else None
        return self.function[name] if name else super().buffer(value)

    def _compute(self, value: SSAValue) -> Expr:
        match value.owner:
            case ShiftOp() as shift if shift in self.of.shifts[self.of.known :]:
                return self._guessed(shift)
            case RangeOp() as taken:
                known = self.of.is_known(taken)
                return self.function.read_range(self.buffer(value)) if known else tir.constant(1, "int64")
            case _:
                return super()._compute(value)

    def _guessed(self, shift: ShiftOp) -> Expr:
        """The shift that the first kernel used. It clips what it finds in memory, which may be anything."""
        i, taken = self.of.shifts.index(shift), shift.r.owner
        if self.of.known:
            return self.function[_used(i)].load(0)
        assert isinstance(taken, RangeOp)
        return integer.clamp(self.function[_guess(i)].load(0), 0, 62 if dtype_of(taken.x) is np.int64 else 30)

    def _prepare(self, op: NnOp) -> None:
        if not (isinstance(op, RangeOp) and self.of.is_known(op)):
            super()._prepare(op)

    def observe(self, op: RangeOp, value: Expr) -> None:
        if not self.of.is_known(op):
            super().observe(op, value)


def _guess(number: int) -> str:
    return f"guess{number or ''}"


def _used(number: int) -> str:
    return f"used{number or ''}"
