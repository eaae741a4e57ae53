"""Loops over rows: a unit of work is some whole rows, whose elements are neighbours in memory."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from nitic.codegen.core import tir
from nitic.codegen.core.function import Function
from nitic.codegen.core.tir import Expr
from nitic.ir.layout import ceildiv
from nitic.ir.types import Shape


def rows(f: Function, shape: Shape, body: Callable[[Expr, Expr], None]) -> int:
    """body(number of the row, index of its first element) for each row of the unit; gives the units."""
    *outer, length = shape
    count = prod(outer)
    together = max(1, f.BLOCK // length)
    with tir.loop(f.begin * together, tir.minimum(f.end * together, count)) as row:
        body(row, tir.let(row * length))
    return ceildiv(count, together)
