"""Operators that move values: nn.transpose, nn.reshape where it is a copy, nn.pack."""

from __future__ import annotations

from math import prod

from nitic.codegen import tir
from nitic.codegen.group import Emission, Emit, Point, elements
from nitic.codegen.kernels.pack import pack
from nitic.ir.layout import ceildiv
from nitic.ir.op import NnOp
from nitic.ir.types import shape_of
from nitic.ops.reshape import ReshapeOp, TransposeOp


def transpose(emission: Emission, op: NnOp) -> int:
    """A unit is one row of the result's last axis."""
    assert isinstance(op, TransposeOp)
    emission.open(op, 1)
    f, shape, perm = emission.function, shape_of(op.y), op.ints("perm")
    source_shape = shape_of(op.x)
    strides = [prod(source_shape[axis + 1 :]) for axis in perm]
    with tir.loop(f.begin, f.end) as row:
        rest, source = row, 0
        for dim, stride in reversed(list(zip(shape[:-1], strides[:-1], strict=True))):
            source = source + rest % dim * stride
            rest = rest // dim
        start = tir.let(source)
        with tir.loop(0, shape[-1]) as k:
            value = emission.load(op.x, Point(start + k * strides[-1]))
            emission.finish(op.y, value, Point(row * shape[-1] + k, emission.channel(k)))
    return prod(shape[:-1])


def reshape(emission: Emission, op: NnOp) -> int:
    """A copy; most reshapes are views and have no kernel."""
    assert isinstance(op, ReshapeOp)
    emission.open(op, 1)
    f, count = emission.function, elements(op.x)
    with tir.loop(f.begin * f.BLOCK, tir.minimum(f.end * f.BLOCK, count)) as i:
        emission.finish(op.y, emission.load(op.x, Point(i)), Point(i))
    return ceildiv(count, f.BLOCK)


ANCHORS: dict[str, Emit] = {"nn.transpose": transpose, "nn.reshape": reshape, "nn.pack": pack}
