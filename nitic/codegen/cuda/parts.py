"""Sums that a GPU computes in parts: how many, and what is done with the whole."""

from __future__ import annotations

from collections.abc import Callable

from xdsl.ir import SSAValue

from nitic.codegen.core.group import Emission, Point, Split
from nitic.codegen.core.tir import Buffer
from nitic.ir.layout import ceildiv
from nitic.ir.op import NnOp
from nitic.ir.types import dtype_of, shape_of

THREADS = 2**16  # parts that keep a large GPU busy
LEAST = 16  # elements of a part


def parts_of(sums: int, count: int) -> int:
    """Into how many parts sums of so many elements are cut."""
    return max(1, min(THREADS // sums, count // LEAST))


def split(result: SSAValue, size: int, add: Callable[[Emission, Buffer], int]) -> Split:
    """A split whose sums are a result as they are."""

    def finish(emission: Emission, memory: Buffer) -> int:
        emission.open(result.owner if isinstance(result.owner, NnOp) else None, 1)
        f, channels = emission.function, shape_of(result)[-1] if shape_of(result) else 1
        with f.elements(size) as i:
            emission.finish(result, memory.load(i), Point(i, emission.channel(i % channels)))
        return ceildiv(size, f.BLOCK)

    return Split(result, dtype_of(result).__name__, size, add, finish)
