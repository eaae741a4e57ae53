"""The update rules: hand-computed cases, their special cases, and what they mean in floats."""

from typing import Any

import numpy as np
import pytest

from nitic.arithmetic.integers import Array
from nitic.arithmetic.updates import FULL_MASTER, VELOCITY_LIMIT, full_rows, growth
from nitic.ops.bfp import GrowOp
from nitic.ops.update import UpdateMomentumOp, UpdateNitiOp, UpdatePlainOp
from tests.support.operators import make, reference

OFF = 80  # a decay that is none


def int16(*values: int) -> Array:
    return np.array(values, np.int16)


def int32(*values: int) -> Array:
    return np.array(values, np.int32)


SCALES = ("exponent", "range", "exponent")


def plain(
    master: Array, dw: Array, *, m: int = 1, k: int = 0, em: int = 0, r: int = 0, e: int = 0, rounding: str = "nearest"
) -> Any:
    op = make(UpdatePlainOp, master, dw, int32(m)[0], int32(k)[0], *SCALES, round=rounding)
    return np.asarray(op.reference(master, dw, *map(np.asarray, (m, k, em, r, e)))).tolist()


def momentum(
    master: Array,
    velocity: Array,
    dw: Array,
    *,
    k: int = 0,
    mom: int = 0,
    decay: int = OFF,
    em: int = 0,
    r: int = 0,
    e: int = 0,
) -> tuple[list[int], list[int]]:
    hypers = (1, k, mom, decay)
    scalars = [np.asarray(v, np.int32) for v in hypers]
    op = make(UpdateMomentumOp, master, velocity, dw, *scalars, *SCALES, round="pseudo_stochastic")
    new, v = op.reference(master, velocity, dw, *scalars, *map(np.asarray, (em, r, e)))
    return new.tolist(), v.tolist()


def niti(w: Array, dw: Array, gb: int, rounding: str = "nearest", row: int = 0) -> list[int]:
    op = make(UpdateNitiOp, w, dw, np.asarray(gb, np.int32), "range", "range", round=rounding)
    r = np.abs(dw.astype(np.int64)).max()
    return np.asarray(op.reference(w, dw, np.asarray(gb), np.asarray(row), r)).tolist()


def test_plain_subtracts_the_gradient_at_the_exponent_of_the_master() -> None:
    assert plain(int16(100, 100), int32(8, -8)) == [92, 108]
    assert plain(int16(100, 100), int32(8, -8), m=3, k=2) == [94, 106]
    assert plain(int16(100), int32(8), em=-2, e=0) == [100 - 32]
    assert plain(int16(100), int32(8), em=1, e=0) == [96]


@pytest.mark.parametrize(("r", "grows"), [(0, 0), (24575, 0), (24576, 1), (32767, 1)])
def test_a_full_master_moves_to_the_next_exponent(r: int, grows: int) -> None:
    op = make(GrowOp, "exponent", "range", full=FULL_MASTER)
    assert op.reference(np.asarray(-13), np.asarray(r)) == -13 + grows
    assert plain(int16(24000, -3), int32(8, 8), r=r) == [[24000 - 8, -11], [12000 - 4, -2 - 4]][grows]
    new, v = momentum(int16(24000), int32(512), int32(0), mom=256, r=r)
    assert (new, v) == [([24000 - 2], [512]), ([12000 - 1], [256])][grows]


def test_exponents_grow_until_the_master_fits_and_no_further() -> None:
    """A weight that wants to be 2^20 times what its exponent was made for; it never shrinks, so it cannot oscillate."""
    e, master, target = 0, int16(1), 2.0**34
    exponents: list[int] = []
    for _ in range(200):
        r = int(np.abs(master.astype(np.int64)).max())
        gradient = int32(-int(min(max(target - float(master[0]) * 2.0**e, 0) * 2.0**-e, 2.0**30)))
        master = int16(*plain(master, gradient, em=e, r=r, e=e))
        e += growth(r, FULL_MASTER)
        exponents.append(e)
    assert abs(float(master[0]) * 2.0**e - target) <= 2.0**e
    assert exponents == sorted(exponents)
    assert exponents[-1] == exponents[-100] == 20


def test_plain_leaves_what_has_no_gradient() -> None:
    assert plain(int16(5, -32767), int32(0, 0), m=255, k=-20) == [5, -32767]


def test_plain_saturates() -> None:
    assert plain(int16(32767, -32767), int32(-1, 1)) == [32767, -32767]
    assert plain(int16(0, 0), int32(2**31 - 1, -(2**31)), m=255, k=-40) == [-32767, 32767]


def test_plain_reads_a_widened_gradient() -> None:
    assert plain(int16(0), np.array([2**40], np.int64), m=255, k=40) == [-255]


def test_a_tiny_gradient_is_rounded_away_or_by_chance() -> None:
    dw = int32(*range(64))
    assert plain(int16(*[0] * 64), dw, k=8) == [0] * 64
    moved = plain(int16(*[0] * 64), dw, k=6, rounding="pseudo_stochastic")
    assert set(moved) == {0, -1}


def test_momentum_keeps_eight_more_bits_than_the_master() -> None:
    assert momentum(int16(100), int32(0), int32(3)) == ([97], [3 << 8])
    assert momentum(int16(100), int32(512), int32(0), mom=128) == ([99], [256])


def test_momentum_without_gradient_decays_the_velocity() -> None:
    assert momentum(int16(0), int32(1000), int32(0), mom=230) == ([-4], [898])
    assert momentum(int16(7), int32(0), int32(0), mom=230) == ([7], [0])


def test_a_velocity_below_a_unit_still_moves_the_master_now_and_then() -> None:
    masters = [momentum(int16(0), int32(v), int32(0), mom=256)[0][0] for v in range(256)]
    assert set(masters) == {0, -1}


def test_weight_decay_pulls_to_zero_and_may_be_off() -> None:
    assert momentum(int16(16384), int32(0), int32(0), decay=OFF) == ([16384], [0])
    assert momentum(int16(16384), int32(0), int32(0), decay=10) == ([16384 - 16], [4096])
    assert momentum(int16(-16384), int32(0), int32(0), decay=10) == ([-16384 + 16], [-4096])


def test_momentum_saturates() -> None:
    far = int32(2**31 - 1)
    assert momentum(int16(-32000), int32(VELOCITY_LIMIT), far, mom=255) == ([-32767], [VELOCITY_LIMIT])
    assert momentum(int16(32000), int32(-VELOCITY_LIMIT), -far, mom=255) == ([32767], [-VELOCITY_LIMIT])


def test_niti_keeps_gb_bits_of_the_gradient() -> None:
    w = np.array([10, 10, 10], np.int8)
    assert niti(w, int32(255, -128, 16), gb=4) == [10 - 16, 10 + 8, 9]
    assert niti(w, int32(255, -128, 16), gb=1) == [8, 11, 10]


def test_niti_leaves_a_weight_without_gradient() -> None:
    assert niti(np.array([1, -127], np.int8), int32(0, 0), gb=5) == [1, -127]


def test_niti_takes_a_small_gradient_as_it_is() -> None:
    assert niti(np.array([10, 10], np.int8), int32(7, -5), gb=5) == [3, 15]


def test_niti_saturates() -> None:
    assert niti(np.array([127, -127], np.int8), int32(-31, 31), gb=5) == [127, -127]


def test_a_weight_moves_to_the_next_exponent_where_most_of_a_row_is_clipped() -> None:
    w, still = np.array([[127, -126, 127], [0, 5, -3]], np.int8), np.zeros((2, 3), np.int32)
    row = 127**2 + 126**2 + 127**2
    assert full_rows(w.shape) == 3 * 112**2 < row
    assert niti(w, still, gb=5, row=row) == [[64, -63, 64], [0, 3, -2]]
    assert niti(w, still, gb=5, row=3 * 112**2 - 1) == w.tolist()
    assert make(GrowOp, "exponent", "range", full=full_rows(w.shape)).reference(np.asarray(-9), np.asarray(row)) == -8


def test_niti_reads_a_widened_gradient() -> None:
    assert niti(np.array([0], np.int8), np.array([-(2**40)], np.int64), gb=5) == [16]


RNG = np.random.default_rng(0)
REAL = [RNG.normal(size=6) for _ in range(3)]


def scalar(value: int) -> Array:
    return np.asarray(value, np.int32)


def test_plain_in_floats_is_gradient_descent() -> None:
    w, dw, _ = REAL
    new = reference(UpdatePlainOp, w, dw, scalar(3), scalar(6), round="nearest")
    np.testing.assert_allclose(new, w - dw * 3 / 64)


@pytest.mark.parametrize(("decay", "pull"), [(5, 2.0**-5), (OFF, 0.0)])
def test_momentum_in_floats(decay: int, pull: float) -> None:
    w, velocity, dw = REAL
    scalars = [scalar(v) for v in (1, 6, 230, decay)]
    new, v = reference(UpdateMomentumOp, w, velocity, dw, *scalars, round="nearest")
    np.testing.assert_allclose(v, velocity * 230 / 256 + dw / 64 + pull * w)
    np.testing.assert_allclose(new, w - v)


def test_niti_in_floats_scales_the_largest_gradient_to_gb_bits() -> None:
    w, dw, _ = REAL
    dw = dw / np.abs(dw).max()
    new = reference(UpdateNitiOp, w, dw, scalar(4), round="nearest")
    np.testing.assert_allclose(w - new, dw * 2.0 ** (4 - 7))
    np.testing.assert_array_equal(reference(UpdateNitiOp, w, 0 * dw, scalar(4), round="nearest"), w)
