"""Cross-entropy and mean squared error of logits, and their errors."""

import numpy as np

from nitic.arithmetic.integers import Array, bit_length, div, saturate, wide
from nitic.arithmetic.randomness import philox
from nitic.arithmetic.rounding import round_nearest
from nitic.arithmetic.sums import add_at

LOG2_E = 47274  # log2(e) in Q15
PROBABILITY_BITS = 24
START_BITS = PROBABILITY_BITS - 7  # what is rounded off
LARGEST_TARGET = 127  # label that a single logit is compared with
LOSS_STREAM = 0x6C6F7373  # "loss"; the operators of a program have small stream numbers
EXP2 = np.array([round(2 ** (10 + i / 256)) for i in range(256)], np.int64)
LOG2 = np.array([round(256 * np.log2(1 + i / 256)) for i in range(256)], np.int64)


def cross_entropy(o: Array, e: int, label: Array, start: Array) -> tuple[Array, int, Array, int]:
    """Logits (N, C) at exponent e: (error, its exponent, p - onehot in Q24, sum of losses in bits in Q8).

    `start` (N) in Q17 is what the sums of each row begin with. A row whose label is -1 has no error and no loss.
    """
    o, rows = wide(o), np.arange(len(o))
    t = np.minimum(round_nearest((o.max(1, keepdims=True) - o) * LOG2_E, 7 - e), 2**13)
    g = exp2_q20(t)
    total = g.sum(1, keepdims=True)
    p = div(g << PROBABILITY_BITS, total)
    p[rows, label] -= 1 << PROBABILITY_BITS
    p[label < 0] = 0
    loss = t[rows, label] + log2_q8(total[:, 0]) - (20 << 8)
    return saturate(round_sums(p, start)), loss_exponent(len(o)), p, int(loss[label >= 0].sum())


def round_sums(p: Array, start: Array) -> Array:
    """Rows in Q24 rounded to Q7, so that the sum of any neighbours is rounded too (systematic sampling)."""
    sums = np.concatenate([start[:, None], p], 1).cumsum(1) >> START_BITS
    return np.diff(sums, axis=1)


def loss_start(rows: int, seed: int, step: int) -> Array:
    """What the sums of each row begin with in a step: random numbers in Q17."""
    return philox(np.arange(rows), LOSS_STREAM, step, seed)[0] >> (32 - START_BITS)


def exp2_q20(t: Array) -> Array:
    """2^(20 - t) for 0 <= t < 62 in Q8."""
    whole, fraction = t >> 8, t & 255
    return np.where(fraction > 0, (EXP2[(256 - fraction) & 255] << 10) >> (whole + 1), (1 << 20) >> whole)


def mean_squared_error(o: Array, e_o: int, e: int, label: Array) -> tuple[Array, int]:
    """(o - target at exponent e, the sum of its squares in Q16) of logits (N, C); label -1 counts for nothing."""
    d = add_at(o, e_o, -wide(targets(o, label)), 0, e) * (label >= 0)[:, None]
    squares = round_nearest((d * d).sum(1), -16 - 2 * e)
    return d, int(np.minimum(squares, 2**30).sum())


def targets(logits: Array, label: Array) -> Array:
    """The one-hot rows of the labels, or of one logit the labels themselves."""
    return label[:, None] if logits.shape[1] == 1 else np.arange(logits.shape[1]) == label[:, None]


def unit_at(e_o: int, e: int) -> int:
    """The number 1 at the common exponent e of logits and targets."""
    return int(add_at(np.zeros(1), e_o, np.ones(1), 0, e)[0])


def log2_q8(x: Array) -> Array:
    """For 0 < x < 2^53."""
    b = np.frexp(x.astype(np.float64))[1].astype(np.int64) - 1
    return (b << 8) + LOG2[((x << 8) >> b) & 255]


def loss_exponent(batch: int) -> int:
    """-7 - floor(log2 N): the mean over the batch; the learning rate takes the rest, 2^floor(log2 N) / N."""
    return -7 - (bit_length(batch) - 1)
