"""Ranges, shifts and roundings, at powers of two above all; statistics, exponents and alignment."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.dialects.func import FuncOp, ReturnOp

from nitic.arithmetic import randomness
from nitic.arithmetic.integers import Array
from nitic.arithmetic.requantisation import NEVER
from nitic.interpret import run_function
from nitic.ir.function import Label, new_function, set_results
from nitic.ir.op import NnOp
from nitic.ir.types import exponent
from nitic.ops.bfp import AlignOp, ExpAddOp, ExpConstOp, RangeOp, RoundShiftOp, ShiftOp, StaticShiftOp, TopOp
from tests.support.operators import make, reference


def int32(*values: int) -> Array:
    return np.array(values, np.int32)


STATISTIC = np.zeros((), np.int32)
SCALARS: dict[type[NnOp], list[Array | str]] = {
    ShiftOp: ["range"],
    StaticShiftOp: [STATISTIC, "exponent"],
    ExpAddOp: ["exponent", "exponent"],
    TopOp: [STATISTIC, "range", "exponent"],
}


def number(op: type[NnOp], *operands: int, **properties: int) -> int:
    """A scalar operator on numbers."""
    made = make(op, *SCALARS[op], **properties)
    value = made.reference(*map(np.asarray, operands))
    assert not isinstance(value, tuple)
    return int(value)


def shifted(x: Array, s: int, rounding: str = "nearest", to: str = "i8") -> list[int]:
    op = make(RoundShiftOp, x, "exponent", round=rounding, to=to)
    return np.asarray(op.reference(x, np.asarray(s))).tolist()


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64])
def test_a_range_is_the_largest_magnitude(dtype: type[np.signedinteger]) -> None:
    least = np.iinfo(dtype).min // (2 if dtype is np.int64 else 1)
    assert reference(RangeOp, np.array([3, least, -1], dtype)) == -int(least)
    assert reference(RangeOp, np.zeros((2, 3), dtype)) == 0


@pytest.mark.parametrize(("r", "s"), [(0, 0), (1, 0), (127, 0), (128, 1), (255, 1), (256, 2), (2**30, 24), (2**31, 25)])
def test_a_shift_brings_a_range_to_seven_bits(r: int, s: int) -> None:
    assert number(ShiftOp, r, bits=7) == s


def test_a_shift_to_fewer_bits_is_longer() -> None:
    assert [number(ShiftOp, 64, bits=bits) for bits in (7, 6, 2)] == [0, 1, 5]


@given(r=st.integers(0, 2**40), bits=st.integers(2, 7))
def test_a_shifted_range_has_its_bits(r: int, bits: int) -> None:
    s = number(ShiftOp, r, bits=bits)
    assert r >> s < 2**bits
    assert s == 0 or r >> (s - 1) >= 2**bits


def test_128_does_not_wrap() -> None:
    """NITI's ceil(log2(max)) gives no shift here, and 128 becomes -128."""
    s = number(ShiftOp, 128, bits=7)
    assert shifted(int32(128, -128, 127, 1), s) == [64, -64, 64, 1]


def test_what_rounds_up_to_128_saturates() -> None:
    assert shifted(int32(255, -255, 254), 1) == [127, -127, 127]
    assert shifted(int32(128, -128), 0) == [127, -127]


def test_nearest_rounds_halves_away_from_zero() -> None:
    assert shifted(int32(2, -2, 6, -6, 5, -5), 2) == [1, -1, 2, -2, 1, -1]


def test_pseudo_stochastic_compares_the_halves_of_what_is_cut() -> None:
    # 10 > 01 rounds up, 01 > 01 does not; with an odd shift the low half gets a zero bit: 10 > 1(0) does not
    assert shifted(int32(0b1001, 0b0101, -0b1001, 0b110), 4, "pseudo_stochastic") == [1, 0, -1, 0]
    assert shifted(int32(0b100, 0b101, 0b110), 3, "pseudo_stochastic") == [1, 0, 1]


@pytest.mark.parametrize("rounding", ["nearest", "pseudo_stochastic"])
def test_shifts_that_are_none(rounding: str) -> None:
    assert shifted(int32(3, -3), 0, rounding) == [3, -3]
    assert shifted(int32(3, -3), -4, rounding) == [48, -48]
    assert shifted(int32(3, -3, 0), -2000, rounding) == [127, -127, 0]
    assert shifted(int32(2**31 - 1, -(2**31)), 63, rounding) == [0, 0]
    assert shifted(int32(2**31 - 1, -(2**31)), 32, rounding)[1] in (0, -1)


def test_shifts_that_are_none_are_not_dithered() -> None:
    assert dithered(int32(3, -3), 0).tolist() == [3, -3]
    assert dithered(int32(3, -3), -4).tolist() == [48, -48]
    assert dithered(int32(2**31 - 1, -(2**31)), 63).tolist() == [0, 0]


def test_int16_saturates_at_its_own_limit() -> None:
    assert shifted(int32(40000, -40000, 128), 0, to="i16") == [32767, -32767, 128]


def drawn(x: Array, s: int, seed: int = 1, step: int = 0, stream: int = 5) -> Array:
    properties = {"round": "stochastic", "to": "i8", "stream": stream}
    hypers = np.asarray(seed, np.int64), np.asarray(step, np.int32)
    op = make(RoundShiftOp, x, "exponent", *hypers, **properties)
    return np.asarray(op.reference(x, np.asarray(s), *hypers))


def test_stochastic_rounding_keeps_the_mean() -> None:
    y = drawn(np.full(20_000, 0b1011, np.int32), 3)
    assert set(y.tolist()) == {1, 2}
    assert abs(y.mean() - 11 / 8) < 0.02


def test_stochastic_rounding_follows_seed_step_and_stream() -> None:
    x = np.full(1000, 4, np.int32)
    y = drawn(x, 3)
    np.testing.assert_array_equal(drawn(x, 3), y)
    for other in (drawn(x, 3, seed=2), drawn(x, 3, step=1), drawn(x, 3, stream=6)):
        assert (other != y).mean() > 0.3


def test_stochastic_rounding_leaves_whole_numbers() -> None:
    assert drawn(int32(16, -16, 0), 3).tolist() == [2, -2, 0]


def dithered(x: Array, s: int, seed: int = 1, step: int = 0, stream: int = 5) -> Array:
    begin = randomness.dither(seed, stream, step)
    op = make(RoundShiftOp, x, "exponent", "exponent", round="dithered", to="i8")
    return np.asarray(op.reference(x, np.asarray(s), np.asarray(begin)))


@given(value=st.integers(-(2**10), 2**10), channels=st.sampled_from((1, 3, 16, 24, 64, 144, 576)))
def test_dithered_rounding_keeps_the_sum_of_a_channel(value: int, channels: int) -> None:
    """With 500 elements, random numbers would be off by 10 of them."""
    sums = dithered(np.full((500, channels), value, np.int32), 4).sum(0)
    assert np.abs(sums - 500 * value / 16).max() < 12


@given(value=st.integers(0, 15), seed=st.integers(-(2**63), 2**63 - 1), stream=st.integers(0, 2**17))
def test_dithered_rounding_keeps_the_sum_over_steps(value: int, seed: int, stream: int) -> None:
    total = sum(int(dithered(int32(-value), 4, seed, step, stream)[0]) for step in range(100))
    assert abs(total + 100 * value / 16) < 4


def test_dithered_rounding_follows_seed_step_and_stream() -> None:
    x = np.full(1000, 4, np.int32)
    y = dithered(x, 3)
    for other in (
        dithered(x, 3, seed=2),
        dithered(x, 3, seed=1 + 2**32),
        dithered(x, 3, step=1),
        dithered(x, 3, stream=6),
    ):
        assert (other != y).mean() > 0.3


def test_dithered_rounding_leaves_whole_numbers() -> None:
    assert dithered(int32(16, -16, 0), 3).tolist() == [2, -2, 0]


@pytest.mark.parametrize(
    "channels", [1, 3, 8, 16, 24, 32, 48, 64, 72, 96, 120, 128, 144, 192, 240, 256, 384, 512, 576, 960, 1024]
)
def test_the_words_of_a_channel_are_as_even_as_random_ones(channels: int) -> None:
    """By their star discrepancy; that of random numbers is measured here, over 200 draws."""
    for count in (16, 64, 256):
        words = np.arange(count) * channels * randomness.WEYL % 2**randomness.WEYL_BITS / 2**randomness.WEYL_BITS
        assert discrepancy(words) < np.mean([discrepancy(np.random.default_rng(i).random(count)) for i in range(200)])


def discrepancy(values: Array) -> float:
    """How far the share of values below a number is off that number, at most."""
    share = np.arange(len(values) + 1) / len(values)
    ordered = np.sort(values)
    return float(max((ordered - share[:-1]).max(), (share[1:] - ordered).max()))


def test_a_statistic_is_a_decaying_maximum() -> None:
    assert number(TopOp, NEVER, 100, -5) == 2 << 8
    assert number(TopOp, 2 << 8, 127, -5) == 2 << 8
    assert number(TopOp, 2 << 8, 128, -5) == 3 << 8
    assert number(TopOp, 2 << 8, 1, -5) == (2 << 8) - 1


def test_a_zero_tensor_only_decays_a_statistic() -> None:
    assert number(TopOp, 512, 0, 1000) == 511
    assert number(TopOp, NEVER, 0, 3) == NEVER


@pytest.mark.parametrize(("top", "s"), [(3 << 8, 6), ((3 << 8) - 1, 6), ((3 << 8) + 1, 7), (-(3 << 8), 0), (NEVER, 3)])
def test_a_static_shift_rounds_its_statistic_up(top: int, s: int) -> None:
    assert number(StaticShiftOp, top, -10, bits=7) == s


def test_exponents_add() -> None:
    assert number(ExpAddOp, -15, 7) == -8
    assert make(ExpConstOp, value=-15).reference() == -15


def aligned(e_from: int, e_to: int) -> list[int]:
    x = np.array([127, -3], np.int8)
    op = make(AlignOp, x, "exponent", "exponent")
    return np.asarray(op.reference(x, np.asarray(e_from), np.asarray(e_to))).tolist()


def test_alignment_moves_a_mantissa_to_another_exponent() -> None:
    assert aligned(3, 1) == [508, -12]
    assert aligned(0, 0) == [127, -3]
    assert aligned(1, 2) == [64, -2]
    assert aligned(0, 100) == [0, 0]


def test_alignment_moves_left_by_twenty_at_most() -> None:
    assert aligned(20, 0) == aligned(21, 0) == aligned(500, 0) == [127 << 20, -3 << 20]


def exponent_sum() -> FuncOp:
    func = new_function("f", [(Label("a", "exponent"), exponent), (Label("b", "exponent"), exponent)])
    op = ExpAddOp.of(*func.body.block.args)
    func.body.block.add_ops([op, ReturnOp()])
    set_results(func, [(Label("e", "output"), op.e)])
    return func


def test_the_interpreter_refuses_an_exponent_that_does_not_fit() -> None:
    assert run_function(exponent_sum(), {"a": 2**31 - 2, "b": 1})["e"] == 2**31 - 1
    with pytest.raises(
        OverflowError, match=r"^bfp.exp_add \(no source\): a value of 2147483648 does not fit !bfp.exp$"
    ):
        run_function(exponent_sum(), {"a": 2**31 - 1, "b": 1})
