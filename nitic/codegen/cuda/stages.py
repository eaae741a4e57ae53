"""What a GPU runs for a group: one kernel, or several of the same parameters, one behind the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from xdsl.ir import SSAValue

from nitic.codegen import integer, tir
from nitic.codegen.cuda.function import CudaFunction
from nitic.codegen.group import Emission, Group, Registry, Split
from nitic.codegen.kernel import Kernel, Scratch
from nitic.codegen.tir import Expr
from nitic.ir.op import NnOp
from nitic.ir.types import dtype_of
from nitic.ops.bfp import RangeOp, ShiftOp

SUMS, GUESS, USED = "sums", "guess", "used"


@dataclass(frozen=True)
class Stages:
    """The emitters of the kernels, each of which gives its units of work, by what ends the kernel's name."""

    emit: Mapping[str, Callable[[CudaFunction], int]]
    scratch: Mapping[str, Scratch] = field(default_factory=dict[str, Scratch])


def emit(group: Group, name: str, registry: Registry) -> Kernel:
    """The last kernel of a group, with those before it."""
    stages = stages_of(group, registry)
    parameters = {**group.parameters(), **{name: scratch.dtype for name, scratch in stages.scratch.items()}}
    made: list[Kernel] = []
    for suffix, each in stages.emit.items():
        with CudaFunction(name + suffix, parameters) as function:
            units = each(function)
        made.append(function.kernel(units))
    return replace(made[-1], scratch=stages.scratch, before=tuple(made[:-1]))


def stages_of(group: Group, registry: Registry) -> Stages:
    anchor = group.anchor
    split = registry.splits.get(anchor.name, lambda _: None)(anchor) if anchor else None
    if split:
        return _split(group, registry, split)
    if shift := guessed_shift(group):
        return _speculation(group, registry, shift)
    return Stages({"": lambda f: Emission(group, f, registry).emit()})


def _split(group: Group, registry: Registry, split: Split) -> Stages:
    """Without a second kernel where nothing is behind the sums."""
    anchor = group.anchor
    assert anchor is not None
    yielded = split.result is not None and split.result in group.op.yielded
    memory = group.names()[split.result] if yielded else SUMS

    def add(f: CudaFunction) -> int:
        f.zeroed = (memory,)
        return split.add(Emission(group, f, registry), f[memory])

    def finish(f: CudaFunction) -> int:
        anchors = {**registry.anchors, anchor.name: lambda emission, _: split.finish(emission, f[memory])}
        return Emission(group, f, replace(registry, anchors=anchors)).emit()

    if yielded and group.op.members == [anchor]:
        return Stages({"": add})
    return Stages({"_parts": add, "": finish}, {} if yielded else {SUMS: Scratch(split.dtype, split.size)})


def _speculation(group: Group, registry: Registry, shift: ShiftOp) -> Stages:
    """The first kernel takes the range and rounds by the shift of the step before; the second one does all again where
    that is not the shift. Each reads of the two numbers the one that the other writes."""
    one = Scratch("int32", 1)
    return Stages(
        {
            "_guess": lambda f: Guess(group, f, registry, shift=shift).emit(),
            "": lambda f: Redo(group, f, registry, shift=shift).emit(),
        },
        {GUESS: replace(one, kept=True), USED: one},
    )


def guessed_shift(group: Group) -> ShiftOp | None:
    """The shift of a range that the group itself takes."""
    own = (op for op in group.op.members if isinstance(op, ShiftOp) and isinstance(op.r.owner, RangeOp))
    return next(own, None)


@dataclass
class _Speculation(Emission):
    shift: ShiftOp = field(kw_only=True)

    def remember(self, name: str, value: Expr) -> None:
        with tir.when(self.function.thread == 0):
            self.function[name].store(0, value)


@dataclass
class Guess(_Speculation):
    """The kernel that may be wrong. It writes no scalar: none would be needed before the second kernel has run."""

    def open(self, anchor: NnOp | None, lanes: int) -> None:
        self.remember(USED, self.scalar(self.shift.s))
        self.prepare(anchor, lanes)

    def _compute(self, value: SSAValue) -> Expr:
        if value is not self.shift.s:
            return super()._compute(value)
        taken = self.shift.r.owner
        assert isinstance(taken, RangeOp)
        most = 62 if dtype_of(taken.x) is np.int64 else 30
        return integer.clamp(self.function[GUESS].load(0), 0, most)


@dataclass
class Redo(_Speculation):
    """The kernel that ends at once, as a rule."""

    def open(self, anchor: NnOp | None, lanes: int) -> None:
        assert isinstance(self.function, CudaFunction)
        self.write_scalars()
        self.remember(GUESS, self.scalar(self.shift.s))
        self.function.only_if(self.scalar(self.shift.s) != self.function[USED].load(0))
        self.prepare(anchor, lanes)

    def _compute(self, value: SSAValue) -> Expr:
        taken = isinstance(value.owner, RangeOp)
        return self.function.read_range(self.buffer(value)) if taken else super()._compute(value)

    def _prepare(self, op: NnOp) -> None:
        if not isinstance(op, RangeOp):
            super()._prepare(op)

    def observe(self, op: RangeOp, value: Expr) -> None:
        pass
