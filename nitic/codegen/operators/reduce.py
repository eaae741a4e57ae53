"""nn.bias_grad: sums over everything but the channels."""

from __future__ import annotations

from math import prod

from nitic.codegen.core import tir
from nitic.codegen.core.group import Emission, Point, Template
from nitic.ir.layout import ceildiv
from nitic.ir.op import NnOp
from nitic.ir.types import dtype_of, shape_of
from nitic.ops.elementwise import BiasGradOp

WIDTH = 64  # columns of sums that the innermost loop adds to


def bias_grad(emission: Emission, op: NnOp) -> int:
    """A unit is 64 channels. Fewer channels than that are summed several rows at a time, and these sums at the end."""
    assert isinstance(op, BiasGradOp)
    emission.open(op, 1)
    f, dy, shape = emission.function, emission.buffer(op.dy), shape_of(op.dy)
    rows, channels = prod(shape[:-1]), shape[-1]
    width = min(channels, WIDTH)
    together = min(WIDTH // width, rows) if channels == width else 1
    dtype = dtype_of(op.db).__name__
    sums = tir.local(dtype, width * together)
    with f.units() as unit:
        first = tir.let(unit * width)
        count = tir.let(tir.minimum(channels - first, width)) if channels % width else width
        with tir.loop(0, width * together) as k:
            sums.store(k, tir.constant(0, dtype))

        def add(row: tir.Expr, columns: tir.Expr) -> None:
            with tir.loop(0, columns) as k:
                sums.store(k, sums.load(k) + tir.cast(dy.load(row * channels + first + k), dtype))

        with tir.loop(0, rows // together) as row:
            add(row * together, count * together)
        if rows % together:
            add(rows // together * together, rows % together * channels)
        with tir.loop(0, count) as k:
            total = tir.register(dtype, tir.constant(0, dtype))
            with tir.loop(0, together) as i:
                total.set(total.value + sums.load(i * width + k))
            emission.finish(op.db, total.value, Point(first + k, emission.channel(first + k)))
    return ceildiv(channels, width)


TEMPLATES = {"bias_grad": Template(bias_grad)}
