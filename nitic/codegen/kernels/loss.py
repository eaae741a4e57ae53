"""nn.cross_entropy: loss and right answers are sums over the whole batch, which decides about the units of work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nitic import numerics
from nitic.codegen import integer, tir
from nitic.codegen.group import Emission, Emit
from nitic.codegen.tir import Buffer, Expr, Register
from nitic.ir.op import NnOp
from nitic.ir.types import shape_of
from nitic.numerics import INT8_LIMIT
from nitic.ops.loss import CrossEntropyOp

LOG2_E = 47274  # log2(e) in Q15
ROUND_BITS = 17  # from Q24 to the int8 error


@dataclass(frozen=True)
class _Rows:
    """What the loop over rows uses."""

    logits: Buffer
    dlogits: Buffer | None  # None where nobody wants the errors
    classes: int
    quantise: integer.Rounding  # logit difference times log2 e to Q8
    exp2: Buffer
    log2: Buffer
    t: Buffer
    g: Buffer
    divide: Callable[[Expr, Expr], Expr]

    def largest(self, row: Expr) -> tuple[Register, Register]:
        """The first maximum of a row of logits, and its class."""
        top, at = tir.register("int32", -numerics.INT8_LIMIT - 1), tir.register("int32", 0)
        with tir.loop(0, self.classes) as k:
            value = tir.let(tir.cast(self.logits.load(row + k), "int32"))
            better = tir.let(value > top.value)
            at.set(tir.select(better, k, at.value))
            top.set(tir.select(better, value, top.value))
        return top, at

    def exponentials(self, row: Expr, top: Expr) -> Register:
        """t = the distance to the maximum in bits (Q8) and g = 2^(20 - t) of every class; their sum."""
        total = tir.register("int64", tir.constant(0, "int64"))
        with tir.loop(0, self.classes) as k:
            distance = tir.let(top - tir.cast(self.logits.load(row + k), "int32"))
            wide = self.quantise(tir.cast(distance * LOG2_E, "int64"))
            t = tir.let(tir.cast(tir.minimum(wide, tir.constant(1 << 13, "int64")), "int32"))
            whole, fraction = tir.let(tir.cast(t >> 8, "int64")), tir.let(t & 255)
            entry = tir.cast(self.exp2.load((256 - fraction) & 255), "int64")
            one = tir.constant(1, "int64")
            g = tir.let(tir.select(fraction > 0, (entry << 10) >> (whole + 1), (one << 20) >> whole))
            self.t.store(k, t)
            self.g.store(k, g)
            total.set(total.value + g)
        return total

    def errors(self, row: Expr, label: Expr, total: Expr) -> None:
        """p - onehot, rounded to int8; zero where there is no label."""
        if self.dlogits is None:
            return
        rounding = integer.pseudo_stochastic(tir.constant(ROUND_BITS), "int64")
        with tir.loop(0, self.classes) as k:
            doubled = tir.let((self.g.load(k) << 25) + total)
            p = tir.let(self.divide(doubled, total << 1))
            hot = tir.let(p - tir.select(label == k, tir.constant(1 << 24, "int64"), tir.constant(0, "int64")))
            error = integer.saturate(rounding(hot), INT8_LIMIT, "int8")
            self.dlogits.store(row + k, tir.select(label < 0, tir.constant(0, "int8"), error))

    def loss(self, label: Expr, total: Expr) -> Expr:
        """t[label] + log2(total) - 20, in bits (Q8)."""
        b = tir.let(integer.bit_length(total) - 1)
        entry = (total << 8) >> tir.cast(b, "int64")
        log2 = (b << 8) + self.log2.load(tir.cast(entry & 255, "int32"))
        return tir.cast(self.t.load(tir.maximum(label, 0)) + log2 - (20 << 8), "int64")


def cross_entropy(emission: Emission, op: NnOp) -> int:
    assert isinstance(op, CrossEntropyOp)
    emission.open(op, 1)
    rows, classes = shape_of(op.logits)
    f, label_of = emission.function, emission.buffer(op.label)
    quantise = integer.any_shift("nearest", 7 - emission.scalar(op.exponent[0]))
    scratch = tir.local("int32", classes), tir.local("int64", classes)
    tables = _table(numerics.EXP2.tolist()), _table(numerics.LOG2.tolist())
    share = f.rows_of_unit(rows)
    with tir.loop(f.begin, f.end) as unit:
        loss = tir.register("int64", tir.constant(0, "int64"))
        correct = tir.register("int32", 0)
        dlogits = emission.buffer(op.dlogits) if op.dlogits in emission.group.op.yielded else None
        each = _Rows(emission.buffer(op.logits), dlogits, classes, quantise, *tables, *scratch, f.divide)
        with tir.loop(unit * share, (unit + 1) * share) as i:
            row, label = tir.let(i * classes), tir.let(label_of.load(i))
            top, at = each.largest(row)
            total = each.exponentials(row, tir.let(top.value))
            each.errors(row, label, tir.let(total.value))
            with tir.when(label >= 0):
                loss.set(loss.value + each.loss(label, tir.let(total.value)))
                correct.set(correct.value + tir.select(at.value == label, tir.constant(1), tir.constant(0)))
        for out, total in ((op.loss, loss), (op.correct, correct)):
            if out in emission.group.op.yielded:
                f.write_sum(emission.group.names()[out], total.value)
    return rows // share


def _table(values: Sequence[int]) -> Buffer:
    """A constant table, in the thread's memory."""
    table = tir.local("int32", len(values))
    for i, value in enumerate(values):
        table.store(i, value)
    return table


ANCHORS: dict[str, Emit] = {"nn.cross_entropy": cross_entropy}
