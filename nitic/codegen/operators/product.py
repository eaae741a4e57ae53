"""Products and broadcasts point by point, and the sums that are their gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from math import prod

from xdsl.ir import SSAValue

from nitic.codegen.core import integer, tir
from nitic.codegen.core.group import Emission, Evaluate, Point, Prepare, Template
from nitic.codegen.core.tir import Expr
from nitic.codegen.loops.broadcast import Run, runs
from nitic.ir.layout import ceildiv
from nitic.ir.op import NnOp
from nitic.ir.types import dtype_of, shape_of
from nitic.ops.product import AddConstOp, ExpandOp, MulOp, MulSumOp, NegOp, ReduceSumOp, ScaleConstOp, SumOp

Evaluators = Mapping[SSAValue, Evaluate]
WIDTH = 64  # neighbouring sums of a unit of work


def mul(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, MulOp)

    def evaluate(point: Point) -> Expr:
        return emission.value(op.a, point) * emission.value(op.b, point_of(op.b, op.a, point))

    return {op.y: evaluate}


def expand(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, ExpandOp)
    return {op.y: lambda point: emission.value(op.x, point_of(op.x, op.y, point))}


def point_of(value: SSAValue, whole: SSAValue, point: Point) -> Point:
    """The point of an operand, which may broadcast. Raises KeyError where the loops have no point for its shape."""
    return point if shape_of(value) == shape_of(whole) else point.others[shape_of(value)]


def neg(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, NegOp)
    return {op.y: lambda point: -emission.value(op.x, point)}


def scale_const(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, ScaleConstOp)
    return {op.y: lambda point: emission.value(op.x, point) * op.multiplier()[0]}


def add_const(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, AddConstOp)
    e, common = (emission.scalar(value) for value in op.scales)
    c, e_c = op.summand()
    kept, summand = (integer.common_factor(of, common, emission.lanes) for of in (e, tir.constant(e_c)))
    constant = tir.let(summand * c)
    return {op.y: lambda point: emission.value(op.x, point) * kept + constant}


def mul_sum(emission: Emission, op: NnOp) -> int:
    assert isinstance(op, MulSumOp)
    dtype, dy, a = dtype_of(op.db).__name__, emission.buffer(op.dy), emission.buffer(op.a)
    return _sum(emission, op, lambda at: tir.cast(dy.load(at), dtype) * tir.cast(a.load(at), dtype))


def reduce_sum(emission: Emission, op: NnOp) -> int:
    assert isinstance(op, ReduceSumOp)
    dtype, dy = dtype_of(op.dx).__name__, emission.buffer(op.dy)
    return _sum(emission, op, lambda at: tir.cast(dy.load(at), dtype))


def _sum(emission: Emission, op: SumOp, term: Callable[[Expr], Expr]) -> int:
    """A unit is up to 64 neighbouring sums; `term` is given the index of an element."""
    emission.open(op, 1)
    f, dtype = emission.function, dtype_of(op.result).__name__
    axes = runs(op.ints("shape"), shape_of(op.operands[0]))
    axes += [] if axes and axes[-1].kept else [Run(1, kept=True)]
    last = axes[-1].size
    width = min(last, WIDTH)
    blocks = ceildiv(last, width)
    sums = tir.local(dtype, width)
    with f.units() as unit:
        before, first = tir.let(unit // blocks), tir.let(unit % blocks * width)
        count = tir.let(tir.minimum(last - first, width)) if last % width else width
        with tir.loop(0, width) as k:
            sums.store(k, tir.constant(0, dtype))
        with ExitStack() as loops:
            start = tir.let(_start(axes, before, loops) + first)
            with tir.loop(0, count) as k:
                sums.store(k, sums.load(k) + term(start + k))
        with tir.loop(0, count) as k:
            emission.finish(op.result, sums.load(k), Point(before * last + first + k))
    return prod(run.size for run in axes[:-1] if run.kept) * blocks


def _start(axes: list[Run], before: Expr, loops: ExitStack) -> Expr:
    """Where the last axis begins, inside loops over those that are summed; `before` numbers the sums of the others."""
    start: Expr = 0
    for i, run in enumerate(axes[:-1]):
        inner = prod(later.size for later in axes[i + 1 : -1] if later.kept)
        at = tir.let(before // inner % run.size) if run.kept else loops.enter_context(tir.loop(0, run.size))
        start = start * run.size + at
    return start * axes[-1].size


TEMPLATES = {"mul_sum": Template(mul_sum), "reduce_sum": Template(reduce_sum)}
POINTWISE: dict[str, Prepare] = {
    "nn.mul": mul,
    "nn.expand": expand,
    "nn.neg": neg,
    "nn.scale_const": scale_const,
    "nn.add_const": add_const,
}
