"""The contract of an operator: everything that the compiler asks of one, and the text form that all of them share.

Generic machinery (passes, interpreter, verifier, code generation) never names an operator of a network: it asks through
this class and through traits (nitic.ir.traits). It may name those of the number format (bfp), for which these passes
exist, and the groups (nn.fused) that it makes. A pass about one operator, such as the one that inserts the loss, is on
the list of exceptions in tests/house/test_fences.py.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, Generic, Protocol, Self, TypeVar

from xdsl.dialects.builtin import (
    DenseArrayBase,
    FloatAttr,
    IntegerAttr,
    LocationAttr,
    NameLoc,
    NoneAttr,
    StringAttr,
    UnknownLoc,
    f64,
    i64,
)
from xdsl.ir import Attribute, Operation, OpResult, SSAValue
from xdsl.irdl import IRDLOperation, traits_def
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.rewriter import Rewriter
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from nitic.arithmetic.integers import Array
from nitic.ir.traits import KeepsSign
from nitic.ir.types import Shape, Tensor, element_of, f32, i8, i16, i32, is_tensor, shape_of, tensor, with_element
from nitic.ir.types import i64 as wide_accumulator

Property = int | float | str | Sequence[int]
E = TypeVar("E")


class Exponents(Protocol, Generic[E]):
    """Where an operator's exponent rule computes: on int32 SSA values (track-exponents) or on numbers (interpreter)."""

    def of(self, value: SSAValue) -> E: ...
    def shift(self, value: SSAValue) -> E: ...
    def const(self, value: int) -> E: ...
    def add(self, a: E, b: E) -> E: ...
    def multiple(self, a: E, numerator: int, denominator: int) -> E: ...
    def clamp(self, a: E, low: int, high: int) -> E: ...


class Gradients(Protocol):
    """Where an operator's gradient rule finds the errors of its results and leaves those of its operands."""

    def needs(self, value: SSAValue) -> bool:
        """Whether a value depends on a parameter, so that its error is needed."""
        ...

    def of(self, value: SSAValue) -> SSAValue: ...
    def factors_of(self, value: SSAValue) -> tuple[SSAValue, SSAValue | None]:
        """The error of a value, and the factor per channel, if any, that it is still to be multiplied by."""
        ...

    def insert(self, op: "NnOp") -> OpResult: ...
    def add(self, value: SSAValue, gradient: "NnOp") -> None: ...
    def pass_on(self, value: SSAValue, error: SSAValue, factor: SSAValue | None = None) -> None: ...


class Insert(Protocol):
    """Inserts an operator and gives its first result. `static`: the function is inference, which takes no ranges.

    `dither` gives what a new dithered rounding of the step starts from.
    """

    static: bool

    def dither(self) -> SSAValue: ...

    def __call__(self, op: "NnOp", /) -> OpResult: ...


class NoGradient(Exception):
    """Raised by the gradient rule of an operator that has none."""


class NnOp(IRDLOperation, ABC):
    """An operator: shape rule, reference, range rule, exponent rule, sign rule, gradient rule.

    Its traits say what it is as a whole, these class variables what single operands and results are.
    """

    traits = traits_def(Pure())
    ACCUMULATORS: ClassVar[Sequence[int]] = ()
    """The operands that may be int32 accumulators which no rounding has touched; the others are int8 mantissas."""
    MANTISSAS16: ClassVar[Sequence[int]] = ()
    """The operands that are int16 mantissas of 15 bits."""
    UNDIFFERENTIATED: ClassVar[Sequence[int]] = ()
    """The operands that the backward rule gives no error: it would be zero, or another operand's error contains it."""
    FACTORS: ClassVar[Sequence[int]] = ()
    """The operands that scale an activation: new initial values of such a parameter are ones."""
    NARROWING: ClassVar[int | None] = None
    """The constant right shift from its int16 result to int8 mantissas; None where the shift comes from a range."""
    UPDATES: ClassVar[Sequence[tuple[int, int]]] = ()
    """Pairs (result, operand) that share one buffer: the operator writes in place."""

    ASIDE: ClassVar[Sequence[int]] = ()
    """The results of another shape than the others, which the loops of its kernel store themselves."""

    @abstractmethod
    def infer_types(self) -> Sequence[Attribute]:
        """The types of the results, from operands and properties. Raises VerifyException where a rule is broken."""

    @abstractmethod
    def reference(self, *operands: Array) -> Array | tuple[Array, ...]:
        """The meaning in NumPy, on floats (float64) or on integers; integer results are exact int64 values."""

    @abstractmethod
    def backward(self, grad: Gradients) -> None:
        """Adds the error of each operand, or raises NoGradient."""

    def accumulator_bound(self) -> int | None:
        """An upper bound of |accumulator| over all int8 operands, or None when the operator has no accumulator."""
        return None

    def int64_bound(self, operands: Sequence[int]) -> int:
        """An upper bound of |v| over every int64 that its reference and kernels compute on the way to the results.

        `operands` are bounds of the operands, 0 for scalars that are no tensors. What a rounding adds to its operand,
        and what is added to a shift that saturates, has room above the limit and does not count (docs/numerics.md). By
        default nothing but results is int64.
        """
        del operands
        return 0

    def least_divisor(self) -> int | None:
        """A lower bound of every integer that its reference and kernels divide by and that depends on data or position.

        None, the default, stands for no such division.
        """
        return None

    def result_bounds(self, operands: Sequence[int]) -> Sequence[int | None]:
        """Upper bounds of the results, from those of the operands.

        None, the default, stands for the bound of the accumulator, or else for what the element type holds. An int64
        result without an accumulator's bound needs one of its own.
        """
        del operands
        return [None] * len(self.results)

    def to_integer(self, operands: Sequence[SSAValue], insert: Insert) -> "NnOp":
        """The integer form of this float operator: by default the same one. `insert` adds the scalars that it needs."""
        properties = {key: to_property(value) for key, value in self.properties.items()}
        return type(self).of(*operands, **properties)

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        """The exponent of each result: by default that of operand 0 (None for what is not block floating point)."""
        first = e.of(self.operands[0])
        return [first if is_tensor(result) else None for result in self.results]

    def is_nonnegative(self, holds: Callable[[SSAValue], bool]) -> bool:
        """Whether no element of the results is negative; `holds` tells the same of an operand."""
        return self.has_trait(KeepsSign) and holds(self.operands[0])

    @classmethod
    def of(cls, *operands: SSAValue, **properties: Property) -> Self:
        """A new operator whose result types are inferred."""
        count = len(cls.get_irdl_definition().results)
        attributes = {key: to_attribute(value) for key, value in properties.items()}
        op = cls.create(operands=operands, result_types=[f32] * count, properties=attributes)
        for result, type_ in zip(list(op.results), op.infer_types(), strict=True):
            Rewriter.replace_value_with_new_type(result, type_)
        return op

    @property
    def result(self) -> OpResult:
        """The first result."""
        return self.results[0]

    @property
    def source(self) -> str:
        """The ONNX node that the operator comes from, or an empty string."""
        return self.location.desc.data if isinstance(self.location, NameLoc) else ""

    def ints(self, name: str, count: int | None = None) -> tuple[int, ...]:
        """A property that holds numbers. Raises VerifyException where they are not `count`."""
        attribute = self.properties[name]
        assert isinstance(attribute, DenseArrayBase)
        values = tuple(_ints(attribute))
        if count not in (None, len(values)):
            raise VerifyException(f"{name} holds {count} numbers, not {list(values)}")
        return values

    def verify_(self) -> None:
        for found, expected in zip(self.result_types, self.infer_types(), strict=True):
            if not matches(found, expected):
                raise VerifyException(f"result is {found} but its operands make it {expected}")

    def print(self, printer: Printer) -> None:
        if self.operands:
            printer.print_string(" ")
            printer.print_list(self.operands, printer.print_ssa_value)
        print_properties(printer, self)
        printer.print_string(" : ")
        printer.print_function_type(self.operand_types, self.result_types)

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        operands = parser.parse_optional_undelimited_comma_separated_list(
            parser.parse_optional_unresolved_operand, parser.parse_unresolved_operand
        )
        properties = parse_properties(parser)
        types = parser.parse_function_type()
        values = parser.resolve_operands(operands or (), types.inputs.data, parser.pos)
        return cls.create(operands=values, result_types=types.outputs.data, properties=properties)


def location(name: str) -> LocationAttr:
    """The location of the operators that an ONNX node becomes."""
    return NameLoc(StringAttr(name), NoneAttr()) if name else UnknownLoc()


def value_name(name: str) -> str:
    """A name as the text form can spell it. xdsl tells equal names apart by _<number>, so ours do not end like that."""
    spelt = re.sub(r"[^A-Za-z0-9_$.-]+", ".", name).strip(".")
    spelt = re.sub(r"_(\d+)$", r".\1", spelt)
    return spelt if re.match(r"[A-Za-z_$.-]", spelt) else f"_{spelt}"


def set_origin(op: IRDLOperation, origin: LocationAttr) -> None:
    """Says which ONNX node an operator comes from, and calls its results %<node>.<operator>, %<node>.<result>, ..."""
    op.location = origin
    node = origin.desc.data if isinstance(origin, NameLoc) else ""
    others = [name for name, _ in op.get_irdl_definition().results[1:]]
    for result, name in zip(op.results, [op.name.split(".")[-1], *others], strict=True):
        result.name_hint = value_name(f"{node}.{name}")


def to_attribute(value: Property) -> Attribute:
    match value:
        case int():
            return IntegerAttr(value, i64)
        case float():
            return FloatAttr(value, f64)
        case str():
            return StringAttr(value)
        case _:
            return DenseArrayBase.from_list(i64, list(value))


def to_property(attribute: Attribute) -> Property:
    match attribute:
        case IntegerAttr() | FloatAttr():
            return attribute.value.data
        case StringAttr():
            return attribute.data
        case DenseArrayBase():
            return _ints(attribute)
        case _:
            raise VerifyException(f"{attribute} is not a property of an operator")


def print_properties(printer: Printer, op: Operation) -> None:
    """` key = value` for each property."""
    for key, value in sorted(op.properties.items()):
        printer.print_string(f" {key} = {_spelt(to_property(value))}")


def parse_properties(parser: Parser) -> dict[str, Attribute]:
    """What print_properties writes, up to the colon before the types."""
    properties: dict[str, Attribute] = {}
    while (key := parser.parse_optional_identifier()) is not None:
        parser.parse_punctuation("=")
        properties[key] = to_attribute(_parse_property(parser))
    parser.parse_punctuation(":")
    return properties


def _ints(attribute: DenseArrayBase) -> list[int]:
    values: Iterator[float] | Iterator[int] = attribute.iter_values()  # pyright: ignore[reportAttributeAccessIssue]
    return [int(v) for v in values]


def _spelt(value: Property) -> str:
    """As _parse_property reads it: a word stands bare, any other text in quotes, and a float has a point."""
    if isinstance(value, float):
        return str(value) if "." in str(value) else str(value).replace("e", ".0e")
    return f'"{value}"' if isinstance(value, str) and not value.isidentifier() else str(value)


def _parse_property(parser: Parser) -> Property:
    if (word := parser.parse_optional_identifier()) is not None:
        return word
    if (text := parser.parse_optional_str_literal()) is not None:
        return text
    ints = parser.parse_optional_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_integer)
    return ints if ints is not None else parser.parse_number()


def matches(found: Attribute, expected: Attribute) -> bool:
    """Same shape and element; layout encodings are free, and an int32 accumulator may have been widened to int64."""
    if not is_tensor(expected) or not is_tensor(found):
        return found == expected
    elements = (element_of(found), element_of(expected))
    same = elements[0] == elements[1] or elements == (wide_accumulator, i32)
    return same and shape_of(found) == shape_of(expected)


def like(value: SSAValue, shape: Shape | None = None) -> Tensor:
    """The type of a value, with another shape where one is given and without layout."""
    return tensor(shape_of(value) if shape is None else shape, element_of(value))


def accumulator(value: SSAValue, shape: Shape | None = None) -> Tensor:
    """What an accumulating operator makes of a value: f32 of f32, int32 of int8 and int16."""
    element = element_of(value)
    return with_element(like(value, shape), i32 if element in (i8, i16) else element)


def is_float(array: Array) -> bool:
    return array.dtype.kind == "f"
