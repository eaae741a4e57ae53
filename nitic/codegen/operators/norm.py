"""Batch normalisation: sums per channel, and point-wise operators in int64 where an int16 mantissa meets a factor.

The operators allow statistics over any axes; those of other axes than batch norm's are refused here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

from xdsl.ir import SSAValue

from nitic.arithmetic import integers, norms
from nitic.arithmetic.integers import WIDE, bit_length
from nitic.codegen.core import integer, tir
from nitic.codegen.core.group import Emission, Evaluate, Point, Prepare, Scalar, Template
from nitic.codegen.core.integer import product
from nitic.codegen.core.tir import Buffer, Expr
from nitic.errors import CompileError
from nitic.ir.layout import ceildiv
from nitic.ir.op import NnOp
from nitic.ir.types import Shape, dtype_of, element_of, i16, shape_of
from nitic.ops.norm import (
    BatchNormDgradOp,
    BatchNormScaleOp,
    ChannelMeanOp,
    ChannelProductOp,
    NormaliseOp,
    ScaleDgradOp,
    ScaleGradOp,
)
from nitic.ops.product import broadcast_axes
from nitic.ops.statistics import (
    BatchNormInverseOp,
    BatchNormRecallOp,
    BatchNormRunningOp,
    BatchNormStatisticsOp,
    MeanSquareOp,
    RecalledMeanExponentOp,
    RecalledVarianceExponentOp,
)

Evaluators = Mapping[SSAValue, Evaluate]
MOST_VECTORS = 4  # of a unit of work; fewer where there are few channels, so that threads have something to share


def check_axes(op: NnOp, statistic: SSAValue) -> None:
    """Raises CompileError unless there is one statistic for each channel of the operator's first operand."""
    shape = shape_of(op.operands[0])
    if shape_of(statistic) != shape[-1:]:
        raise no_kernel(op, f" over axes {list(broadcast_axes(shape_of(statistic), shape))}")


def no_kernel(op: NnOp, what: str) -> CompileError:
    return CompileError(f"node '{op.source}'" if op.source else "", f"no kernel for {op.name}{what}")


def mean_square(_: Emission, op: NnOp) -> int:
    assert isinstance(op, MeanSquareOp)
    raise no_kernel(op, f" over axes {list(broadcast_axes(op.taken(), shape_of(op.x)))}")


def statistics(emission: Emission, op: NnOp) -> int:
    """The means first, then the squares of the distances from them."""
    assert isinstance(op, BatchNormStatisticsOp)
    check_axes(op, op.mean)
    emission.open(op, 1)
    x, columns = emission.buffer(op.x), Columns.of(emission, op.x)
    means, squares = (tir.local("int64", columns.width) for _ in range(2))

    def element(index: Expr, _: Expr, valid: Expr) -> Expr:
        return _wide(x.load(index, columns.lanes, valid))

    def off_mean(index: Expr, k: Expr, valid: Expr) -> Expr:
        mean = tir.cast(means.load(k, columns.lanes), "int32")
        off = _wide(((tir.cast(x.load(index, columns.lanes, valid), "int32") << 8) - mean) >> 4)
        return tir.let(off) * off

    with emission.function.units() as unit:
        first, count = columns.channels(unit)
        columns.sum(unit, means, element)
        with tir.loop(0, count) as k:
            means.store(k, rounded_quotient(means.load(k) << 8, columns.rows))
        columns.sum(unit, squares, off_mean)
        with tir.loop(0, count) as k:
            point = emission.channel(first + k)
            point.values[op.mean] = tir.let(means.load(k))
            variance = squares.load(k) // tir.constant(columns.rows, "int64")
            emission.finish(op.variance, tir.let(variance), point)
    return columns.units


def scale_grad(emission: Emission, op: NnOp) -> int:
    """Of int8, and of an x that is int16."""
    assert isinstance(op, ScaleGradOp)
    emission.open(op, 1)
    dy, x, columns = emission.buffer(op.dy), emission.buffer(op.x), Columns.of(emission, op.x)
    dtype, is_wide = dtype_of(op.dgamma).__name__, element_of(op.x) == i16
    sums = tir.local(dtype, columns.width)

    def term(index: Expr, _: Expr, valid: Expr) -> Expr:
        error, value = (each.load(index, columns.lanes, valid) for each in (dy, x))
        return tir.cast(error, dtype) * tir.cast(value, dtype) if is_wide else tir.cast(product(error, value), dtype)

    with emission.function.units() as unit:
        first, count = columns.channels(unit)
        columns.sum(unit, sums, term)
        with tir.loop(0, count) as k:
            emission.finish(op.dgamma, tir.let(sums.load(k)), emission.channel(first + k))
    return columns.units


Term = Callable[[Expr, Expr, Expr], Expr]


@dataclass(frozen=True)
class Columns:
    """Sums over all axes but the last: a unit of work is some vectors of channels, and goes through all rows."""

    shape: Shape
    lanes: int

    @staticmethod
    def of(emission: Emission, x: SSAValue) -> Columns:
        return Columns(shape_of(x), emission.function.vectors[1])

    @property
    def rows(self) -> int:
        return prod(self.shape[:-1])

    @property
    def vectors(self) -> int:
        most = MOST_VECTORS if self.lanes > 1 else 1
        return max(1, min(most, self.shape[-1] // (self.lanes * MOST_VECTORS)))

    @property
    def width(self) -> int:
        """Channels of a unit."""
        return self.vectors * self.lanes

    @property
    def units(self) -> int:
        return ceildiv(self.shape[-1], self.width)

    def channels(self, unit: Expr) -> tuple[Expr, Expr]:
        """(first channel of a unit, how many it has)."""
        first = tir.let(unit * self.width)
        return first, tir.let(tir.minimum(self.shape[-1] - first, self.width))

    def sum(self, unit: Expr, sums: Buffer, term: Term) -> None:
        """For each channel of a unit, the sum of term(index of the first element, its position in the unit, valid)."""
        rest = self.shape[-1] % self.width
        tir.branch(
            unit < self.units - 1 if rest else True,
            lambda: self._sum(unit * self.width, self.width, sums, term),
            lambda: self._sum(unit * self.width, rest, sums, term),
        )

    def _sum(self, first: Expr, count: int, sums: Buffer, term: Term) -> None:
        zero, places = tir.constant(0, sums.dtype), range(0, count, self.lanes)
        totals = [tir.register(sums.dtype, zero, self.lanes) for _ in places]
        with tir.loop(0, self.rows) as row:
            start = tir.let(row * self.shape[-1] + first)
            for k, total in zip(places, totals, strict=True):
                total.set(total.value + term(start + k, k, min(self.lanes, count - k)))
        for k, total in zip(places, totals, strict=True):
            sums.store(k, total.value)


def recall(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, BatchNormRecallOp)
    mean, variance = (
        aligned(tir.constant(norms.RUNNING_EXPONENT), emission.scalar(e), limit)
        for e, limit in zip(op.operands[2:], (norms.MEAN_LIMIT, norms.VARIANCE_LIMIT), strict=True)
    )
    return {
        op.recalled_mean: lambda point: mean(emission.value(op.mean, point)),
        op.recalled_variance: lambda point: variance(emission.value(op.variance, point)),
    }


def recalled_variance_exponent(emission: Emission, op: NnOp) -> Expr:
    assert isinstance(op, RecalledVarianceExponentOp)
    own = tir.let(integer.bit_length(emission.scalar(op.r)) + (norms.RUNNING_EXPONENT - norms.VARIANCE_BITS))
    return own + (own & 1)


def recalled_mean_exponent(emission: Emission, op: NnOp) -> Expr:
    assert isinstance(op, RecalledMeanExponentOp)
    least = tir.constant((norms.integer_epsilon(op.epsilon.value.data) >> 16) + 1, "int64")
    deviation = (integer.bit_length(emission.scalar(op.r) + least) + (norms.RUNNING_EXPONENT + 1)) >> 1
    return tir.maximum(emission.scalar(op.x) - 8, deviation + (norms.NORMALISED_BITS - norms.MEAN_BITS))


def running(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, BatchNormRunningOp)
    limit, rate = norms.RUNNING_LIMIT, norms.running_rate(op.momentum.value.data)
    at_running = aligned(emission.scalar(op.scale[0]), tir.constant(norms.RUNNING_EXPONENT), limit)

    def evaluate(point: Point) -> Expr:
        old = emission.value(op.running, point)
        return old + _fraction_of(tir.let(at_running(emission.value(op.new, point)) - old), rate)

    return {op.updated: evaluate}


def _fraction_of(d: Expr, rate: int) -> Expr:
    """norms.fraction_of."""
    q, half = tir.constant(rate, "int64"), tir.constant(1 << 14, "int64")
    return (d >> 15) * q + (((d & tir.constant(0x7FFF, "int64")) * q + half + (d >> 63)) >> 15)


def inverse(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, BatchNormInverseOp)
    e, epsilon = emission.scalar(op.scale[0]), op.integer_epsilon()
    at = tir.let(tir.maximum(e, norms.least_exponent(epsilon)))
    scaled = aligned(tir.constant(-48), at, norms.VARIANCE_LIMIT)
    least = tir.let(tir.maximum(scaled(tir.constant(epsilon, "int64")), tir.constant(1, "int64")))
    moved = integer.any_shift("nearest", tir.let(at - e))
    zero, most = tir.constant(0, "int64"), tir.constant(norms.VARIANCE_LIMIT, "int64")

    def evaluate(point: Point) -> Expr:
        variance = integer.clamp(emission.value(op.variance, point), zero, most)
        root = square_root(tir.let((moved(variance) + least) << 16))
        return emission.function.divide(root + 2**45, root * 2)

    return {op.inverse: evaluate}


def normalise(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, NormaliseOp)
    mean = op.mean
    if mean is None:
        raise no_kernel(op, " without a mean")
    check_axes(op, mean)
    e, e_inverse, *e_mean = (emission.scalar(value) for value in op.scales)
    at = e_mean[0] if e_mean else e - 8
    shift = tir.let(norms.NORMALISED_EXPONENT - at - e_inverse)
    if e_mean:
        rounding = integer.any_shift("nearest", shift, emission.lanes)
        coarser = integer.nearest(integer.clamp(at - e + 8, 0, 30), lanes=emission.lanes)
    else:  # x is at the exponent of the mean already, and the shift is to the right
        rounding = integer.nearest(integer.clamp(shift, 0, 62), "int64", emission.lanes)
        coarser = _same

    def evaluate(point: Point) -> Expr:
        # |mean| <= 2^30 and |inverse| <= 2^24: the product of two int32 is one instruction.
        off = coarser(emission.value(op.x, point) << 8) - emission.value(mean, _channel(point))
        scaled = tir.let(_wide(off) * _wide(emission.value(op.inverse, _channel(point))))
        return integer.saturate(rounding(scaled), integers.INT16_LIMIT, "int32")

    return {op.xhat: evaluate}


def scale(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, BatchNormScaleOp)
    lowered = integer.lowered(*(emission.scalar(value) for value in op.scales))

    def evaluate(point: Point) -> Expr:
        gamma, beta = (emission.value(value, _channel(point)) for value in (op.gamma, op.beta))
        return lowered(emission.value(op.xhat, point) * gamma) + beta

    return {op.y: evaluate}


def channel_product(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, ChannelProductOp)
    if shape_of(op.inverse) != shape_of(op.gamma):
        raise no_kernel(op, f" of statistics of {shape_of(op.inverse)}")
    return {op.y: lambda p: _wide(emission.value(op.inverse, p)) * _wide(emission.value(op.gamma, p))}


def channel_mean(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, ChannelMeanOp)
    return {op.mean: lambda p: rounded_quotient(_wide(emission.value(op.total, p)) << 8, op.count.value.data)}


def scale_dgrad(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, ScaleDgradOp)
    check_axes(op, op.factor)
    return {op.dx: lambda point: emission.value(op.dy, point) * emission.value(op.factor, _channel(point))}


def dgrad(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, BatchNormDgradOp)
    if not op.mean:
        raise no_kernel(op, " without a mean")
    check_axes(op, op.slope)
    ten = integer.nearest(tir.constant(10), "int32", emission.lanes)

    def evaluate(point: Point) -> Expr:
        """mean and slope are of mantissas, with 8 bits more: |mean| <= 2^15 and |xhat * slope| < 2^29."""
        mean, slope = (tir.cast(emission.value(value, _channel(point)), "int32") for value in (op.mean[0], op.slope))
        along = ten(tir.let(emission.value(op.xhat, point) * slope))
        left = tir.let((emission.value(op.dy, point) << 8) - mean - along)
        return _wide(left) * _wide(emission.value(op.factor, _channel(point)))

    return {op.dx: evaluate}


def _channel(point: Point) -> Point:
    assert point.channel is not None
    return point.channel


def _same(value: Expr) -> Expr:
    return value


def _wide(value: Expr) -> Expr:
    return tir.cast(value, "int64")


def _clipped(value: Expr, limit: int) -> Expr:
    return integer.clamp(value, tir.constant(-limit, "int64"), tir.constant(limit, "int64"))


def rounded_quotient(a: Expr, n: int) -> Expr:
    return (a * 2 + n) // tir.constant(2 * n, "int64")


def aligned(e_from: Expr, e_to: Expr, limit: int) -> Callable[[Expr], Expr]:
    """arithmetic.rounding.align_saturated of an int64."""
    left = tir.let(tir.cast(integer.clamp(e_from - e_to, 0, bit_length(limit) - 1), "int64"))
    most = tir.let(tir.select(left > 0, tir.constant(limit, "int64") >> left, tir.constant(WIDE, "int64")))
    right = integer.any_shift("nearest", tir.let(tir.maximum(e_to - e_from, 0)))
    return lambda x: _clipped(right(tir.let(integer.clamp(_wide(x), -most, most) << left)), limit)


def square_root(value: Expr) -> Expr:
    """floor(sqrt(v)) of an int64 below 2^62, bit by bit."""
    root = tir.register("int64", tir.constant(0, "int64"))
    with tir.loop(0, 31) as i:
        trial = tir.let(root.value | (tir.constant(1, "int64") << tir.cast(30 - i, "int64")))
        root.set(tir.select(trial * trial <= value, trial, root.value))
    return tir.let(root.value)


TEMPLATES = {
    "batch_norm_statistics": Template(statistics),
    "mean_square": Template(mean_square),
    "scale_grad": Template(scale_grad),
}
SCALARS: dict[str, Scalar] = {
    "nn.recalled_variance_exponent": recalled_variance_exponent,
    "nn.recalled_mean_exponent": recalled_mean_exponent,
}
POINTWISE: dict[str, Prepare] = {
    "nn.batch_norm_recall": recall,
    "nn.batch_norm_running": running,
    "nn.batch_norm_inverse": inverse,
    "nn.normalise": normalise,
    "nn.batch_norm_scale": scale,
    "nn.channel_product": channel_product,
    "nn.channel_mean": channel_mean,
    "nn.scale_dgrad": scale_dgrad,
    "nn.batch_norm_dgrad": dgrad,
}
VECTORS = frozenset({"nn.normalise", "nn.batch_norm_scale", "nn.scale_dgrad", "nn.batch_norm_dgrad"})
"""What computes with vectors as with scalars."""
