"""The integer primitives of the NITI recipes in NumPy: the definition that every kernel must reproduce bit for bit.

A tensor is a pair (m, e) with value m * 2^e. Functions take and return int64 arrays that hold exact integers; floats
appear only where a constant table is made. Formulas: NITI (arXiv 2009.13108) with the corrections of docs/numerics.md.
"""

from collections.abc import Sequence
from math import frexp
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

INT8_LIMIT, INT16_LIMIT, VELOCITY_LIMIT = 127, 32767, 2**30
WIDE = 2**62
INPUT_EXPONENT = -5
NORMALISED_EXPONENT = -9  # of int16 mantissas: +-64 deviations
NARROWING = 4  # of these to int8, +-3.97 deviations
BOUND_BITS, BOUND_SHIFT = 23, 36
RUNNING_EXPONENT, RUNNING_LIMIT = -32, 2**46
PROBABILITY_BITS = 24
START_BITS = PROBABILITY_BITS - 7  # what is rounded off
LOSS_STREAM = 0x6C6F7373  # "loss"; the operators of a program have small stream numbers
NEVER = -(2**31)  # a `top` that no training step has set
TERM_BITS = 29  # of each of two accumulators that add up
WEYL_BITS, WEYL = 31, 0x5274E65B  # dithered rounding: an element's word is that of the one before it plus WEYL
DITHER_STEP, DITHER_STREAM, DITHER_SEED = 889516853, 1572067139, (1386740381, 1300411463)

EXP2 = np.array([round(2 ** (10 + i / 256)) for i in range(256)], np.int64)
LOG2 = np.array([round(256 * np.log2(1 + i / 256)) for i in range(256)], np.int64)


def wide(x: Array | int) -> Array:
    return np.asarray(x, np.int64)


def bit_length(r: int) -> int:
    return int(r).bit_length()


def max_abs(x: Array) -> int:
    return int(np.abs(wide(x)).max(initial=0))


def div(a: Array | int, b: Array | int) -> Array:
    """Division rounded to nearest, halves up: floor((2a + b) / (2b))."""
    return (2 * wide(a) + b) // (2 * wide(b))


def symmetric_div(a: Array, b: Array) -> Array:
    """Division by positive numbers rounded to nearest, halves away from zero."""
    return np.sign(a) * div(np.abs(a), b)


def isqrt(v: Array) -> Array:
    """floor(sqrt(v)) for 0 <= v < 2^62, bit by bit."""
    root = np.zeros_like(wide(v))
    for bit in range(30, -1, -1):
        trial = root | (1 << bit)
        root = np.where(trial * trial <= v, trial, root)
    return root


# Rounding shifts. A shift above 62 gives 0; one of 0 or less is a left shift by at most 30 that saturates at 2^62.


def _is_plain(s: int) -> bool:
    return 0 < s <= 62


def _other_shift(x: Array, s: int) -> Array:
    if s > 62:
        return np.zeros_like(x)
    left = min(-s, 30)
    return np.clip(x, -(WIDE >> left), WIDE >> left) << left


def round_nearest(x: Array, s: int) -> Array:
    """R(x, s): x / 2^s to nearest, halves away from zero."""
    x = wide(x)
    return (x + (1 << (s - 1)) - (x < 0)) >> s if _is_plain(s) else _other_shift(x, s)


def round_pseudo_stochastic(x: Array, s: int) -> Array:
    """P(x, s): the low half of the discarded bits is the random number for the high half (NITI, section 3.3)."""
    x = wide(x)
    if not _is_plain(s):
        return _other_shift(x, s)
    magnitude, half = np.abs(x), s // 2
    rest = magnitude & ((1 << s) - 1)
    threshold = (rest & ((1 << half) - 1)) << (s & 1)
    q = (magnitude >> s) + ((rest >> half) > threshold)
    return np.where(x < 0, -q, q)


def round_stochastic(x: Array, s: int, seed: int, stream: int, step: int) -> Array:
    """|x| >> s, plus one where the discarded bits exceed u in [0, 2^s): the low s bits of Philox words 0 and 1."""
    x = wide(x)
    if not _is_plain(s):
        return _other_shift(x, s)
    words = philox(np.arange(x.size).reshape(x.shape), stream, step, seed)
    mask, magnitude = (1 << s) - 1, np.abs(x)
    q = (magnitude >> s) + ((magnitude & mask) > ((words[0] | words[1] << 32) & mask))
    return np.where(x < 0, -q, q)


def dither(seed: int, stream: int, step: int) -> int:
    """Where the words of a dithered rounding begin; step, stream and the halves of the seed turn it by irrationals."""
    halves = (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF)
    turned = sum(half * factor for half, factor in zip(halves, DITHER_SEED, strict=True))
    return (step * DITHER_STEP + stream * DITHER_STREAM + turned) % 2**WEYL_BITS


def round_dithered(x: Array, s: int, start: int) -> Array:
    """D(x, s, t): |x| plus v in [0, 2^s), then cut off; v is the upper bits of a word that grows from t by WEYL."""
    x = wide(x)
    if not _is_plain(s):
        return _other_shift(x, s)
    word = (start + np.arange(x.size).reshape(x.shape) * WEYL) % 2**WEYL_BITS
    q = (np.abs(x) + ((word << WEYL_BITS) >> (2 * WEYL_BITS - s))) >> s
    return np.where(x < 0, -q, q)


ROUNDINGS = {"nearest": round_nearest, "pseudo_stochastic": round_pseudo_stochastic}


def philox(index: Array, stream: int, step: int, seed: int) -> list[Array]:
    """Philox4x32-10, counter (index low, index high, stream, step), key = seed: four words of 32 bits as int64."""
    u32, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    index = np.asarray(index, np.uint64)
    c = [index & u32, index >> shift, np.full_like(index, stream), np.full_like(index, step)]
    key = [seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF]
    for _ in range(10):
        p, q = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [(q >> shift) ^ c[1] ^ np.uint64(key[0]), q & u32, (p >> shift) ^ c[3] ^ np.uint64(key[1]), p & u32]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return [word.astype(np.int64) for word in c]


def saturate(x: Array, limit: int = INT8_LIMIT) -> Array:
    return np.clip(x, -limit, limit)


def align(x: Array, e_from: int, e_to: int) -> Array:
    """x moved from one exponent to another; a left shift is at most 20."""
    return round_nearest(x, max(e_to - e_from, -20))


# Constants of a program


def as_integer(value: float, bits: int) -> tuple[int, int]:
    """(c, e) with c * 2^e the value to `bits` bits."""
    fraction, e = frexp(value)
    return round(fraction * 2**bits), e - bits


def mantissa_of(value: float, e: int) -> int:
    """A bound at exponent e; a left shift by 36 is beyond every accumulator."""
    c, e_c = as_integer(value, BOUND_BITS)
    return int(round_nearest(wide(c), e - e_c)) if e > e_c else c << min(e_c - e, BOUND_SHIFT)


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


# Requantisation: bfp.range, bfp.shift, bfp.round_shift, and the statistic `top` that makes inference static.


def shift_for(r: int, bits: int = 7) -> int:
    return max(0, bit_length(r) - bits)


def round_shift(acc: Array, s: int, rounding: str = "nearest", limit: int = INT8_LIMIT) -> Array:
    return saturate(ROUNDINGS[rounding](acc, s), limit)


def requantise(
    acc: Array, e: int, bits: int = 7, limit: int = INT8_LIMIT, rounding: str = "nearest"
) -> tuple[Array, int]:
    s = shift_for(max_abs(acc), bits)
    return round_shift(acc, s, rounding, limit), e + s


def update_top(top: int, r: int, e: int) -> int:
    """The decaying maximum (Q8) of the exponent of the leading bit; a zero tensor only decays it."""
    if r == 0:
        return top if top == NEVER else top - 1
    new = (bit_length(r) + e) << 8
    return new if top == NEVER else max(new, top - 1)


def static_shift(top: int, e: int, bits: int = 7) -> int:
    """The shift of a stored activation at inference; a top never set counts as 0."""
    return -(-(0 if top == NEVER else top) // 256) - bits - e


# Input, sums, pools, dropout


def input_statistics(x: Array) -> tuple[Array, Array]:
    """(multiplier, offset) per channel from uint8 samples (..., C): their mean and standard deviation in Q16."""
    x = wide(x).reshape(-1, x.shape[-1])
    n, s1, s2 = len(x), x.sum(0), (x * x).sum(0)
    mean = div(s1 << 16, n)
    deviation = isqrt(np.maximum(div(s2 << 16, n) - (mean * mean >> 16), 0) << 16)
    multiplier = div(2**37, np.maximum(deviation, 1 << 8))
    return multiplier, -round_nearest(multiplier * mean, 16)


def input_map(x: Array, multiplier: Array, offset: Array) -> Array:
    """uint8 samples to int8 mantissas at exponent INPUT_EXPONENT."""
    return saturate(round_nearest(wide(x) * multiplier + offset, 16))


def add(a: Array, ea: int, b: Array, eb: int, static: bool = False) -> tuple[Array, int]:
    """The exact sum at the smaller exponent.

    An all-zero operand never decides the exponent; where they are more than 16 apart the smaller operand is dropped.
    """
    e = common_exponent(ea, eb) if static else common_exponent(ea, eb, max_abs(a), max_abs(b))
    return add_at(a, ea, b, eb, e), e


def common_exponent(ea: int, eb: int, ra: int = 1, rb: int = 1) -> int:
    """The exponent of the exact sum of two tensors whose ranges are ra and rb."""
    if rb == 0:
        return ea
    if ra == 0:
        return eb
    return max(ea, eb) if abs(ea - eb) > 16 else min(ea, eb)


def add_at(a: Array, ea: int, b: Array, eb: int, e: int) -> Array:
    """a + b at their common exponent; an operand with a smaller exponent is dropped (or zero)."""
    factors = [1 << min(ex - e, 16) if ex >= e else 0 for ex in (ea, eb)]
    return wide(a) * factors[0] + wide(b) * factors[1]


def largest_exponent(exponents: Sequence[int], ranges: Sequence[int] = ()) -> int:
    """The exponent of tensors that are joined: the largest of those that are not all zero, where ranges tell."""
    return max((e for e, r in zip(exponents, ranges, strict=False) if r), default=max(exponents))


def rescale(x: Array, e_from: int, e_to: int) -> Array:
    """An int8 mantissa rounded to an exponent that is no smaller; from 8 on, nothing is left of it."""
    return round_nearest(x, min(max(e_to - e_from, 0), 8))


def sum_exponent(ea: int, eb: int, ra: int, rb: int) -> int:
    """The exponent at which two accumulators of ranges ra and rb have at most 29 bits each, and no bit to spare."""
    counted = [(e, e + bit_length(r)) for e, r in ((ea, ra), (eb, rb)) if r] or [(ea, ea)]
    return max(min(e for e, _ in counted), max(top for _, top in counted) - TERM_BITS)


def accumulate(a: Array, ea: int, b: Array, eb: int, e: int) -> Array:
    """a + b at their sum_exponent: below 2^30."""
    return round_nearest(wide(a), e - ea) + round_nearest(wide(b), e - eb)


def average_multiplier(n: int) -> tuple[int, int]:
    """(round(2^(15+j) / n), -(15+j)) with j = floor(log2 n): division by n as a product and an exponent."""
    return int(window_multiplier(n, n)), -(14 + bit_length(n))


def window_multiplier(n: Array | int, full: int) -> Array:
    """1 / n for a window with n of its `full` elements, at the exponent that average_multiplier gives `full`."""
    return div(2 ** (14 + bit_length(full)), n)


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


# Loss


def cross_entropy(o: Array, e: int, label: Array, start: Array) -> tuple[Array, int, Array, int]:
    """Logits (N, C) at exponent e: (error, its exponent, p - onehot in Q24, sum of losses in bits in Q8).

    `start` (N) in Q17 is what the sums of each row begin with. A row whose label is -1 has no error and no loss.
    """
    o, rows = wide(o), np.arange(len(o))
    t = np.minimum(round_nearest((o.max(1, keepdims=True) - o) * 47274, 7 - e), 2**13)
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
    """(o - onehot at exponent e, the sum of its squares in Q16) of logits (N, C); label -1 counts for nothing."""
    target = wide(np.arange(o.shape[1]) == label[:, None])
    d = add_at(o, e_o, -target, 0, e) * (label >= 0)[:, None]
    squares = round_nearest((d * d).sum(1), -16 - 2 * e)
    return d, int(np.minimum(squares, 2**30).sum())


def log2_q8(x: Array) -> Array:
    """For 0 < x < 2^53."""
    b = np.frexp(x.astype(np.float64))[1].astype(np.int64) - 1
    return (b << 8) + LOG2[((x << 8) >> b) & 255]


def loss_exponent(batch: int) -> int:
    """-7 - floor(log2 N): the mean over the batch; the learning rate takes the rest, 2^floor(log2 N) / N."""
    return -7 - (bit_length(batch) - 1)


# Batch normalisation of int16 mantissas x (n, C) at exponent e


def align_saturated(x: Array | int, e_from: int, e_to: int, limit: int) -> Array:
    """`align` without its limit of 20: a left shift saturates to +-limit."""
    left = min(e_from - e_to, 62)
    x = wide(x)
    return saturate(x, limit >> left) << left if left > 0 else saturate(round_nearest(x, e_to - e_from), limit)


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
    return saturate(running + round_nearest((new - running) * q, 15), RUNNING_LIMIT)


def batch_norm_recall(mean: Array, variance: Array, e: int) -> tuple[Array, Array]:
    """Running statistics at the exponents that batch_norm_statistics gives for an x at exponent e."""
    recalled = align_saturated(mean, RUNNING_EXPONENT, e - 8, 2**30)
    return recalled, align_saturated(variance, RUNNING_EXPONENT, 2 * (e - 4), 2**40)


def batch_norm_inverse(variance: Array, e: int, epsilon: int) -> Array:
    """1/sigma at exponent -36 - e/2, to be rounded to 24 bits; epsilon is an integer at exponent -48."""
    eps = int(align_saturated(epsilon, -48, e, 2**40))
    return div(2**44, isqrt(np.minimum(variance, 2**40) + max(1, eps) << 16))


def normalise(x: Array, e: int, mean: Array, inverse: Array, e_inverse: int) -> Array:
    """xhat at NORMALISED_EXPONENT, int16."""
    shift = NORMALISED_EXPONENT - (e - 8 + e_inverse)
    return saturate(round_nearest(((wide(x) << 8) - mean) * inverse, shift), INT16_LIMIT)


def batch_norm_dgrad(dy: Array, xhat: Array, slope: Array, mean: Array) -> Array:
    """The error less its projections on 1 and xhat, in 256ths: what gamma / sigma is multiplied with."""
    return (wide(dy) << 8) - mean - round_nearest(wide(xhat) * slope, 10)


# Updates. The learning rate is m * 2^-k, m odd and below 256.


def scaled_rate(m: int, k: int, batch: int) -> tuple[int, int]:
    """m * 2^-k * 2^floor(log2 N) / N as an odd m below 256 and its k."""
    q = int(div(m << (bit_length(batch) + 15), batch))
    s = max(0, bit_length(q) - 8)
    q = int(round_nearest(wide(q), s))
    trailing = bit_length(q & -q) - 1
    return q >> trailing, k + 16 - s - trailing


def update_plain(
    master: Array, em: int, dw: Array, e_dw: int, m: int, k: int, rounding: str = "pseudo_stochastic"
) -> Array:
    return saturate(wide(master) - ROUNDINGS[rounding](wide(dw) * m, em + k - e_dw), INT16_LIMIT)


def update_momentum(
    master: Array,
    velocity: Array,
    em: int,
    dw: Array,
    e_dw: int,
    m: int,
    k: int,
    momentum: int,
    decay: int,
    rounding: str = "pseudo_stochastic",
) -> tuple[Array, Array]:
    """(master, velocity) after a step; momentum is of 256; decay = k + d for a weight decay of 2^-d (above 70: none).

    The velocity is not rounded to nearest on its way to the master: a weight would stand still while |v| < 128.
    """
    master = wide(master)
    v = round_nearest(wide(velocity) * momentum, 8) + ROUNDINGS[rounding](wide(dw) * m, em - 8 + k - e_dw)
    v = saturate(v + round_nearest(master, decay - 8), VELOCITY_LIMIT)
    return saturate(master - ROUNDINGS[rounding](v, 8), INT16_LIMIT), v


def update_niti(w: Array, dw: Array, r: int, gb: int, rounding: str = "pseudo_stochastic") -> Array:
    """w minus the gradient kept to gb bits (NITI, equation 7); r = max|dw|."""
    return saturate(wide(w) - ROUNDINGS[rounding](wide(dw), max(0, bit_length(r) - gb)))
