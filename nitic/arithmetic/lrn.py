"""Local response normalisation over neighbouring channels: docs/numerics.md has the formulas."""

from dataclasses import dataclass
from functools import cached_property
from math import floor, log2

import numpy as np

from nitic.arithmetic.integers import Array, symmetric_div, wide
from nitic.arithmetic.losses import exp2_q20, log2_q8
from nitic.arithmetic.rounding import round_nearest

FACTOR_BITS, DENOMINATOR_BITS = 20, 42
LEAST = 22 << 8  # from 2^-22 on, a factor of 20 bits is 0
ROOM = 1 << 28  # more than any decay counts


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
        """log2 of bias^-beta, rounded up, which no factor exceeds."""
        return -floor(self.beta * log2(self.bias))

    @property
    def reach(self) -> tuple[int, int]:
        """How many channels before and behind its own a window has."""
        return (self.size - 1) // 2, self.size // 2

    def sum(self, x: Array) -> Array:
        """Over the window of each channel."""
        return sum_neighbours(x, *self.reach)

    def squares(self, x: Array) -> Array:
        """The sum of the squares of mantissas over the window of each channel."""
        return self.sum(wide(x) ** 2)

    def adjoint(self, x: Array) -> Array:
        """For each channel over those in whose window it is."""
        return sum_neighbours(x, *self.reach[::-1])

    def exponent(self, e: int) -> int:
        """That of a denominator, for an x at exponent e: 8 bits below its squares, unless the bias is far above."""
        return max(2 * e - 8, self.bias_exponent)

    def denominator(self, squares: Array, e: int) -> Array:
        """The sum of squares + bias * size / alpha, positive and below 2^42."""
        to = self.exponent(e)
        bias = max(1, int(round_nearest(wide(self.bias_mantissa), to - self.bias_exponent)))
        return round_nearest(squares, to - 2 * e) + bias

    def decay(self, squares: Array, e: int) -> Array:
        """By what power of two, in Q8, a factor is below 2^largest."""
        some = self._decay(self.denominator(squares, e), self.exponent(e))
        return np.where(squares == 0, self.decay_of_zeros, some)

    @cached_property
    def decay_of_zeros(self) -> int:
        """In a window of zeros there is only the bias, however small it is beside a unit of x."""
        return int(self._decay(wide(self.bias_mantissa), self.bias_exponent))

    def _decay(self, denominator: Array, e: int) -> Array:
        bits = log2_q8(denominator) + (e << 8) + self.log2_alpha
        return np.clip(round_nearest(bits * self.power, 15) + (self.largest << 8), 0, ROOM)

    def factor(self, squares: Array, e: int, common: int) -> Array:
        """The factor in 20 bits, at exponent largest + common - 20."""
        return exp2_q20(np.clip(self.decay(squares, e) + (common << 8), 0, LEAST))

    def common(self, e: int) -> int:
        """The power of two, at most 0, that no factor of an x other than 0 exceeds: that of a window of one unit."""
        return -int(self.decay(np.ones(1, np.int64), e)[0] >> 8)

    def room(self, dy: Array, x: Array, e: int) -> Array:
        """What a decay is below ROOM, or 0 where the error is 0: the factor of such an element does not count."""
        return np.where(dy == 0, 0, ROOM - self.decay(self.squares(x), e))

    def gradient(self, dy: Array, x: Array, e: int, common: int) -> Array:
        """dy * f - 2 beta * x * (the sum of dy * x * f / denominator over the windows that x is in)."""
        dy, x, squares = wide(dy), wide(x), self.squares(x)
        f = self.factor(squares, e, common)
        quotient = symmetric_div(dy * x * f << 8, self.denominator(squares, e))
        along = self.adjoint(round_nearest(quotient, self.exponent(e) - 2 * e + 8))
        return dy * f - round_nearest(x * along * self.slope, 8)

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


def common_of_room(r: int) -> int:
    """The power of two, at most 0, that no factor exceeds, from the largest room; 0 where all errors are 0."""
    return -((ROOM - r) >> 8) if r else 0


def sum_neighbours(x: Array, before: int, behind: int) -> Array:
    """Over channels from `before` before each to `behind` behind it."""
    channels = x.shape[-1]
    total = np.concatenate([np.zeros_like(x[..., :1]), np.cumsum(x, -1)], -1)
    at = np.arange(channels)
    return total[..., np.minimum(at + behind + 1, channels)] - total[..., np.maximum(at - before, 0)]
