"""nn.lrn and its gradient. A unit is some pixels: windows go along the channels, which are neighbours in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nitic.arithmetic import losses
from nitic.arithmetic.lrn import LEAST, ROOM, Response
from nitic.codegen.core import integer, tir
from nitic.codegen.core.function import Function
from nitic.codegen.core.group import Emission, Point, Scalar, Template
from nitic.codegen.core.tir import Buffer, Expr
from nitic.codegen.loops.rows import rows
from nitic.ir.op import NnOp
from nitic.ir.types import dtype_of, shape_of
from nitic.ops.lrn import LrnCommonOfRoomOp, LrnCommonOp, LrnDgradOp, LrnOp, LrnRoomOp


def _wide(value: Expr) -> Expr:
    return tir.cast(value, "int64")


@dataclass(frozen=True)
class Normaliser:
    """What depends on the exponent of x alone, and what computes with it."""

    response: Response
    channels: int
    bias: Expr
    base: Expr  # log2 of a denominator of 1, in Q8
    squares: integer.Rounding
    quotient: integer.Rounding
    exp2: Buffer
    log2: Buffer

    @classmethod
    def of(cls, emission: Emission, response: Response, channels: int, e: Expr) -> Normaliser:
        """Exponents are int64 here: no run-time exponent may wrap, and no shift of more than 62 differs from 63."""
        doubled = tir.let(_wide(e) * 2)
        to = tir.let(tir.maximum(doubled - 8, tir.constant(response.bias_exponent, "int64")))
        below = tir.let(tir.cast(tir.minimum(to - doubled, tir.constant(63, "int64")), "int32"))
        above = tir.cast(tir.minimum(to - response.bias_exponent, tir.constant(63, "int64")), "int32")
        bias = integer.any_shift("nearest", above)(tir.constant(response.bias_mantissa, "int64"))
        return cls(
            response,
            channels,
            tir.let(tir.maximum(bias, tir.constant(1, "int64"))),
            tir.let((to << 8) + response.log2_alpha),
            integer.any_shift("nearest", below),
            integer.any_shift("nearest", below + 8),
            emission.function.table(losses.EXP2.tolist()),
            emission.function.table(losses.LOG2.tolist()),
        )

    def neighbours(self, k: Expr, before: int, behind: int, dtype: str, term: Callable[[Expr], Expr]) -> Expr:
        """The sum of a term over the channels around one."""
        total = tir.register(dtype, tir.constant(0, dtype))
        with tir.loop(tir.maximum(k - before, 0), tir.minimum(k + behind + 1, self.channels)) as j:
            total.set(total.value + term(j))
        return tir.let(total.value)

    def sum_of_squares(self, x: Buffer, pixel: Expr, k: Expr) -> Expr:
        def square(j: Expr) -> Expr:
            value = tir.let(tir.cast(x.load(pixel + j), "int32"))
            return value * value

        return self.neighbours(k, *self.response.reach, "int32", square)

    def denominator(self, squares: Expr) -> Expr:
        return tir.let(self.squares(_wide(squares)) + self.bias)

    def decay(self, squares: Expr, denominator: Expr) -> Expr:
        """Response.decay, an int32."""
        bits = _wide(integer.log2_q8(denominator, self.log2)) + self.base
        scaled = integer.nearest(tir.constant(15), "int64")(tir.let(bits * self.response.power))
        below = scaled + (self.response.largest << 8)
        some = tir.cast(integer.clamp(below, tir.constant(0, "int64"), tir.constant(ROOM, "int64")), "int32")
        return tir.let(tir.select(squares == 0, tir.constant(self.response.decay_of_zeros), some))

    def factor(self, decay: Expr, common: Expr) -> Expr:
        t = integer.clamp(decay + (common << 8), tir.constant(0), tir.constant(LEAST))
        return integer.exp2_q20(tir.let(t), self.exp2)


def lrn(emission: Emission, op: NnOp) -> int:
    assert isinstance(op, LrnOp)
    emission.open(op, 1)
    x, channels, dtype = emission.buffer(op.x), shape_of(op.x)[-1], dtype_of(op.y).__name__
    e, common = (emission.scalar(each) for each in op.scale)
    normaliser = Normaliser.of(emission, op.response, channels, e)

    def pixel(_: Expr, first: Expr) -> None:
        with tir.loop(0, channels) as k:
            squares = normaliser.sum_of_squares(x, first, k)
            factor = normaliser.factor(normaliser.decay(squares, normaliser.denominator(squares)), common)
            value = tir.cast(x.load(first + k), dtype) * tir.cast(factor, dtype)
            emission.finish(op.y, value, Point(first + k, emission.channel(k)))

    return rows(emission.function, shape_of(op.x), pixel)


def lrn_room(emission: Emission, op: NnOp) -> int:
    assert isinstance(op, LrnRoomOp)
    emission.open(op, 1)
    x, dy, channels = emission.buffer(op.x), emission.buffer(op.dy), shape_of(op.x)[-1]
    normaliser = Normaliser.of(emission, op.response, channels, emission.scalar(op.scale))

    def pixel(_: Expr, first: Expr) -> None:
        with tir.loop(0, channels) as k:
            squares = normaliser.sum_of_squares(x, first, k)
            room = ROOM - normaliser.decay(squares, normaliser.denominator(squares))
            zero = tir.cast(dy.load(first + k), "int32") == 0
            emission.finish(op.room, tir.select(zero, tir.constant(0), room), Point(first + k, emission.channel(k)))

    return rows(emission.function, shape_of(op.x), pixel)


def lrn_dgrad(emission: Emission, op: NnOp) -> int:
    """First the factor and quotient of every channel, then the sums of quotients."""
    assert isinstance(op, LrnDgradOp)
    emission.open(op, 1)
    x, dy, channels, dtype = emission.buffer(op.x), emission.buffer(op.dy), shape_of(op.x)[-1], dtype_of(op.dx).__name__
    e, common = (emission.scalar(each) for each in op.scale)
    r, normaliser = op.response, Normaliser.of(emission, op.response, channels, e)
    factors, quotients = tir.local("int64", channels), tir.local("int64", channels)
    eight = integer.nearest(tir.constant(8), "int64")

    def pixel(_: Expr, first: Expr) -> None:
        with tir.loop(0, channels) as k:
            squares = normaliser.sum_of_squares(x, first, k)
            denominator = normaliser.denominator(squares)
            factor = normaliser.factor(normaliser.decay(squares, denominator), common)
            product = tir.let(_wide(dy.load(first + k)) * _wide(x.load(first + k)) * factor)
            factors.store(k, factor)
            quotients.store(k, normaliser.quotient(_quotient(emission.function, product, denominator)))
        with tir.loop(0, channels) as k:
            along = normaliser.neighbours(k, *r.reach[::-1], "int64", quotients.load)
            back = eight(tir.let(_wide(x.load(first + k)) * along * r.slope))
            value = tir.cast(_wide(dy.load(first + k)) * factors.load(k) - back, dtype)
            emission.finish(op.dx, value, Point(first + k, emission.channel(k)))

    return rows(emission.function, shape_of(op.x), pixel)


def _quotient(f: Function, product: Expr, denominator: Expr) -> Expr:
    """arithmetic.integers.symmetric_div of a product times 256."""
    magnitude = (tir.absolute(product) << 9) + denominator
    quotient = tir.let(f.divide(magnitude, denominator * 2))
    return tir.let(tir.select(product < 0, -quotient, quotient))


def lrn_common(emission: Emission, op: NnOp) -> Expr:
    assert isinstance(op, LrnCommonOp)
    normaliser = Normaliser.of(emission, op.response, 1, emission.scalar(op.x))
    one = tir.constant(1)
    return -(normaliser.decay(one, normaliser.denominator(one)) >> 8)


def lrn_common_of_room(emission: Emission, op: NnOp) -> Expr:
    assert isinstance(op, LrnCommonOfRoomOp)
    r = tir.let(emission.scalar(op.r))
    return tir.select(r == 0, tir.constant(0), -tir.cast((ROOM - r) >> 8, "int32"))


TEMPLATES = {"lrn": Template(lrn), "lrn_room": Template(lrn_room), "lrn_dgrad": Template(lrn_dgrad)}
SCALARS: dict[str, Scalar] = {"nn.lrn_common": lrn_common, "nn.lrn_common_of_room": lrn_common_of_room}
