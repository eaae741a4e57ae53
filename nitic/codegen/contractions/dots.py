"""How machines add dot products of four bytes to 32-bit sums, and the register tiles that they have room for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from nitic.codegen.core import tir
from nitic.codegen.core.tir import Expr
from nitic.ir.layout import PACK, VECTOR

VECTOR_BYTES = VECTOR * PACK


@dataclass(frozen=True)
class Dot:
    """`add` gives acc (int32) + the dot products of 4 unsigned with 4 signed bytes in each of 16 lanes, exactly.

    It may take both operands as signed where the rules of its variant keep both as they are, never "biased".

    A register tile is some rows (pixels, or output channels of a weight gradient) by some vectors of 16 sums; `rows`
    has the most rows for each number of vectors.
    """

    add: Callable[[Expr, Expr, Expr], Expr]
    rows: Mapping[int, int]


def by_pairs(pairs: Callable[[Expr, Expr], Expr], acc: Expr, unsigned: Expr, signed: Expr) -> Expr:
    """Even and odd bytes as int16, and the dot products of both. What is done to an operand alone, LLVM does once."""
    u = tir.reinterpret(unsigned, f"uint16x{2 * VECTOR}")
    s = tir.reinterpret(signed, f"int16x{2 * VECTOR}")
    eight, low = (tir.constant(value, "uint16", 2 * VECTOR) for value in (8, 0xFF))
    by = tir.constant(8, "int16", 2 * VECTOR)
    for a, b in ((u & low, (s << by) >> by), (u >> eight, s >> by)):
        acc = acc + pairs(tir.reinterpret(a, f"int16x{2 * VECTOR}"), b)
    return acc


def pmaddwd(intrinsic: str, lanes: int) -> Callable[[Expr, Expr, Expr], Expr]:
    """`Dot.add` by pmaddwd for registers of so many sums."""
    return partial(by_pairs, partial(tir.dot_pairs, intrinsic, lanes))


VNNI = Dot(tir.dot_u8s8, {1: 20, 2: 13, 3: 8, 4: 6})
"""vpdpbusd of AVX512-VNNI. The tile, the vectors and a broadcast fill the 32 registers at most."""
AVX2 = Dot(pmaddwd("llvm.x86.avx2.pmadd.wd", lanes=8), {1: 4})
"""16 registers of half a vector: 8 of sums, 4 of a vector's even and odd bytes, 2 of a broadcast."""
NEON = Dot(partial(tir.dot_quads, "llvm.aarch64.neon.sdot", 4), {1: 6})
"""sdot: 32 registers of a quarter of a vector: 24 of sums, 4 of a vector, 1 of a broadcast."""
SSE2 = Dot(pmaddwd("llvm.x86.sse2.pmadd.wd", lanes=4), {1: 2})
"""16 registers of a quarter of a vector: 8 of sums, 4 of its bytes. Tiles of 1 to 4 rows are alike."""
