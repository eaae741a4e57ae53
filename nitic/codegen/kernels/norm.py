"""Batch normalisation: sums per channel, and point-wise operators in int64 where an int16 mantissa meets a factor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

from xdsl.ir import SSAValue

from nitic import numerics
from nitic.codegen import integer, tir
from nitic.codegen.group import Emission, Emit, Evaluate, Point, Prepare
from nitic.codegen.tir import Buffer, Expr
from nitic.ir.layout import ceildiv
from nitic.ir.op import NnOp
from nitic.ir.types import shape_of
from nitic.numerics import WIDE
from nitic.ops.norm import (
    BatchNormDgradOp,
    BatchNormInverseOp,
    BatchNormRecallOp,
    BatchNormRunningOp,
    BatchNormScaleOp,
    BatchNormStatisticsOp,
    ChannelMeanOp,
    ChannelProductOp,
    NormaliseOp,
    ScaleGradOp,
)

Evaluators = Mapping[SSAValue, Evaluate]
WIDTH = 16  # channels of a unit of work


def statistics(emission: Emission, op: NnOp) -> int:
    """The means first, then the squares of what lies off them."""
    assert isinstance(op, BatchNormStatisticsOp)
    emission.open(op, 1)
    x, shape = emission.buffer(op.x), shape_of(op.x)
    n = prod(shape[:-1])

    def off_mean(index: Expr, k: Expr) -> Expr:
        off = tir.let(((_wide(x.load(index)) << 8) - means.load(k)) >> 4)
        return off * off

    means, squares = tir.local("int64", WIDTH), tir.local("int64", WIDTH)
    with tir.loop(emission.function.begin, emission.function.end) as unit:
        first, count = _channels(unit, shape[-1])
        _sum(means, shape, first, count, lambda index, _: _wide(x.load(index)))
        with tir.loop(0, count) as k:
            means.store(k, _rounded_quotient(means.load(k) << 8, n))
        _sum(squares, shape, first, count, off_mean)
        with tir.loop(0, count) as k:
            point = emission.channel(first + k)
            point.values[op.mean] = tir.let(means.load(k))
            emission.finish(op.variance, tir.let(squares.load(k) // tir.constant(n, "int64")), point)
    return ceildiv(shape[-1], WIDTH)


def scale_grad(emission: Emission, op: NnOp) -> int:
    assert isinstance(op, ScaleGradOp)
    emission.open(op, 1)
    dy, x, shape = emission.buffer(op.dy), emission.buffer(op.x), shape_of(op.x)
    sums = tir.local("int64", WIDTH)
    with tir.loop(emission.function.begin, emission.function.end) as unit:
        first, count = _channels(unit, shape[-1])
        _sum(sums, shape, first, count, lambda index, _: _wide(dy.load(index)) * _wide(x.load(index)))
        with tir.loop(0, count) as k:
            emission.finish(op.dgamma, tir.let(sums.load(k)), emission.channel(first + k))
    return ceildiv(shape[-1], WIDTH)


def _channels(unit: Expr, channels: int) -> tuple[Expr, Expr]:
    """(first channel of a unit, how many it has)."""
    first = tir.let(unit * WIDTH)
    return first, tir.let(tir.minimum(channels - first, WIDTH))


def _sum(sums: Buffer, shape: tuple[int, ...], first: Expr, count: Expr, term: Callable[[Expr, Expr], Expr]) -> None:
    """Over all rows, for each channel of a unit; a term is given the index of its element and its place in the unit."""
    with tir.loop(0, WIDTH) as k:
        sums.store(k, tir.constant(0, "int64"))
    with tir.loop(0, prod(shape[:-1])) as row, tir.loop(0, count) as k:
        sums.store(k, sums.load(k) + term(row * shape[-1] + first + k, k))


def recall(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, BatchNormRecallOp)
    e = emission.scalar(op.x)
    mean = _aligned(tir.constant(numerics.RUNNING_EXPONENT), e - 8, 2**30)
    variance = _aligned(tir.constant(numerics.RUNNING_EXPONENT), (e - 4) * 2, 2**40)
    return {
        op.recalled_mean: lambda point: mean(emission.value(op.mean, point)),
        op.recalled_variance: lambda point: variance(emission.value(op.variance, point)),
    }


def running(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, BatchNormRunningOp)
    limit, rate = numerics.RUNNING_LIMIT, numerics.running_rate(op.momentum.value.data)
    aligned = _aligned(emission.scalar(op.scale[0]), tir.constant(numerics.RUNNING_EXPONENT), limit)
    fifteen = integer.nearest(tir.constant(15), "int64")

    def evaluate(point: Point) -> Expr:
        old = emission.value(op.running, point)
        change = fifteen((aligned(emission.value(op.new, point)) - old) * tir.constant(rate, "int64"))
        return _clipped(old + change, limit)

    return {op.updated: evaluate}


def inverse(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, BatchNormInverseOp)
    epsilon = round(op.epsilon.value.data * 2**48)
    aligned = _aligned(tir.constant(-48), emission.scalar(op.scale[0]), 2**40)
    least = tir.let(tir.maximum(aligned(tir.constant(epsilon, "int64")), tir.constant(1, "int64")))

    def evaluate(point: Point) -> Expr:
        variance = tir.minimum(emission.value(op.variance, point), tir.constant(2**40, "int64"))
        root = _square_root(tir.let((variance + least) << 16))
        return emission.function.divide(root + 2**45, root * 2)

    return {op.inverse: evaluate}


def normalise(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, NormaliseOp)
    e, e_inverse = (emission.scalar(value) for value in op.scales)
    rounding = integer.any_shift("nearest", tir.let(numerics.NORMALISED_EXPONENT + 8 - e - e_inverse))

    def evaluate(point: Point) -> Expr:
        off = (_wide(emission.value(op.x, point)) << 8) - _wide(emission.value(op.mean, _channel(point)))
        product = tir.let(off * _wide(emission.value(op.inverse, _channel(point))))
        return integer.saturate(rounding(product), numerics.INT8_LIMIT, "int32")

    return {op.xhat: evaluate}


def scale(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, BatchNormScaleOp)

    def evaluate(point: Point) -> Expr:
        gamma, beta = (emission.value(value, _channel(point)) for value in (op.gamma, op.beta))
        return emission.value(op.xhat, point) * gamma + beta

    return {op.y: evaluate}


def channel_product(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, ChannelProductOp)
    return {op.y: lambda p: _wide(emission.value(op.inverse, p)) * _wide(emission.value(op.gamma, p))}


def channel_mean(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, ChannelMeanOp)
    return {op.mean: lambda p: _rounded_quotient(_wide(emission.value(op.total, p)) << 8, op.count.value.data)}


def dgrad(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, BatchNormDgradOp)
    ten = integer.nearest(tir.constant(10), "int64")

    def evaluate(point: Point) -> Expr:
        channel = _channel(point)
        along = ten(tir.let(_wide(emission.value(op.xhat, point)) * emission.value(op.slope, channel)))
        left = (_wide(emission.value(op.dy, point)) << 8) - emission.value(op.mean, channel) - along
        return left * _wide(emission.value(op.factor, channel))

    return {op.dx: evaluate}


def _channel(point: Point) -> Point:
    assert point.channel is not None
    return point.channel


def _wide(value: Expr) -> Expr:
    return tir.cast(value, "int64")


def _clipped(value: Expr, limit: int) -> Expr:
    return integer.clamp(value, tir.constant(-limit, "int64"), tir.constant(limit, "int64"))


def _rounded_quotient(a: Expr, n: int) -> Expr:
    return (a * 2 + n) // tir.constant(2 * n, "int64")


def _aligned(e_from: Expr, e_to: Expr, limit: int) -> Callable[[Expr], Expr]:
    """numerics.align_saturated of an int64."""
    left = tir.let(tir.cast(integer.clamp(e_from - e_to, 0, 62), "int64"))
    most = tir.let(tir.select(left > 0, tir.constant(limit, "int64") >> left, tir.constant(WIDE, "int64")))
    right = integer.any_shift("nearest", tir.let(tir.maximum(e_to - e_from, 0)))
    return lambda x: _clipped(right(tir.let(integer.clamp(_wide(x), -most, most) << left)), limit)


def _square_root(value: Expr) -> Expr:
    """floor(sqrt(v)) of an int64 below 2^62, bit by bit."""
    root = tir.register("int64", tir.constant(0, "int64"))
    with tir.loop(0, 31) as i:
        trial = tir.let(root.value | (tir.constant(1, "int64") << tir.cast(30 - i, "int64")))
        root.set(tir.select(trial * trial <= value, trial, root.value))
    return tir.let(root.value)


ANCHORS: dict[str, Emit] = {"nn.batch_norm_statistics": statistics, "nn.scale_grad": scale_grad}
POINTWISE: dict[str, Prepare] = {
    "nn.batch_norm_recall": recall,
    "nn.batch_norm_running": running,
    "nn.batch_norm_inverse": inverse,
    "nn.normalise": normalise,
    "nn.batch_norm_scale": scale,
    "nn.channel_product": channel_product,
    "nn.channel_mean": channel_mean,
    "nn.batch_norm_dgrad": dgrad,
}
