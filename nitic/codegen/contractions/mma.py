"""The tensor core template: one matrix product of int8 operands, whatever they are taken from.

result[m, n] = sum over k of a[m, k] * b[n, k]. Convolutions, their gradients and the products of linear layers differ
in where 16 neighbours along k come from (`Operand`) and in what becomes of a sum (`Sink`). A block computes a tile of
the result; its operands come through shared memory in steps of 64 along k, copied several steps ahead, and each warp
multiplies its part of the tile by mma.sync m16n8k32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd
from typing import Protocol

from tvm.tirx.script import builder as T

from nitic.codegen.core import tir
from nitic.codegen.core.kernel import Launch
from nitic.codegen.core.tir import Buffer, Expr
from nitic.codegen.cuda.function import WARP, CudaFunction, call, pointer, unrolled
from nitic.ir.layout import CHUNK, ceildiv

STEP = 64  # of k: what a step copies of each row
CHUNKS = STEP // CHUNK
STAGES = 3  # steps that are in shared memory at the same time
MMA = (16, 8)  # M, N of an instruction
FOUR = 4  # neighbours of a row that a thread finishes together
FILL = 264  # blocks that keep a large GPU busy


class Operand(Protocol):
    """A matrix (rows, k) in global memory, of which 16 neighbours along k are copied at once."""

    def fix(self, row: Expr) -> Sequence[Expr]:
        """The numbers that identify a row, even one that does not exist. Computed once for all copies of the row."""
        ...

    def decode(self, k: Expr) -> Sequence[Expr]:
        """The numbers that identify a position along k, a multiple of 16, even one behind the last."""
        ...

    def copy(self, to: Expr, fixed: Sequence[Expr], decoded: Sequence[Expr]) -> None:
        """Copies 16 bytes to an offset of shared memory. Where they do not exist, one of the two operands is zero."""
        ...


class Sink(Protocol):
    """Takes the sums. The final values may be wanted in a second layout, too, where 16 rows of a column are a run."""

    @property
    def turns(self) -> bool:
        """Whether a second layout is wanted."""
        ...

    def store(self, acc: Expr, row: Expr, column: Expr) -> Expr:
        """Gives what became of a sum: an int32; where the sink `turns`, its low byte counts."""
        ...

    def run(self, row: Expr, column: Expr) -> Expr:
        """The address, in the second layout, of 16 rows of a column, of which this one is the first."""
        ...


@dataclass(frozen=True)
class Tile:
    """Sizes in rows of a and of b: of a block, and of a warp within it."""

    block: tuple[int, int]
    warp: tuple[int, int]

    @property
    def warps(self) -> tuple[int, int]:
        return self.block[0] // self.warp[0], self.block[1] // self.warp[1]

    @property
    def threads(self) -> int:
        return self.warps[0] * self.warps[1] * WARP

    @property
    def stage_bytes(self) -> int:
        return sum(self.block) * STEP

    @property
    def sums(self) -> int:
        """How many sums a thread has."""
        return self.warp[0] * self.warp[1] // WARP

    @property
    def together(self) -> bool:
        """Whether four warps multiply together, where a GPU can."""
        return self.warp[1] == 32

    @property
    def name(self) -> str:
        """The type that the device functions take as a template argument."""
        return "nitic_tile<{}, {}, {}, {}>".format(*self.block, *self.warp)


TILES = (
    Tile((128, 128), (64, 32)),
    Tile((128, 64), (32, 32)),
    Tile((64, 64), (32, 32)),
    Tile((64, 32), (32, 16)),
    Tile((32, 16), (16, 16)),
)


@dataclass(frozen=True)
class Product:
    """The extents of a product, its tile, the parts that its sums are cut to, and how many such products there are."""

    m: int
    n: int
    k: int
    tile: Tile
    parts: int = 1
    groups: int = 1

    @property
    def grid(self) -> tuple[int, int]:
        return ceildiv(self.m, self.tile.block[0]), ceildiv(self.n, self.tile.block[1])

    @property
    def steps(self) -> int:
        return ceildiv(self.k, STEP)

    @property
    def steps_of_part(self) -> int:
        return ceildiv(self.steps, self.parts)

    def group(self, block: Expr) -> Expr:
        """Which product a block belongs to."""
        return block // (self.grid[0] * self.grid[1] * self.parts) if self.groups > 1 else tir.constant(0)

    @property
    def launch(self) -> Launch:
        blocks = self.grid[0] * self.grid[1] * self.parts * self.groups
        return Launch(blocks, self.tile.threads, STAGES * self.tile.stage_bytes)


def choose_tile(m: int, n: int, groups: int = 1) -> Tile:
    """The one with the least work, half of the tile's own loads counted in; smaller ones where blocks would be few."""

    def cost(tile: Tile) -> float:
        rows, columns = tile.block
        blocks = ceildiv(m, rows) * ceildiv(n, columns) * groups
        idle = max(1.0, FILL / blocks / 4)
        return blocks * (rows * columns + 16 * (rows + columns)) * min(idle, 4.0)

    return min(TILES, key=cost)


def product(m: int, n: int, k: int, groups: int = 1) -> Product:
    """A product whose sums come whole out of one block."""
    return Product(m, n, k, choose_tile(m, n, groups), 1, groups)


def cut_product(m: int, n: int, k: int, longest: int, groups: int = 1) -> Product:
    """A product with few results and long sums: parts of these, of `longest` at most, that fill the GPU."""
    whole = product(m, n, k, groups)
    blocks = whole.launch.blocks
    wanted = max(min(FILL // blocks, whole.steps // (2 * STAGES)), ceildiv(whole.steps, longest // STEP), 1)
    return Product(m, n, k, whole.tile, ceildiv(whole.steps, ceildiv(whole.steps, wanted)), groups)


def multiply(f: CudaFunction, p: Product, a: Operand, b: Operand, sink: Sink) -> None:
    """Emits the whole kernel but its scalars and ranges."""
    f.launch = p.launch
    columns, part = p.grid[1], p.grid[0] * p.grid[1]
    tile = tir.let(f.block % part)
    origin = tir.let(tile // columns * p.tile.block[0]), tir.let(tile % columns * p.tile.block[1])
    first = tir.let(f.block // part % p.parts * p.steps_of_part)
    last = tir.let(tir.minimum(first + p.steps_of_part, p.steps))
    _Block(f, p, (_Loader.of(f, p, a, 0, origin[0]), _Loader.of(f, p, b, 1, origin[1])), origin).emit(first, last, sink)


@dataclass(frozen=True)
class _Loader:
    """A thread's share of the copies of one operand: some rows of the tile, one of the four chunks of each."""

    operand: Operand
    fixed: Sequence[Buffer]
    rows: int  # of the tile
    copies: int  # of a thread
    offset: int  # of the operand in a stage
    within: Expr
    threads: int

    @staticmethod
    def of(f: CudaFunction, p: Product, operand: Operand, side: int, origin: Expr) -> _Loader:
        rows, threads = p.tile.block[side], p.tile.threads
        copies = ceildiv(rows * CHUNKS, threads)
        within = tir.let(f.within)
        known = len(operand.fix(tir.constant(0)))
        loader = _Loader(
            operand,
            [tir.local("int32", copies) for _ in range(known)],
            rows,
            copies,
            side * p.tile.block[0] * STEP,
            within,
            threads,
        )
        with unrolled(copies) as i:
            for buffer, value in zip(loader.fixed, operand.fix(origin + loader.row(i)), strict=True):
                buffer.store(i, value)
        return loader

    def row(self, i: Expr) -> Expr:
        return (i * self.threads + self.within) // CHUNKS

    def copy(self, step: Expr, stage: Expr) -> None:
        """Starts the copies of a step."""
        chunk = self.within % CHUNKS
        decoded = [tir.let(value) for value in self.operand.decode(tir.let(step * STEP + chunk * CHUNK))]
        with unrolled(self.copies) as i:
            to = stage + self.offset + swizzled(self.row(i), chunk)
            fixed = [buffer.load(i) for buffer in self.fixed]
            if self.rows * CHUNKS % self.threads:
                with tir.when(i * self.threads + self.within < self.rows * CHUNKS):
                    self.operand.copy(to, fixed, decoded)
            else:
                self.operand.copy(to, fixed, decoded)


def swizzled(row: Expr, chunk: Expr) -> Expr:
    """Where a chunk of a row lies: the 8 rows that a load of matrices reads are in 8 different groups of banks."""
    return row * STEP + (chunk ^ ((row >> 1) & (CHUNKS - 1))) * CHUNK


@dataclass(frozen=True)
class _Block:
    """One block of threads."""

    f: CudaFunction
    p: Product
    loaders: tuple[_Loader, _Loader]
    origin: tuple[Expr, Expr]

    def emit(self, first: Expr, last: Expr, sink: Sink) -> None:
        acc = tir.local("int32", self.p.tile.sums)
        with unrolled(self.p.tile.sums) as i:
            acc.store(i, 0)
        for stage in range(STAGES - 1):
            self._copy(first + stage, last, first + stage)
        with tir.loop(first, last) as step:
            call(f"nitic_copy_wait<{STAGES - 2}>")
            if self.p.tile.together:
                call("nitic_proxy_fence")
            call("nitic_block_barrier")
            # This overwrites a stage whose data was read in the step before the barrier.
            self._copy(step + (STAGES - 1), last, step + (STAGES - 1))
            call(f"{self.p.tile.name}::multiply", pointer(acc), step % STAGES * self.p.tile.stage_bytes)
        self._store(acc, sink)

    def _copy(self, step: Expr, last: Expr, turn: Expr) -> None:
        with tir.when(step < last):
            stage = tir.let(turn % STAGES * self.p.tile.stage_bytes)
            for loader in self.loaders:
                loader.copy(step, stage)
        call("nitic_copy_commit")

    def _store(self, acc: Buffer, sink: Sink) -> None:
        """Through shared memory, 16 rows of a warp at a time, so that a thread has four neighbours of a row."""
        tile, lane = self.p.tile, self.f.within % WARP
        slab = Slab(tile.warp[1], tir.let(self.f.within // WARP * Slab(tile.warp[1], 0).bytes))
        call("nitic_block_barrier")  # nobody reads a step any more
        with unrolled(tile.warp[0] // MMA[0]) as i:
            with unrolled(tile.warp[1] // MMA[1]) as j, unrolled(2) as half:
                at = slab.address(lane // 4 + half * 8, j * MMA[1] + lane % 4 * 2)
                call("nitic_store8", at, pointer(acc, (i * (tile.warp[1] // MMA[1]) + j) * 4 + half * 2))
            call("nitic_warp_barrier")
            row, column = (tir.let(T.call_extern("int32", f"{tile.name}::{axis}", i)) for axis in ("row", "column"))
            with unrolled(slab.turns) as turn:
                within, first = slab.four(lane, turn)
                self._finish(slab.address(within, first), row + within, column + first, sink)
            if sink.turns:
                self._turn(slab, row, column, sink)
            call("nitic_warp_barrier")  # all have read what the next rows overwrite

    def _finish(self, address: Expr, row: Expr, column: Expr, sink: Sink) -> None:
        """Finishes four sums. Where n allows it, 2 or 4 of them exist together: the compiler joins their stores."""
        p, four = self.p, tir.local("int32", FOUR)
        made = tir.local("int32", FOUR) if sink.turns else None
        call("nitic_load16", pointer(four), address)
        at_row, at_column = tir.let(self.origin[0] + row), tir.let(self.origin[1] + column)
        together = gcd(p.n, FOUR)
        with unrolled(FOUR // together) as some:
            first = tir.let(at_column + some * together)
            with tir.when(tir.every(at_row < p.m, first < p.n)), unrolled(together) as e:
                became = sink.store(tir.let(four.load(some * together + e)), at_row, first + e)
                if made:
                    made.store(some * together + e, became)
        if made:
            call("nitic_store_bytes", address, pointer(made))

    def _turn(self, slab: Slab, row: Expr, column: Expr, sink: Sink) -> None:
        """Writes the bytes to the second layout, a thread one column. Four bytes lie where their four sums lay."""
        call("nitic_warp_barrier")
        lane = self.f.within % WARP
        at_row, at_column = tir.let(self.origin[0] + row), tir.let(self.origin[1] + column + lane)
        with tir.when(tir.every(lane < slab.columns, at_row < self.p.m, at_column < self.p.n)):
            first = lane - lane % FOUR
            call("nitic_store_column", sink.run(at_row, at_column), slab.address(0, first), slab.stride, lane % FOUR)


@dataclass(frozen=True)
class Slab:
    """Sixteen rows of a warp's sums in shared memory. Rows are so far apart that no two threads want one bank."""

    columns: int
    offset: Expr

    @property
    def stride(self) -> int:
        return (self.columns + 8) * 4

    @property
    def bytes(self) -> int:
        return MMA[0] * self.stride

    @property
    def turns(self) -> int:
        return MMA[0] * self.columns // (WARP * FOUR)

    def address(self, row: Expr, column: Expr) -> Expr:
        return self.offset + row * self.stride + column * 4

    def four(self, lane: Expr, turn: Expr) -> tuple[Expr, Expr]:
        """(row, column) of the first of four neighbours that a thread takes in a turn."""
        threads = self.columns // FOUR  # of a row
        return turn * (WARP // threads) + lane // threads, lane % threads * FOUR
