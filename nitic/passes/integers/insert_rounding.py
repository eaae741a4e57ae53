"""insert-rounding: floats become int8 mantissas, int32 accumulators, and the roundings between them.

This pass alone decides where a rounding is: an accumulator is requantised when an operator needs an int8 operand, which
is after bias and relu, and before pooling. A training step shifts by the range of the batch, inference by the statistic
`top`.

The error of a cross-entropy is already rounded, and most of its elements are 0 or 1. Where such an error times a
constant is rounded again, rounding to nearest would round all its ones the same way: with 1,000 classes and a mean over
13x13 pixels before the loss, the errors of the wrong classes would together be a third too large. So such an error is
rounded stochastically.

The error of the input of a batch norm sums to zero over each channel. Rounded to nearest, it no longer does, and the
filters before the batch norm drift along the mean of their input, which running statistics follow late: in a function
with batch norm, errors are dithered. So they are in one with layer norm or attention (the trait WideSums), where a mean
over tokens gives all of a sample the same error. There sums, and what else goes from block to block, are int16.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, BlockArgument, OpResult, SSAValue, Use
from xdsl.rewriter import InsertPoint, Rewriter

from nitic.arithmetic import rounding as rounding_
from nitic.arithmetic.updates import FULL_MASTER, full_rows
from nitic.ir.function import (
    Label,
    Signature,
    arguments,
    functions,
    new_function,
    results,
    return_of,
    set_results,
)
from nitic.ir.op import NnOp, location, set_origin
from nitic.ir.sample import parts_of
from nitic.ir.traits import BatchStatistics, CoarseError, Loss, Moves, Scales, Sum, WideSums
from nitic.ir.types import element_of, exponent, f32, i8, i16, i32, i64, shape_of, tensor, u8, with_element
from nitic.ops.bfp import (
    DITHERED,
    STOCHASTIC,
    DitherOp,
    ExpConstOp,
    ExponentOfOp,
    GrowOp,
    RangeOp,
    RoundShiftOp,
    ShiftOp,
    StaticShiftOp,
    TopOp,
)
from nitic.ops.elementwise import InputMapOp
from nitic.ops.update import UpdateOp, largest_row
from nitic.passes.base import NiticPass, option_error
from nitic.passes.invariants import no_float, no_range_of_samples, unrounded
from nitic.passes.training.insert_calibration import CALIBRATE
from nitic.passes.training.insert_loss import random_numbers

STORED = {
    "input": u8,
    "master": i16,
    "velocity": i32,
    "first_moment": i16,
    "second_moment": i32,
    "weight": i8,
    "frozen": i8,
    "statistic": i64,
}
ROUNDINGS, AUTO = (*rounding_.ROUNDINGS, STOCHASTIC, DITHERED), "auto"
FIRST_STREAM = 1 << 16  # of stochastic and dithered roundings; dropout has the streams before it


@dataclass(frozen=True)
class InsertRounding(NiticPass):
    """Makes every accumulator an int8 mantissa and a shift. `activations` and `errors` name the roundings.

    errors: `auto` is dithered where a batch norm takes the statistics of its batch, in networks with layer norm or
    attention, else nearest.
    """

    bits: int = 7
    activations: str = "nearest"
    errors: str = AUTO
    name = "insert-rounding"
    requires = (unrounded,)
    ensures = (no_float, no_range_of_samples)

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 7:
            raise option_error(self, f"an int8 mantissa has 2 to 7 bits, not {self.bits}")
        for rounding, known in ((self.activations, ROUNDINGS), (self.errors, (AUTO, *ROUNDINGS))):
            if rounding not in known:
                raise option_error(self, f"unknown rounding '{rounding}'; the roundings are {', '.join(known)}")

    def apply(self, module: ModuleOp) -> None:
        stored: set[str] = set()  # the activations that inference stores: it needs a statistic of each
        static, others = ([f for f in functions(module) if takes_ranges(f) == ranges] for ranges in (False, True))
        for func in static:
            stored |= self.convert(module, func, stored)
        for func in others:
            self.convert(module, func, stored)

    def convert(self, module: ModuleOp, func: FuncOp, stored: set[str]) -> set[str]:
        """Replaces a float function by its integer form; gives the names of its activations."""
        quantiser = Quantiser(replace(self, errors=self.rounding_of_errors(func)), func, stored)
        quantiser.run()
        module.body.block.insert_op_before(quantiser.func, func)
        module.body.block.erase_op(func)
        return quantiser.names

    def rounding_of_errors(self, func: FuncOp) -> str:
        if self.errors != AUTO:
            return self.errors
        ops = func.body.block.ops
        normalised = any(op.has_trait(BatchStatistics) or op.has_trait(WideSums) for op in ops)
        return DITHERED if normalised else "nearest"


@dataclass(frozen=True)
class Format:
    """What a mantissa is rounded to: how many bits, and the element type that holds them."""

    bits: int
    to: str


class Quantiser:
    """Rebuilds one function in integers: `raw` has the integer form of each float value, `narrow` its int8 mantissa."""

    def __init__(self, options: InsertRounding, old: FuncOp, stored: set[str]) -> None:
        self.options, self.old, self.stored = options, old, stored
        self.static = not takes_ranges(old)
        module = old.parent_op()
        self.has_parts = isinstance(module, ModuleOp) and bool(parts_of(module))
        self.func = new_function(old.sym_name.data, [(label, _stored_type(label, a)) for label, a in arguments(old)])
        self.func.body.block.add_op(ReturnOp())
        self.signature = Signature(self.func)
        self.raw: dict[SSAValue, SSAValue] = {}
        self.narrow: dict[SSAValue, SSAValue] = {}
        self.narrow16: dict[SSAValue, SSAValue] = {}
        self.forward = set(_forward(old))
        self.wide_sums = any(op.has_trait(WideSums) for op in old.body.block.ops)
        self.coarse: set[SSAValue] = set()  # errors of a cross-entropy, and such errors times constants
        self.names: set[str] = set()
        self.state: list[tuple[Label, SSAValue]] = []  # what changes besides parameters: statistics, exponents
        self.growing: list[tuple[Label, SSAValue, SSAValue, int]] = []  # exponents of parameters, sizes, from where on
        self.updates: list[tuple[NnOp, UpdateOp]] = []  # in floats and in integers
        self.streams = count(FIRST_STREAM)
        self.dithers: list[DitherOp] = []
        self.origin = location("")

    def run(self) -> None:
        for (label, old), (_, new) in zip(arguments(self.old), arguments(self.func), strict=False):
            self.raw[old] = new
            self._argument(label, old, new)
        for op in self.old.body.block.ops:
            if isinstance(op, NnOp):
                self._operator(op)
        self._results()

    def _argument(self, label: Label, old: SSAValue, new: BlockArgument) -> None:
        self.origin = location(label.name)
        match label.role:
            case "input":
                has_channels = len(shape_of(new)) == 4 or self.has_parts  # which have maps of their own
                channels = shape_of(new)[-1:] if has_channels else (1,)
                maps = [self._statistic(f"{label.name}.{each}", channels) for each in ("multiplier", "offset")]
                self.signature.add(Label(f"{label.name}.exponent", "exponent"), exponent)
                self.raw[old] = self.insert(InputMapOp.of(new, *maps))
            case "master":
                r = self.insert(RangeOp.of(new))
                self._parameter(label, old, lambda: r, FULL_MASTER)
                weight = Format(self.options.bits, "i8")
                shift = self.insert(ShiftOp.of(r, bits=weight.bits))
                self.narrow[old] = self._requantise(new, shift, "nearest", weight)
            case "weight":
                self._parameter(label, old, lambda: largest_row(new, self), full_rows(shape_of(new)))
            case "frozen" | "first_moment" | "second_moment":
                self.signature.add(Label(f"{label.name}.exponent", "exponent"), exponent)
            case _:
                pass

    def _parameter(self, label: Label, old: SSAValue, size: Callable[[], SSAValue], full: int) -> None:
        """The exponent of a parameter: where the step changes the parameter, it grows from a size of `full` on."""
        name = Label(f"{label.name}.exponent", "exponent")
        e = self.signature.add(name, exponent)
        if any(_overwrites(use) for use in old.uses):
            self.growing.append((name, e, size(), full))

    def _statistic(self, name: str, shape: tuple[int, ...]) -> BlockArgument:
        return self.signature.add(Label(name, "statistic"), tensor(shape, i32))

    def _operator(self, op: NnOp) -> None:
        self.origin = op.location
        integer = op.to_integer(self.operands(op), self)
        self.insert(integer)
        self.raw.update(zip(op.results, integer.results, strict=True))
        if isinstance(integer, UpdateOp):
            self.updates.append((op, integer))
        if op.has_trait(CoarseError) or (op.has_trait(Scales) and op.operands[0] in self.coarse):
            self.coarse.update(op.results)

    def operands(self, op: NnOp) -> list[SSAValue]:
        """The integer form of each operand, as the operator wants it: an accumulator, or an int16 or int8 mantissa."""
        updated = {operand for _, operand in op.UPDATES}
        raw = {*(op.ACCUMULATORS if self._takes_accumulators(op) else ()), *updated}
        wide = (0,) if self._moves_mantissas16(op) else self._mantissas16(op)
        return [
            self.raw[value] if i in raw else self.mantissa16(value) if i in wide else self.mantissa(value)
            for i, value in enumerate(op.operands)
        ]

    def _mantissas16(self, op: NnOp) -> Sequence[int]:
        """The operands that are int16 mantissas."""
        return (0, 1) if self.wide_sums and op.has_trait(Sum) else op.MANTISSAS16

    def _takes_accumulators(self, op: NnOp) -> bool:
        """Whether an operator reads accumulators; one that only moves values, for a gradient that is never rounded."""
        return not op.has_trait(Moves) or not (
            op.result in self.forward or any(not self._reads_accumulator(use) for use in op.result.uses)
        )

    def _reads_accumulator(self, use: Use) -> bool:
        user = use.operation
        if isinstance(user, NnOp) and user.has_trait(Moves):
            return self._takes_accumulators(user)
        return isinstance(user, ReturnOp) or (isinstance(user, NnOp) and use.index in user.ACCUMULATORS)

    def _moves_mantissas16(self, op: NnOp) -> bool:
        """Whether an operator only moves values, and every reader of its result wants int16 mantissas."""
        read = op.has_trait(Moves) and op.result.first_use is not None
        return read and all(map(self._reads_mantissas16, op.result.uses))

    def _reads_mantissas16(self, use: Use) -> bool:
        user = use.operation
        return isinstance(user, NnOp) and (use.index in self._mantissas16(user) or self._moves_mantissas16(user))

    def mantissa(self, value: SSAValue) -> SSAValue:
        """A value as an int8 operand: requantised once, if it is an accumulator."""
        if value not in self.narrow:
            self.narrow[value] = self._as_mantissa(value, Format(self.options.bits, "i8"))
        return self.narrow[value]

    def mantissa16(self, value: SSAValue) -> SSAValue:
        """A value as an int16 operand of 15 bits. What is int8 already stays so, unless `_moved16` finds int16 ones."""
        if value not in self.narrow16:
            self.narrow16[value] = self._moved16(value) or self._as_mantissa(value, Format(15, "i16"))
        return self.narrow16[value]

    def _moved16(self, value: SSAValue) -> SSAValue | None:
        """For a value that was moved as int8 for other readers: its source moved again as int16, if there is one."""
        op = value.owner
        if not isinstance(op, NnOp) or not op.has_trait(Moves) or element_of(self.raw[value]) != i8:
            return None
        source = self.mantissa16(op.operands[0])
        if element_of(source) == i8:
            return None
        asking, self.origin = self.origin, op.location
        moved = self.insert(op.to_integer([source], self))
        self.origin = asking
        return moved

    def _as_mantissa(self, value: SSAValue, format_: Format) -> SSAValue:
        raw = self.raw[value]
        narrower = element_of(raw) in (i32, i64) or (element_of(raw), format_.to) == (i16, "i8")
        return self._round(value, raw, format_) if element_of(value) == f32 and narrower else raw

    def _round(self, value: SSAValue, raw: SSAValue, format_: Format) -> SSAValue:
        """Requantises an accumulator; the operators belong to the node that computed it, not to the one that asks."""
        asking, self.origin = self.origin, raw.op.location if isinstance(raw, OpResult) else self.origin
        rounded = self._round_here(value, raw, format_)
        self.origin = asking
        return rounded

    def _round_here(self, value: SSAValue, raw: SSAValue, format_: Format) -> SSAValue:
        if format_.to == "i8" and isinstance(value.owner, NnOp) and value.owner.NARROWING is not None:
            shift = self.insert(ExpConstOp.of(value=value.owner.NARROWING))
            return self._requantise(raw, shift, "nearest", format_)
        if value not in self.forward:
            errors = self.options.errors if format_.to == "i8" else "nearest"
            rounding = STOCHASTIC if value in self.coarse else errors
            return self._requantise(raw, self._shift(raw, format_), rounding, format_)
        name = f"{self._activation_name(value)}.top"
        if not self.static:
            return self._requantise(raw, self._shift(raw, format_, name), self.options.activations, format_)
        top = self._statistic(name, ())
        shift = self.insert(StaticShiftOp.of(top, self.insert(ExponentOfOp.of(raw)), bits=format_.bits))
        return self._requantise(raw, shift, "nearest", format_)

    def _activation_name(self, value: SSAValue) -> str:
        """The ONNX node that an activation comes from; it is the same in every function."""
        op = value.owner
        assert isinstance(op, NnOp)
        base = op.source or op.name.removeprefix("nn.")
        name = next(n for n in _numbered(base) if n not in self.names)
        self.names.add(name)
        return name

    def _shift(self, acc: SSAValue, format_: Format, top: str = "") -> SSAValue:
        """The shift by the range of the tensor. Where inference needs a statistic of the range, it is updated here."""
        r = self.insert(RangeOp.of(acc))
        if top.removesuffix(".top") in self.stored:
            new = TopOp.of(self._statistic(top, ()), r, self.insert(ExponentOfOp.of(acc)))
            self.state.append((Label(top, "statistic"), self.insert(new)))
        return self.insert(ShiftOp.of(r, bits=format_.bits))

    def _requantise(self, acc: SSAValue, shift: SSAValue, rounding: str, format_: Format) -> SSAValue:
        if rounding == DITHERED:
            return self.insert(RoundShiftOp.of(acc, shift, self.dither(), round=rounding, to=format_.to))
        if rounding != STOCHASTIC:
            return self.insert(RoundShiftOp.of(acc, shift, round=rounding, to=format_.to))
        random = random_numbers(self.signature)
        stream = next(self.streams)
        return self.insert(RoundShiftOp.of(acc, shift, *random, round=rounding, stream=stream, to=format_.to))

    def dither(self) -> SSAValue:
        """A new bfp.dither at the start of the function, so that no kernel has to wait for it."""
        op = DitherOp.of(*random_numbers(self.signature), stream=next(self.streams))
        set_origin(op, self.origin)
        first = InsertPoint.at_start(self.func.body.block)
        Rewriter.insert_op(op, InsertPoint.after(self.dithers[-1]) if self.dithers else first)
        self.dithers.append(op)
        return op.t

    def __call__(self, op: NnOp, /) -> OpResult:
        return self.insert(op)

    def insert(self, op: NnOp) -> OpResult:
        set_origin(op, self.origin)
        self.func.body.block.insert_op_before(op, return_of(self.func))
        return op.result

    def _results(self) -> None:
        """@calibrate gives nothing but the statistics."""
        new: list[tuple[Label, SSAValue]] = []
        for label, value in results(self.old):
            computed = self.mantissa(value) if label.role == "output" else self.raw[value]
            new.append((label, computed))
            if label.role in ("output", "gradient"):
                new.append((Label(f"{label.name}.exponent", label.role), self.insert(ExponentOfOp.of(computed))))
        # At the end: until then all go by the exponent that the parameter has in this step.
        self.state += [(label, self.insert(GrowOp.of(e, r, full=full))) for label, e, r, full in self.growing]
        names: dict[SSAValue, str] = {value: label.name for label, value in arguments(self.old)}
        self.state += [
            (Label(f"{names[op.operands[i]]}.exponent", "exponent"), e)
            for op, integer in self.updates
            for i, e in integer.next_exponents(self)
        ]
        self.signature.write()
        set_results(self.func, self.state if self.func.sym_name.data == CALIBRATE else new + self.state)


def takes_ranges(func: FuncOp) -> bool:
    """Whether exponents follow from the batch; in inference they are static."""
    return func.sym_name.data in ("train_step", CALIBRATE)


def _stored_type(label: Label, arg: SSAValue) -> Attribute:
    return with_element(arg.type, STORED[label.role]) if label.role in STORED else arg.type


def _overwrites(use: Use) -> bool:
    return isinstance(use.operation, NnOp) and use.index in {operand for _, operand in use.operation.UPDATES}


def _numbered(base: str) -> Iterator[str]:
    yield base
    yield from (f"{base}.{i}" for i in count(2))


def _forward(func: FuncOp) -> Iterator[SSAValue]:
    """The values before the loss; all of them, where there is no loss."""
    for op in func.body.block.ops:
        if op.has_trait(Loss):
            return
        yield from op.results
