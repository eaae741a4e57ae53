"""From gradients to parameters. The learning rate is m * 2^-k, m odd and below 256."""

from collections.abc import Sequence
from math import prod

from nitic.arithmetic.integers import INT16_LIMIT, Array, bit_length, div, saturate, wide
from nitic.arithmetic.rounding import ROUNDINGS, round_nearest

VELOCITY_LIMIT = 2**30
FULL_MASTER = 3 << 13  # from this range on, three quarters of what int16 holds, a master gets the next exponent
FULL_ROW = 112**2  # an int8 weight has no bit to spare: only where the mean square of a row says that most are clipped


def scaled_rate(m: int, k: int, batch: int) -> tuple[int, int]:
    """m * 2^-k * 2^floor(log2 N) / N as an odd m below 256 and its k."""
    q = int(div(m << (bit_length(batch) + 15), batch))
    s = max(0, bit_length(q) - 8)
    q = int(round_nearest(wide(q), s))
    trailing = bit_length(q & -q) - 1
    return q >> trailing, k + 16 - s - trailing


def growth(r: int, full: int) -> int:
    """By how much the exponent of a parameter grows in this step: 0 or 1."""
    return int(r >= full)


def update_plain(
    master: Array, em: int, r: int, dw: Array, e_dw: int, m: int, k: int, rounding: str = "pseudo_stochastic"
) -> Array:
    """The master after a step, at em plus the growth by its range r."""
    g = growth(r, FULL_MASTER)
    master, em = round_nearest(wide(master), g), em + g
    return saturate(master - ROUNDINGS[rounding](wide(dw) * m, em + k - e_dw), INT16_LIMIT)


def update_momentum(
    master: Array,
    velocity: Array,
    em: int,
    r: int,
    dw: Array,
    e_dw: int,
    m: int,
    k: int,
    momentum: int,
    decay: int,
    rounding: str = "pseudo_stochastic",
) -> tuple[Array, Array]:
    """(master, velocity) after a step, at em and em - 8 plus the growth by the range r of the master.

    momentum is of 256; decay = k + d for a weight decay of 2^-d (above 70: none).

    The velocity is not rounded to nearest on its way to the master: a weight would stand still while |v| < 128.
    """
    g = growth(r, FULL_MASTER)
    master, em = round_nearest(wide(master), g), em + g
    v = round_nearest(wide(velocity) * momentum, 8 + g) + ROUNDINGS[rounding](wide(dw) * m, em - 8 + k - e_dw)
    v = saturate(v + round_nearest(master, decay - 8), VELOCITY_LIMIT)
    return saturate(master - ROUNDINGS[rounding](v, 8), INT16_LIMIT), v


def full_rows(shape: Sequence[int]) -> int:
    """From which sum of squares on a row, what axis 0 of an int8 weight counts, is full."""
    return prod(shape[1:]) * FULL_ROW


def update_niti(w: Array, g: int, dw: Array, r: int, gb: int, rounding: str = "pseudo_stochastic") -> Array:
    """w minus the gradient kept to gb bits (NITI, equation 7), at its exponent plus the growth g; r = max|dw|."""
    w = round_nearest(wide(w), g)
    return saturate(w - ROUNDINGS[rounding](wide(dw), max(0, bit_length(r) - gb)))
