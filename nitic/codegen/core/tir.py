"""A thin layer over TVM's IRBuilder: expressions, flat buffers, loops, vectors.

Expressions are TVM's own (operators work on them); vectors are expressions with several lanes. No addition, subtraction
or multiplication may wrap, unsigned ones included: TVM tells LLVM that none does.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import reduce
from typing import Any

from tvm.tirx import Shuffle
from tvm.tirx.script import builder as T

# TVM's Python classes are untyped: an expression is whatever it makes of our operands, an integer included.
Expr = Any

MAX_ELEMENTS = 2**31 - 1  # indices are int32


def dtype_of(value: Expr) -> str:
    """Element type and lanes of an expression, as TVM spells them: int32, int8x16."""
    return str(value.ty.dtype) if hasattr(value, "ty") else str(value.dtype)


def lanes_of(value: Expr) -> int:
    """How many lanes an expression has."""
    head, _, lanes = dtype_of(value).rpartition("x")
    return int(lanes) if head else 1


def constant(value: int, dtype: str = "int32", lanes: int = 1) -> Expr:
    """An integer, or a vector of it."""
    scalar = T.IntImm(dtype, value)
    return scalar if lanes == 1 else T.broadcast(scalar, lanes)


def splat(value: Expr, lanes: int) -> Expr:
    """A scalar in every lane."""
    return value if lanes == 1 else T.broadcast(value, lanes)


def cast(value: Expr, dtype: str) -> Expr:
    """Convert to an element type, keeping the lanes."""
    lanes = lanes_of(value)
    return T.Cast(dtype if lanes == 1 else f"{dtype}x{lanes}", value)


def reinterpret(value: Expr, dtype: str) -> Expr:
    """The same bits as another type (lanes included)."""
    return T.reinterpret(value, dtype=dtype)


def let(value: Expr) -> Expr:
    """Compute once, here.

    The value goes through a variable in memory, which LLVM makes a register: TVM's analysis looks through its own
    bindings again and again, in time exponential in how deep they are.
    """
    if isinstance(value, int):
        return value
    dtype, lanes = dtype_of(value), lanes_of(value)
    if dtype.startswith("bool"):
        return T.Bind(value)
    return register(dtype.partition("x")[0], value, lanes).value


def select(condition: Expr, yes: Expr, no: Expr) -> Expr:
    """Lane by lane; both sides are computed."""
    return T.Select(condition, yes, no)


def shuffle(vectors: Sequence[Expr], order: Sequence[int]) -> Expr:
    """Lanes of the concatenated vectors, in a constant order."""
    return Shuffle(list(vectors), list(order))


def extract(vector: Expr, lane: int) -> Expr:
    """One lane of a vector."""
    return Shuffle([vector], [lane])


def largest_lane(vector: Expr) -> Expr:
    """The maximum over the lanes."""
    top = extract(vector, 0)
    for lane in range(1, lanes_of(vector)):
        top = let(maximum(top, extract(vector, lane)))
    return top


def dot_u8s8(acc: Expr, unsigned: Expr, signed: Expr) -> Expr:
    """vpdpbusd: acc (int32x16) + the dot products of 4 unsigned with 4 signed bytes in each lane. Wraps."""
    intrinsic = T.llvm_lookup_intrinsic_id("llvm.x86.avx512.vpdpbusd.512")
    operands = (T.reinterpret(unsigned, dtype="uint8x64"), T.reinterpret(signed, dtype="int8x64"))
    return T.call_llvm_pure_intrin(intrinsic, acc, *operands, dtype="int32x16")


def dot_pairs(intrinsic: str, lanes: int, a: Expr, b: Expr) -> Expr:
    """pmaddwd, by LLVM's intrinsic for some lanes: in each lane of an int32x16 the dot product of 2 with 2 int16."""
    number = T.llvm_lookup_intrinsic_id(intrinsic)
    parts = [range(first, first + 2 * lanes) for first in range(0, 32, 2 * lanes)]
    sums = [
        T.call_llvm_pure_intrin(number, shuffle([a], part), shuffle([b], part), dtype=f"int32x{lanes}")
        for part in parts
    ]
    return shuffle(sums, range(16))


def dot_quads(intrinsic: str, lanes: int, acc: Expr, a: Expr, b: Expr) -> Expr:
    """acc (int32x16) + the dot products of 4 with 4 bytes in each lane, by LLVM's intrinsic for some lanes. Wraps."""
    number = T.llvm_lookup_intrinsic_id(intrinsic)
    a, b = (T.reinterpret(value, dtype="int8x64") for value in (a, b))
    sums: list[Expr] = []
    for first in range(0, 16, lanes):
        part = range(4 * first, 4 * (first + lanes))
        operands = (shuffle([acc], range(first, first + lanes)), shuffle([a], part), shuffle([b], part))
        sums.append(T.call_llvm_pure_intrin(number, *operands, dtype=f"int32x{lanes}"))
    return shuffle(sums, range(16))


def lane_mask(valid: Expr, lanes: int) -> Expr:
    """True in the first `valid` lanes."""
    return T.ramp(T.IntImm("int32", 0), 1, lanes) < T.broadcast(valid, lanes)


def every(*conditions: Expr) -> Expr:
    """All of some scalar conditions."""
    return reduce(T.And, conditions)


def minimum(a: Expr, b: Expr) -> Expr:
    return T.min(a, b)


def maximum(a: Expr, b: Expr) -> Expr:
    return T.max(a, b)


def truncated_division(a: Expr, b: Expr) -> Expr:
    """Towards zero; for operands that are not negative it is the floor, without the code for negative ones."""
    return T.truncdiv(a, b)


def absolute(value: Expr) -> Expr:
    return T.abs(value)


def count_leading_zeros(value: Expr) -> Expr:
    """Of a positive int32 or int64; an int32."""
    return cast(T.clz(value), "int32")


@dataclass(frozen=True)
class Buffer:
    """Flat memory of one element type. Several lanes are consecutive elements, at any alignment."""

    handle: Any
    dtype: str

    def load(self, index: Expr, lanes: int = 1, valid: Expr = None) -> Expr:
        """`lanes` elements from `index` on; only the first `valid` are touched, the rest are zero."""
        if lanes == 1:
            return self.handle[index]
        window = T.ramp(index, 1, lanes)
        if valid is None or (isinstance(valid, int) and valid >= lanes):
            return self.handle[window]
        # LLVM gives the other lanes no value at all; this select is free.
        mask = lane_mask(valid, lanes)
        loaded = T.masked_load(f"{self.dtype}x{lanes}", self.handle, window, mask)
        return select(mask, loaded, constant(0, self.dtype, lanes))

    def store(self, index: Expr, value: Expr, valid: Expr = None) -> None:
        """Write the lanes of `value`, or the first `valid` of them, to consecutive elements."""
        lanes = 1 if isinstance(value, int) else lanes_of(value)
        window = index if lanes == 1 else T.ramp(index, 1, lanes)
        if lanes == 1 or valid is None or (isinstance(valid, int) and valid >= lanes):
            T.buffer_store(self.handle, value, [window])
        else:
            T.evaluate(T.masked_store(self.handle, value, window, lane_mask(valid, lanes)))


@dataclass(frozen=True)
class Register:
    """A variable of one scalar or vector type that a loop may update."""

    buffer: Buffer
    lanes: int

    @property
    def value(self) -> Expr:
        return self.buffer.load(0, self.lanes)

    def set(self, value: Expr) -> None:
        self.buffer.store(0, value)


def local(dtype: str, elements: int) -> Buffer:
    """Scratch memory on the stack of the thread."""
    # Without a layout, which TVM would look for in all that is open.
    return Buffer(T.alloc_buffer((elements,), dtype, scope="local", layout=None), dtype)


def register(dtype: str, initial: Expr, lanes: int = 1) -> Register:
    """A variable with its first value."""
    made = Register(local(dtype, lanes), lanes)
    made.set(splat(initial, lanes) if lanes > 1 and (isinstance(initial, int) or lanes_of(initial) == 1) else initial)
    return made


def loop(begin: Expr, end: Expr) -> AbstractContextManager[Expr]:
    """`for i in [begin, end)`, one after the other."""
    return T.serial(begin, end)


@contextmanager
def when(condition: Expr) -> Generator[None]:
    """Do the block where a scalar condition holds."""
    with T.If(condition), T.Then():
        yield


def branch(condition: Expr, yes: Callable[[], None], no: Callable[[], None]) -> None:
    """One block or the other; a condition known while compiling leaves only its own."""
    if isinstance(condition, bool):
        (yes if condition else no)()
        return
    with T.If(condition):
        with T.Then():
            yes()
        with T.Else():
            no()
