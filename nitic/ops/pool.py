"""Max and average pooling, NHWC, and their gradients."""

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import I64, DenseArrayBase
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def
from xdsl.utils.exceptions import VerifyException

from nitic import numerics
from nitic.ir.op import E, Exponents, Gradients, NnOp, NoGradient, accumulator, is_float, like
from nitic.ir.types import Shape, i8, shape_of, tensor
from nitic.numerics import Array
from nitic.ops.arrays import unwindows, windows
from nitic.ops.conv import Window


class PoolOp(NnOp):
    """What the pools share: kernel and strides are (H, W), pads are (top, left, bottom, right)."""

    kernel = prop_def(DenseArrayBase[I64])
    strides = prop_def(DenseArrayBase[I64])
    pads = prop_def(DenseArrayBase[I64])

    def pooled(self, x: Shape) -> Shape:
        kernel, (sh, sw) = self.ints("kernel", 2), self.ints("strides", 2)
        top, left, bottom, right = self.ints("pads", 4)
        if top >= kernel[0] or bottom >= kernel[0] or left >= kernel[1] or right >= kernel[1]:
            raise VerifyException(
                f"pads {[top, left, bottom, right]} leave windows of {list(kernel)} that see only padding"
            )
        size = Window((sh, sw), (top, left, bottom, right)).output((x[1], x[2]), (kernel[0], kernel[1]))
        return (x[0], *size, x[3])

    def window_properties(self) -> dict[str, Sequence[int]]:
        return {key: self.ints(key) for key in ("kernel", "strides", "pads")}

    def windows(self, x: Array, fill: float = 0) -> Array:
        """(N, OH, OW, KH * KW, C)"""
        view = windows(x, self.ints("kernel"), self.ints("strides"), self.ints("pads"), fill=fill)
        return view.reshape(*view.shape[:3], -1, view.shape[-1])

    def scatter(self, w: Array, shape: Shape) -> Array:
        """The adjoint of `windows`."""
        view = w.reshape(*w.shape[:3], *self.ints("kernel"), w.shape[-1])
        return unwindows(view, shape, self.ints("strides"), self.ints("pads"))

    @property
    def overlaps(self) -> bool:
        (kh, kw), (sh, sw) = self.ints("kernel"), self.ints("strides")
        return sh < kh or sw < kw

    def summed(self) -> int:
        """How many windows an element can be in."""
        (kh, kw), (sh, sw) = self.ints("kernel"), self.ints("strides")
        return -(-kh // sh) * -(-kw // sw)


class PoolDgradOp(PoolOp):
    """The gradient of a pool with respect to its input, whose (H, W) is `size`."""

    size = prop_def(DenseArrayBase[I64])

    def input_shape(self, dy: SSAValue) -> Shape:
        n, _, _, c = shape_of(dy, 4)
        shape = (n, *self.ints("size", 2), c)
        if self.pooled(shape) != shape_of(dy):
            raise VerifyException(f"no pool of {shape} gives {shape_of(dy)}")
        return shape

    def backward(self, grad: Gradients) -> None:
        raise NoGradient


@irdl_op_definition
class MaxPoolOp(PoolOp):
    """The first maximum of each window, and its place kh * KW + kw. Padding never wins."""

    name = "nn.max_pool"
    x = operand_def()
    y = result_def()
    index = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        shape, (kh, kw) = self.pooled(shape_of(self.x, 4)), self.ints("kernel")
        if kh * kw > 128:
            raise VerifyException(f"a max pool window holds at most 128 elements, not {kh}x{kw}")
        return [like(self.x, shape), tensor(shape, i8)]

    def reference(self, *operands: Array) -> tuple[Array, ...]:
        x = operands[0] if is_float(operands[0]) else numerics.wide(operands[0])
        view = self.windows(x, fill=-np.inf if is_float(x) else -numerics.WIDE)
        index = view.argmax(3)
        return np.take_along_axis(view, index[:, :, :, None], 3)[:, :, :, 0], index

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.of(self.x), None]

    def backward(self, grad: Gradients) -> None:
        size = shape_of(self.x)[1:3]
        grad.add(self.x, MaxPoolDgradOp.of(grad.of(self.y), self.index, size=size, **self.window_properties()))


@irdl_op_definition
class MaxPoolDgradOp(PoolDgradOp):
    """Errors go to the winners. Where windows overlap they are summed in int32."""

    name = "nn.max_pool_dgrad"
    dy = operand_def()
    index = operand_def()
    dx = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        shape = self.input_shape(self.dy)
        if shape_of(self.index) != shape_of(self.dy):
            raise VerifyException(f"places of {shape_of(self.index)} do not fit an error of {shape_of(self.dy)}")
        return [accumulator(self.dy, shape) if self.overlaps else like(self.dy, shape)]

    def reference(self, *operands: Array) -> Array:
        dy, index = operands
        dy = dy if is_float(dy) else numerics.wide(dy)
        kh, kw = self.ints("kernel")
        won = np.arange(kh * kw)[:, None] == index[:, :, :, None]
        return self.scatter(won * dy[:, :, :, None], self.input_shape(self.dy))

    def accumulator_bound(self) -> int | None:
        return 127 * self.summed() if self.overlaps else None


@irdl_op_definition
class AveragePoolOp(PoolOp):
    """The sum of each window times the multiplier that stands for 1 / (KH * KW); padding counts as zeros."""

    name = "nn.avg_pool"
    x = operand_def()
    y = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        return [accumulator(self.x, self.pooled(shape_of(self.x, 4)))]

    def count(self) -> int:
        kh, kw = self.ints("kernel")
        return kh * kw

    def reference(self, *operands: Array) -> Array:
        x = operands[0]
        if is_float(x):
            return self.windows(x).mean(3)
        return self.windows(numerics.wide(x)).sum(3) * numerics.average_multiplier(self.count())[0]

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.add(e.of(self.x), e.const(numerics.average_multiplier(self.count())[1]))]

    def accumulator_bound(self) -> int:
        return 127 * self.count() * numerics.average_multiplier(self.count())[0]

    def backward(self, grad: Gradients) -> None:
        size = shape_of(self.x)[1:3]
        grad.add(self.x, AveragePoolDgradOp.of(grad.of(self.y), size=size, **self.window_properties()))


@irdl_op_definition
class AveragePoolDgradOp(PoolDgradOp):
    """Each error spread over its window, by the forward multiplier."""

    name = "nn.avg_pool_dgrad"
    dy = operand_def()
    dx = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        return [accumulator(self.dy, self.input_shape(self.dy))]

    def count(self) -> int:
        kh, kw = self.ints("kernel")
        return kh * kw

    def reference(self, *operands: Array) -> Array:
        dy = operands[0]
        each = dy / self.count() if is_float(dy) else numerics.wide(dy) * numerics.average_multiplier(self.count())[0]
        spread = np.repeat(each[:, :, :, None], self.count(), 3)
        return self.scatter(spread, self.input_shape(self.dy))

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.add(e.of(self.dy), e.const(numerics.average_multiplier(self.count())[1]))]

    def accumulator_bound(self) -> int:
        return 127 * self.summed() * numerics.average_multiplier(self.count())[0]
