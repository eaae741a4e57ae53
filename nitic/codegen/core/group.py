"""From a group of operators (nn.fused) to a kernel: what all kernels share.

A group is scalars, one operator that owns the loops (the `anchor`: a contraction, a pool, or the first point-wise
operator), and point-wise operators behind it (the `tail`). The anchor's emitter runs the loops and hands every value, a
scalar or a vector of neighbours, to `Emission.finish`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import TypeVar

import numpy as np
from xdsl.dialects.builtin import StringAttr
from xdsl.ir import BlockArgument, OpResult, SSAValue

from nitic.codegen.core import tir
from nitic.codegen.core.function import Function
from nitic.codegen.core.tir import Buffer, Expr, Register
from nitic.errors import CompileError
from nitic.ir.layout import Layout, parse_layout
from nitic.ir.op import NnOp
from nitic.ir.traits import Packs
from nitic.ir.types import Shape, dtype_of, is_tensor, range_, shape_of, tensor_type
from nitic.ops.bfp import RangeOp, ScalarOp, ScalarUpdateOp
from nitic.ops.fused import FusedOp


@dataclass(frozen=True)
class Group:
    """A group and the names of its kernel's parameters.

    They are a0, a1, ... for operands, then r0, r1, ... for results that are not written in place of one.
    """

    op: FusedOp

    def check_sizes(self, name: str) -> None:
        """Raises CompileError where an index would not be an int32."""
        for value in (*self.op.operands, *self.op.results):
            if is_tensor(value) and physical_size(value) > tir.MAX_ELEMENTS:
                raise CompileError(
                    name, f"a tensor of {physical_size(value)} elements is beyond 2^31 - 1: use a smaller batch"
                )

    def ranges(self) -> list[RangeOp]:
        """The ranges that `Emission.finish` counts into."""
        return [op for op in self.op.tensor_ops if isinstance(op, RangeOp)]

    def stored(self) -> list[SSAValue]:
        """What `Emission.finish` writes; the anchor's own emitter writes a second layout, and what is aside."""
        made = [out for out in self.op.yielded if isinstance(out, OpResult) and is_tensor(out)]
        made = [out for out in made if not isinstance(out.op, ScalarUpdateOp) and not out.op.has_trait(Packs)]
        return [out for out in made if not isinstance(out.op, NnOp) or out.index not in out.op.ASIDE]

    def tail_shape(self, result: SSAValue | None = None) -> Shape:
        """The one shape of what `Emission.finish` is given, writes and takes ranges of: one index serves them all."""
        made = [*self.stored(), *(op.x for op in self.ranges()), *([] if result is None else [result])]
        shapes = sorted({shape_of(value) for value in made})
        anchor = self.op.anchor
        assert len(shapes) == 1, f"the tail of {anchor and anchor.name} has one index, but shapes {shapes}"
        return shapes[0]

    def names(self) -> Mapping[SSAValue, str]:
        """The name of a parameter by its block argument or yielded value."""
        updates = self.op.updates()
        names: dict[SSAValue, str] = {arg: f"a{i}" for i, arg in enumerate(self.op.block.args)}
        for i, value in enumerate(self.op.yielded):
            names[value] = f"a{updates[i]}" if i in updates else f"r{i}"
        return names

    def parameters(self) -> Mapping[str, str]:
        """Element type by name, in the order of the parameters."""
        found: dict[str, str] = {}
        for value, name in self.names().items():
            found.setdefault(name, np.dtype(dtype_of(value)).name)
        return found


@dataclass
class Point:
    """Where a value lies in its tensor: the flat index of lane 0, and the point on its last axis alone if need be.

    `valid` is how many lanes exist; None is all of them. With a `period`, only so many lanes are neighbours, and the
    others repeat them. `others` are the points in tensors that broadcast to this one, by their shapes. Values of the
    group's operators here are computed once.
    """

    index: Expr
    channel: Point | None = None
    lanes: int = 1
    valid: Expr = None
    period: int | None = None
    others: Mapping[Shape, Point] = field(default_factory=dict)
    values: dict[SSAValue, Expr] = field(default_factory=dict)


T = TypeVar("T")
Evaluate = Callable[[Point], Expr]
Prepare = Callable[["Emission", NnOp], Mapping[SSAValue, Evaluate]]
AnchorEmitter = Callable[["Emission", NnOp], int]
"""Emits the loops of an anchor; gives the units of work."""
Scalar = Callable[["Emission", NnOp], Expr]


@dataclass(frozen=True)
class Split:
    """Sums that a GPU computes in parts: one kernel adds the parts up in memory, a second has what is behind the sums.

    The sums lie in `result` where the group yields it, else in memory of the kernels. `add` emits the first kernel's
    loops; `finish` emits those of the second, as an anchor's emitter does.
    """

    result: SSAValue | None
    dtype: str
    size: int
    add: Callable[[Emission, Buffer], int]
    finish: Callable[[Emission, Buffer], int]


class NoEmitter(Exception):
    """No emitter is registered for an operator of this name; `emitters.emit` adds the variant to the message."""


@dataclass(frozen=True)
class Template:
    """How the kernel of a group comes about: `emit` makes the loops of its anchor.

    On a GPU, `split` may cut the anchor's sums into parts; it gives None where the sums come whole. Where they never
    come whole, there is no `emit`.
    """

    emit: AnchorEmitter | None
    split: Callable[[NnOp], Split | None] = lambda _: None


@dataclass(frozen=True)
class Registry:
    """The templates, by their names in nitic/targets, and the emitters of other operators, by the operators' names.

    `vectors` names the point-wise operators whose emitters compute with vectors as with scalars.
    """

    templates: Mapping[str, Template] = field(default_factory=dict[str, Template])
    pointwise: Mapping[str, Prepare] = field(default_factory=dict[str, Prepare])
    scalars: Mapping[str, Scalar] = field(default_factory=dict[str, Scalar])
    vectors: frozenset[str] = frozenset()

    def template_of(self, group: FusedOp) -> Template:
        """The template that select-kernels chose for a group. Raises NoEmitter."""
        if group.made_by not in self.templates:
            operator = group.anchor.name if group.anchor else "scalars"
            raise NoEmitter(f"{operator} by the template '{group.made_by}'")
        return self.templates[group.made_by]

    def pointwise_of(self, op: NnOp) -> Prepare:
        """The emitter of a point-wise operator. Raises NoEmitter."""
        return _found(self.pointwise, op)

    def scalar_of(self, op: NnOp) -> Scalar:
        """The emitter of an operator on scalars. Raises NoEmitter."""
        return _found(self.scalars, op)


def _found(emitters: Mapping[str, T], op: NnOp) -> T:
    if op.name not in emitters:
        raise NoEmitter(op.name)
    return emitters[op.name]


@dataclass
class Emission:
    """The kernel of a group under construction."""

    group: Group
    function: Function
    registry: Registry
    lanes: int = 1
    _scalars: dict[SSAValue, Expr] = field(default_factory=dict)
    _evaluate: dict[SSAValue, Evaluate] = field(default_factory=dict)
    _tops: dict[SSAValue, Register] = field(default_factory=dict)

    def buffer(self, value: SSAValue) -> Buffer:
        """The memory of a block argument or of a yielded value."""
        return self.function[self.group.names()[value]]

    def emit(self) -> int:
        """Emits the whole body; gives the units of work."""
        anchor = self.group.op.anchor
        if anchor is None:
            self.open(None, 1)
            return 1
        emit = self.registry.template_of(self.group.op).emit
        assert emit is not None
        units = emit(self, anchor)
        self._close()
        return units

    def open(self, anchor: NnOp | None, lanes: int) -> None:
        """To be called before the loops: computes every scalar, and what the tail needs of the scalars."""
        self.write_scalars()
        self.prepare(anchor, lanes)

    def write_scalars(self) -> None:
        """Computes all scalars; thread 0 writes those that are results of the group."""
        members = [op for op in self.group.op.members if isinstance(op, NnOp)]
        for op in members:
            if isinstance(op, ScalarOp):
                self.scalar(op.result)
            elif isinstance(op, ScalarUpdateOp):  # read these here, in every thread, since others need them, too
                for value in op.operands[1:]:
                    self.scalar(value)
        for op in members:
            if isinstance(op, ScalarOp | ScalarUpdateOp) and op.result in self.group.op.yielded:
                with tir.when(self.function.thread == 0):
                    self.buffer(op.result).store(0, self.registry.scalar_of(op)(self, op))

    def prepare(self, anchor: NnOp | None, lanes: int) -> None:
        """Prepares the operators behind the anchor, for vectors of so many lanes."""
        self.lanes = lanes
        for op in self.group.op.tensor_ops:
            if op is not anchor and not op.has_trait(Packs):  # the anchor's own emitter writes a second layout
                self._prepare(op)

    def _prepare(self, op: NnOp) -> None:
        if isinstance(op, RangeOp):
            wide = dtype_of(op.x) is np.int64
            dtype = "int64" if wide else "int32"
            self._tops[op.r] = tir.register(dtype, tir.constant(0, dtype), self.lanes)
        else:
            self._evaluate.update(self.registry.pointwise_of(op)(self, op))

    def scalar(self, value: SSAValue) -> Expr:
        """A scalar of the group: int32, an int64 of a range or a seed."""
        if value not in self._scalars:
            self._scalars[value] = tir.let(self._compute(value))
        return self._scalars[value]

    def _compute(self, value: SSAValue) -> Expr:
        if not isinstance(value, BlockArgument):
            op = value.owner
            assert isinstance(op, NnOp)
            return self.registry.scalar_of(op)(self, op)
        memory = self.buffer(value)
        return self.function.read_range(memory) if value.type == range_ else memory.load(0)

    def value(self, value: SSAValue, point: Point) -> Expr:
        """A tensor's elements at a point, as int32 (int64 where the tensor is)."""
        if value not in point.values:
            evaluate = self._evaluate.get(value)
            point.values[value] = tir.let(evaluate(point) if evaluate else self.load(value, point))
        return point.values[value]

    def load(self, value: SSAValue, point: Point) -> Expr:
        """The stored elements of a block argument."""
        loaded = self.buffer(value).load(point.index, point.lanes, point.period or point.valid)
        if point.period:
            loaded = tir.shuffle([loaded], [lane % point.period for lane in range(point.lanes)])
        return loaded if dtype_of(value) is np.int64 else tir.cast(loaded, "int32")

    def finish(self, result: SSAValue | None, value: Expr, point: Point) -> None:
        """Everything behind the anchor, for one value of its result: the tail, ranges, stores."""
        self.group.tail_shape(result)
        if result is not None:
            point.values[result] = value
        for op in self.group.ranges():
            self.observe(op, self.value(op.x, point))
        for out in self.group.stored():
            self.store(out, self.value(out, point), point)

    def store(self, out: SSAValue, value: Expr, point: Point) -> None:
        """Writes elements of a yielded tensor."""
        dtype = np.dtype(dtype_of(out)).name
        valid = point.valid
        if isinstance(valid, int) and valid < point.lanes:
            # Where LLVM 22 narrows int64 to bytes while storing (vpmovqb), it drops a mask that it knows.
            valid = tir.select(self.function.thread < 0, tir.constant(0), tir.constant(valid))
        self.buffer(out).store(point.index, tir.cast(value, dtype), valid)

    def observe(self, op: RangeOp, value: Expr) -> None:
        """Counts values into a range."""
        top = self._tops[op.r]
        top.set(tir.maximum(top.value, tir.absolute(value)))

    def _close(self) -> None:
        for r, top in self._tops.items():
            largest = top.value if top.lanes == 1 else tir.largest_lane(top.value)
            self.function.write_range(self.buffer(r), tir.cast(largest, "int64"))

    def channel(self, channel: Expr, valid: Expr = None) -> Point:
        """A point of channels alone: what the tail needs per channel is computed once, and not for every pixel."""
        return Point(channel, None, self.lanes, valid)

    def read_channel(self, result: SSAValue, channel: Point) -> None:
        """Computes here what the tail needs of a channel, for all loops behind: what a loop computes ends with it."""
        last = self.group.tail_shape(result)[-1:]
        for value in [value for op in self.group.op.tensor_ops for value in op.operands]:
            if is_tensor(value) and shape_of(value) == last:
                self.value(value, channel)


def layout_of(value: SSAValue) -> Layout | None:
    """The layout of a tensor; None is row-major."""
    encoding = tensor_type(value).encoding
    return parse_layout(encoding.data) if isinstance(encoding, StringAttr) else None


def physical_size(value: SSAValue) -> int:
    """Elements of a tensor as it lies in memory."""
    layout = layout_of(value)
    return layout.size(shape_of(value)) if layout else elements(value)


def elements(value: SSAValue) -> int:
    """How many elements a tensor has."""
    return prod(shape_of(value))
