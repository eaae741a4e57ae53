"""A kernel as a function: its parameters, and who does which units of its work.

On a CPU: `int32_t name(buffers..., int32_t thread, int32_t begin, int32_t end)`, which does the units [begin, end).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tvm.ir import PrimType
from tvm.script.ir_builder import IRBuilder
from tvm.tirx import analysis
from tvm.tirx.script import builder as T

from nitic.codegen.core import tir
from nitic.codegen.core.kernel import BLOCK, Kernel
from nitic.codegen.core.tir import Buffer, Expr
from nitic.ir.buffers import MAX_THREADS


@dataclass(frozen=True)
class Place:
    """A pixel, all images' rows counted through, and the channels that are to be computed of it."""

    row: Expr
    column: Expr
    first: Expr
    count: int

    def channels(self) -> AbstractContextManager[Expr]:
        """A loop over them, from 0 on."""
        return tir.loop(0, self.count)


@dataclass
class Function(AbstractContextManager["Function"]):
    """The function under construction: `with Function(name, {"x": "int8"}) as f: ...`, then `f.kernel(units)`.

    Buffers do not alias, except that a kernel reads and writes an in-place operand through one parameter. What depends
    on the machine that runs it is here and in its subclass for CUDA: who does which units, and how ranges are kept.
    """

    name: str
    parameters: Mapping[str, str]
    threads: int = MAX_THREADS  # that may share the work
    lanes: int = 16  # of an explicit vector of int32, at most; tables are stored by them, since LLVM is slow with many
    buffers: dict[str, Buffer] = field(default_factory=dict)
    thread: Expr = None
    begin: Expr = None
    end: Expr = None
    _stack: ExitStack = field(default_factory=ExitStack)
    _builder: Any = None

    ATTRIBUTES: ClassVar[Mapping[str, Any]] = {"tirx.noalias": True}
    BLOCK: ClassVar[int] = BLOCK  # elements of a unit of work of a point-wise kernel
    WHOLE_ROWS: ClassVar[bool] = True  # such a unit is rows of channels where an operator asks for the channel
    MANY_ELEMENTS: ClassVar[bool] = True  # a thread computes so many that a table of what may come up pays

    def __enter__(self) -> Function:
        self._builder = self._stack.enter_context(IRBuilder())
        self._stack.enter_context(T.prim_func(s_tir=True))
        T.func_name(self.name)
        T.func_attr({**self.ATTRIBUTES, "global_symbol": self.name})
        pointers = {name: T.arg(name, T.ptr(dtype)) for name, dtype in self.parameters.items()}
        self._open()
        for name, pointer in pointers.items():
            dtype = self.parameters[name]
            self.buffers[name] = Buffer(T.decl_buffer((tir.MAX_ELEMENTS,), dtype, data=pointer, layout=None), dtype)
        return self

    def _open(self) -> None:
        """Behind the buffers: the other parameters, and what a thread is to do."""
        self.thread, self.begin, self.end = (T.arg(name, T.int32()) for name in ("thread", "begin", "end"))
        T.func_ret(PrimType("int32"))

    def _end(self) -> None:
        T.Return(T.int32(0))

    def __exit__(self, *error: Any) -> None:
        if error[0] is None:
            self._end()
        self._stack.__exit__(*error)

    def __getitem__(self, name: str) -> Buffer:
        return self.buffers[name]

    @property
    def vectors(self) -> tuple[int, int]:
        """The lengths of explicit vectors, the longer one first."""
        return self.lanes, max(1, self.lanes // 2)

    def units(self) -> AbstractContextManager[Expr]:
        """A loop over the units of work that are to be done here."""
        return tir.loop(self.begin, self.end)

    def elements(self, count: int) -> AbstractContextManager[Expr]:
        """A loop over the elements of such units, of BLOCK each, as far as there are any."""
        return tir.loop(self.begin * self.BLOCK, tir.minimum(self.end * self.BLOCK, count))

    @contextmanager
    def places(self, rows: int, width: int, channels: int) -> Generator[Place]:
        """A loop over the pixels of such units: a unit is a row of pixels with all their channels."""
        with self.units() as row, tir.loop(0, width) as column:
            yield Place(row, column, 0, channels)

    def units_of_places(self, rows: int, width: int, channels: int) -> int:
        return rows

    def table(self, values: Sequence[int]) -> Buffer:
        """A constant table of int32, in the thread's memory."""
        made = tir.local("int32", len(values))
        for i in range(0, len(values), self.lanes):
            some = [tir.constant(value) for value in values[i : i + self.lanes]]
            made.store(i, tir.shuffle(some, range(len(some))) if len(some) > 1 else some[0])
        return made

    def read_range(self, slots: Buffer) -> Expr:
        """The maximum over the slots of all threads; an int64."""
        top = tir.register("int64", tir.constant(0, "int64"))
        with tir.loop(0, self.threads) as slot:
            top.set(tir.maximum(top.value, slots.load(slot)))
        return tir.let(top.value)

    def write_range(self, slots: Buffer, top: Expr) -> None:
        """Counts a thread's own maximum, an int64, in: once, by every thread, one with nothing to do as well."""
        slots.store(self.thread, top)

    def rows_of_unit(self, rows: int) -> int:
        """How many rows a unit takes where every unit adds to the same sums: one thread does all."""
        return rows

    def write_sum(self, name: str, total: Expr) -> None:
        """A unit's share of such a sum."""
        self[name].store(0, total)

    def divide(self, a: Expr, b: Expr) -> Expr:
        """The quotient of int64 that are not negative, towards zero; b is not known while compiling."""
        return tir.truncated_division(a, b)

    def kernel(self, units: int) -> Kernel:
        """The finished function. Raises RuntimeError for a local that is used outside the block that sets it."""
        function = self._builder.get()
        analysis.verify_well_formed(function)
        return Kernel(self.name, dict(self.parameters), units, function=function)
