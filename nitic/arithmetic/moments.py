"""Update rules that do not depend on the size of a gradient: iadam and ilion (docs/numerics.md, Updates).

Both keep moments of the gradient, running means with an exponent each. The learning rate is m * 2^-k. No 64-bit number
exceeds 2^62.
"""

from dataclasses import dataclass

import numpy as np

from nitic.arithmetic.integers import INT16_LIMIT, Array, bit_length, saturate, wide
from nitic.arithmetic.losses import EXP2, log2_q8
from nitic.arithmetic.rounding import round_dithered, round_nearest
from nitic.arithmetic.rows import round_rows
from nitic.arithmetic.updates import FULL_MASTER, growth

GRADIENT_BITS = 15
KEPT_BITS = 10  # what a moment keeps is in 2^-10
MOMENT_GUARD = 12  # bits below the last place of a moment in which its two terms are added
GUARD = 24  # bits below the last place of a master in which a step is added up
STEP_BITS = 12  # of a fraction of the learning rate
STEP_SHIFT = STEP_BITS - GUARD  # of its product with the rate, beside exponent and k
SIGN, LARGEST_STEP = 1 << STEP_BITS, 4 << STEP_BITS
SIGN_BITS = 29  # of the sum whose sign ilion takes


@dataclass(frozen=True)
class Moment:
    """m * kept + g^power * (1024 - kept), in 2^-10, in mantissas of `bits`. (1024 - kept) / 1024 is at most 2^-fall."""

    kept: int
    fall: int
    bits: int
    power: int = 1

    @property
    def added(self) -> int:
        """What counts for the new gradient, in 2^-10."""
        return (1 << KEPT_BITS) - self.kept

    @property
    def limit(self) -> int:
        return 2**self.bits - 1

    def after(self, e: int, r: int, e_dw: int, r_dw: int) -> int:
        """The exponent of the next moment, from exponent and range of the moment and of the gradient's accumulator."""
        s = gradient_shift(r_dw)
        tops = [(r, e), (gradient_range(r_dw, s) ** self.power, self.power * (e_dw + s) - self.fall)]
        return max((bit_length(r) + e + 1 - self.bits for r, e in tops if r), default=e)

    def next(self, old: Array, e_old: int, g: Array, e_g: int, e: int, t: int) -> Array:
        """The next moment at exponent e, dithered from t: rounded to nearest, a small moment would never end."""
        kept = exact_shift(wide(old) * self.kept, e - MOMENT_GUARD - e_old)
        added = exact_shift(g**self.power * self.added, e - MOMENT_GUARD - self.power * e_g)
        return saturate(round_dithered(kept + added, KEPT_BITS + MOMENT_GUARD, t), self.limit)


ADAM_FIRST, ADAM_SECOND = Moment(kept=922, fall=3, bits=15), Moment(kept=1014, fall=6, bits=31, power=2)
LION_KEPT, LION_ADDED = 922, 102  # of 1024: the mean whose sign is the direction
LION = Moment(kept=1014, fall=6, bits=15)
MOMENTS = {"adam_first": ADAM_FIRST, "adam_second": ADAM_SECOND, "lion": LION}


def gradient(dw: Array, e_dw: int, r_dw: int) -> tuple[Array, int]:
    """A gradient of 15 bits and its exponent, of an accumulator, its exponent and its range."""
    s = gradient_shift(r_dw)
    return saturate(round_nearest(dw, s), INT16_LIMIT), e_dw + s


def gradient_shift(r_dw: int) -> int:
    return max(0, bit_length(r_dw) - GRADIENT_BITS)


def gradient_range(r_dw: int, s: int) -> int:
    """That of the rounded gradient, by rounding the range: both are monotone."""
    return min(int(round_nearest(wide(r_dw), s)), INT16_LIMIT)


def exact_shift(x: Array, s: int) -> Array:
    """R(x, s), whose shifts to the left have no limit: the result is known to fit, or x is 0."""
    return round_nearest(x, s) if s >= 0 else wide(x) << min(-s, 62)


def update_adam(
    master: Array,
    first: Array,
    second: Array,
    dw: Array,
    rates: tuple[int, int, int],
    scales: tuple[int, ...],
    starts: tuple[int, int, int],
) -> tuple[Array, Array, Array]:
    """(master, first moment, second moment) after a step; their exponents follow by `growth` and Moment.after.

    rates: m, k, and the weight decay times the rate in Q24. scales: exponent and range of the master, of dw, of the
    first and of the second moment. starts: of the three dithered roundings.
    """
    em, r, e_dw, r_dw, e_first, r_first, e_second, r_second = scales
    g, e_g = gradient(dw, e_dw, r_dw)
    e_1 = ADAM_FIRST.after(e_first, r_first, e_dw, r_dw)
    e_2 = ADAM_SECOND.after(e_second, r_second, e_dw, r_dw)
    first = ADAM_FIRST.next(first, e_first, g, e_g, e_1, starts[1])
    second = ADAM_SECOND.next(second, e_second, g, e_g, e_2, starts[2])
    return _step(master, em, r, normalised(first, e_1, second, e_2), rates, starts[0]), first, second


def normalised(first: Array, e_1: int, second: Array, e_2: int) -> Array:
    """first / sqrt(second) in Q12, at most 4, by tables: first * 2^-z for z in Q8."""
    z = ((log2_q8(np.maximum(second, 1)) + (e_2 << 8)) >> 1) - ((e_1 + STEP_BITS) << 8)
    whole, fraction = z >> 8, z & 255
    factor = np.where(fraction > 0, EXP2[(256 - fraction) & 255], 1 << 10)
    return saturate(round_rows(first * factor, np.where(fraction > 0, 11, 10) + whole), LARGEST_STEP)


def update_lion(
    master: Array,
    moment: Array,
    dw: Array,
    rates: tuple[int, int, int],
    scales: tuple[int, ...],
    starts: tuple[int, int],
) -> tuple[Array, Array]:
    """(master, moment) after a step, as `update_adam`; the sign of a mean of moment and gradient is the direction."""
    em, r, e_dw, r_dw, e_moment, r_moment = scales
    g, e_g = gradient(dw, e_dw, r_dw)
    common = sign_exponent(e_moment, r_moment, e_dw, r_dw)
    kept = round_nearest(moment, common - e_moment) * LION_KEPT
    direction = np.sign(kept + round_nearest(g, common - e_g) * LION_ADDED)
    e = LION.after(e_moment, r_moment, e_dw, r_dw)
    new = LION.next(moment, e_moment, g, e_g, e, starts[1])
    return _step(master, em, r, direction * SIGN, rates, starts[0]), new


def sign_exponent(e_moment: int, r_moment: int, e_dw: int, r_dw: int) -> int:
    """Where moment and gradient are added for their sign: 29 bits below the larger."""
    s = gradient_shift(r_dw)
    tops = [bit_length(r) + e for r, e in ((r_moment, e_moment), (gradient_range(r_dw, s), e_dw + s)) if r]
    return max(tops, default=e_moment) - SIGN_BITS


def _step(master: Array, em: int, r: int, u: Array, rates: tuple[int, int, int], t: int) -> Array:
    """The master less rate * u (Q12) and its decay, dithered: a step below a unit moves its share of the weights."""
    m, k, shrink = rates
    g = growth(r, FULL_MASTER)
    master, em = round_nearest(wide(master), g), em + g
    change = round_nearest(wide(u) * m, em + k + STEP_SHIFT) + master * shrink
    return saturate(master - round_dithered(change, GUARD, t), INT16_LIMIT)
