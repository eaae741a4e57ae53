"""Where the windows of a convolution or a pool lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nitic.codegen.core import tir
from nitic.codegen.core.tir import Expr
from nitic.ir.types import Shape
from nitic.ops.conv import Window


@dataclass(frozen=True)
class Geometry:
    """A convolution as the loops see it; a matrix product is one over images of one pixel."""

    x: Shape  # N, H, W, C
    w: Shape  # OC, KH, KW, C per group
    out: Shape  # N, OH, OW, OC
    window: Window

    @property
    def channels(self) -> tuple[int, int]:
        """Input and output channels of a group."""
        return self.w[3], self.w[0] // self.window.groups

    @property
    def run(self) -> tuple[int, int]:
        """(columns of a run, runs of a row): a row of the window is one run where its pixels are neighbours."""
        whole = self.window.dilations[1] == 1 and self.window.groups == 1
        return (self.w[2], 1) if whole else (1, self.w[2])

    def taps(self, axis: int, at: Expr) -> tuple[Expr, Expr]:
        """Which rows (axis 0) or columns (1) of the window lie inside the input, at output row or column `at`."""
        window, kernel, size = self.window, self.w[1 + axis], self.x[1 + axis]
        step, stride, pad = window.dilations[axis], window.strides[axis], window.pads[axis]
        first = tir.let(pad - at * stride)
        if pad == 0 and (self.out[1 + axis] - 1) * stride + (kernel - 1) * step < size:
            return 0, kernel
        begin = tir.maximum((first + step - 1) // step, 0)
        return tir.let(begin), tir.let(tir.minimum((size + first + step - 1) // step, kernel))

    def input(self, axis: int, at: Expr, tap: Expr) -> Expr:
        """The input row or column that a tap sees from an output row or column."""
        window = self.window
        return at * window.strides[axis] + tap * window.dilations[axis] - window.pads[axis]


def images(shape: Shape) -> Shape:
    """A matrix as a batch of images of one pixel."""
    return shape if len(shape) == 4 else (shape[0], 1, 1, shape[1])


def each_window(g: Geometry, row: Expr, column: Expr, body: Callable[[Expr, Expr, Expr, Expr], None]) -> None:
    """body(window row, window column, output row, output column) for every window that sees an input pixel."""
    window = g.window
    with tir.loop(0, g.w[1]) as i:
        y = tir.let(row + window.pads[0] - i * window.dilations[0])
        with tir.when(_is_output(g, 0, y)), tir.loop(0, g.w[2]) as j:
            x = tir.let(column + window.pads[1] - j * window.dilations[1])
            with tir.when(_is_output(g, 1, x)):
                body(i, j, y // window.strides[0], x // window.strides[1])


def _is_output(g: Geometry, axis: int, position: Expr) -> Expr:
    """Whether a padded position is that of an output row or column."""
    stride = g.window.strides[axis]
    inside = tir.every(position >= 0, position < g.out[1 + axis] * stride)
    return inside if stride == 1 else tir.every(inside, position % stride == 0)
