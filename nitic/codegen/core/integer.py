"""The integer primitives of nitic.arithmetic as expressions, for scalars and for vectors.

A shift is one scalar for a whole kernel, so what depends on it alone is computed once, when the primitive is made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nitic.arithmetic.integers import WIDE
from nitic.arithmetic.randomness import DITHER_SEED, DITHER_STEP, DITHER_STREAM, WEYL, WEYL_BITS
from nitic.arithmetic.rounding import ALIGN_LEFT
from nitic.codegen.core import tir
from nitic.codegen.core.tir import Buffer, Expr

Rounding = Callable[[Expr], Expr]
IndexedRounding = Callable[[Expr, Expr], Expr]
"""Rounds a value, given the element index of its lane 0."""
WORD = (1 << WEYL_BITS) - 1


def clamp(value: Expr, low: Expr, high: Expr) -> Expr:
    return tir.minimum(tir.maximum(value, low), high)


def saturate(value: Expr, limit: int, dtype: str) -> Expr:
    """Clip to +-limit and narrow."""
    lanes, wide = tir.lanes_of(value), tir.dtype_of(value).partition("x")[0]
    clipped = clamp(value, tir.constant(-limit, wide, lanes), tir.constant(limit, wide, lanes))
    return tir.cast(clipped, dtype)


def bit_length(value: Expr) -> Expr:
    """The bit length of an int64 in [0, 2^62], as an int32."""
    return 63 - tir.count_leading_zeros((value << 1) | 1)


def shift_for(range_: Expr, bits: int) -> Expr:
    """bfp.shift: the shift that brings a range to so many bits."""
    return tir.maximum(bit_length(range_) - bits, 0)


def nearest(shift: Expr, dtype: str = "int32", lanes: int = 1) -> Rounding:
    """R(x, s): halves away from zero. 0 <= s <= 30 for int32, <= 62 for int64; |x| + 2^(s-1) must not overflow."""
    bits = int(dtype.removeprefix("int"))
    s = tir.cast(shift, dtype)
    one = tir.constant(1, dtype)
    half, below = (one << s) >> 1, ((one << s) - 1) >> 1
    # -1, but 0 for s = 0: not by a comparison, for which nvcc would write all loops twice.
    some = tir.let(tir.splat(below - half, lanes))
    half = tir.let(tir.splat(half, lanes))
    by = tir.let(tir.splat(s, lanes))
    return lambda x: (x + half + ((x >> (bits - 1)) & some)) >> by


def pseudo_stochastic(shift: Expr, dtype: str = "int32", lanes: int = 1) -> Rounding:
    """P(x, s), 0 <= s <= 30 for int32, <= 62 for int64."""
    s = tir.cast(shift, dtype)
    one, h = tir.constant(1, dtype), tir.let(s >> 1)
    rest_mask, low_mask, odd, by, half = (
        tir.let(tir.splat(value, lanes)) for value in ((one << s) - 1, (one << h) - 1, s & 1, s, h)
    )

    def rounding(x: Expr) -> Expr:
        magnitude = tir.let(tir.absolute(x))
        rest = tir.let(magnitude & rest_mask)
        up = (rest >> half) > ((rest & low_mask) << odd)
        q = tir.let((magnitude >> by) + tir.cast(up, dtype))
        return tir.select(x < tir.constant(0, dtype, lanes), -q, q)

    return rounding


def stochastic(shift: Expr, seed: Expr, step: Expr, stream: int) -> IndexedRounding:
    """For int32 scalars and their element index, 0 <= s <= 30: one more where the discarded bits exceed Philox's."""
    mask = tir.let((tir.constant(1) << shift) - 1)

    def rounding(x: Expr, index: Expr) -> Expr:
        word = philox(index, stream, step, seed)[0]
        magnitude = tir.let(tir.absolute(x))
        up = (magnitude & mask) > (tir.reinterpret(word, "int32") & mask)
        q = tir.let((magnitude >> shift) + tir.cast(up, "int32"))
        return tir.select(x < 0, -q, q)

    return rounding


def dithered(shift: Expr, start: Expr, dtype: str = "int32", lanes: int = 1) -> IndexedRounding:
    """D(x, s, t), 0 <= s <= 30 for int32, <= 62 for int64; |x| + 2^s must not overflow.

    A negative x takes -((v - x) >> s) = (x + (2^s - 1 - v)) >> s, where 2^s - 1 - v is v with its bits turned over.
    """
    s = tir.cast(shift, dtype)
    below = tir.let(tir.splat((tir.constant(1, dtype) << s) - 1, lanes))
    by = tir.let(tir.splat(s, lanes))
    rest = tir.let(tir.splat((WEYL_BITS if dtype == "int32" else 2 * WEYL_BITS) - s, lanes))
    ahead = _weyl(lanes)

    def rounding(x: Expr, index: Expr) -> Expr:
        word = tir.cast(ahead(index, start), dtype)
        v = (word if dtype == "int32" else word << WEYL_BITS) >> rest
        sign = x >> (int(dtype.removeprefix("int")) - 1)
        return (x + (v ^ (sign & below))) >> by

    return rounding


def _weyl(lanes: int) -> IndexedRounding:
    """The word of an element index; with lanes, of the indices behind it, too. No sum of two words wraps."""
    steps = [tir.constant(WEYL * lane & WORD, "uint32") for lane in range(lanes)]
    ahead = tir.let(tir.shuffle(steps, range(lanes))) if lanes > 1 else None

    def word(index: Expr, start: Expr) -> Expr:
        turned = tir.cast(index, "uint64") * tir.constant(WEYL, "uint64") + tir.cast(start, "uint64")
        first = tir.cast(turned & tir.constant(WORD, "uint64"), "uint32")
        if ahead is None:
            return tir.let(tir.cast(first, "int32"))
        words = (tir.splat(tir.let(first), lanes) + ahead) & tir.constant(WORD, "uint32", lanes)
        return tir.let(tir.cast(words, "int32"))

    return word


def dither(seed: Expr, stream: int, step: Expr) -> Expr:
    """The number that a dithered rounding starts from (arithmetic.randomness.dither), of an int64 and an int32."""
    seed, step = tir.cast(seed, "uint64"), tir.cast(tir.cast(step, "uint32"), "uint64")
    low, high, word = seed & tir.constant(0xFFFFFFFF, "uint64"), seed >> 32, tir.constant(WORD, "uint64")
    turned = [(low, DITHER_SEED[0]), (high, DITHER_SEED[1]), (step, DITHER_STEP)]
    parts = [(value * tir.constant(factor, "uint64")) & word for value, factor in turned]
    return tir.cast((sum(parts, tir.constant(stream * DITHER_STREAM & WORD, "uint64"))) & word, "int32")


ROUNDINGS = {"nearest": nearest, "pseudo_stochastic": pseudo_stochastic}


def any_shift(rounding: str, shift: Expr, lanes: int = 1) -> Rounding:
    """A rounding of int64 values by any shift: above 62 gives 0, below 0 is to the left, by 30 at most, saturating."""
    moved = shifted_left(shift, lanes)
    right = ROUNDINGS[rounding](clamp(shift, 0, 62), "int64", lanes)
    return lambda x: right(moved(x))


def shifted_left(shift: Expr, lanes: int = 1) -> Rounding:
    """The first half of `any_shift`: an int64 after a shift to the left, if any, and before a rounding by 0 to 62."""
    left = tir.let(tir.cast(clamp(-clamp(shift, -30, 0), 0, 30), "int64"))
    limit = tir.let(tir.splat(tir.constant(WIDE, "int64") >> left, lanes))
    by = tir.let(tir.splat(left, lanes))
    kept = tir.let(tir.splat(tir.select(shift > 62, tir.constant(0, "int64"), tir.constant(-1, "int64")), lanes))
    return lambda x: tir.let((clamp(tir.cast(x, "int64"), -limit, limit) << by) & kept)


def exact_shift(shift: Expr) -> Rounding:
    """R of int64 values by any shift, where those to the left are known to fit, or to be of zeros."""
    left = tir.let(tir.cast(clamp(-shift, 0, 62), "int64"))
    kept = tir.let(tir.select(shift > 62, tir.constant(0, "int64"), tir.constant(-1, "int64")))
    right = nearest(clamp(shift, 0, 62), "int64")
    return lambda x: right((x << left) & kept)


def align(exponent: Expr, target: Expr, lanes: int = 1) -> Rounding:
    """An int8 mantissa, as int32, moved from one exponent to another."""
    shift = tir.let(target - exponent)
    left = tir.let(tir.splat(clamp(-clamp(shift, -ALIGN_LEFT, 0), 0, ALIGN_LEFT), lanes))
    right = nearest(clamp(shift, 0, 20), "int32", lanes)  # of a mantissa nothing is left from 8 on
    return lambda x: right(x << left)


def lowered(exponent: Expr, target: Expr, dtype: str = "int32", lanes: int = 1) -> Rounding:
    """floor(x / 2^(target - exponent)), for a target that is no smaller."""
    most = int(dtype.removeprefix("int")) - 1
    by = tir.let(tir.splat(tir.cast(tir.minimum(target - exponent, most), dtype), lanes))
    return lambda x: x >> by


def common_factor(exponent: Expr, common: Expr, lanes: int = 1) -> Expr:
    """What a mantissa is multiplied by in an exact sum at a common exponent: 0 where it is dropped."""
    distance = tir.let(exponent - common)
    kept = tir.constant(1) << tir.minimum(tir.maximum(distance, 0), 16)
    return tir.let(tir.splat(tir.select(distance < 0, tir.constant(0), kept), lanes))


def philox(index: Expr, stream: int, step: Expr, seed: Expr) -> Sequence[Expr]:
    """Philox4x32-10: four uint32 words for an element index; index and step are int32, seed int64."""
    seed = tir.cast(seed, "uint64")
    # A word that is known while compiling stays a Python number: TVM would fold it without wrapping.
    c: list[Expr] = [tir.cast(index, "uint32"), 0, stream, tir.cast(step, "uint32")]
    key = [tir.let(seed & tir.constant(0xFFFFFFFF, "uint64")), tir.let(seed >> 32)]
    for round_ in range(10):
        p, q = (_product(word, factor) for word, factor in ((c[0], 0xD2511F53), (c[2], 0xCD9E8D57)))
        weyl = [(constant * round_) & 0xFFFFFFFF for constant in (0x9E3779B9, 0xBB67AE85)]
        k = [_low(word + tir.constant(add, "uint64")) for word, add in zip(key, weyl, strict=True)]
        c = [_word(_high(q)) ^ _word(c[1]) ^ k[0], _low(q), _word(_high(p)) ^ _word(c[3]) ^ k[1], _low(p)]
    return c


def _product(word: Expr, factor: int) -> Expr:
    """The whole product of two words, 64 bits."""
    if isinstance(word, int):
        return word * factor
    return tir.let(tir.cast(word, "uint64") * tir.constant(factor, "uint64"))


def _low(word: Expr) -> Expr:
    return word & 0xFFFFFFFF if isinstance(word, int) else tir.cast(word, "uint32")


def _high(word: Expr) -> Expr:
    return word >> 32 if isinstance(word, int) else tir.cast(word >> 32, "uint32")


def _word(word: Expr) -> Expr:
    return tir.constant(word, "uint32") if isinstance(word, int) else word


def exp2_q20(t: Expr, exp2: Buffer) -> Expr:
    """2^(20 - t) of an int32 in Q8, 0 <= t < 43, with the table EXP2; an int64."""
    whole, fraction = tir.let(tir.cast(t >> 8, "int64")), tir.let(t & 255)
    entry = tir.cast(exp2.load((256 - fraction) & 255), "int64")
    one = tir.constant(1, "int64")
    return tir.let(tir.select(fraction > 0, (entry << 10) >> (whole + 1), (one << 20) >> whole))


def log2_q8(value: Expr, log2: Buffer) -> Expr:
    """log2 in Q8 of a positive int64 below 2^54, with the table LOG2; an int32."""
    b = tir.let(bit_length(value) - 1)
    entry = (value << 8) >> tir.cast(b, "int64")
    return tir.let((b << 8) + log2.load(tir.cast(entry & 255, "int32")))


def product(a: Expr, b: Expr) -> Expr:
    """The product of two int8, in 16 bits, which hold it: old vector units have short multiplications only."""
    return tir.cast(tir.cast(a, "int16") * tir.cast(b, "int16"), "int32")
