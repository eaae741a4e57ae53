"""Sums over windows, of every channel by itself: average pools, depthwise convolutions on GPUs, and their gradients.

The sums of the channels of a pixel lie in scratch memory, so that the innermost loops are contiguous.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xdsl.ir import SSAValue

from nitic.codegen.core import tir
from nitic.codegen.core.group import Emission, Point
from nitic.codegen.core.tir import Expr
from nitic.codegen.loops.geometry import Geometry, each_window
from nitic.ir.types import dtype_of


@dataclass(frozen=True)
class Tap:
    """A position (i, j) in a window, and the `factor` of the output pixel whose window it is."""

    i: Expr
    j: Expr
    factor: Expr = None


Term = Callable[[Expr, Expr, Tap], Expr]
"""What an element adds to a sum, given its index, its channel and its tap."""
Factor = Callable[[Expr, Expr], Expr]
"""The number that belongs to an output row and column."""


def slide(emission: Emission, g: Geometry, result: SSAValue, term: Term, factor: Factor | None = None) -> int:
    """For each output pixel: the sum over its window, an int32, times a factor."""
    f, dtype = emission.function, dtype_of(result).__name__
    n, oh, ow, c = g.out
    with f.places(n * oh, ow, c) as place:
        row, total = tir.let(place.row % oh), tir.local("int32", place.count)
        scale = factor(row, place.column) if factor else tir.constant(1, dtype)
        with place.channels() as k:
            total.store(k, 0)
        with tir.loop(*g.taps(0, row)) as i, tir.loop(*g.taps(1, place.column)) as j:
            pixel = (place.row // oh * g.x[1] + g.input(0, row, i)) * g.x[2] + g.input(1, place.column, j)
            at = tir.let(pixel * c + place.first)
            with place.channels() as k:
                total.store(k, total.load(k) + term(at + k, place.first + k, Tap(i, j)))
        with place.channels() as k:
            point = Point((place.row * ow + place.column) * c + place.first + k, emission.channel(place.first + k))
            emission.finish(result, tir.cast(total.load(k), dtype) * scale, point)
    return f.units_of_places(n * oh, ow, c)


def slide_transposed(
    emission: Emission, g: Geometry, result: SSAValue, term: Term, factor: Factor | None = None
) -> int:
    """For each input pixel: the sum over the windows that see it."""
    f, (n, height, width, c) = emission.function, g.x
    dtype = "int64" if dtype_of(result).__name__ == "int64" else "int32"
    with f.places(n * height, width, c) as place:
        total = tir.local(dtype, place.count)
        with place.channels() as k:
            total.store(k, tir.constant(0, dtype))

        def add(i: Expr, j: Expr, y: Expr, x: Expr) -> None:
            row, column = tir.let(y), tir.let(x)
            at = tir.let(((place.row // height * g.out[1] + row) * g.out[2] + column) * c + place.first)
            tap = Tap(i, j, factor(row, column) if factor else None)
            with place.channels() as k:
                total.store(k, total.load(k) + term(at + k, place.first + k, tap))

        each_window(g, tir.let(place.row % height), place.column, add)
        with place.channels() as k:
            index = (place.row * width + place.column) * c + place.first + k
            emission.finish(result, total.load(k), Point(index, emission.channel(place.first + k)))
    return f.units_of_places(n * height, width, c)
