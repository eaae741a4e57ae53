"""Losses: loss and right answers are sums over the whole batch, which decides about the units of work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nitic.arithmetic import integers, losses
from nitic.arithmetic.integers import INT8_LIMIT
from nitic.codegen.core import integer, tir
from nitic.codegen.core.group import Emission, Point, Template
from nitic.codegen.core.tir import Buffer, Expr, Register
from nitic.ir.op import NnOp
from nitic.ir.types import shape_of
from nitic.ops.bfp import RangeOp
from nitic.ops.loss import CrossEntropyOp, LossOp, MeanSquaredErrorOp

ONE = 1 << losses.PROBABILITY_BITS


@dataclass(frozen=True)
class _Rows:
    """What the loop over rows uses."""

    logits: Buffer
    dlogits: Buffer | None  # None where the group does not yield the errors
    classes: int
    quantise: integer.Rounding  # logit difference times log2 e to Q8
    exp2: Buffer
    log2: Buffer
    t: Buffer
    g: Buffer
    divide: Callable[[Expr, Expr], Expr]

    def exponentials(self, row: Expr, top: Expr) -> Register:
        """t = the distance to the maximum in bits (Q8) and g = 2^(20 - t) of every class; their sum."""
        total = tir.register("int64", tir.constant(0, "int64"))
        with tir.loop(0, self.classes) as k:
            distance = tir.let(top - tir.cast(self.logits.load(row + k), "int32"))
            wide = self.quantise(tir.cast(distance * losses.LOG2_E, "int64"))
            t = tir.let(tir.cast(tir.minimum(wide, tir.constant(1 << 13, "int64")), "int32"))
            g = integer.exp2_q20(t, self.exp2)
            self.t.store(k, t)
            self.g.store(k, g)
            total.set(total.value + g)
        return total

    def errors(self, row: Expr, label: Expr, total: Expr, start: Expr) -> None:
        """p - onehot, rounded to int8 with what the classes before left over; zero where there is no label."""
        if self.dlogits is None:
            return
        rest = tir.register("int64", start)
        with tir.loop(0, self.classes) as k:
            doubled = tir.let((self.g.load(k) * (2 * ONE)) + total)
            p = tir.let(self.divide(doubled, total << 1))
            hot = p - tir.select(label == k, tir.constant(ONE, "int64"), tir.constant(0, "int64"))
            sum_ = tir.let(rest.value + hot)
            error = integer.saturate(sum_ >> losses.START_BITS, INT8_LIMIT, "int8")
            rest.set(sum_ & ((1 << losses.START_BITS) - 1))
            self.dlogits.store(row + k, tir.select(label < 0, tir.constant(0, "int8"), error))

    def loss(self, label: Expr, total: Expr) -> Expr:
        """t[label] + log2(total) - 20, in bits (Q8)."""
        log2 = integer.log2_q8(total, self.log2)
        return tir.cast(self.t.load(tir.maximum(label, 0)) + log2 - (20 << 8), "int64")


def largest(logits: Buffer, classes: int, row: Expr) -> tuple[Register, Register]:
    """The first maximum of a row of logits, and its class."""
    top, at = tir.register("int32", -integers.INT8_LIMIT - 1), tir.register("int32", 0)
    with tir.loop(0, classes) as k:
        value = tir.let(tir.cast(logits.load(row + k), "int32"))
        better = tir.let(value > top.value)
        at.set(tir.select(better, k, at.value))
        top.set(tir.select(better, value, top.value))
    return top, at


def cross_entropy(emission: Emission, op: NnOp) -> int:
    assert isinstance(op, CrossEntropyOp)
    emission.open(op, 1)
    rows, classes = shape_of(op.logits)
    f, label_of = emission.function, emission.buffer(op.label)
    assert op.exponent is not None
    quantise = integer.any_shift("nearest", 7 - emission.scalar(op.exponent))
    scratch = tir.local("int32", classes), tir.local("int64", classes)
    tables = f.table(losses.EXP2.tolist()), f.table(losses.LOG2.tolist())
    share = f.rows_of_unit(rows)
    with f.units() as unit:
        loss = tir.register("int64", tir.constant(0, "int64"))
        correct = tir.register("int32", 0)
        dlogits = emission.buffer(op.dlogits) if op.dlogits in emission.group.op.yielded else None
        start = starts(emission, op)
        each = _Rows(emission.buffer(op.logits), dlogits, classes, quantise, *tables, *scratch, f.divide)
        with tir.loop(unit * share, (unit + 1) * share) as i:
            row, label = tir.let(i * classes), tir.let(label_of.load(i))
            top, at = largest(each.logits, classes, row)
            total = each.exponentials(row, tir.let(top.value))
            each.errors(row, label, tir.let(total.value), start(i))
            with tir.when(label >= 0):
                loss.set(loss.value + each.loss(label, tir.let(total.value)))
                correct.set(correct.value + tir.select(at.value == label, tir.constant(1), tir.constant(0)))
        store_metrics(emission, op, loss, correct)
    return rows // share


def starts(emission: Emission, op: CrossEntropyOp) -> Callable[[Expr], Expr]:
    """The number that the sums of a row start from: random in training."""
    if not op.random:
        half = tir.constant(1 << (losses.START_BITS - 1), "int64")
        return lambda _: half
    seed, step = (emission.scalar(value) for value in op.random)

    def start(row: Expr) -> Expr:
        word = integer.philox(row, losses.LOSS_STREAM, step, seed)[0]
        return tir.cast(word >> (32 - losses.START_BITS), "int64")

    return start


def store_metrics(emission: Emission, op: LossOp, loss: Register, correct: Register) -> None:
    """Stores a unit's shares of loss and right answers, as far as the group yields them."""
    for out, total in ((op.loss, loss), (op.correct, correct)):
        if out in emission.group.op.yielded:
            emission.function.write_sum(emission.group.names()[out], total.value)


def mean_squared_error(emission: Emission, op: NnOp) -> int:
    """The differences are an accumulator, whose range is that of the loops here."""
    assert isinstance(op, MeanSquaredErrorOp)
    emission.open(op, 1)
    rows, classes = shape_of(op.logits)
    f, logits, label_of = emission.function, emission.buffer(op.logits), emission.buffer(op.label)
    exponent, common = (emission.scalar(e) for e in op.scales)
    scale, one = integer.common_factor(exponent, common), integer.common_factor(tir.constant(0), common)
    to_q16 = integer.any_shift("nearest", tir.let(-16 - 2 * common))
    share = f.rows_of_unit(rows)
    with f.units() as unit:
        loss = tir.register("int64", tir.constant(0, "int64"))
        correct = tir.register("int32", 0)
        with tir.loop(unit * share, (unit + 1) * share) as i:
            row, label = tir.let(i * classes), tir.let(label_of.load(i))
            _, at = largest(logits, classes, row)  # of a single number below
            squares = tir.register("int64", tir.constant(0, "int64"))
            with tir.loop(0, classes) as k:
                value = tir.cast(logits.load(row + k), "int32") * scale
                target = label * one if op.is_number else tir.select(label == k, one, tir.constant(0))
                d = tir.let(tir.select(label < 0, tir.constant(0), value - target))
                if op.is_number:
                    twice = tir.maximum(d, -d) * 2
                    at.set(tir.select(twice <= one, tir.maximum(label, 0), tir.constant(-2)))
                put_difference(emission, op, d, row + k)
                wide = tir.let(tir.cast(d, "int64"))
                squares.set(squares.value + wide * wide)
            loss.set(loss.value + tir.minimum(to_q16(tir.let(squares.value)), tir.constant(1 << 30, "int64")))
            correct.set(correct.value + tir.select(at.value == label, tir.constant(1), tir.constant(0)))
        store_metrics(emission, op, loss, correct)
    return rows // share


def put_difference(emission: Emission, op: MeanSquaredErrorOp, d: Expr, index: Expr) -> None:
    """Stores an element of dlogits and counts it into its range, as far as the group asks for them."""
    for behind in emission.group.op.tensor_ops:
        if isinstance(behind, RangeOp):
            emission.observe(behind, d)
    if op.dlogits in emission.group.op.yielded:
        emission.store(op.dlogits, d, Point(index))


TEMPLATES = {"cross_entropy": Template(cross_entropy), "mean_squared_error": Template(mean_squared_error)}
