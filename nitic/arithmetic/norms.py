"""Batch normalisation of int16 mantissas x (n, C) at exponent e."""

import numpy as np

from nitic.arithmetic.integers import INT16_LIMIT, Array, bit_length, div, isqrt, saturate, wide
from nitic.arithmetic.rounding import align_saturated, round_nearest

NORMALISED_EXPONENT, NORMALISED_BITS = -9, 6  # of int16 mantissas: +-2^6 deviations
NARROWING = 4  # of these to int8, +-3.97 deviations
RUNNING_EXPONENT, RUNNING_LIMIT = -32, 2**61
MEAN_BITS, VARIANCE_BITS = 30, 40
MEAN_LIMIT, VARIANCE_LIMIT = 2**MEAN_BITS, 2**VARIANCE_BITS  # of what a batch norm recalls
NO_EPSILON = -(2**20)  # below every exponent


def batch_norm_statistics(x: Array) -> tuple[Array, Array]:
    """(mean at exponent e - 8, variance at exponent 2(e - 4))."""
    x = wide(x)
    mean = div(x.sum(0) << 8, len(x))
    return mean, (((x << 8) - mean >> 4) ** 2).sum(0) // len(x)


def running_rate(momentum: float) -> int:
    """How much of a new statistic a running one takes, in 2^-15."""
    return round(2**15 * (1 - momentum))


def batch_norm_running(running: Array, new: Array, e_new: int, q: int) -> Array:
    """The running statistic at RUNNING_EXPONENT after a batch; q is its running_rate."""
    new = align_saturated(new, e_new, RUNNING_EXPONENT, RUNNING_LIMIT)
    return wide(running) + fraction_of(new - running, q)


def fraction_of(d: Array, q: int) -> Array:
    """R(d * q, 15) for q of 0 to 2^15, in two parts, since the product may pass 64 bits."""
    return (d >> 15) * q + (((d & 0x7FFF) * q + (1 << 14) - (d < 0)) >> 15)


def recalled_variance_exponent(r: int) -> int:
    """That of running variances: the least even one at which the largest of them, an r at RUNNING_EXPONENT, is at most
    VARIANCE_LIMIT, whatever the exponent of x: what is small beside a unit of x is known nevertheless."""
    own = bit_length(r) + RUNNING_EXPONENT - VARIANCE_BITS
    return own + own % 2


def recalled_mean_exponent(e: int, r: int, epsilon: int) -> int:
    """That of running means for an x at exponent e: e - 8, as of those of a batch, or the least one at which 64 of the
    largest deviations are at most MEAN_LIMIT: what is further away is normalised to the limit of int16. The deviation
    follows from a variance r at RUNNING_EXPONENT and an epsilon at exponent -48."""
    deviation = (bit_length(r + (epsilon >> 16) + 1) + RUNNING_EXPONENT + 1) // 2
    return max(e - 8, deviation + NORMALISED_BITS - MEAN_BITS)


def batch_norm_recall(mean: Array, variance: Array, e_mean: int, e_variance: int) -> tuple[Array, Array]:
    """Running statistics at the exponents above."""
    recalled = align_saturated(mean, RUNNING_EXPONENT, e_mean, MEAN_LIMIT)
    return recalled, align_saturated(variance, RUNNING_EXPONENT, e_variance, VARIANCE_LIMIT)


def integer_epsilon(epsilon: float) -> int:
    """At exponent -48."""
    return round(epsilon * 2**48)


def least_exponent(epsilon: int) -> int:
    """The least even exponent at which an epsilon, an integer at exponent -48, is at most VARIANCE_LIMIT."""
    own = bit_length(epsilon) - 48 - VARIANCE_BITS if epsilon else NO_EPSILON
    return own + own % 2


def batch_norm_inverse(variance: Array, e: int, epsilon: int) -> Array:
    """1/sigma at exponent -36 - E/2, E = max(e, least_exponent), to be rounded to 24 bits.

    A variance below 0, which only a file can bring, counts as 0.
    """
    at = max(e, least_exponent(epsilon))
    eps = max(1, int(align_saturated(epsilon, -48, at, VARIANCE_LIMIT)))
    return div(2**44, isqrt(round_nearest(np.clip(variance, 0, VARIANCE_LIMIT), at - e) + eps << 16))


def normalise(x: Array, e: int, mean: Array, inverse: Array, e_inverse: int, e_mean: int | None = None) -> Array:
    """xhat at NORMALISED_EXPONENT, int16. The mean is at e - 8, unless a larger exponent is given."""
    at = e - 8 if e_mean is None else e_mean
    off = round_nearest(wide(x) << 8, max(at - (e - 8), 0)) - mean
    return saturate(round_nearest(off * inverse, NORMALISED_EXPONENT - (at + e_inverse)), INT16_LIMIT)


def batch_norm_dgrad(dy: Array, xhat: Array, slope: Array, mean: Array) -> Array:
    """The error less its projections on 1 and xhat, in 256ths: what gamma / sigma is multiplied with."""
    return (wide(dy) << 8) - mean - round_nearest(wide(xhat) * slope, 10)
