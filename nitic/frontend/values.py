"""What an ONNX value is to the importer: a constant, or a view of an SSA value.

Neither moves values at once. A Transpose or Reshape of an activation makes no operator, it changes the view; that of a
parameter adds a step to its conversion from the ONNX initializer, which export walks back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from math import prod

import numpy as np
from xdsl.ir import SSAValue

from nitic.arithmetic.integers import Array
from nitic.ir.types import Shape, shape_of

NCHW = (0, 3, 1, 2)  # the axes of an NHWC array in this order are those of NCHW
NHWC = (0, 2, 3, 1)
Groups = tuple[tuple[int, ...], ...]


class NodeError(Exception):
    """What is wrong with one ONNX node; the importer knows which."""


@dataclass(frozen=True)
class Transposed:
    """A step of a conversion: axis i of the result is axis perm[i]."""

    perm: tuple[int, ...]

    def apply(self, array: Array) -> Array:
        return array.transpose(self.perm)

    def revert(self, array: Array) -> Array:
        return self.inverted().apply(array)

    def inverted(self) -> "Transposed":
        return Transposed(inverse(self.perm))


@dataclass(frozen=True)
class Reshaped:
    """A step of a conversion: the same row-major values under another shape."""

    before: Shape
    after: Shape

    def apply(self, array: Array) -> Array:
        return array.reshape(self.after)

    def revert(self, array: Array) -> Array:
        return self.inverted().apply(array)

    def inverted(self) -> "Reshaped":
        return Reshaped(self.after, self.before)


@dataclass(frozen=True)
class Scaled:
    """A step of a conversion: a factor, such as Gemm's alpha or beta, folded into the values."""

    factor: float

    def apply(self, array: Array) -> Array:
        return array * np.float32(self.factor)

    def revert(self, array: Array) -> Array:
        return array / np.float32(self.factor)


@dataclass(frozen=True)
class Inverted:
    """A step of a conversion: what the network divides by, as what it multiplies with."""

    def apply(self, array: Array) -> Array:
        with np.errstate(divide="ignore"):
            return np.float32(1) / array

    def revert(self, array: Array) -> Array:
        return self.apply(array)


Step = Transposed | Reshaped | Scaled | Inverted


@dataclass(frozen=True)
class Conversion:
    """How a parameter comes from the ONNX file: the initializer's name, and the steps to nitic's form of it."""

    source: str
    steps: tuple[Step, ...] = ()

    def from_onnx(self, array: Array) -> Array:
        for step in self.steps:
            array = step.apply(array)
        return array

    def to_onnx(self, array: Array) -> Array:
        """The inverse: a trained value in the form of the ONNX initializer."""
        for step in reversed(self.steps):
            array = step.revert(array)
        return array


def steps_between(first: Conversion, second: Conversion) -> list[Transposed | Reshaped]:
    """The steps from one form of a parameter to another. Raises NodeError where the two scale it differently."""
    changes = [[step for step in each.steps if isinstance(step, Scaled | Inverted)] for each in (first, second)]
    if changes[0] != changes[1]:
        raise NodeError(f"parameter {first.source!r} is used by several nodes, which scale it by unequal factors")
    back, forth = ([step for step in each.steps if isinstance(step, Transposed | Reshaped)] for each in (first, second))
    while back and forth and back[0] == forth[0]:
        del back[0], forth[0]
    return [step.inverted() for step in reversed(back)] + forth


@dataclass(frozen=True)
class Constant:
    """An array known at compile time. With a `conversion` it is a parameter: something that training changes.

    `repeated`: the graph makes it of one number, by Expand. `measured`: the graph makes it of the shape of an
    activation, so that it knows the batch of the program, where the file may fix another one.
    """

    array: Array
    name: str
    conversion: Conversion | None = None
    repeated: bool = False
    measured: bool = False

    @property
    def shape(self) -> Shape:
        return self.array.shape

    def step(self, step: Step) -> "Constant":
        conversion = self.conversion and Conversion(self.conversion.source, (*self.conversion.steps, step))
        return replace(self, array=step.apply(self.array), conversion=conversion)

    def transpose(self, perm: Sequence[int]) -> "Constant":
        return self if tuple(perm) == tuple(range(len(perm))) else self.step(Transposed(tuple(perm)))

    def reshape(self, shape: Shape) -> "Constant":
        return self if shape == self.shape else self.step(Reshaped(self.shape, shape))


@dataclass(frozen=True)
class Activation:
    """The SSA value with its axes in the order `perm`, then reshaped to `shape`: what ONNX thinks the value is."""

    value: SSAValue
    perm: tuple[int, ...]
    shape: Shape

    @classmethod
    def of(cls, value: SSAValue) -> "Activation":
        return cls(value, tuple(range(len(shape_of(value)))), shape_of(value))

    @classmethod
    def nhwc(cls, value: SSAValue) -> "Activation":
        """What ONNX sees as NCHW."""
        return cls(value, NCHW, tuple(shape_of(value)[axis] for axis in NCHW))

    @property
    def physical(self) -> Shape:
        return shape_of(self.value)

    @property
    def transposed(self) -> Shape:
        """The shape after the permutation and before the reshape."""
        return tuple(self.physical[axis] for axis in self.perm)

    @property
    def in_order(self) -> bool:
        return keeps_order(self.perm, self.physical)

    def with_value(self, value: SSAValue) -> "Activation":
        """The same view of another value: the result of a point-wise operator."""
        return replace(self, value=value)

    def reshape(self, shape: Shape) -> "Activation":
        assert prod(shape) == prod(self.shape)
        return replace(self, shape=shape)

    def refined(self) -> "Refined | None":
        """The view in pieces of axes; None where a reshape has cut an axis other than another one was cut before."""
        cut = refine(self.transposed, self.shape)
        if cut is None:
            return None
        sizes, before, groups = cut
        order = [piece for axis in range(len(self.perm)) for piece in before[self.perm.index(axis)]]
        return Refined(tuple(sizes[piece] for piece in order), inverse(order), groups)


@dataclass(frozen=True)
class Refined:
    """A view of the value reshaped to `physical`: its axes, in the order `perm`, are pieces of the view's."""

    physical: Shape
    perm: tuple[int, ...]
    groups: Groups

    def order(self, axes: Sequence[int]) -> tuple[int, ...]:
        """The axes of the reshaped value, where those of the view are to come in the order `axes`."""
        return tuple(self.perm[piece] for axis in axes for piece in self.groups[axis])

    def runs(self) -> list[list[int]] | None:
        """The axes of the reshaped value that each axis of the view is made of, if these are neighbours there."""
        found = [list(self.order([axis])) for axis in range(len(self.groups))]
        return found if all(run == list(range(run[0], run[0] + len(run))) for run in found if run) else None


def refine(a: Shape, b: Shape) -> tuple[list[int], Groups, Groups] | None:
    """The sizes of pieces that the axes of both shapes are made of, in row-major order, and the pieces of each axis.

    A first axis that both shapes share, the batch, is a piece even if it is 1; any other axis of 1 has no pieces.
    """
    if len(a) > 1 and len(b) > 1 and a[0] == b[0]:
        rest = refine(a[1:], b[1:])
        return rest and ([a[0], *rest[0]], _behind_batch(rest[1]), _behind_batch(rest[2]))
    cuts = sorted({*_ends(a), *_ends(b)})
    if any(end % begin for begin, end in pairwise(cuts)):
        return None
    sizes = [end // begin for begin, end in pairwise(cuts)]
    return (sizes, _pieces(a, cuts), _pieces(b, cuts)) if sizes else None


def _pieces(shape: Shape, cuts: list[int]) -> Groups:
    return tuple(tuple(range(cuts.index(begin), cuts.index(end))) for begin, end in pairwise(_ends(shape)))


def _behind_batch(groups: Groups) -> Groups:
    return ((0,), *(tuple(piece + 1 for piece in group) for group in groups))


def _ends(shape: Shape) -> list[int]:
    """1, then how many elements the first axes have together."""
    return list(accumulate(shape, int.__mul__, initial=1))


Value = Constant | Activation


def inverse(perm: Sequence[int]) -> tuple[int, ...]:
    return tuple(sorted(range(len(perm)), key=perm.__getitem__))


def keeps_order(perm: Sequence[int], shape: Shape) -> bool:
    """Whether a transpose moves only axes of size one, so that the values stay where they are."""
    moved = [axis for axis in perm if shape[axis] != 1]
    return moved == sorted(moved)
