"""Bounds, slopes and dropout: what is done element by element with constants of the program."""

from math import frexp

import numpy as np

from nitic.arithmetic.integers import Array, wide
from nitic.arithmetic.randomness import philox
from nitic.arithmetic.rounding import round_nearest

BOUND_BITS, BOUND_SHIFT = 23, 36


def as_integer(value: float, bits: int) -> tuple[int, int]:
    """(c, e) with c * 2^e the value to `bits` bits."""
    fraction, e = frexp(value)
    return round(fraction * 2**bits), e - bits


def mantissa_of(value: float, e: int) -> int:
    """A bound at exponent e; a left shift by 36 is beyond every accumulator."""
    c, e_c = as_integer(value, BOUND_BITS)
    return int(round_nearest(wide(c), e - e_c)) if e > e_c else c << min(e_c - e, BOUND_SHIFT)


def threshold(value: float, e: int) -> int:
    """The largest integer at exponent e that is not above a value: only what is larger than it is above both."""
    c, e_c = as_integer(value, BOUND_BITS)
    return c >> min(e - e_c, 62) if e > e_c else c << min(e_c - e, BOUND_SHIFT)


def clip(x: Array, low: float | None, high: float | None, e: int) -> Array:
    """x at exponent e within bounds that lie around 0."""
    x = wide(x) if low is None else np.maximum(wide(x), mantissa_of(low, e))
    return x if high is None else np.minimum(x, mantissa_of(high, e))


def is_inside(y: Array, low: float | None, high: float | None, e: int) -> Array:
    """Where a stored y at exponent e is not at a bound; one that rounds to 128 is stored as 127."""
    least, most = (wide(0) if bound is None else stored_bound(mantissa_of(bound, e)) for bound in (low, high))
    return ((low is None) | (wide(y) > least)) & ((high is None) | (wide(y) < most))


def stored_bound(m: int) -> int:
    return m - (m > 0) + (m < 0) if abs(m) == 128 else m


def leaky_slope(alpha: float) -> int:
    return round(alpha * 2**15)


def leaky_relu(m: Array, x: Array, alpha: float) -> Array:
    """m times the slope at x, at an exponent 15 lower."""
    return wide(m) * np.where(x < 0, leaky_slope(alpha), 1 << 15)


def dropout_threshold(p: float) -> int:
    """An element is kept where its Philox word 0 is at least this."""
    return round(p * 2**32)


def dropout_multiplier(p: float) -> int:
    """1 / (1 - p) at exponent -15."""
    return round(2**15 / (1 - p))


def dropout(x: Array, p: float, seed: int, stream: int, step: int) -> Array:
    """Kept elements times the multiplier, at exponent e_x - 15, to be requantised."""
    words = philox(np.arange(x.size).reshape(x.shape), stream, step, seed)
    return wide(x) * (words[0] >= dropout_threshold(p)) * dropout_multiplier(p)
