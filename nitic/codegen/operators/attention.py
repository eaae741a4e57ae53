"""Attention in plain loops: one row of scores at a time, which lies in the thread's memory and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xdsl.ir import SSAValue

from nitic.arithmetic import attention, losses
from nitic.arithmetic.integers import INT8_LIMIT
from nitic.arithmetic.rows import NO_EXPONENT
from nitic.codegen.core import integer, tir
from nitic.codegen.core.group import Emission, Evaluate, Point, Prepare, Template
from nitic.codegen.core.tir import Buffer, Expr
from nitic.codegen.loops.rows import each_row
from nitic.codegen.operators.product import point_of
from nitic.ir.op import NnOp
from nitic.ir.types import shape_of
from nitic.ops.attention import (
    AttentionOp,
    ErrorOp,
    Heads,
    KeySumsOp,
    QueryRowsOp,
    RowErrorOp,
    RowExponentsOp,
    RowWeightsOp,
    ScoresOp,
    ValueSumsOp,
)


def _wide(value: Expr) -> Expr:
    return tir.cast(value, "int64")


@dataclass(frozen=True)
class Scores:
    """The scores of q and k, and the softmax of one."""

    emission: Emission
    op: ScoresOp
    q: Buffer
    k: Buffer
    quantise: integer.Rounding
    exp2: Buffer

    @classmethod
    def of(cls, emission: Emission, op: ScoresOp, e: SSAValue) -> Scores:
        _, e_c, _, _ = op.constants
        quantise = integer.any_shift("nearest", tir.let(-8 - e_c - emission.scalar(e)))
        q, k = (emission.buffer(op.operands[i]) for i in range(2))
        return cls(emission, op, q, k, quantise, emission.function.table(losses.EXP2.tolist()))

    @property
    def sizes(self) -> Heads:
        return self.op.sizes

    def columns(self, row: Expr) -> Expr:
        """How many scores of a row count: those that are masked lie behind them."""
        return tir.let(self.place(row)[1] + 1) if self.op.causal.value.data else self.sizes.columns

    def rows(self, column: Expr) -> tuple[Expr, int]:
        """The first and the end of the rows in which a column counts."""
        return (column if self.op.causal.value.data else 0), self.sizes.rows

    def place(self, row: Expr) -> tuple[Expr, Expr, Expr]:
        """(sample, position, head of k) of a row of q."""
        s = self.sizes
        return row // (s.rows * s.heads), row // s.heads % s.rows, row % s.heads // s.shared

    def key(self, row: Expr, column: Expr) -> Expr:
        """The row of k, and of v, that a score of a row of q takes."""
        sample, _, group = self.place(row)
        return (sample * self.sizes.columns + column) * self.sizes.groups + group

    def score(self, row: Expr, key: Expr) -> Expr:
        return dot(self.q, row, self.k, key, self.sizes.features)

    def softmax(self, score: Expr, top: Expr) -> Expr:
        """u, an int32."""
        c, _, _, _ = self.op.constants
        scaled = self.quantise(tir.let(_wide(top - score) * c))
        t = tir.let(tir.cast(tir.minimum(scaled, tir.constant(1 << 13, "int64")), "int32"))
        g = integer.nearest(tir.constant(attention.EXP_BITS - 8), "int64")(integer.exp2_q20(t, self.exp2))
        return tir.let(tir.cast(tir.minimum(g, tir.constant(attention.U8_LIMIT, "int64")), "int32"))


def dot(a: Buffer, row: Expr, b: Buffer, other: Expr, length: int) -> Expr:
    """The product of two rows of int8."""
    total = tir.register("int32", 0)
    first, second = tir.let(row * length), tir.let(other * length)
    with tir.loop(0, length) as k:
        total.set(total.value + tir.cast(a.load(first + k), "int32") * tir.cast(b.load(second + k), "int32"))
    return tir.let(total.value)


def reciprocal(emission: Emission, total: Expr) -> tuple[Expr, Expr]:
    """rows.row_reciprocal of an int32, as int64 and int32."""
    least = tir.let(_wide(tir.maximum(total, 1)))
    b = tir.let(integer.bit_length(least))
    power = tir.constant(1, "int64") << _wide(b + 16)
    return tir.let(emission.function.divide(power + least, least * 2)), b


def forward(emission: Emission, op: NnOp) -> int:
    assert isinstance(op, AttentionOp)
    emission.open(op, 1)
    scores, v, n = Scores.of(emission, op, op.e[0]), emission.buffer(op.v), shape_of(op.v)[3]
    sizes = op.sizes
    line, sums = tir.local("int32", sizes.columns), tir.local("int32", n)

    def row(r: Expr) -> None:
        count, top = scores.columns(r), tir.register("int32", attention.LEAST_SCORE)
        with tir.loop(0, count) as j:
            score = scores.score(r, scores.key(r, j))
            line.store(j, score)
            top.set(tir.maximum(top.value, score))
        largest, total = tir.let(top.value), tir.register("int32", 0)
        with tir.loop(0, n) as c:
            sums.store(c, tir.constant(0))
        with tir.loop(0, count) as j:
            u = scores.softmax(line.load(j), largest)
            total.set(total.value + u)
            value = tir.let(scores.key(r, j) * n)
            with tir.loop(0, n) as c:
                sums.store(c, sums.load(c) + u * tir.cast(v.load(value + c), "int32"))
        m, b = reciprocal(emission, total.value)
        rounding = integer.nearest(b + attention.OUTPUT_SHIFT, "int64")
        for result, value in ((op.top, largest), (op.total, total.value)):
            if result in emission.group.op.yielded:
                emission.store(result, value, Point(r))
        with tir.loop(0, n) as c:
            o = tir.cast(rounding(tir.let(_wide(sums.load(c)) * m)), "int32")
            emission.finish(op.o, tir.let(o), Point(r * n + c, emission.channel(c)))

    count = sizes.batch * sizes.rows * sizes.heads
    return each_row(emission.function, count, sizes.columns * sizes.features, row)


@dataclass(frozen=True)
class Errors:
    """The error of a score, from what is known of its row."""

    scores: Scores
    op: ErrorOp
    v: Buffer
    dy: Buffer
    top: Buffer
    total: Buffer

    @classmethod
    def of(cls, emission: Emission, op: ErrorOp, e: SSAValue) -> Errors:
        buffers = (emission.buffer(value) for value in op.known)
        return cls(Scores.of(emission, op, e), op, *buffers)

    def dp(self, row: Expr, key: Expr) -> Expr:
        return dot(self.dy, row, self.v, key, shape_of(self.op.known[0])[3])

    def factor(self, row: Expr) -> tuple[Expr, Expr]:
        """(1 / Z times the scale, the bit length of Z)."""
        m, b = reciprocal(self.scores.emission, tir.let(self.total.load(row)))
        scale = self.op.constants[2]
        return tir.let(integer.nearest(tir.constant(15), "int64")(tir.let(m * scale))), b

    def rounded(self, mean: Buffer, shift: Buffer, row: Expr) -> Callable[[Expr], Expr]:
        """For a row, what gives ds, an int32, of a row of k."""
        factor, top = self.factor(row)[0], tir.let(self.top.load(row))
        along, rounding = tir.let(mean.load(row)), integer.nearest(shift.load(row), "int64")

        def of(key: Expr) -> Expr:
            u = self.scores.softmax(self.scores.score(row, key), top)
            off = (_wide(self.dp(row, key)) << 8) - along
            return tir.let(integer.saturate(rounding(tir.let(_wide(u) * off * factor)), INT8_LIMIT, "int32"))

        return of


def row_error(emission: Emission, op: NnOp) -> int:
    assert isinstance(op, RowErrorOp)
    emission.open(op, 1)
    errors, sizes = Errors.of(emission, op, op.e), op.sizes
    scores = errors.scores
    us, dps = (tir.local("int32", sizes.columns) for _ in range(2))

    def row(r: Expr) -> None:
        count, top = scores.columns(r), tir.let(errors.top.load(r))
        total = tir.register("int64", tir.constant(0, "int64"))
        with tir.loop(0, count) as j:
            key = tir.let(scores.key(r, j))
            u, dp = scores.softmax(scores.score(r, key), top), errors.dp(r, key)
            us.store(j, u)
            dps.store(j, dp)
            total.set(total.value + _wide(u) * _wide(dp))
        mean = symmetric_quotient(emission, tir.let(total.value << 8), tir.let(errors.total.load(r)))
        factor, b = errors.factor(r)
        largest = tir.register("int64", tir.constant(0, "int64"))
        with tir.loop(0, count) as j:
            error = _wide(us.load(j)) * ((_wide(dps.load(j)) << 8) - mean) * factor
            largest.set(tir.maximum(largest.value, tir.absolute(tir.let(error))))
        shift = tir.let(tir.maximum(integer.bit_length(tir.let(largest.value)) - 7, 0))
        point = Point(r)
        point.values[op.mean], point.values[op.shift] = mean, shift
        h = tir.select(largest.value == 0, tir.constant(NO_EXPONENT), shift - b)
        emission.finish(op.h, tir.let(h), point)

    count = sizes.batch * sizes.rows * sizes.heads
    return each_row(emission.function, count, sizes.columns * sizes.features, row)


def symmetric_quotient(emission: Emission, a: Expr, total: Expr) -> Expr:
    """arithmetic.integers.symmetric_div of an int64 by an int32, 1 at least."""
    least = tir.let(_wide(tir.maximum(total, 1)))
    quotient = tir.let(emission.function.divide(tir.absolute(a) * 2 + least, least * 2))
    return tir.let(tir.select(a < 0, -quotient, quotient))


def query_rows(emission: Emission, op: NnOp) -> int:
    assert isinstance(op, QueryRowsOp)
    emission.open(op, 1)
    errors, sizes = Errors.of(emission, op, op.e), op.sizes
    scores, d = errors.scores, op.sizes.features
    mean, shift = emission.buffer(op.mean), emission.buffer(op.shift)
    sums = tir.local("int32", d)

    def row(r: Expr) -> None:
        error = errors.rounded(mean, shift, r)
        with tir.loop(0, d) as c:
            sums.store(c, tir.constant(0))
        with tir.loop(0, scores.columns(r)) as j:
            key = tir.let(scores.key(r, j))
            ds, first = error(key), tir.let(key * d)
            with tir.loop(0, d) as c:
                sums.store(c, sums.load(c) + ds * tir.cast(scores.k.load(first + c), "int32"))
        with tir.loop(0, d) as c:
            emission.finish(op.dx, tir.let(sums.load(c)), Point(r * d + c, emission.channel(c)))

    count = sizes.batch * sizes.rows * sizes.heads
    return each_row(emission.function, count, sizes.columns * d, row)


def column_sums(
    emission: Emission,
    scores: Scores,
    result: SSAValue,
    x: Buffer,
    weight: Callable[[Expr, Expr], Expr],
) -> int:
    """For each row of k the sum, over the rows of q in which it counts, of weight(row, key) times the row of x."""
    sizes, n = scores.sizes, shape_of(result)[3]
    sums = tir.local("int64", n)

    def column(key: Expr) -> None:
        sample, j = key // (sizes.columns * sizes.groups), key // sizes.groups % sizes.columns
        group = key % sizes.groups
        with tir.loop(0, n) as c:
            sums.store(c, tir.constant(0, "int64"))
        first, end = scores.rows(tir.let(j))
        begin = tir.let(sample * sizes.rows)
        head = tir.let(group * sizes.shared)
        with tir.loop(first, end) as i, tir.loop(0, sizes.shared) as h:
            row = tir.let((begin + i) * sizes.heads + head + h)
            by, start = _wide(weight(row, key)), tir.let(row * n)
            by = tir.let(by)
            with tir.loop(0, n) as c:
                sums.store(c, sums.load(c) + by * _wide(x.load(start + c)))
        with tir.loop(0, n) as c:
            emission.finish(result, tir.let(sums.load(c)), Point(key * n + c, emission.channel(c)))

    count = sizes.batch * sizes.columns * sizes.groups
    return each_row(emission.function, count, sizes.rows * sizes.shared * sizes.features, column)


def key_sums(emission: Emission, op: NnOp) -> int:
    assert isinstance(op, KeySumsOp)
    emission.open(op, 1)
    errors = Errors.of(emission, op, op.e)
    mean, shift = emission.buffer(op.mean), emission.buffer(op.shift)
    return column_sums(
        emission,
        errors.scores,
        op.dx,
        emission.buffer(op.x),
        lambda row, key: errors.rounded(mean, shift, row)(key),
    )


def value_sums(emission: Emission, op: NnOp) -> int:
    assert isinstance(op, ValueSumsOp)
    emission.open(op, 1)
    scores, top = Scores.of(emission, op, op.e), emission.buffer(op.top)

    def weight(row: Expr, key: Expr) -> Expr:
        return scores.softmax(scores.score(row, key), tir.let(top.load(row)))

    return column_sums(emission, scores, op.dv, emission.buffer(op.w), weight)


def row_weights(emission: Emission, op: NnOp) -> dict[SSAValue, Evaluate]:
    assert isinstance(op, RowWeightsOp)

    def evaluate(point: Point) -> Expr:
        total = emission.value(op.total, point_of(op.total, op.dy, point))
        return emission.value(op.dy, point) * tir.cast(reciprocal(emission, total)[0], "int32")

    return {op.x: evaluate}


def row_exponents(emission: Emission, op: NnOp) -> dict[SSAValue, Evaluate]:
    assert isinstance(op, RowExponentsOp)
    return {op.h: lambda point: -reciprocal(emission, emission.value(op.total, point))[1]}


TEMPLATES = {
    "attention": Template(forward),
    "attention_row_error": Template(row_error),
    "attention_query_rows": Template(query_rows),
    "attention_key_sums": Template(key_sums),
    "attention_value_sums": Template(value_sums),
}
POINTWISE: dict[str, Prepare] = {
    "nn.attention_row_weights": row_weights,
    "nn.attention_row_exponents": row_exponents,
}
