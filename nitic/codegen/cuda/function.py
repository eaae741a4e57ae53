"""A kernel for a GPU: every unit of work is one CUDA thread's, and a range is one number with an atomic maximum.

`void name(buffers..., int32_t units)`. Every emitter that serves any CPU makes a correct kernel of this kind, since it
takes its units from `begin` and `end`, has its scratch memory by itself, and evaluates scalars in every thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from tvm.tirx.script import builder as T

from nitic.codegen import tir
from nitic.codegen.kernel import Kernel, Launch
from nitic.codegen.tir import Buffer, Expr, Function
from nitic.ir.layout import ceildiv

THREADS = 256  # of a block
WARP = 32
MOST_BLOCKS = 2**31 // THREADS - 1  # the number of a thread is an int32


@dataclass
class CudaFunction(Function):
    """A function with device linkage; calls into runtime/cuda/nitic_dev.cuh are all that is special to the machine."""

    ATTRIBUTES: ClassVar[Mapping[str, Any]] = {"tirx.noalias": True, "calling_conv": 2, "tirx.is_global_func": True}
    BLOCK: ClassVar[int] = 4
    TABLE_LANES: ClassVar[int] = 1
    WHOLE_ROWS: ClassVar[bool] = False

    def _open(self) -> None:
        units = T.arg("units", T.int32())
        block = self._stack.enter_context(T.launch_thread("blockIdx.x", MOST_BLOCKS))
        within = self._stack.enter_context(T.launch_thread("threadIdx.x", THREADS))
        self.thread = self.begin = block * THREADS + within
        self.end = tir.minimum(self.begin + 1, units)

    def _end(self) -> None:
        pass

    def read_range(self, slots: Buffer) -> Expr:
        return tir.let(slots.load(0))

    def write_range(self, slots: Buffer, top: Expr) -> None:
        call("nitic_range_max", T.address_of(slots.handle[0]), top)

    def kernel(self, units: int) -> Kernel:
        blocks = max(ceildiv(units, THREADS), 1)
        threads = THREADS if blocks > 1 else ceildiv(max(units, 1), WARP) * WARP
        return replace(super().kernel(units), launch=Launch(blocks, threads))


def call(name: str, *arguments: Expr) -> None:
    """A call of a device function that gives nothing back."""
    T.evaluate(T.call_extern("void", name, *arguments))
