"""The template with dot products of weight gradients: sums over the batch, four images at a time.

dw[oc, run, k] = sum over images and pixels of dy[pixel, oc] * x[pixel + run, k]. Both operands are `Quads`, so that
the window, its strides and dilations only move addresses. A vector is 16 consecutive k (channels, or columns and
channels) of four images of x; each step broadcasts four images of one output channel of dy. The sum is done in chunks
whose operands stay in the cache and whose int32 sums cannot overflow; each chunk is added to the result in memory,
which is int64 where a chunk's bound does not hold for the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from nitic.codegen.contractions.dot_conv import dot
from nitic.codegen.contractions.dots import VECTOR_BYTES, Dot
from nitic.codegen.core import tir
from nitic.codegen.core.function import Function
from nitic.codegen.core.tir import Buffer, Expr, Register
from nitic.codegen.loops.tiling import Cut, Tiles, cut, tiles
from nitic.ir.layout import BIAS, PACK, VECTOR, ceildiv

Step = Callable[[Expr, Expr], None]
CHUNK = 256  # pixels of a chunk: 1024 products, far below the 66,572 that an int32 holds for certain
BLOCK_BYTES = 3 << 17  # of dw that a unit of work keeps in the second level cache
FEW_UNITS = 32


@dataclass(frozen=True)
class Sum:
    """Sizes and addresses (in bytes of x; those of dy follow from its shape) of a weight gradient."""

    pixels: tuple[int, int, int]  # N/4, OH, OW
    pixel_strides: tuple[int, int, int]
    channels: int  # of a group
    runs: tuple[int, int]  # KH and, where a run is one pixel, KW
    run_strides: tuple[int, int]
    run_length: int  # elements
    biased: bool
    wide: bool
    groups: int = 1

    @property
    def vectors(self) -> tuple[int, int, int]:
        """The index space of the vectors of x: KH, KW, vectors of a run."""
        return (*self.runs, ceildiv(self.run_length, VECTOR))

    @property
    def vector_strides(self) -> tuple[int, int, int]:
        return (*self.run_strides, VECTOR_BYTES)

    @property
    def filter_size(self) -> int:
        return self.runs[0] * self.runs[1] * self.run_length

    @property
    def out(self) -> str:
        return "int64" if self.wide else "int32"


@dataclass(frozen=True)
class Plan:
    """Register tile: a piece of the channels by a tile of vectors. Unit of work: a block of each."""

    channels: Cut
    vectors: Tiles
    channel_block: int
    vector_block: int

    @property
    def blocks(self) -> tuple[int, int]:
        return ceildiv(self.channels.pieces, self.channel_block), ceildiv(self.vectors.pieces.pieces, self.vector_block)

    @property
    def units(self) -> int:
        return self.blocks[0] * self.blocks[1]


def plan(s: Sum, rows: Mapping[int, int]) -> Plan:
    """The tile with the fewest cycles, then blocks that fit the cache and are enough for some threads."""

    def cycles(width: int) -> float:
        vectors, channels = tiles(s.vectors, width), cut(s.channels, rows[width])
        a, b = channels.size, vectors.largest
        return vectors.count * channels.pieces * (max(a * b, a + b) + 1)

    width = min(rows, key=cycles)
    vectors, channels = tiles(s.vectors, width), cut(s.channels, rows[width])
    a, b = channels.pieces, vectors.pieces.pieces
    tile_bytes = channels.size * vectors.largest * VECTOR_BYTES * (vectors.count // b)
    while a * b > 1 and (
        a * b * tile_bytes > BLOCK_BYTES or ceildiv(channels.pieces, a) * ceildiv(vectors.pieces.pieces, b) < FEW_UNITS
    ):
        # Cut where the operand that is read again is the smaller part.
        if b > 1 and (a == 1 or a * channels.size <= b * vectors.largest * VECTOR):
            b = ceildiv(b, 2)
        else:
            a = ceildiv(a, 2)
    return Plan(channels, vectors, a, b)


class Sink(Protocol):
    """Where sums go: vectors of 16 consecutive elements of dw, of which the first `valid` exist."""

    def load(self, index: Expr, valid: Expr) -> Expr:
        """The sums of the earlier chunks."""
        ...

    def store(self, total: Expr, index: Expr, valid: Expr, last: Expr) -> None:
        """The sums up to this chunk; `last`, a scalar condition, where nothing comes after it."""
        ...


def wgrad(f: Function, dots: Dot, x: Buffer, dy: Buffer, s: Sum, sink: Sink) -> int:
    """Emits the loops over x (Quads) and dy (Quads without bias); gives the units of work."""
    chosen, chunks = plan(s, dots.rows), tiles(s.pixels, CHUNK)
    block_channels = chosen.channel_block * chosen.channels.size
    starts = tir.local("int32", ceildiv(block_channels, VECTOR) * VECTOR)
    with f.units() as unit, tir.loop(0, chunks.count) as chunk:
        pixels, group = _Pixels.of(s, chunks, chunk), tir.let(unit // chosen.units)
        _Block(s, chosen, dots, x, dy, sink, starts, chunk, chunks.count, pixels, group).emit(
            tir.let(unit % chosen.units)
        )
    return chosen.units * s.groups


@dataclass(frozen=True)
class _Pixels:
    """The output pixels of one chunk: begin and end of each axis."""

    ranges: Sequence[tuple[Expr, Expr]]
    x_strides: tuple[int, int, int]
    dy_strides: tuple[int, int, int]

    @staticmethod
    def of(s: Sum, chunks: Tiles, chunk: Expr) -> _Pixels:
        before, piece = chunk // chunks.pieces.pieces, chunk % chunks.pieces.pieces
        begin = tir.let(chunks.pieces.start(piece))
        ranges: list[tuple[Expr, Expr]] = [(begin, tir.let(chunks.pieces.start(piece + 1)))]
        for dim in reversed(chunks.dims[: chunks.axis]):
            at = tir.let(before % dim)
            ranges.insert(0, (at, at + 1))
            before = before // dim
        ranges += [(0, dim) for dim in chunks.dims[chunks.axis + 1 :]]
        _, oh, ow = s.pixels
        step = s.groups * s.channels * PACK
        return _Pixels(ranges, s.pixel_strides, (oh * ow * step, ow * step, step))

    def each(self, body: Step, x: Expr, dy: Expr) -> None:
        """body(address in x, address in dy) for every pixel."""
        with tir.loop(*self.ranges[0]) as n, tir.loop(*self.ranges[1]) as h:
            at = (n, h)
            row_x, row_dy = tir.let(x + dot(at, self.x_strides[:2])), tir.let(dy + dot(at, self.dy_strides[:2]))
            with tir.loop(*self.ranges[2]) as w:
                body(row_x + w * self.x_strides[2], row_dy + w * self.dy_strides[2])


@dataclass(frozen=True)
class _Block:
    """One chunk of one unit of work."""

    s: Sum
    plan: Plan
    dots: Dot
    x: Buffer
    dy: Buffer
    sink: Sink
    starts: Buffer
    chunk: Expr
    chunks: int
    pixels: _Pixels
    group: Expr

    def emit(self, unit: Expr) -> None:
        a, b = self.plan.channels, self.plan.vectors.pieces
        across = self.plan.blocks[1]
        row, column = tir.let(unit // across * self.plan.channel_block), tir.let(unit % across * self.plan.vector_block)
        first = tir.let(a.start(row))
        if self.s.biased:
            self._bias_starts(first)
        with tir.loop(column, tir.minimum(column + self.plan.vector_block, b.pieces)) as piece:
            tir.branch(
                b.is_big(piece),
                lambda: self._vectors(b.start(piece), b.size, first, row),
                lambda: self._vectors(b.start(piece), b.size - 1, first, row),
            )

    def _bias_starts(self, first: Expr) -> None:
        """starts[i] = -128 * sum of dy of channel first + i over the chunk."""
        block = min(self.plan.channel_block * self.plan.channels.size, self.s.channels)
        vectors = ceildiv(block, VECTOR)
        bias = tir.constant(BIAS, "uint8", VECTOR_BYTES)
        for group in range(0, vectors, 4):
            sums = {i: tir.register("int32", 0, VECTOR) for i in range(group, min(group + 4, vectors))}

            def step(_: Expr, dy: Expr, sums: dict[int, Register] = sums) -> None:
                for i, total in sums.items():
                    total.set(self.dots.add(total.value, bias, self.dy.load(dy + i * VECTOR_BYTES, VECTOR_BYTES)))

            self.pixels.each(step, 0, self._error(first))
            for i, total in sums.items():
                self.starts.store(i * VECTOR, -total.value)

    def _error(self, channel: Expr) -> Expr:
        """The address in dy of a channel of the group."""
        return tir.let((self.group * self.s.channels + channel) * PACK)

    def _vectors(self, start: Expr, steps: int, first: Expr, row: Expr) -> None:
        """Every tile of one piece of vectors in this block: the outer axes of the vectors, then the channels."""
        cover = self.plan.vectors
        outer = [1, 1][cover.axis :] + list(cover.dims[: cover.axis])
        with tir.loop(0, outer[0]) as i, tir.loop(0, outer[1]) as j:
            at = [i, j][2 - cover.axis :] + [start] + [0] * (2 - cover.axis)
            self._channels([tir.let(v) for v in at], cover.members(steps), first, row)

    def _channels(self, vector: Sequence[Expr], members: Sequence[tuple[int, ...]], first: Expr, row: Expr) -> None:
        cover = self.plan.channels
        with tir.loop(row, tir.minimum(row + self.plan.channel_block, cover.pieces)) as piece:
            channel = tir.let(cover.start(piece))
            tir.branch(
                cover.is_big(piece),
                lambda: self._tile(vector, members, channel, cover.size, first),
                lambda: self._tile(vector, members, channel, cover.size - 1, first),
            )

    def _tile(
        self, vector: Sequence[Expr], members: Sequence[tuple[int, ...]], channel: Expr, rows: int, first: Expr
    ) -> None:
        offsets = [dot(member, self.s.vector_strides) for member in members]
        acc: list[list[Register]] = []
        for i in range(rows):
            start = tir.let(self.starts.load(channel - first + i)) if self.s.biased else 0
            acc.append([tir.register("int32", start, VECTOR) for _ in members])

        def step(x: Expr, dy: Expr) -> None:
            vectors = [tir.let(self.x.load(x + offset, VECTOR_BYTES)) for offset in offsets]
            for i, registers in enumerate(acc):
                four = tir.reinterpret(self.dy.load(dy + i * PACK, PACK), "int32")
                error = tir.let(tir.splat(four, VECTOR))
                for register, operand in zip(registers, vectors, strict=True):
                    register.set(self.dots.add(register.value, operand, error))

        start = tir.let(dot(vector, self.s.vector_strides) + self.group * (self.s.run_length * PACK))
        self.pixels.each(step, start, self._error(channel))
        for i, registers in enumerate(acc):
            for register, member in zip(registers, members, strict=True):
                at = [a + b for a, b in zip(vector, member, strict=True)]
                self._merge(register.value, at, channel + i)

    def _merge(self, acc: Expr, vector: Sequence[Expr], channel: Expr) -> None:
        """Add the sums of a chunk to the result, or begin it."""
        run, start = vector[0] * self.s.runs[1] + vector[1], vector[2] * VECTOR
        filter_ = self.group * self.s.channels + channel
        index = tir.let(filter_ * self.s.filter_size + run * self.s.run_length + start)
        rest = self.s.run_length % VECTOR
        valid = tir.minimum(self.s.run_length - start, VECTOR) if rest else None
        total = tir.let(tir.cast(acc, self.s.out))
        if self.chunks > 1:
            old, zero = self.sink.load(index, valid), tir.constant(0, self.s.out, VECTOR)
            total = tir.let(total + tir.select(tir.splat(self.chunk > 0, VECTOR), old, zero))
        self.sink.store(total, index, valid, self.chunk == self.chunks - 1)
