"""The template with dot products of every contraction over channels: convolutions, products, their data gradients.

out[n, oh, ow, oc] = start[oc] + sum over runs of x bytes (unsigned) . weights (signed). x is `Padded`, weights are
`Panels`. A register tile holds accumulators: some output pixels by some vectors of 16 output channels. Each step
broadcasts 4 bytes of every pixel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from nitic.codegen.contractions.dots import VECTOR_BYTES, Dot
from nitic.codegen.core import tir
from nitic.codegen.core.function import Function
from nitic.codegen.core.group import Point
from nitic.codegen.core.tir import Buffer, Expr, Register
from nitic.codegen.loops.tiling import Tiles, tiles
from nitic.ir.layout import PACK, VECTOR, ceildiv


@dataclass(frozen=True)
class Contraction:
    """Sizes and addresses (in bytes of x) of a contraction."""

    pixels: tuple[int, int, int]  # N, OH, OW
    pixel_strides: tuple[int, int, int]
    channels: int  # of a group
    runs: tuple[int, int]  # KH and, where a run is one pixel, KW
    run_strides: tuple[int, int]
    run_length: int
    groups: int = 1

    @property
    def steps(self) -> int:
        """4-byte steps of a run."""
        return ceildiv(self.run_length, PACK)

    @property
    def vectors(self) -> int:
        return ceildiv(self.channels, VECTOR)

    @property
    def vector_bytes(self) -> int:
        return self.runs[0] * self.runs[1] * self.steps * VECTOR_BYTES

    @property
    def group_bytes(self) -> int:
        return self.vectors * (VECTOR_BYTES + self.vector_bytes)


@dataclass(frozen=True)
class Plan:
    """The shape of the register tile: output pixels by vectors of channels; and tiles of pixels in a unit of work."""

    tiles: Tiles
    vectors: int
    tiles_per_unit: int

    @property
    def units(self) -> int:
        return ceildiv(self.tiles.count, self.tiles_per_unit)


def plan(c: Contraction, rows: Mapping[int, int]) -> Plan:
    """The tile with the fewest cycles: dot products and loads each issue about once a cycle. `rows` is a Dot's."""

    def cycles(vectors: int) -> float:
        made = tiles(c.pixels, rows[vectors])
        widths = [vectors] * (c.vectors // vectors) + [c.vectors % vectors] * (c.vectors % vectors > 0)
        return sum(made.count * (max(made.largest * width, made.largest + width) + 1) for width in widths)

    vectors = min((each for each in rows if each <= c.vectors), key=cycles)
    made = tiles(c.pixels, rows[vectors])
    # The weights pass through the cache once per unit: enough pixels to pay for it, enough units for the threads.
    return Plan(made, vectors, max(1, min(ceildiv(128, made.largest), made.count // 32)))


class Sink(Protocol):
    """Where accumulators go: vectors of 16 consecutive channels; the first `valid` exist, the others are zero."""

    def channels(self, channel: Expr, valid: int) -> Point:
        """The point that the sink wants once per vector of channels of a tile."""
        ...

    def store(self, acc: Expr, index: Expr, channel: Point, valid: int) -> None:
        """One vector of accumulators; `index` is the flat index of its first."""
        ...


def conv(f: Function, dots: Dot, x: Buffer, w: Buffer, c: Contraction, sink: Sink) -> int:
    """Emits the loops over x (Padded) and w (Panels); gives the units of work."""
    chosen = plan(c, dots.rows)
    with f.units() as unit:
        first = tir.let(unit * chosen.tiles_per_unit)
        last = tir.let(tir.minimum(first + chosen.tiles_per_unit, chosen.tiles.count))
        for start, count, width, valid in _panels(c, chosen.vectors):
            with tir.loop(0, c.groups) as group, tir.loop(0, count) as panel:
                vector = tir.let(start + panel * width)
                with tir.loop(first, last) as tile:
                    _Tile(c, dots, x, w, sink, group, vector, width, valid).emit(chosen.tiles, tile)
    return chosen.units


def _panels(c: Contraction, width: int) -> Sequence[tuple[int, int, int, int]]:
    """(first vector, how many panels, vectors of each, channels of the last vector)."""
    full, rest = divmod(c.vectors, width)
    tail = c.channels - (c.vectors - 1) * VECTOR
    if rest:
        return [(0, full, width, VECTOR), (full * width, 1, rest, tail)][full == 0 :]
    if tail == VECTOR or full == 1:
        return [(0, full, width, tail)]
    return [(0, full - 1, width, VECTOR), ((full - 1) * width, 1, width, tail)]


@dataclass(frozen=True)
class _Tile:
    """One register tile of a panel of `width` vectors that starts at `vector`; its last vector has `valid` channels."""

    c: Contraction
    dots: Dot
    x: Buffer
    w: Buffer
    sink: Sink
    group: Expr
    vector: Expr
    width: int
    valid: int

    def emit(self, cover: Tiles, tile: Expr) -> None:
        """The tile with number `tile`: its pieces are of two sizes, so there are two bodies at most."""
        before, piece = tile // cover.pieces.pieces, tile % cover.pieces.pieces
        outer: list[Expr] = []
        for dim in reversed(cover.dims[: cover.axis]):
            outer.insert(0, before % dim)
            before = before // dim

        def body(start: Expr, steps: int) -> None:
            origin = [*outer, start, *(0 for _ in cover.dims[cover.axis + 1 :])]
            self._body([tir.let(v) for v in origin], cover.members(steps))

        start, size = cover.pieces.start(piece), cover.pieces.size
        tir.branch(cover.pieces.is_big(piece), lambda: body(start, size), lambda: body(start, size - 1))

    def _body(self, origin: Sequence[Expr], members: Sequence[tuple[int, ...]]) -> None:
        c = self.c
        base = tir.let(dot(origin, c.pixel_strides) + self.group * c.run_length)
        offsets = [dot(member, c.pixel_strides) for member in members]
        starts = [self._start(j) for j in range(self.width)]
        acc = [[tir.register("int32", start, VECTOR) for start in starts] for _ in members]
        panel = self.group * c.group_bytes + c.vectors * VECTOR_BYTES + self.vector * c.vector_bytes
        with tir.loop(0, c.runs[0]) as i, tir.loop(0, c.runs[1]) as j:
            run = tir.let(base + i * c.run_strides[0] + j * c.run_strides[1])
            weights = tir.let(panel + (i * c.runs[1] + j) * (c.steps * VECTOR_BYTES))
            with tir.loop(0, c.steps) as step:
                self._step(acc, run + step * PACK, offsets, weights + step * VECTOR_BYTES)
        self._finish(acc, origin, members)

    def _start(self, j: int) -> Expr:
        packed = self.w.load(self.group * self.c.group_bytes + (self.vector + j) * VECTOR_BYTES, VECTOR_BYTES)
        return tir.let(tir.reinterpret(packed, f"int32x{VECTOR}"))

    def _step(self, acc: Sequence[Sequence[Register]], x: Expr, offsets: Sequence[int], w: Expr) -> None:
        weights = [tir.let(self.w.load(w + j * self.c.vector_bytes, VECTOR_BYTES)) for j in range(self.width)]
        for row, offset in zip(acc, offsets, strict=True):
            four = tir.reinterpret(self.x.load(x + offset, PACK), "int32")
            pixel = tir.let(tir.splat(four, VECTOR))
            for register, weight in zip(row, weights, strict=True):
                register.set(self.dots.add(register.value, pixel, weight))

    def _finish(
        self, acc: Sequence[Sequence[Register]], origin: Sequence[Expr], members: Sequence[tuple[int, ...]]
    ) -> None:
        _, oh, ow = self.c.pixels
        steps = (oh * ow, ow, 1)
        start = tir.let(self.group * self.c.channels + self.vector * VECTOR)
        pixel = self.c.groups * self.c.channels
        first = tir.let(dot(origin, steps) * pixel + start)
        for j in range(self.width):
            valid = self.valid if j == self.width - 1 else VECTOR
            channel = self.sink.channels(start + j * VECTOR, valid)
            for row, member in zip(acc, members, strict=True):
                index = first + dot(member, steps) * pixel + j * VECTOR
                self.sink.store(tir.let(row[j].value), index, channel, valid)


def dot(a: Sequence[Expr], b: Sequence[int]) -> Expr:
    return sum(x * y for x, y in zip(a, b, strict=True))
