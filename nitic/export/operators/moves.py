"""Operators that move codes or accumulators."""

from dataclasses import replace
from typing import cast

import numpy as np

from nitic.arithmetic import rounding
from nitic.export.emission import ZERO, Emission, Form, Inexact, Kind, Mapped, Tensor
from nitic.ir.op import NnOp
from nitic.ir.types import shape_of
from nitic.ops.concat import ConcatOp, PadOp, SliceOp
from nitic.ops.reshape import ReshapeOp, TransposeOp


def reshape(e: Emission, op: NnOp) -> Tensor:
    op = cast("ReshapeOp", op)
    x, shape = e.written(op.x), shape_of(op.y)
    if not (x.channels_first and x.shape[1:3] == (1, 1)):  # one pixel is the same in both layouts
        x = e.channels_last(x)
    return replace(
        e.node("Reshape", x, np.array(e.size(shape), np.int64), hint=op.source), shape=shape, channels_first=False
    )


def transpose(e: Emission, op: NnOp) -> Tensor:
    op = cast("TransposeOp", op)
    x, perm = e.written(op.x), op.ints("perm")
    e.check_samples(perm[0] == 0)
    if x.channels_first:
        perm = tuple(e.axis(axis, x) for axis in perm)
    return replace(e.node("Transpose", x, perm=perm), shape=shape_of(op.y), channels_first=False)


def cut(e: Emission, op: NnOp) -> Tensor:
    op = cast("SliceOp", op)
    x = e.written(op.x)
    taken = {e.axis(i, x): r for i, r in enumerate(op.ranges()) if r != range(x.shape[i])}
    bounds = [np.array([getattr(r, key) for r in taken.values()], np.int64) for key in ("start", "stop", "step")]
    starts, stops, steps = bounds
    return replace(e.node("Slice", x, starts, stops, np.array([*taken], np.int64), steps), shape=shape_of(op.y))


def pad(e: Emission, op: NnOp) -> Tensor:
    op = cast("PadOp", op)
    if any(op.ints("between")):
        raise Inexact("it pads between elements")
    x = e.written(op.x)
    pads = [*e.axes(op.ints("before"), x), *e.axes(op.ints("after"), x)]
    zero = x.kind.value(ZERO if x.kind == Kind.CODE else 0)
    return replace(e.node("Pad", x, np.array(pads, np.int64), zero), shape=shape_of(op.y))


def concat(e: Emission, op: NnOp) -> Tensor:
    """Each part is rounded to the exponent of the whole by a table."""
    op = cast("ConcatOp", op)
    to = e.scalar(op.scales[-1])
    parts: list[Tensor] = []
    for part, scale in zip(op.parts, op.scales[:-1], strict=True):
        found = e.written(part) if part in e.constants else e.value(part)
        if e.scalar(scale) != to:
            mapped = found if isinstance(found, Mapped) else Mapped(found, np.arange(-ZERO, ZERO), found.kind)
            found = replace(mapped, table=rounding.align(mapped.table, e.scalar(scale), to))
        parts.append(e.gathered(found) if isinstance(found, Mapped) else found)
    first = parts[0]
    others = [e.like(each, first).name for each in parts[1:]]
    axis = e.axis(op.axis.value.data, first)
    return replace(e.node("Concat", first, *others, axis=axis, hint=op.source), shape=shape_of(op.y))


def expand(e: Emission, op: NnOp) -> Tensor:
    x, shape = e.written(op.operands[0]), shape_of(op.result)
    if len(x.shape) != len(shape):
        x = e.channels_last(x)
    size = e.axes(e.size(shape, own=1), x)
    return replace(e.node("Expand", x, np.array(size, np.int64)), shape=shape)


FORMS: dict[str, Form] = {
    "nn.reshape": reshape,
    "nn.transpose": transpose,
    "nn.slice": cut,
    "nn.pad": pad,
    "nn.concat": concat,
    "nn.expand": expand,
}
