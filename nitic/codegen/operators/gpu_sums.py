"""Sums over some axes on a GPU: every sum is cut to parts, which threads compute beside each other.

Neighbouring threads have neighbouring sums, so that a warp reads what lies side by side. The parts are added by atomic
additions of integers, whose order does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from math import prod

from xdsl.ir import SSAValue

from nitic.codegen.core import tir
from nitic.codegen.core.group import Emission, Split, Template
from nitic.codegen.core.tir import Buffer, Expr
from nitic.codegen.cuda.function import call, pointer
from nitic.codegen.cuda.parts import parts_of, split
from nitic.codegen.loops.broadcast import Run, runs
from nitic.codegen.operators.norm import check_axes, rounded_quotient
from nitic.ir.layout import ceildiv
from nitic.ir.op import NnOp
from nitic.ir.types import dtype_of, shape_of
from nitic.ops.product import SumOp
from nitic.ops.statistics import BatchNormStatisticsOp

Term = Callable[[Emission, Expr], Expr]
"""What the element at an index adds to a sum."""


@dataclass(frozen=True)
class Axes:
    """The axes of a summed tensor. Sums are numbered along the kept axes, the elements of a sum along the others."""

    runs: Sequence[Run]

    def count(self, kept: bool) -> int:
        return prod(run.size for run in self.runs if run.kept == kept)

    def offset(self, at: Expr, kept: bool) -> Expr:
        """The index of the first element of a sum (`kept`), or the distance of another of its elements from that."""
        found, stride, rest = tir.constant(0), 1, sum(run.kept == kept for run in self.runs)
        for run in reversed(self.runs):
            if run.kept == kept:
                rest -= 1
                found = found + (at % run.size if rest else at) * stride
                at = tir.let(at // run.size) if rest else at
            stride *= run.size
        return found

    def add(self, emission: Emission, memory: Buffer, *terms: Term) -> int:
        """Adds to memory: every sum of the first terms, then those of the second."""
        sums, count = self.count(True), self.count(False)
        share = ceildiv(count, parts_of(sums, count))
        with emission.function.units() as unit:
            at, part = tir.let(unit % sums), tir.let(unit // sums)
            first, zero = tir.let(self.offset(at, True)), tir.constant(0, memory.dtype)
            totals = [tir.register(memory.dtype, zero) for _ in terms]
            with tir.loop(part * share, tir.minimum((part + 1) * share, count)) as i:
                index = tir.let(first + self.offset(i, False))
                for total, term in zip(totals, terms, strict=True):
                    total.set(total.value + term(emission, index))
            for k, total in enumerate(totals):
                call("nitic_atomic_add", pointer(memory, at + k * sums), total.value)
        return sums * ceildiv(count, share)


def channel_axes(x: SSAValue) -> Axes:
    """A sum for each channel."""
    return Axes(runs(shape_of(x)[-1:], shape_of(x)))


def products(op: NnOp) -> Split:
    """Sums of the operands' products."""
    first = op.operands[0]
    axes = Axes(runs(op.ints("shape"), shape_of(first))) if isinstance(op, SumOp) else channel_axes(first)
    dtype = dtype_of(op.result).__name__

    def term(emission: Emission, index: Expr) -> Expr:
        return reduce(lambda a, b: a * b, [tir.cast(emission.buffer(x).load(index), dtype) for x in op.operands])

    return split(op.result, axes.count(True), lambda emission, memory: axes.add(emission, memory, term))


def statistics(op: NnOp) -> Split:
    """Sums of x and of its squares; with q = -mean >> 4, (256 x - mean) >> 4 = 16 x + q."""
    assert isinstance(op, BatchNormStatisticsOp)
    check_axes(op, op.mean)
    axes = channel_axes(op.x)
    channels, rows = axes.count(True), axes.count(False)

    def term(emission: Emission, index: Expr) -> Expr:
        return tir.cast(emission.buffer(op.x).load(index), "int64")

    def square(emission: Emission, index: Expr) -> Expr:
        x = tir.let(tir.cast(emission.buffer(op.x).load(index), "int32"))
        return tir.cast(x * x, "int64")

    def finish(emission: Emission, memory: Buffer) -> int:
        emission.open(op, 1)
        with emission.function.units() as k:
            total, squares = tir.let(memory.load(k)), tir.let(memory.load(channels + k))
            mean = tir.let(rounded_quotient(total << 8, rows))
            q = tir.let(-mean >> 4)
            off_mean = tir.let((squares << 8) + q * ((total << 5) + q * rows))
            point = emission.channel(k)
            point.values[op.mean] = mean
            emission.finish(op.variance, tir.let(off_mean // tir.constant(rows, "int64")), point)
        return channels

    return Split(None, "int64", 2 * channels, lambda emission, memory: axes.add(emission, memory, term, square), finish)


TEMPLATES = {"gpu_sums": Template(None, products), "gpu_statistics": Template(None, statistics)}
