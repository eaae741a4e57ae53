"""Local response normalisation over neighbouring channels, and its gradient."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import floor, log2

import numpy as np
from xdsl.dialects.builtin import I64, Float64Type, FloatAttr, IntegerAttr
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def, var_operand_def
from xdsl.utils.exceptions import VerifyException

from nitic.arithmetic import integers, losses, rounding
from nitic.arithmetic.integers import Array
from nitic.ir.op import E, Exponents, Gradients, Insert, NnOp, NoGradient, accumulator, is_float
from nitic.ir.traits import KeepsSign
from nitic.ir.types import element_of, exponent, f32, shape_of
from nitic.ops.bfp import ExponentOfOp

MAX_SIZE, MAX_BETA = 1024, 16
FACTOR_BITS, DENOMINATOR_BITS = 20, 42
LEAST = 22 << 8  # from 2^-22 on, a factor of 20 bits is 0


@dataclass(frozen=True)
class Response:
    """From the sum of squares over a window to the factor (bias + alpha / size * sum)^-beta: see docs/numerics.md."""

    size: int
    alpha: float
    beta: float
    bias: float

    @cached_property
    def bias_exponent(self) -> int:
        """Where bias * size / alpha has 41 bits."""
        return floor(log2(self.bias * self.size / self.alpha)) - 40

    @cached_property
    def bias_mantissa(self) -> int:
        return round(self.bias * self.size / self.alpha * 2.0**-self.bias_exponent)

    @cached_property
    def log2_alpha(self) -> int:
        """Of alpha / size, in Q8."""
        return round(256 * log2(self.alpha / self.size))

    @cached_property
    def power(self) -> int:
        """beta in Q15."""
        return round(self.beta * 2**15)

    @cached_property
    def slope(self) -> int:
        """2 beta in Q8."""
        return round(self.beta * 2**9)

    @cached_property
    def largest(self) -> int:
        """log2 of the largest factor, bias^-beta, rounded up: the exponent of all factors is 20 less."""
        return -floor(self.beta * log2(self.bias))

    @property
    def reach(self) -> tuple[int, int]:
        """How many channels before and behind its own a window has."""
        return (self.size - 1) // 2, self.size // 2

    def sum(self, x: Array) -> Array:
        """Over the window of each channel."""
        return sum_neighbours(x, *self.reach)

    def adjoint(self, x: Array) -> Array:
        """For each channel over those in whose window it is."""
        return sum_neighbours(x, *self.reach[::-1])

    def exponent(self, e: int) -> int:
        """That of a denominator, for an x at exponent e: 8 bits below its squares, unless the bias is far above."""
        return max(2 * e - 8, self.bias_exponent)

    def denominator(self, x: Array, e: int) -> Array:
        """The sum of squares + bias * size / alpha, positive and below 2^42."""
        to, squares = self.exponent(e), self.sum(integers.wide(x) ** 2)
        bias = max(1, int(rounding.round_nearest(integers.wide(self.bias_mantissa), to - self.bias_exponent)))
        return rounding.round_nearest(squares, to - 2 * e) + bias

    def factor(self, denominator: Array, e: int) -> Array:
        """The factor in 20 bits, at exponent largest - 20."""
        bits = losses.log2_q8(denominator) + (self.exponent(e) << 8) + self.log2_alpha
        t = rounding.round_nearest(bits * self.power, 15) + (self.largest << 8)
        return losses.exp2_q20(np.clip(t, 0, LEAST))

    def gradient(self, dy: Array, x: Array, e: int) -> Array:
        """dy * f - 2 beta * x * (the sum of dy * x * f / denominator over the windows that x is in)."""
        dy, x, denominator = integers.wide(dy), integers.wide(x), self.denominator(x, e)
        f = self.factor(denominator, e)
        quotient = integers.symmetric_div(dy * x * f << 8, denominator)
        along = self.adjoint(rounding.round_nearest(quotient, self.exponent(e) - 2 * e + 8))
        return dy * f - rounding.round_nearest(x * along * self.slope, 8)

    def gradient_bound(self, channels: int) -> int:
        """Of the gradient; its second term is |x_i * W_i| times the slope in Q8."""
        return (127 << FACTOR_BITS) + (self._along_bound(channels) * self.slope >> 8) + 1

    def _along_bound(self, channels: int) -> int:
        """Of |x_i * W_i|, W_i the sum of the quotients q_j over the windows that i is in.

        |x_i * x_j| is at most half of the squares of a window that has both, and at most all of it where i = j.
        """
        windows, most = min(self.size, channels), 127 << FACTOR_BITS
        return most * (windows + 1) // 2 + 128 * windows

    def int64_bound(self) -> int:
        """Of a logarithm times beta: the exponent of a denominator is twice an int32 or that of the bias."""
        exponent = 2**32 + 8 + abs(self.bias_exponent) + DENOMINATOR_BITS
        return ((exponent << 8) + abs(self.log2_alpha)) * self.power

    def gradient_int64_bound(self, channels: int) -> int:
        """Or of 2^9 dy * x * f with the denominator, or of |x_i * W_i| times the slope."""
        quotient = (127 * 127 << FACTOR_BITS + 9) + (1 << DENOMINATOR_BITS)
        return max(self.int64_bound(), quotient, self._along_bound(channels) * self.slope)


def sum_neighbours(x: Array, before: int, behind: int) -> Array:
    """Over channels from `before` before each to `behind` behind it."""
    channels = x.shape[-1]
    total = np.concatenate([np.zeros_like(x[..., :1]), np.cumsum(x, -1)], -1)
    at = np.arange(channels)
    return total[..., np.minimum(at + behind + 1, channels)] - total[..., np.maximum(at - before, 0)]


class ResponseOp(NnOp):
    """What the normalisation and its gradient share; in integers the exponent of x comes last."""

    size = prop_def(IntegerAttr[I64])
    alpha = prop_def(FloatAttr[Float64Type])
    beta = prop_def(FloatAttr[Float64Type])
    bias = prop_def(FloatAttr[Float64Type])

    @property
    def response(self) -> Response:
        return Response(self.size.value.data, *(each.value.data for each in (self.alpha, self.beta, self.bias)))

    @property
    def values(self) -> dict[str, float | int]:
        """The properties."""
        response = self.response
        return {"size": response.size, "alpha": response.alpha, "beta": response.beta, "bias": response.bias}

    def infer_types(self) -> Sequence[Attribute]:
        response, first = self.response, self.operands[0]
        if not 1 <= response.size <= MAX_SIZE:
            raise VerifyException(f"a window has 1 to {MAX_SIZE} channels, not {response.size}")
        if min(response.alpha, response.bias) <= 0 or not 0 <= response.beta <= MAX_BETA:
            raise VerifyException(
                f"alpha and bias must be positive and beta at most {MAX_BETA}, not {response.alpha}, "
                f"{response.bias} and {response.beta}"
            )
        others = [value for value in self.operands if value.type != exponent]
        if any(shape_of(value) != shape_of(first) for value in others):
            raise VerifyException(f"an error of {shape_of(first)} does not fit an input of {shape_of(others[-1])}")
        if (element_of(first) == f32) != (len(others) == len(self.operands)):
            raise VerifyException("integers are normalised with the exponent of x, floats without")
        return [accumulator(first)]

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.add(e.of(self.operands[0]), e.const(self.response.largest - FACTOR_BITS))]


@irdl_op_definition
class LrnOp(ResponseOp):
    """y = x / (bias + alpha / size * the sum of squares over the window of channels)^beta."""

    name = "nn.lrn"
    traits = traits_def(KeepsSign())
    x = operand_def()
    scale = var_operand_def(exponent)
    y = result_def()

    def reference(self, *operands: Array) -> Array:
        x, *scale = operands
        r = self.response
        if is_float(x):
            return x * (r.bias + r.alpha / r.size * r.sum(x**2)) ** -r.beta
        return integers.wide(x) * r.factor(r.denominator(x, int(scale[0])), int(scale[0]))

    def to_integer(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        return LrnOp.of(*operands, insert(ExponentOfOp.of(operands[0])), **self.values)

    def accumulator_bound(self) -> int:
        return 127 << FACTOR_BITS

    def int64_bound(self, operands: Sequence[int]) -> int:
        """As of its factors."""
        return self.response.int64_bound()

    def backward(self, grad: Gradients) -> None:
        grad.add(self.x, LrnDgradOp.of(grad.of(self.y), self.x, **self.values))


@irdl_op_definition
class LrnDgradOp(ResponseOp):
    """The gradient of nn.lrn with respect to its input."""

    name = "nn.lrn_dgrad"
    dy = operand_def()
    x = operand_def()
    scale = var_operand_def(exponent)
    dx = result_def()

    def reference(self, *operands: Array) -> Array:
        dy, x, *scale = operands
        r = self.response
        if not is_float(dy):
            return r.gradient(dy, x, int(scale[0]))
        u = r.bias + r.alpha / r.size * r.sum(x**2)
        return dy * u**-r.beta - 2 * r.alpha * r.beta / r.size * x * r.adjoint(dy * x * u ** (-r.beta - 1))

    def to_integer(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        return LrnDgradOp.of(*operands, insert(ExponentOfOp.of(operands[1])), **self.values)

    def accumulator_bound(self) -> int:
        return self.response.gradient_bound(shape_of(self.dx)[-1])

    def int64_bound(self, operands: Sequence[int]) -> int:
        """As of its quotients and their sums."""
        return self.response.gradient_int64_bound(shape_of(self.dx)[-1])

    def backward(self, grad: Gradients) -> None:
        raise NoGradient
