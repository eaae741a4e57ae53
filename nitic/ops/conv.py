"""2-D convolution, NHWC by OHWI, and its two gradients. int8 operands accumulate in int32."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Self

from xdsl.dialects.builtin import I64, DenseArrayBase, IntegerAttr
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.utils.exceptions import VerifyException

from nitic.arithmetic.integers import Array
from nitic.ir.op import E, Exponents, Gradients, NnOp, NoGradient, accumulator
from nitic.ir.traits import Contraction, Repeatable
from nitic.ir.types import Shape, shape_of
from nitic.ops.arrays import exact_matmul, unwindows, windows


@dataclass(frozen=True)
class Window:
    """How a kernel slides: strides and dilations are (H, W), pads are (top, left, bottom, right)."""

    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    groups: int = 1

    def properties(self) -> dict[str, int | Sequence[int]]:
        return {"strides": self.strides, "pads": self.pads, "dilations": self.dilations, "groups": self.groups}

    def output(self, size: tuple[int, int], kernel: tuple[int, int]) -> tuple[int, int]:
        """Spatial size of the result of a kernel over an input of `size`. Raises VerifyException when it is empty."""
        if min(*self.strides, *self.dilations) < 1 or min(self.pads) < 0:
            raise VerifyException("strides and dilations are at least 1, and pads at least 0")
        spans = [d * (k - 1) + 1 for d, k in zip(self.dilations, kernel, strict=True)]
        padded = [size[i] + self.pads[i] + self.pads[i + 2] for i in range(2)]
        if spans[0] > padded[0] or spans[1] > padded[1]:
            raise VerifyException(f"a window of {spans[0]}x{spans[1]} does not fit an input of {padded[0]}x{padded[1]}")
        h, w = ((padded[i] - spans[i]) // self.strides[i] + 1 for i in range(2))
        return h, w


def conv_shape(x: Shape, w: Shape, window: Window) -> Shape:
    (n, height, width, c), (oc, kh, kw, ic) = x, w
    if c != ic * window.groups:
        raise VerifyException(f"input has {c} channels but the filter expects {ic * window.groups}")
    if oc % window.groups:
        raise VerifyException(f"{oc} output channels are not a multiple of {window.groups} groups")
    return (n, *window.output((height, width), (kh, kw)), oc)


class ConvolutionOp(NnOp):
    """What the three convolutions share: a window, and the sum of their operands' exponents."""

    traits = traits_def(Contraction())
    strides = prop_def(DenseArrayBase[I64])
    pads = prop_def(DenseArrayBase[I64])
    dilations = prop_def(DenseArrayBase[I64])
    groups = prop_def(IntegerAttr[I64])

    @property
    def window(self) -> Window:
        (sh, sw), (dh, dw) = self.ints("strides", 2), self.ints("dilations", 2)
        top, left, bottom, right = self.ints("pads", 4)
        return Window((sh, sw), (top, left, bottom, right), (dh, dw), self.groups.value.data)

    @property
    def kernel_size(self) -> tuple[int, int]:
        """(KH, KW)"""
        kh, kw = shape_of(self.operands[1])[1:3]
        return kh, kw

    @property
    def is_depthwise(self) -> bool:
        """Whether every channel is a group, with one filter."""
        channels = {shape_of(value)[3] for value in (self.operands[0], self.results[0])}
        return self.window.groups > 1 and channels == {self.window.groups}

    @property
    def has_taps(self) -> bool:
        """Whether the columns of a window lie apart, so that a run of neighbours is one pixel."""
        return self.window.dilations[1] > 1 and self.kernel_size[1] > 1

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.add(e.of(self.operands[0]), e.of(self.operands[1]))]

    def reduction_length(self) -> int:
        raise NotImplementedError

    def accumulator_bound(self) -> int:
        return self.reduction_length() * 127 * 127


@irdl_op_definition
class ConvOp(ConvolutionOp):
    """acc[n, h, w, o] = sum over the window of x . w."""

    name = "nn.conv"
    traits = traits_def(Repeatable())
    x = operand_def()
    w = operand_def()
    acc = result_def()

    @classmethod
    def over(cls, x: SSAValue, w: SSAValue, window: Window) -> Self:
        return cls.of(x, w, **window.properties())

    def infer_types(self) -> Sequence[Attribute]:
        return [accumulator(self.x, conv_shape(shape_of(self.x, 4), shape_of(self.w, 4), self.window))]

    def reference(self, *operands: Array) -> Array:
        x, w = operands
        return conv(x, w, self.window)

    def reduction_length(self) -> int:
        return prod(shape_of(self.w)[1:])

    def backward(self, grad: Gradients) -> None:
        dy = grad.of(self.acc)
        grad.add(self.x, ConvDgradOp.like(dy, self.w, self.x, self.window))
        grad.add(self.w, ConvWgradOp.like(self.x, dy, self.w, self.window))


@irdl_op_definition
class ConvDgradOp(ConvolutionOp):
    """The gradient of nn.conv with respect to its input, whose (H, W) is `size`; forward, a transposed convolution."""

    name = "nn.conv_dgrad"
    traits = traits_def(Repeatable())
    dy = operand_def()
    w = operand_def()
    size = prop_def(DenseArrayBase[I64])
    dx = result_def()

    @classmethod
    def like(cls, dy: SSAValue, w: SSAValue, x: SSAValue, window: Window) -> Self:
        return cls.of(dy, w, size=shape_of(x)[1:3], **window.properties())

    def infer_types(self) -> Sequence[Attribute]:
        n, channels = shape_of(self.dy, 4)[0], shape_of(self.w, 4)[3] * self.window.groups
        shape = (n, *self.ints("size", 2), channels)
        if conv_shape(shape, shape_of(self.w), self.window) != shape_of(self.dy):
            raise VerifyException(f"no convolution of {shape} by {shape_of(self.w)} gives {shape_of(self.dy)}")
        return [accumulator(self.dy, shape)]

    def reference(self, *operands: Array) -> Array:
        dy, w = operands
        return conv_dgrad(dy, w, shape_of(self.dx), self.window)

    def reduction_length(self) -> int:
        oc, kh, kw, _ = shape_of(self.w)
        return kh * kw * oc // self.window.groups

    def backward(self, grad: Gradients) -> None:
        dx = grad.of(self.dx)
        grad.add(self.dy, ConvOp.over(dx, self.w, self.window))
        grad.add(self.w, ConvWgradOp.like(dx, self.dy, self.w, self.window))


@irdl_op_definition
class ConvWgradOp(ConvolutionOp):
    """The gradient of nn.conv with respect to its filter, whose (KH, KW) is `kernel`."""

    name = "nn.conv_wgrad"
    x = operand_def()
    dy = operand_def()
    kernel = prop_def(DenseArrayBase[I64])
    dw = result_def()

    @property
    def kernel_size(self) -> tuple[int, int]:
        kh, kw = self.ints("kernel", 2)
        return kh, kw

    @property
    def is_depthwise(self) -> bool:
        channels = {shape_of(value)[3] for value in self.operands}
        return self.window.groups > 1 and channels == {self.window.groups}

    @classmethod
    def like(cls, x: SSAValue, dy: SSAValue, w: SSAValue, window: Window) -> Self:
        return cls.of(x, dy, kernel=shape_of(w)[1:3], **window.properties())

    def infer_types(self) -> Sequence[Attribute]:
        oc, channels = shape_of(self.dy, 4)[3], shape_of(self.x, 4)[3] // self.window.groups
        shape = (oc, *self.ints("kernel", 2), channels)
        if conv_shape(shape_of(self.x), shape, self.window) != shape_of(self.dy):
            raise VerifyException(f"no convolution of {shape_of(self.x)} by {shape} gives {shape_of(self.dy)}")
        return [accumulator(self.x, shape)]

    def reference(self, *operands: Array) -> Array:
        x, dy = operands
        return conv_wgrad(x, dy, shape_of(self.dw), self.window)

    def reduction_length(self) -> int:
        return prod(shape_of(self.dy)[:3])

    def backward(self, grad: Gradients) -> None:
        raise NoGradient


def conv(x: Array, w: Array, window: Window) -> Array:
    """x (N, H, W, G*C) by w (G*O, KH, KW, C): (N, OH, OW, G*O)."""
    acc = exact_matmul(_columns(x, w.shape, window), _filters(w, window).transpose(0, 2, 1))
    return acc.transpose(1, 0, 2).reshape(conv_shape(x.shape, w.shape, window))


def conv_dgrad(dy: Array, w: Array, x_shape: Shape, window: Window) -> Array:
    columns = exact_matmul(_errors(dy, window), _filters(w, window))
    _, kh, kw, c = w.shape
    view = columns.reshape(window.groups, *dy.shape[:3], kh, kw, c).transpose(1, 2, 3, 4, 5, 0, 6)
    view = view.reshape(*dy.shape[:3], kh, kw, window.groups * c)
    return unwindows(view, x_shape, window.strides, window.pads, window.dilations)


def conv_wgrad(x: Array, dy: Array, w_shape: Shape, window: Window) -> Array:
    return exact_matmul(_errors(dy, window).transpose(0, 2, 1), _columns(x, w_shape, window)).reshape(w_shape)


def _columns(x: Array, w_shape: Shape, window: Window) -> Array:
    """For each group, the windows of x as the rows of a matrix: (G, N*OH*OW, KH*KW*C)."""
    view = windows(x, w_shape[1:3], window.strides, window.pads, window.dilations)
    view = view.reshape(*view.shape[:-1], window.groups, w_shape[3])
    return view.transpose(5, 0, 1, 2, 3, 4, 6).reshape(window.groups, -1, prod(w_shape[1:]))


def _filters(w: Array, window: Window) -> Array:
    """(G, O, KH*KW*C)"""
    return w.reshape(window.groups, len(w) // window.groups, -1)


def _errors(dy: Array, window: Window) -> Array:
    """(G, N*OH*OW, O)"""
    return dy.reshape(-1, window.groups, dy.shape[-1] // window.groups).transpose(1, 0, 2)
