"""nn.conv, nn.gemm and their gradients on tensor cores: where the operands of the template come from.

A convolution with groups is as many products as groups, one behind the other in the launch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd, prod

from xdsl.ir import SSAValue

from nitic.codegen.contractions import mma
from nitic.codegen.core import tir
from nitic.codegen.core.group import Emission, Point, Split, Template, elements
from nitic.codegen.core.tir import Buffer, Expr
from nitic.codegen.cuda.function import CudaFunction, call, pointer
from nitic.codegen.cuda.parts import split
from nitic.codegen.loops.geometry import images
from nitic.ir.layout import CHUNK, BatchLast, ceildiv
from nitic.ir.op import NnOp
from nitic.ir.types import Shape, dtype_of, shape_of
from nitic.ops.conv import ConvDgradOp, ConvOp, ConvWgradOp, Window
from nitic.ops.pack import PackOp
from nitic.targets.tensor_cores import runs_of

SECTOR = 32  # bytes that a GPU's cache reads and writes together
OUTSIDE = -(2**20)  # a row or column that no window reaches from inside
LONGEST = 2**17  # products of two int8 that an int32 sums for certain


@dataclass(frozen=True)
class Order:
    """How windows are numbered: image by image, or `together` images side by side."""

    images: int
    windows: int  # of an image
    together: int = 1

    @property
    def rows(self) -> int:
        return self.images * self.windows

    def of(self, row: Expr) -> tuple[Expr, Expr]:
        """(image, window of it)"""
        some = row // self.together
        return some // self.windows * self.together + row % self.together, some % self.windows

    def flat(self, row: Expr) -> Expr:
        """The number that a row has when rows are numbered image by image."""
        if self.together == 1:
            return row
        image, window = self.of(row)
        return image * self.windows + window


@dataclass(frozen=True)
class Rows:
    """A matrix whose rows of `k` bytes, a multiple of 16, lie one behind the other; `first` is the first one."""

    buffer: Buffer
    rows: int
    k: int
    first: Expr

    def fix(self, row: Expr) -> Sequence[Expr]:
        return [tir.select(row < self.rows, (self.first + row) * self.k, -1)]

    def decode(self, k: Expr) -> Sequence[Expr]:
        return [k]

    def copy(self, to: Expr, fixed: Sequence[Expr], decoded: Sequence[Expr]) -> None:
        (row,), (k,) = fixed, decoded
        copy_if(tir.every(row >= 0, k < self.k), to, self.buffer, row + k)


@dataclass(frozen=True)
class Axis:
    """Where a window looks along an axis: at (at * step + tap * dilation + origin) / divisor, if that is whole."""

    size: int
    step: int
    dilation: int
    origin: int
    divisor: int = 1

    def inside(self, position: Expr) -> Expr:
        within = tir.every(position >= 0, position < self.size * self.divisor)
        return within if self.divisor == 1 else tir.every(within, position % self.divisor == 0)


@dataclass(frozen=True)
class Pixels:
    """The windows of images (N, H, W, C): a row is a window, and k goes through its runs, each filled to whole 16.

    Bytes copied from behind the end of a run, or behind the last run, are multiplied with zeros of the other operand.
    Of each pixel the windows see `share` channels, from channel `first` on.
    """

    buffer: Buffer
    order: Order
    width: int  # windows side by side
    axes: tuple[Axis, Axis]
    channels: int
    runs: int  # of a row of the window: 1, or one for each column
    length: int  # of a run, filled
    first: Expr
    share: int

    @property
    def image(self) -> int:
        return self.axes[0].size * self.axes[1].size * self.channels

    def fix(self, row: Expr) -> Sequence[Expr]:
        vertical, horizontal = self.axes
        image, window = self.order.of(tir.let(tir.minimum(row, self.order.rows - 1)))
        y = window // self.width * vertical.step + vertical.origin
        x = window % self.width * horizontal.step + horizontal.origin
        return [image * self.image, tir.select(row < self.order.rows, y, OUTSIDE), x]

    def decode(self, k: Expr) -> Sequence[Expr]:
        run = k // self.length
        return [
            run // self.runs * self.axes[0].dilation,
            run % self.runs * self.axes[1].dilation if self.runs > 1 else tir.constant(0),
            k % self.length,
        ]

    def copy(self, to: Expr, fixed: Sequence[Expr], decoded: Sequence[Expr]) -> None:
        vertical, horizontal = self.axes
        y, x = tir.let(fixed[1] + decoded[0]), tir.let(fixed[2] + decoded[1])
        inside = vertical.inside(y)
        if horizontal.divisor > 1:
            inside = tir.every(inside, horizontal.inside(x))
        line = horizontal.size * self.channels
        column = tir.let(tir.truncated_division(x, horizontal.divisor) * self.channels + self.first + decoded[2])
        row = fixed[0] + tir.truncated_division(y, vertical.divisor) * line
        if self.share % CHUNK == 0 and self.channels % CHUNK == 0:
            copy_if(tir.every(inside, column >= 0, column < line), to, self.buffer, row + column)
            return
        low = tir.minimum(tir.maximum(-column, 0), CHUNK)
        high = tir.select(inside, tir.minimum(tir.maximum(line - column, 0), CHUNK), 0)
        call("nitic_gather16", to, pointer(self.buffer), tir.select(inside, row + column, 0), low, high)


@dataclass(frozen=True)
class Taps:
    """Images in the layout `BatchLast`: a row is a tap of the window and a channel, k goes through (OH, OW, N).

    The channels are some of those of the images, from `first` on.
    """

    buffer: Buffer
    rows: int
    taps: int  # columns of the window
    out: int  # windows of a row of pixels
    axes: tuple[Axis, Axis]
    channels: int
    batch: int  # filled
    first: Expr

    def fix(self, row: Expr) -> Sequence[Expr]:
        vertical, horizontal = self.axes
        at = tir.let(tir.minimum(row, self.rows - 1))
        tap, channel = at // self.channels, at % self.channels
        y = tap // self.taps * vertical.dilation + vertical.origin
        x = tap % self.taps * horizontal.dilation + horizontal.origin
        plane = vertical.size * horizontal.size * self.batch
        return [(self.first + channel) * plane, tir.select(row < self.rows, y, OUTSIDE), x]

    def decode(self, k: Expr) -> Sequence[Expr]:
        window = k // self.batch
        return [window // self.out * self.axes[0].step, window % self.out * self.axes[1].step, k % self.batch]

    def copy(self, to: Expr, fixed: Sequence[Expr], decoded: Sequence[Expr]) -> None:
        vertical, horizontal = self.axes
        y, x = tir.let(fixed[1] + decoded[0]), tir.let(fixed[2] + decoded[1])
        inside = tir.every(vertical.inside(y), horizontal.inside(x))
        index = fixed[0] + (y * horizontal.size + x) * self.batch + decoded[2]
        copy_if(inside, to, self.buffer, index)


def copy_if(condition: Expr, to: Expr, buffer: Buffer, index: Expr) -> None:
    """Sixteen bytes to shared memory, or zeros."""
    inside = tir.let(tir.cast(condition, "int32"))
    call("nitic_copy16", to, pointer(buffer, tir.select(inside != 0, index, 0)), inside)


@dataclass(frozen=True)
class Finish:
    """The sink of sums that come whole, in columns from `first` on: a group's tail, perhaps with an nn.pack."""

    emission: Emission
    result: SSAValue
    columns: int
    order: Order
    first: Expr
    pack: PackOp | None = None

    @property
    def turns(self) -> bool:
        return self.pack is not None

    def store(self, acc: Expr, row: Expr, column: Expr) -> Expr:
        channel = tir.let(self.first + column)
        point = Point(self.order.flat(row) * self.columns + channel, self.emission.channel(channel))
        self.emission.finish(self.result, tir.cast(acc, dtype_of(self.result).__name__), point)
        return self.emission.value(self.pack.x, point) if self.pack else acc

    def run(self, row: Expr, column: Expr) -> Expr:
        assert self.pack is not None
        image, window = self.order.of(row)
        index = ((self.first + column) * self.order.windows + window) * self.order.images + image
        return pointer(self.emission.buffer(self.pack.y), index)


@dataclass(frozen=True)
class Merge:
    """The sink of parts of sums: memory, which is zero at first."""

    out: Buffer
    columns: int
    first: Expr  # result
    turns: bool = False

    def store(self, acc: Expr, row: Expr, column: Expr) -> Expr:
        call("nitic_atomic_add", pointer(self.out, self.first + row * self.columns + column), acc)
        return acc

    def run(self, row: Expr, column: Expr) -> Expr:
        raise NotImplementedError


def forward(emission: Emission, op: NnOp) -> int:
    """nn.conv, nn.gemm."""
    window = op.window if isinstance(op, ConvOp) else Window()
    _, height, width, _ = images(shape_of(op.operands[0]))
    axes = (
        Axis(height, window.strides[0], window.dilations[0], -window.pads[0]),
        Axis(width, window.strides[1], window.dilations[1], -window.pads[1]),
    )
    return _slide(emission, op, axes)


def dgrad(emission: Emission, op: NnOp) -> int:
    """nn.conv_dgrad, nn.gemm_dgrad: a pixel sees the windows that saw it, through the filter turned by half."""
    window = op.window if isinstance(op, ConvDgradOp) else Window()
    _, height, width, _ = images(shape_of(op.operands[0]))
    _, kh, kw, _ = images(shape_of(op.operands[1]))
    reach = [(taps - 1) * dilation for taps, dilation in zip((kh, kw), window.dilations, strict=True)]
    axes = (
        Axis(height, 1, window.dilations[0], window.pads[0] - reach[0], window.strides[0]),
        Axis(width, 1, window.dilations[1], window.pads[1] - reach[1], window.strides[1]),
    )
    return _slide(emission, op, axes)


def _slide(emission: Emission, op: NnOp, axes: tuple[Axis, Axis]) -> int:
    x, w = op.operands
    n, oh, ow, outputs = images(shape_of(op.results[0]))
    layout, (_, kh, _, _) = runs_of(op), images(shape_of(w))
    _, runs, bytes_ = layout.shape(shape_of(w))
    length, channels, groups = ceildiv(bytes_, CHUNK) * CHUNK, shape_of(x)[-1], layout.groups // layout.joined
    pack = next((each for each in emission.group.op.members if isinstance(each, PackOp)), None)
    order = Order(n, oh * ow, gcd(n, SECTOR) if pack else 1)
    shape = mma.product(order.rows, outputs // groups, runs * length, groups)
    emission.open(op, 1)
    f = _cuda(emission)
    group = tir.let(shape.group(f.block))
    share, first = channels // groups, tir.let(group * shape.n)
    pixels = Pixels(emission.buffer(x), order, ow, axes, channels, runs // kh, length, tir.let(group * share), share)
    rows = Rows(emission.buffer(w), shape.n, shape.k, first)
    mma.multiply(f, shape, pixels, rows, Finish(emission, op.results[0], outputs, order, first, pack))
    return shape.launch.blocks


@dataclass(frozen=True)
class Gradient:
    """nn.conv_wgrad, nn.gemm_wgrad on tensor cores: sums over the batch and all windows."""

    op: NnOp

    @property
    def filters(self) -> Shape:
        return images(shape_of(self.op.results[0]))

    @property
    def window(self) -> Window:
        return self.op.window if isinstance(self.op, ConvWgradOp) else Window()

    @property
    def columns(self) -> int:
        return prod(self.filters[1:])

    @property
    def product(self) -> mma.Product:
        _, oh, ow, _ = images(shape_of(self.op.operands[1]))
        k = oh * ow * BatchLast().shape(shape_of(self.op.operands[0]))[3]
        groups = self.window.groups
        return mma.cut_product(self.filters[0] // groups, self.columns, k, LONGEST, groups)

    def first(self, emission: Emission) -> Expr:
        """The first filter of a block's group."""
        shape = self.product
        return tir.let(shape.group(_cuda(emission).block) * shape.m)

    def emit(self, emission: Emission, first: Expr, sink: mma.Sink) -> int:
        x, dy = self.op.operands
        (_, height, width, _), (_, _, ow, _) = images(shape_of(x)), images(shape_of(dy))
        window, c = self.window, self.filters[3]
        axes = (
            Axis(height, window.strides[0], window.dilations[0], -window.pads[0]),
            Axis(width, window.strides[1], window.dilations[1], -window.pads[1]),
        )
        shape, batch = self.product, BatchLast().shape(shape_of(x))[3]
        errors = Rows(emission.buffer(dy), shape.m, shape.k, first)
        channel = tir.let(shape.group(_cuda(emission).block) * c)
        inputs = Taps(emission.buffer(x), self.columns, self.filters[2], ow, axes, c, batch, channel)
        mma.multiply(_cuda(emission), shape, errors, inputs, sink)
        return shape.launch.blocks


def wgrad(emission: Emission, op: NnOp) -> int:
    """A weight gradient whose sums come whole."""
    gradient = Gradient(op)
    emission.open(op, 1)
    first, filters = gradient.first(emission), Order(gradient.product.m, 1)
    sink = Finish(emission, op.results[0], gradient.columns, filters, tir.let(first * gradient.columns))
    return gradient.emit(emission, first, sink)


def split_wgrad(op: NnOp) -> Split | None:
    """A weight gradient in parts; None where the sums of one block are short enough to come whole."""
    gradient, result = Gradient(op), op.results[0]
    if gradient.product.parts == 1:
        return None

    def add(emission: Emission, memory: Buffer) -> int:
        first = gradient.first(emission)
        return gradient.emit(emission, first, Merge(memory, gradient.columns, tir.let(first * gradient.columns)))

    return split(result, elements(result), add)


def _cuda(emission: Emission) -> CudaFunction:
    assert isinstance(emission.function, CudaFunction)
    return emission.function


TEMPLATES = {
    "tensor_cores": Template(forward),
    "tensor_cores_dgrad": Template(dgrad),
    "tensor_cores_wgrad": Template(wgrad, split_wgrad),
}
