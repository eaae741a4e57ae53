"""Operators that join tensors and cut them: concat, slice, and slice's adjoint, pad."""

from collections.abc import Callable, Iterator, Sequence
from typing import Self

import numpy as np
from xdsl.dialects.builtin import I64, DenseArrayBase, IntegerAttr
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def, var_operand_def
from xdsl.utils.exceptions import VerifyException

from nitic.arithmetic import rounding
from nitic.arithmetic.integers import Array
from nitic.ir.op import E, Exponents, Gradients, Insert, NnOp, is_float, like
from nitic.ir.traits import KeepsSign
from nitic.ir.types import Shape, element_of, f32, is_tensor, shape_of
from nitic.ops.bfp import ExpLargestOp, ExponentOfOp, range_of


@irdl_op_definition
class ConcatOp(NnOp):
    """Tensors one after the other along an axis.

    In integers their exponents follow, and that of the result (bfp.exp_largest), to which each is aligned.
    """

    name = "nn.concat"
    inputs = var_operand_def()
    axis = prop_def(IntegerAttr[I64])
    y = result_def()

    @classmethod
    def along(cls, axis: int, *values: SSAValue) -> Self:
        return cls.of(*values, axis=axis)

    @property
    def parts(self) -> Sequence[SSAValue]:
        """The tensors."""
        return [value for value in self.operands if is_tensor(value)]

    @property
    def scales(self) -> Sequence[SSAValue]:
        """In integers an exponent for each part, then that of the result."""
        return self.operands[len(self.parts) :]

    def infer_types(self) -> Sequence[Attribute]:
        shapes, axis = [shape_of(part) for part in self.parts], self.axis.value.data
        if not shapes or not 0 <= axis < len(shapes[0]):
            raise VerifyException(f"there is no axis {axis} to join tensors of {shapes} along")
        others = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
        if len(others) != 1:
            raise VerifyException(f"tensors of {shapes} differ not only along axis {axis}")
        if len(self.scales) != (0 if element_of(self.parts[0]) == f32 else len(shapes) + 1):
            raise VerifyException("integers are joined with one more exponent than tensors, floats with none")
        total = sum(shape[axis] for shape in shapes)
        return [like(self.parts[0], (*shapes[0][:axis], total, *shapes[0][axis + 1 :]))]

    def offsets(self) -> Iterator[tuple[SSAValue, int]]:
        """Each part and where it begins."""
        begin, axis = 0, self.axis.value.data
        for part in self.parts:
            yield part, begin
            begin += shape_of(part)[axis]

    def reference(self, *operands: Array) -> Array:
        parts, scales = operands[: len(self.parts)], [int(e) for e in operands[len(self.parts) :]]
        if not is_float(parts[0]):
            parts = [rounding.align(x, e, scales[-1]) for x, e in zip(parts, scales[:-1], strict=True)]
        return np.concatenate(parts, self.axis.value.data)

    def to_integer(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        each = [insert(ExponentOfOp.of(part)) for part in operands]
        ranges = [] if insert.static else [range_of(part, insert) for part in operands]
        return ConcatOp.along(self.axis.value.data, *operands, *each, insert(ExpLargestOp.of(*each, *ranges)))

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.shift(self.scales[-1])]

    def is_nonnegative(self, holds: Callable[[SSAValue], bool]) -> bool:
        return all(map(holds, self.parts))

    def backward(self, grad: Gradients) -> None:
        dy, axis = grad.of(self.y), self.axis.value.data
        for part, begin in self.offsets():
            grad.add(part, SliceOp.along(dy, axis, range(begin, begin + shape_of(part)[axis])))


@irdl_op_definition
class SliceOp(NnOp):
    """Elements `starts`, `starts + steps`, ... below `stops` of each axis."""

    name = "nn.slice"
    traits = traits_def(KeepsSign())
    x = operand_def()
    starts = prop_def(DenseArrayBase[I64])
    stops = prop_def(DenseArrayBase[I64])
    steps = prop_def(DenseArrayBase[I64])
    y = result_def()

    @classmethod
    def taking(cls, x: SSAValue, ranges: Sequence[range]) -> Self:
        starts, stops, steps = zip(*((r.start, r.stop, r.step) for r in ranges), strict=True)
        return cls.of(x, starts=starts, stops=stops, steps=steps)

    @classmethod
    def along(cls, x: SSAValue, axis: int, taken: range) -> Self:
        """A range of one axis."""
        return cls.taking(x, [taken if i == axis else range(size) for i, size in enumerate(shape_of(x))])

    def ranges(self) -> list[range]:
        """The elements of each axis. Raises VerifyException where there are none."""
        shape = shape_of(self.x)
        starts, stops, steps = (self.ints(name, len(shape)) for name in ("starts", "stops", "steps"))
        found = list(zip(starts, stops, steps, shape, strict=True))
        for start, stop, step, size in found:
            if not 0 <= start < stop <= size or step < 1:
                raise VerifyException(f"cannot take [{start}:{stop}:{step}] of an axis of {size}")
        return [range(start, stop, step) for start, stop, step, _ in found]

    def infer_types(self) -> Sequence[Attribute]:
        return [like(self.x, tuple(map(len, self.ranges())))]

    def reference(self, *operands: Array) -> Array:
        return operands[0][tuple(slice(r.start, r.stop, r.step) for r in self.ranges())]

    def backward(self, grad: Gradients) -> None:
        shape, taken = shape_of(self.x), self.ranges()
        after = [size - 1 - r[-1] for size, r in zip(shape, taken, strict=True)]
        between = [r.step - 1 for r in taken]
        error = PadOp.of(grad.of(self.y), before=[r.start for r in taken], after=after, between=between)
        grad.add(self.x, error)


@irdl_op_definition
class PadOp(NnOp):
    """Zeros before, after and between the elements of each axis."""

    name = "nn.pad"
    traits = traits_def(KeepsSign())
    x = operand_def()
    before = prop_def(DenseArrayBase[I64])
    after = prop_def(DenseArrayBase[I64])
    between = prop_def(DenseArrayBase[I64])
    y = result_def()

    def positions(self) -> list[range]:
        """Where the elements of each axis lie in the result."""
        shape = shape_of(self.x)
        before, between = (self.ints(name, len(shape)) for name in ("before", "between"))
        if min((*before, *between, *self.ints("after", len(shape))), default=0) < 0:
            raise VerifyException("a number of zeros cannot be negative")
        return [range(b, b + n * (g + 1) - g, g + 1) for b, n, g in zip(before, shape, between, strict=True)]

    def infer_types(self) -> Sequence[Attribute]:
        return [like(self.x, self.padded())]

    def padded(self) -> Shape:
        return tuple(r[-1] + 1 + after for r, after in zip(self.positions(), self.ints("after"), strict=True))

    def reference(self, *operands: Array) -> Array:
        y = np.zeros(self.padded(), operands[0].dtype)
        y[tuple(slice(r.start, r.stop, r.step) for r in self.positions())] = operands[0]
        return y

    def backward(self, grad: Gradients) -> None:
        grad.add(self.x, SliceOp.taking(grad.of(self.y), self.positions()))
