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
    return each_row(f, prod(outer), length, lambda row: body(row, tir.let(row * length)))


def each_row(f: Function, count: int, cost: int, body: Callable[[Expr], None]) -> int:
    """body(number of the row) for each row of the unit, where a row costs as much as so many elements."""
    together = max(1, f.BLOCK // cost)
    with tir.loop(f.begin * together, tir.minimum(f.end * together, count)) as row:
        body(row)
    return ceildiv(count, together)
