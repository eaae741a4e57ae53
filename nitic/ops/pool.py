"""Max and average pooling, NHWC, and their gradients."""

from collections.abc import Sequence
from math import gcd, prod

import numpy as np
from xdsl.dialects.builtin import I64, DenseArrayBase
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, opt_prop_def, prop_def, result_def, traits_def
from xdsl.utils.exceptions import VerifyException

from nitic.arithmetic import integers, sums
from nitic.arithmetic.integers import Array
from nitic.ir.op import E, Exponents, Gradients, NnOp, NoGradient, accumulator, is_float, like
from nitic.ir.traits import KeepsSign, Repeatable, Scales
from nitic.ir.types import Shape, i8, i16, shape_of, tensor
from nitic.ops.arrays import unwindows, windows
from nitic.ops.conv import Window

MAX_SIDE = 2**24  # pixels: what each of them sees is checked in memory


class PoolOp(NnOp):
    """What the pools share: kernel, strides and dilations are (H, W), pads are (top, left, bottom, right)."""

    kernel = prop_def(DenseArrayBase[I64])
    strides = prop_def(DenseArrayBase[I64])
    pads = prop_def(DenseArrayBase[I64])
    dilations = opt_prop_def(DenseArrayBase[I64])

    @property
    def window(self) -> Window:
        (sh, sw), (top, left, bottom, right) = self.ints("strides", 2), self.ints("pads", 4)
        dh, dw = self.ints("dilations", 2) if self.dilations else (1, 1)
        return Window((sh, sw), (top, left, bottom, right), (dh, dw))

    def pooled(self, x: Shape) -> Shape:
        (kh, kw), window = self.ints("kernel", 2), self.window
        shape = (x[0], *window.output((x[1], x[2]), (kh, kw)), x[3])
        if max(shape[1:3]) > MAX_SIDE:
            raise VerifyException(f"pools to {shape[1]}x{shape[2]}: a side has at most {MAX_SIDE} pixels")
        if not all(self.seen(axis, x, shape).all() for axis in range(2)):
            raise VerifyException(f"pads {list(window.pads)} leave windows of {[kh, kw]} that see only padding")
        return shape

    def seen(self, axis: int, x: Shape, out: Shape, before: int = 0, after: int = 0) -> Array:
        """How many rows (axis 0) or columns (1) of the input each window sees, with so many of the padding as well."""
        window, kernel = self.window, self.ints("kernel")[axis]
        first = np.arange(out[1 + axis]) * window.strides[axis] - window.pads[axis]
        taps = (-((first - limit) // window.dilations[axis]) for limit in (-before, x[1 + axis] + after))
        begin, end = (np.clip(tap, 0, kernel) for tap in taps)
        return end - begin

    def window_properties(self) -> dict[str, Sequence[int]]:
        keys = ("kernel", "strides", "pads", "dilations", "counted")
        return {key: self.ints(key) for key in keys if key in self.properties}

    def windows(self, x: Array, fill: float = 0) -> Array:
        """(N, OH, OW, KH * KW, C)"""
        window = self.window
        view = windows(x, self.ints("kernel"), window.strides, window.pads, window.dilations, fill)
        return view.reshape(*view.shape[:3], -1, view.shape[-1])

    def scatter(self, w: Array, shape: Shape) -> Array:
        """The adjoint of `windows`."""
        window, view = self.window, w.reshape(*w.shape[:3], *self.ints("kernel"), w.shape[-1])
        return unwindows(view, shape, window.strides, window.pads, window.dilations)

    @property
    def overlaps(self) -> bool:
        return self.summed() > 1

    def summed(self) -> int:
        """How many windows an element can be in: taps whose distance is a multiple of the stride see the same one."""
        window = self.window
        apart = [s // gcd(s, d) for s, d in zip(window.strides, window.dilations, strict=True)]
        return prod(-(-k // each) for k, each in zip(self.ints("kernel"), apart, strict=True))


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
    """The first maximum of each window, and its index kh * KW + kw. Padding never wins.

    The index is an int16 where int8 is too small for it.
    """

    name = "nn.max_pool"
    traits = traits_def(KeepsSign())
    x = operand_def()
    y = result_def()
    index = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        shape, (kh, kw) = self.pooled(shape_of(self.x, 4)), self.ints("kernel")
        if kh * kw > 2**15:
            raise VerifyException(f"a max pool window holds at most {2**15} elements, not {kh}x{kw}")
        return [like(self.x, shape), tensor(shape, i8 if kh * kw <= 2**7 else i16)]

    def reference(self, *operands: Array) -> tuple[Array, ...]:
        x = operands[0] if is_float(operands[0]) else integers.wide(operands[0])
        view = self.windows(x, fill=-np.inf if is_float(x) else -integers.WIDE)
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
        dy = dy if is_float(dy) else integers.wide(dy)
        kh, kw = self.ints("kernel")
        won = np.arange(kh * kw)[:, None] == index[:, :, :, None]
        return self.scatter(won * dy[:, :, :, None], self.input_shape(self.dy))

    def accumulator_bound(self) -> int | None:
        return 127 * self.summed() if self.overlaps else None


class Mean(PoolOp):
    """What an average and its gradient share: `counted` is how much of the pads counts as zeros, by default all.

    In integers a window of n elements is multiplied with round(2^(15+j) / n), j = floor(log2(KH * KW)).
    """

    counted = opt_prop_def(DenseArrayBase[I64])

    def counts(self, x: Shape, out: Shape) -> Array:
        """How many elements each window is a mean of: (OH, OW)."""
        top, left, bottom, right = self.ints("counted" if self.counted else "pads", 4)
        return np.outer(self.seen(0, x, out, top, bottom), self.seen(1, x, out, left, right))

    @property
    def full(self) -> int:
        """The elements of a whole window."""
        return prod(self.ints("kernel"))

    def scale(self) -> int:
        """The exponent of the multipliers."""
        return sums.average_multiplier(self.full)[1]

    def multipliers(self, counts: Array) -> Array:
        return sums.window_multiplier(counts, self.full)


@irdl_op_definition
class AveragePoolOp(Mean):
    """The sum of each window times the multiplier that stands for 1 / n."""

    name = "nn.avg_pool"
    traits = traits_def(KeepsSign(), Repeatable())
    x = operand_def()
    y = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        return [accumulator(self.x, self.pooled(shape_of(self.x, 4)))]

    def reference(self, *operands: Array) -> Array:
        x, counts = operands[0], self.counts(shape_of(self.x), shape_of(self.y))[:, :, None]
        if is_float(x):
            return self.windows(x).sum(3) / counts
        return self.windows(integers.wide(x)).sum(3) * self.multipliers(counts)

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.add(e.of(self.x), e.const(self.scale()))]

    def least_divisor(self) -> int:
        return int(self.counts(shape_of(self.x), shape_of(self.y)).min())

    def accumulator_bound(self) -> int:
        counts = self.counts(shape_of(self.x), shape_of(self.y))
        return 127 * int((counts * self.multipliers(counts)).max())

    def backward(self, grad: Gradients) -> None:
        size = shape_of(self.x)[1:3]
        grad.add(self.x, AveragePoolDgradOp.of(grad.of(self.y), size=size, **self.window_properties()))


@irdl_op_definition
class AveragePoolDgradOp(Mean, PoolDgradOp):
    """Each error spread over its window, by the forward multiplier."""

    name = "nn.avg_pool_dgrad"
    traits = traits_def(Repeatable(), Scales())
    dy = operand_def()
    dx = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        return [accumulator(self.dy, self.input_shape(self.dy))]

    def reference(self, *operands: Array) -> Array:
        dy, shape = operands[0], shape_of(self.dx)
        counts = self.counts(shape, dy.shape)[:, :, None]
        each = dy / counts if is_float(dy) else integers.wide(dy) * self.multipliers(counts)
        return self.scatter(np.repeat(each[:, :, :, None], self.full, 3), shape)

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.add(e.of(self.dy), e.const(self.scale()))]

    def least_divisor(self) -> int:
        return int(self.counts(shape_of(self.dx), shape_of(self.dy)).min())

    def accumulator_bound(self) -> int:
        counts = self.counts(shape_of(self.dx), shape_of(self.dy))
        return 127 * self.summed() * int(self.multipliers(counts).max())
