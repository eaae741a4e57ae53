"""What the values of @predict become while it is written as ONNX.

An int8 mantissa m is the *code* m + 128 as uint8: onnxruntime multiplies uint8 by uint8 exactly on every processor, and
other pairs not on all (docs/export.md). Accumulators are int32, or double where they are int64 or int16 mantissas,
which hold integers below 2^53. A tensor of four dimensions lies NHWC or NCHW, as the nodes around it want it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

import numpy as np
from xdsl.ir import Operation, SSAValue

from nitic.arithmetic.integers import INT8_LIMIT, Array, wide
from nitic.export.graph import Graph
from nitic.ir.op import NnOp
from nitic.ir.traits import Bias, Clamp, Contraction
from nitic.ir.types import Shape, element_of, i8, is_tensor, shape_of

ZERO = 128  # the code of mantissa 0
MANTISSAS = np.arange(-ZERO, INT8_LIMIT + 1)  # by their codes; -128 is none, and no program makes it
CHANNELS_FIRST, CHANNELS_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


class Kind(Enum):
    """How a tensor's integers are held."""

    CODE = np.uint8
    INTEGER = np.int32
    REAL = np.float64


TYPES = {Kind.CODE: 2, Kind.INTEGER: 6, Kind.REAL: 11}  # as onnx.TensorProto numbers them
FLOAT, INT8 = 1, 3


@dataclass(frozen=True)
class Tensor:
    """A value of the graph: `shape` is that in nitic's IR, also where the graph has NCHW."""

    name: str
    shape: Shape
    kind: Kind
    channels_first: bool = False


@dataclass(frozen=True)
class Mapped:
    """A function of each code of a tensor, not yet written: `table` holds its value for each of the 256 codes."""

    codes: Tensor
    table: Array
    kind: Kind


class Inexact(Exception):
    """Why an operator has no exact form in ONNX."""


class MixedSamples(Exception):
    """An operator moves the axis of the samples: the batch cannot be open."""


Form = Callable[["Emission", NnOp], Tensor | Mapped]


@dataclass
class Emission:
    """The graph so far, and what each value of @predict is in it: an array where it depends on parameters alone."""

    graph: Graph
    forms: Mapping[str, Form]
    batch: int
    is_open: bool
    """Whether the graph takes batches of any size."""
    constants: dict[SSAValue, Array] = field(default_factory=dict[SSAValue, Array])
    tensors: dict[SSAValue, Tensor | Mapped] = field(default_factory=dict[SSAValue, Tensor | Mapped])

    # Values

    def run(self, op: NnOp) -> None:
        """Writes an operator, unless it is one that may become part of the rounding behind it.

        Raises Inexact, and MixedSamples.
        """
        if not is_deferred(op):
            self.tensors[op.result] = self.forms[op.name](self, op)
        self.check_samples(shape_of(op.result)[:1] == (self.batch,))

    def check_samples(self, stay: bool) -> None:
        """Raises MixedSamples where the first axis is no longer that of the samples, if the batch is open."""
        if self.is_open and not stay:
            raise MixedSamples

    def value(self, value: SSAValue) -> Tensor | Mapped:
        """A value that depends on the input. What has been deferred is written now."""
        if value not in self.tensors:
            op = value.owner
            assert isinstance(op, NnOp)
            self.tensors[value] = self.forms[op.name](self, op)
        return self.tensors[value]

    def scalar(self, value: SSAValue) -> int:
        """A shift or an exponent."""
        return int(self.constants[value])

    def written(self, value: SSAValue) -> Tensor:
        """A value as a tensor of the graph; a constant becomes an initializer."""
        if value in self.constants:
            return self._initializer(value)
        found = self.value(value)
        if isinstance(found, Mapped):
            found = self.tensors[value] = self.gathered(found)
        return found

    def _initializer(self, value: SSAValue) -> Tensor:
        array, hint = self.constants[value], value.name_hint or "c"
        if self.is_open and array.ndim > 1 and (array == array[:1]).all():
            array = array[:1]  # broadcast to the batch before it was known to be open
        if element_of(value) == i8:
            return Tensor(self.graph.constant(codes(array), hint), array.shape, Kind.CODE)
        kind = Kind.INTEGER if np.abs(array).max(initial=0) < 2**31 else Kind.REAL
        return Tensor(self.graph.constant(array.astype(kind.value), hint), array.shape, kind)

    def gathered(self, mapped: Mapped) -> Tensor:
        """A table as one node."""
        table = codes(mapped.table) if mapped.kind == Kind.CODE else mapped.table.astype(mapped.kind.value)
        index = self.cast(mapped.codes, Kind.INTEGER)
        name = self.graph.node("Gather", self.graph.constant(table, "table"), index.name)
        return replace(mapped.codes, name=name, kind=mapped.kind)

    # Kinds

    def code(self, value: SSAValue) -> Tensor:
        """Raises Inexact where the value is not of int8."""
        found = self.written(value)
        if found.kind != Kind.CODE:
            raise Inexact(f"it reads {element_of(value)} where int8 is expected")
        return found

    def integer(self, value: SSAValue) -> Tensor:
        """The mantissas as int32."""
        return self.as_integer(self.written(value))

    def as_integer(self, x: Tensor) -> Tensor:
        if x.kind == Kind.INTEGER:
            return x
        wide = self.cast(x, Kind.INTEGER)
        return self.node("Sub", wide, np.int32(ZERO)) if x.kind == Kind.CODE else wide

    def real(self, value: SSAValue) -> Tensor:
        """The mantissas as double."""
        x = self.written(value)
        return self.cast(self.as_integer(x) if x.kind == Kind.CODE else x, Kind.REAL)

    def cast(self, x: Tensor, kind: Kind) -> Tensor:
        if x.kind == kind:
            return x
        return self.node("Cast", x, kind=kind, to=TYPES[kind])

    # Nodes

    def node(
        self,
        op: str,
        x: Tensor,
        *others: Array | np.generic | str,
        hint: str = "",
        kind: Kind | None = None,
        **attributes: Any,
    ) -> Tensor:
        """A node whose result has the shape of x, and its kind unless another is given. Arrays are constants."""
        names = [each if isinstance(each, str) else self.graph.constant(np.asarray(each)) for each in others]
        name = self.graph.node(op, x.name, *names, hint=hint, **attributes)
        return replace(x, name=name, kind=kind or x.kind)

    # Layouts

    def channels_first(self, x: Tensor) -> Tensor:
        if x.channels_first:
            return x
        return replace(self.node("Transpose", x, perm=CHANNELS_FIRST), channels_first=True)

    def channels_last(self, x: Tensor) -> Tensor:
        if not x.channels_first:
            return x
        return replace(self.node("Transpose", x, perm=CHANNELS_LAST), channels_first=False)

    def like(self, x: Tensor, other: Tensor) -> Tensor:
        """x in the layout of another tensor of as many dimensions."""
        return self.channels_first(x) if other.channels_first else self.channels_last(x)

    def per_channel(self, array: Array, x: Tensor) -> Array:
        """A value for each channel, so that it broadcasts to x."""
        return array.reshape(-1, 1, 1) if x.channels_first else array

    def in_layout(self, array: Array, x: Tensor) -> Array:
        """An array that broadcasts to the shape of x in the IR, so that it does so in the graph."""
        if not x.channels_first:
            return array
        return array.reshape((1,) * (4 - array.ndim) + array.shape).transpose(CHANNELS_FIRST)

    def axis(self, axis: int, x: Tensor) -> int:
        """Where an axis of the IR lies in the graph."""
        return CHANNELS_FIRST.index(axis) if x.channels_first else axis

    def axes(self, values: Sequence[int], x: Tensor) -> list[int]:
        """A number for each axis of the IR, in the order of the graph."""
        return [values[axis] for axis in CHANNELS_FIRST] if x.channels_first else list(values)

    def size(self, shape: Shape, own: int = 0) -> list[int]:
        """A shape in the graph; `own` stands for an open batch."""
        return [own, *shape[1:]] if self.is_open else list(shape)


def is_deferred(op: Operation) -> bool:
    """Whether a rounding can take the operator in. Then it is written only where something else reads its result."""
    return any(map(op.has_trait, (Contraction, Bias, Clamp)))


def codes(mantissas: Array) -> Array:
    return (wide(mantissas) + ZERO).astype(np.uint8)


def pointwise(e: Emission, op: NnOp) -> Mapped:
    """Any function of single int8 mantissas and constants: a table of what the operator's reference gives.

    Raises Inexact where it reads other tensors that depend on the input, or has a result too large for a table.
    """
    x = e.value(op.operands[0])
    if any(is_tensor(value) and shape_of(value) for value in op.operands[1:]):
        raise Inexact("it reads several tensors")
    mapped = x if isinstance(x, Mapped) else Mapped(x, MANTISSAS, x.kind)
    if mapped.codes.kind != Kind.CODE:
        raise Inexact(f"it reads {element_of(op.operands[0])} where int8 is expected")
    table = op.reference(mapped.table, *(e.constants[value] for value in op.operands[1:]))
    assert isinstance(table, np.ndarray)
    if element_of(op.result) == i8:
        return Mapped(mapped.codes, np.clip(table, -ZERO, INT8_LIMIT), Kind.CODE)
    kind = Kind.INTEGER if np.abs(table).max() < 2**31 else Kind.REAL
    return Mapped(mapped.codes, table, kind)
