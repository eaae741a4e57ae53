"""A kernel for a GPU: every unit of work is one CUDA thread's, and a range is one number with an atomic maximum.

`void name(buffers..., int32_t units)`. Every emitter that serves any CPU makes a correct kernel of this kind, since it
takes its units from `begin` and `end`, has its scratch memory by itself, and evaluates scalars in every thread. A
kernel that shares its work out otherwise says with `launch` how it starts.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from math import gcd
from typing import Any, ClassVar

from tvm.tirx.script import builder as T

from nitic.codegen.core import tir
from nitic.codegen.core.function import Function, Place
from nitic.codegen.core.kernel import Kernel, Launch
from nitic.codegen.core.tir import Buffer, Expr
from nitic.ir.layout import ceildiv

THREADS = 256  # of a block, at most
WARP = 32
MOST_BLOCKS = 2**31 // THREADS - 1  # the number of a thread is an int32


@dataclass
class CudaFunction(Function):
    """A function with device linkage; calls into runtime/cuda/nitic_dev.cuh are all that is special to the machine."""

    ATTRIBUTES: ClassVar[Mapping[str, Any]] = {"tirx.noalias": True, "calling_conv": 2, "tirx.is_global_func": True}
    BLOCK: ClassVar[int] = 4
    lanes: int = 1
    WHOLE_ROWS: ClassVar[bool] = False
    MANY_ELEMENTS: ClassVar[bool] = False

    block: Expr = None
    within: Expr = None  # the number of the thread in its block
    launch: Launch | None = None
    zeroed: tuple[str, ...] = ()

    def _open(self) -> None:
        units = T.arg("units", T.int32())
        self.block = self._stack.enter_context(T.launch_thread("blockIdx.x", MOST_BLOCKS))
        self.within = self._stack.enter_context(T.launch_thread("threadIdx.x", THREADS))
        self.thread = self.begin = self.block * THREADS + self.within
        self.end = tir.minimum(self.begin + 1, units)

    def _end(self) -> None:
        pass

    @contextmanager
    def units(self) -> Generator[Expr]:
        """One unit or none: in this form the compiler sees that it is no loop."""
        with tir.loop(0, tir.select(self.thread < self.end, 1, 0)) as none:
            yield tir.let(self.thread + none)

    @contextmanager
    def elements(self, count: int) -> Generator[Expr]:
        """Where all units have the same size, the compiler joins the accesses of a thread to wide ones."""
        if count % self.BLOCK:
            with super().elements(count) as element:
                yield element
        else:
            with self.units() as unit, tir.loop(0, self.BLOCK) as i:
                yield unit * self.BLOCK + i

    @contextmanager
    def places(self, rows: int, width: int, channels: int) -> Generator[Place]:
        """A unit is few channels of a pixel; neighbouring threads have neighbouring ones."""
        some = gcd(channels, self.BLOCK)
        pieces = channels // some
        with self.units() as unit:
            pixel = tir.let(unit // pieces)
            yield Place(tir.let(pixel // width), tir.let(pixel % width), tir.let(unit % pieces * some), some)

    def units_of_places(self, rows: int, width: int, channels: int) -> int:
        return rows * width * channels // gcd(channels, self.BLOCK)

    def read_range(self, slots: Buffer) -> Expr:
        return tir.let(slots.load(0))

    def write_range(self, slots: Buffer, top: Expr) -> None:
        call("nitic_range_max", pointer(slots), top)

    def rows_of_unit(self, rows: int) -> int:
        return 1

    def write_sum(self, name: str, total: Expr) -> None:
        self.zeroed += (name,)
        call("nitic_atomic_add", pointer(self[name]), total)

    def divide(self, a: Expr, b: Expr) -> Expr:
        return tir.let(T.call_extern("int64", "nitic_divide", a, b))

    def only_if(self, condition: Expr) -> None:
        """Everything emitted after this runs only where a condition holds, which is the same for every thread."""
        self._stack.enter_context(T.If(condition))
        self._stack.enter_context(T.Then())

    def kernel(self, units: int) -> Kernel:
        return replace(super().kernel(units), launch=self.launch or _one_thread_each(units), zeroed=self.zeroed)


def _one_thread_each(units: int) -> Launch:
    blocks = max(ceildiv(units, THREADS), 1)
    return Launch(blocks, THREADS if blocks > 1 else ceildiv(max(units, 1), WARP) * WARP)


def call(name: str, *arguments: Expr) -> None:
    """A call of a device function that gives nothing back."""
    T.evaluate(T.call_extern("void", name, *arguments))


def pointer(buffer: Buffer, index: Expr = 0) -> Expr:
    """The address of an element."""
    return T.address_of(buffer.handle[index])


def unrolled(extent: int) -> AbstractContextManager[Expr]:
    """A loop that the compiler writes out: what it indexes of local memory stays in registers."""
    return T.unroll(0, extent)
