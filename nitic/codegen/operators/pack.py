"""Packing kernels: row-major int8 in, a layout's bytes out. Each reproduces `Layout.pack`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from nitic.codegen.core import tir
from nitic.codegen.core.group import Emission, Template
from nitic.codegen.core.tir import Buffer, Expr, Register
from nitic.ir.layout import (
    BIAS,
    CHUNK,
    PACK,
    VECTOR,
    BatchLast,
    GroupPanels,
    Padded,
    Panels,
    PixelPanels,
    Quads,
    Runs,
    ceildiv,
    parse_layout,
)
from nitic.ir.op import NnOp
from nitic.ir.types import shape_of
from nitic.ops.pack import PackOp

VECTOR_BYTES = VECTOR * PACK
MOST_UNITS = 64
# Four vectors of 16 bytes to 16 groups of four.
INTERLEAVE = [image * VECTOR + lane for lane in range(VECTOR) for image in range(PACK)]


@dataclass(frozen=True)
class Copy:
    """A copy under construction: from `x` (row-major) to `out`, bytes both."""

    x: Buffer
    out: Buffer
    begin: Expr
    end: Expr


def pack(emission: Emission, op: NnOp) -> int:
    """nn.pack."""
    assert isinstance(op, PackOp)
    emission.open(op, 1)
    f = emission.function
    copy = Copy(emission.buffer(op.x), emission.buffer(op.y), f.begin, f.end)
    layout, shape = parse_layout(op.layout.data), shape_of(op.x)
    match layout:
        case Padded():
            return pack_padded(copy, layout, shape)
        case Quads():
            return pack_quads(copy, layout, shape)
        case PixelPanels():
            return pack_pixel_panels(copy, layout, shape)
        case Panels():
            return pack_panels(copy, layout, shape)
        case Runs():
            return pack_runs(copy, layout, shape)
        case BatchLast():
            return pack_batch_last(copy, layout, shape)
        case _:
            raise TypeError(f"no kernel packs {layout}")


def _bits(x: Expr, biased: bool) -> Expr:
    """The bytes of some elements, biased or not."""
    return x ^ tir.constant(-BIAS, "int8", tir.lanes_of(x)) if biased else x


def _zero(biased: bool, lanes: int = 1) -> Expr:
    return tir.constant(-BIAS if biased else 0, "int8", lanes)


def _fill(out: Buffer, begin: Expr, count: Expr, biased: bool) -> None:
    if isinstance(count, int) and count <= 0:
        return
    with tir.loop(0, count) as i:
        out.store(begin + i, _zero(biased))


def pack_padded(f: Copy, layout: Padded, shape: Sequence[int]) -> int:
    n = shape[0]
    per_unit = ceildiv(n, MOST_UNITS)
    with tir.loop(f.begin, f.end) as unit:
        first = tir.let(unit * per_unit)
        with tir.loop(first, tir.minimum(first + per_unit, n)) as image:
            _pad_image(f, layout, shape, image)
    return ceildiv(n, per_unit)


def _pad_image(f: Copy, layout: Padded, shape: Sequence[int], image: Expr) -> None:
    height, width, c = (*shape[1:3], shape[3]) if len(shape) == 4 else (1, 1, shape[1])
    _, padded_height, padded_width, _ = layout.padded_shape(shape)
    top, left, _, _ = layout.pads
    x, out, (step_h, step_w) = f.x, f.out, layout.insert
    begin = max(0, -left + step_w - 1) // step_w if left < 0 else 0
    end = min(width, ceildiv(padded_width - left, step_w))

    def fill_row(row: Expr) -> None:
        _fill(out, row, padded_width * c, layout.biased)

    def copy_row(row: Expr, source: Expr) -> None:
        if step_w > 1:
            fill_row(row)
            with tir.loop(begin, end) as w, tir.loop(0, c) as k:
                out.store(row + (left + w * step_w) * c + k, _bits(x.load(source + w * c + k), layout.biased))
            return
        _fill(out, row, left * c, layout.biased)
        with tir.loop(begin * c, end * c) as k:
            out.store(row + left * c + k, _bits(x.load(source + k), layout.biased))
        _fill(out, row + (left + end) * c, (padded_width - left - end) * c, layout.biased)

    with tir.loop(0, padded_height) as h:
        row = tir.let((image * padded_height + h) * (padded_width * c))
        at = tir.let(h - top)
        y = tir.let(at // step_h)
        source = tir.let((image * height + y) * (width * c))
        if top <= 0 and step_h == 1 and padded_height - top <= height:
            copy_row(row, source)
        else:
            inside = tir.every(at >= 0, y < height, at % step_h == 0)
            tir.branch(inside, lambda: copy_row(row, source), lambda: fill_row(row))


def pack_quads(f: Copy, layout: Quads, shape: Sequence[int]) -> int:
    n, *middle, c = shape
    height, width = middle or (1, 1)
    quads, padded_height, padded_width, _ = layout.padded_shape(shape)
    top, left, bottom, right = layout.pads
    row_bytes = padded_width * c * PACK
    with tir.loop(f.begin, f.end) as quad:
        begin = tir.let(quad * (padded_height * row_bytes))
        _fill(f.out, begin, top * row_bytes, layout.biased)
        with tir.loop(0, height) as h:
            row = tir.let(begin + (top + h) * row_bytes)
            _fill(f.out, row, left * c * PACK, layout.biased)
            rows = _Rows(f, layout.biased, width * c, height * width * c)
            source = tir.let((quad * PACK * height + h) * (width * c))
            target = row + left * c * PACK
            tir.branch(
                quad < n // PACK if n % PACK else True,
                lambda: rows.interleave(source, target, PACK),
                lambda: rows.interleave(source, target, n % PACK),
            )
            _fill(f.out, row + (left + width) * c * PACK, right * c * PACK, layout.biased)
        _fill(f.out, begin + (top + height) * row_bytes, bottom * row_bytes, layout.biased)
    return quads


@dataclass(frozen=True)
class _Rows:
    """The same row of four images, `length` bytes each, `image` bytes apart."""

    f: Copy
    biased: bool
    length: int
    image: int

    def interleave(self, source: Expr, target: Expr, images: int) -> None:
        """Write the row of `images` images side by side; those that are missing are zeros."""
        source, target = tir.let(source), tir.let(target)
        if self.length < VECTOR:
            with tir.loop(0, self.length) as i:
                for byte, value in enumerate(self._images(source + i, images, 1)):
                    self.f.out.store(target + i * PACK + byte, value)
            return
        with tir.loop(0, self.length // VECTOR) as i:
            self._sixteen(source + i * VECTOR, target + i * VECTOR_BYTES, images)
        if self.length % VECTOR:  # the last vector again writes some of the one before
            last = self.length - VECTOR
            self._sixteen(source + last, target + last * PACK, images)

    def _sixteen(self, source: Expr, target: Expr, images: int) -> None:
        self.f.out.store(target, tir.shuffle(self._images(source, images, VECTOR), INTERLEAVE))

    def _images(self, source: Expr, images: int, lanes: int) -> Sequence[Expr]:
        zero = _zero(self.biased, lanes)
        loads = [_bits(self.f.x.load(source + i * self.image, lanes), self.biased) for i in range(images)]
        return [*loads, *[zero] * (PACK - images)]


def pack_panels(f: Copy, layout: Panels, shape: Sequence[int]) -> int:
    """A unit is a vector of 16 output channels, of one group."""
    groups, size = 1, prod(shape)
    if isinstance(layout, GroupPanels):
        groups, size, shape = layout.groups, size // layout.groups, layout.part(shape)
    filters, vectors = layout.filters(shape), layout.vectors(shape)
    (runs, length), group_bytes = (
        layout.runs(shape),
        layout.vectors(shape) * (VECTOR_BYTES + layout.vector_bytes(shape)),
    )
    steps, columns = ceildiv(length, PACK), runs // filters[1]
    with tir.loop(f.begin, f.end) as unit:
        group, vector = tir.let(unit // vectors), tir.let(unit % vectors)
        base, start = tir.let(group * group_bytes), _Start.of(layout)
        gather = (_flipped if layout.flipped else _straight)(f, filters, vector, group * size)
        panel = tir.let(base + vectors * VECTOR_BYTES + vector * layout.vector_bytes(shape))
        with tir.loop(0, filters[1]) as i, tir.loop(0, columns) as j, tir.loop(0, steps) as step:
            packed = start.count(gather(i, j, step * PACK, length))
            f.out.store(panel + ((i * columns + j) * steps + step) * VECTOR_BYTES, packed)
        f.out.store(base + vector * VECTOR_BYTES, start.value)
    return groups * vectors


@dataclass(frozen=True)
class _Start:
    """What the accumulators of a vector start from: -128 times the sum of the weights, or 0."""

    total: Register
    bias: int

    @staticmethod
    def of(layout: Panels) -> _Start:
        return _Start(tir.register("int32", 0, VECTOR), BIAS if layout.biased else 0)

    def count(self, packed: Expr) -> Expr:
        """Counts some bytes, and gives them back."""
        counted = tir.let(packed)
        if self.bias:
            four = tir.reinterpret(counted, f"int32x{VECTOR}")
            for byte in range(PACK):
                left, right = (tir.constant(bits, "int32", VECTOR) for bits in (8 * (PACK - 1 - byte), 8 * (PACK - 1)))
                self.total.set(self.total.value + ((four << left) >> right))
        return counted

    @property
    def value(self) -> Expr:
        start = self.total.value * tir.constant(-self.bias, "int32", VECTOR)
        return tir.reinterpret(start, f"int8x{VECTOR_BYTES}")


def pack_pixel_panels(f: Copy, layout: PixelPanels, shape: Sequence[int]) -> int:
    """One vector: its rows are laid out in scratch memory, with zeros around, and then gathered."""
    outputs, kh, kw, c = layout.filters(shape)
    runs, length = layout.runs(shape)
    row = ceildiv(length, PACK) * PACK
    rows = tir.local("int8", VECTOR * runs * row)
    with tir.loop(f.begin, f.end):
        with tir.loop(0, VECTOR * runs * row) as i:
            rows.store(i, tir.constant(0, "int8"))
        for pixel in range(layout.pixels):
            with tir.loop(0, outputs) as o, tir.loop(0, kh) as i, tir.loop(0, kw) as j, tir.loop(0, c) as k:
                flipped = ((k * kh + (kh - 1 - i)) * kw + (kw - 1 - j)) * outputs + o
                source = flipped if layout.flipped else ((o * kh + i) * kw + j) * c + k
                target = ((pixel * outputs + o) * runs + i) * row + (pixel * layout.step + j) * c + k
                rows.store(target, f.x.load(source))
        start = _Start.of(layout)
        with tir.loop(0, runs * row // PACK) as step:
            lanes = [rows.load(lane * runs * row + step * PACK, PACK) for lane in range(VECTOR)]
            f.out.store((step + 1) * VECTOR_BYTES, start.count(tir.shuffle(lanes, range(VECTOR_BYTES))))
        f.out.store(0, start.value)
    return 1


def pack_runs(f: Copy, layout: Runs, shape: Sequence[int]) -> int:
    """A unit is 16 bytes of a run."""
    (outputs, kh, kw, inputs), (_, runs, length) = layout.filters(shape), layout.shape(shape)
    columns = kh * kw // runs  # of a run
    size = outputs // layout.groups  # outputs of a group
    chunks = ceildiv(length, CHUNK)
    with tir.loop(f.begin, f.end) as unit, tir.loop(0, CHUNK) as byte:
        output, run = unit // (chunks * runs), unit // chunks % runs
        at = tir.let(unit % chunks * CHUNK + byte)
        group, part, channel = tir.let(output // size), at // inputs, at % inputs
        row, column = run * columns // kw, run * columns % kw + (part if layout.groups == 1 else 0)
        flipped = (((group * inputs + channel) * kh + (kh - 1 - row)) * kw + (kw - 1 - column)) * size + output % size
        straight = ((output * kh + row) * kw + column) * inputs + channel
        source = flipped if layout.flipped else straight
        inside = at < length if layout.groups == 1 else tir.every(at < length, part == group % layout.joined)
        value = f.x.load(tir.select(inside, source, 0))
        f.out.store(unit * CHUNK + byte, tir.select(inside, value, _zero(biased=False)))
    return outputs * runs * chunks


def pack_batch_last(f: Copy, layout: BatchLast, shape: Sequence[int]) -> int:
    """A unit is 16 images at one pixel and channel, stored together; neighbouring units read neighbouring channels."""
    n, (c, height, width, filled) = shape[0], layout.shape(shape)
    image, run = height * width * c, tir.local("int8", CHUNK)
    with tir.loop(f.begin, f.end) as unit:
        first, at = tir.let(unit // image * CHUNK), tir.let(unit % image)
        with tir.loop(0, CHUNK) as i:
            inside = first + i < n
            value = f.x.load(tir.select(inside, (first + i) * image + at, 0) if n % CHUNK else (first + i) * image + at)
            run.store(i, tir.select(inside, value, _zero(biased=False)) if n % CHUNK else value)
        target = tir.let((at % c * (height * width) + at // c) * filled + first)
        with tir.loop(0, CHUNK) as i:
            f.out.store(target + i, run.load(i))
    return image * filled // CHUNK


Gather = Callable[[Expr, Expr, Expr, int], Expr]


def _straight(f: Copy, filters: Sequence[int], vector: Expr, base: Expr) -> Gather:
    """The 4 bytes of run (i, j) from k on, of each of 16 filters."""
    oc, kh, kw, c = filters

    def gather(i: Expr, j: Expr, k: Expr, length: int) -> Expr:
        groups: list[Expr] = []
        for lane in range(VECTOR):
            row = vector * VECTOR + lane
            inside = tir.minimum(length - k, PACK) if length % PACK else PACK
            valid = tir.select(row < oc, inside, 0) if oc % VECTOR else inside
            groups.append(f.x.load(base + ((row * kh + i) * kw + j) * c + k, PACK, valid))
        return tir.shuffle(groups, range(VECTOR_BYTES))

    return gather


def _flipped(f: Copy, filters: Sequence[int], vector: Expr, base: Expr) -> Gather:
    """The same bytes of the transposed filters: outputs lie side by side in memory, the inputs of a run do not."""
    outputs, kh, kw, inputs = filters
    first = tir.let(vector * VECTOR)
    width = tir.let(tir.minimum(outputs - first, VECTOR))

    def gather(i: Expr, j: Expr, k: Expr, length: int) -> Expr:
        rows: list[Expr] = []
        for at in range(PACK):
            column, channel = j + (k + at) // inputs, (k + at) % inputs
            address = base + ((channel * kh + (kh - 1 - i)) * kw + (kw - 1 - column)) * outputs + first
            valid = tir.select(k + at < length, width, 0) if length % PACK else width
            rows.append(tir.let(f.x.load(address, VECTOR, valid)))
        return tir.shuffle(rows, INTERLEAVE)

    return gather


TEMPLATES = {"pack": Template(pack)}
