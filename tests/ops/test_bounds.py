"""No int64 of an operator passes its bound: the operands are at the ends of their range, exponents at any place."""

import sys
from typing import Any

import numpy as np
import pytest
from xdsl.ir import Attribute

from nitic.arithmetic import integers, norms, rounding, sums
from nitic.arithmetic.attention import PLANES_LIMIT, largest_scores
from nitic.arithmetic.integers import Array
from nitic.ir.op import NnOp
from nitic.ir.types import element_of, exponent, i8, i16, i32, i64, is_tensor, shape_of, u8
from nitic.ops import attention, loss, lrn, norm, row_norm, statistics, update
from nitic.ops.bfp import RangeOp, RoundShiftOp, ShiftOp
from nitic.passes.integers.check_range import INT64_LIMIT
from tests.ops.instances import INTEGER, Spec, instance, name_of
from tests.support.operators import make

INT32 = 2**31
LARGEST: dict[Attribute, int] = {i8: 127, u8: 255, i16: 32767, i32: 2**30, i64: norms.RUNNING_LIMIT}
EXPONENTS = (-(2**31), -60, -20, -9, -5, 0, 5, 20, 60, 2**31 - 1)
BOUNDED = [spec for spec in INTEGER if spec[0].int64_bound is not NnOp.int64_bound]
DIVIDING = [spec for spec in INTEGER if spec in BOUNDED or spec[0].least_divisor is not NnOp.least_divisor]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The magnitudes that references give to roundings and divisions, and what a division doubles."""
    found: list[int] = []
    nearest, div = rounding.round_nearest, integers.div

    def watched_nearest(x: Array, s: int) -> Array:
        found.append(integers.max_abs(x))
        return nearest(x, s)

    def watched_div(a: Array, b: Array) -> Array:
        found.append(2 * integers.max_abs(a) + integers.max_abs(b))
        return div(a, b)

    watched = {nearest: watched_nearest, div: watched_div}
    for module in [module for name, module in sys.modules.items() if name.split(".")[0] == "nitic"]:
        for name, value in list(vars(module).items()):
            if value is nearest or value is div:
                monkeypatch.setattr(module, name, watched[value])
    return found


def extremes(op: NnOp, seed: int) -> list[Any]:
    """Operands of the largest magnitudes, of any sign; a variance has none."""
    rng = np.random.default_rng(seed)
    operands: list[Any] = []
    for i, operand in enumerate(op.operands):
        if element_of(operand) == exponent:
            operands.append(np.asarray(rng.choice(EXPONENTS)))
        else:
            shape = shape_of(operand) if is_tensor(operand) else ()
            limit = LARGEST.get(element_of(operand), 2**20)
            if isinstance(op, update.UpdateOp) and shape == () and i >= len(op.UPDATES):
                limit = update.LARGEST_RATE
            signed = element_of(operand) != u8 and shape != ()
            operands.append(rng.choice([-limit, limit] if signed else [limit], shape))
    if isinstance(op, statistics.BatchNormInverseOp):
        operands[0] = np.abs(operands[0])
    if isinstance(op, loss.LossOp):
        operands[1] = rng.integers(0, shape_of(op.operands[0])[1], shape_of(op.operands[1]))
    if isinstance(op, loss.MeanSquaredErrorOp):
        operands[3] = np.asarray(sums.common_exponent(int(operands[2]), 0))
    if isinstance(op, row_norm.RowNormErrorOp):
        dy = operands[0]
        operands[2:4] = 2**17, 15
        total = np.full((len(dy), 1), dy.shape[-1] * 127 * 127)
        operands[4:6] = total, total * 32767
    if isinstance(op, attention.PartOp):
        make_rows_fit(op, operands)
    return operands


def make_rows_fit(op: attention.PartOp, operands: list[Any]) -> None:
    """What a part of an attention's error knows of its rows is what the parts before it have found."""
    *_, e = [value for value, operand in zip(operands, op.operands, strict=True) if element_of(operand) == exponent]
    q, k = operands[:2]
    top = attention.of_rows(largest_scores(op.scores(q, k), op.mask()))
    total = attention.of_rows(op.softmax(q, k, top, int(e))[1])
    if isinstance(op, attention.ValueSumsOp):
        operands[2], operands[3] = np.sign(operands[2]) * PLANES_LIMIT, top
        return
    operands[4:6] = top, total
    if isinstance(op, attention.ErrorSumsOp):
        types = [*operands[:4], *(each.astype(np.int32) for each in (top, total)), "exponent"]
        before = make(attention.RowErrorOp, *types, **op.values)
        operands[6:8] = before.reference(*operands[:6], e)[:2]
    if isinstance(op, attention.KeySumsOp):
        operands[9] = np.sign(operands[9]) * PLANES_LIMIT


def magnitudes(op: NnOp, operands: list[Any]) -> list[int]:
    return [integers.max_abs(v) if is_tensor(o) else 0 for o, v in zip(op.operands, operands, strict=True)]


@pytest.mark.parametrize("spec", BOUNDED, ids=name_of)
def test_what_is_rounded_is_within_the_bound(spec: Spec, seen: list[int]) -> None:
    op = instance(spec)
    for seed in range(30):
        operands = extremes(op, seed)
        op.reference(*operands)
        bound = op.int64_bound(magnitudes(op, operands))
        assert max(seen, default=0) <= max(bound, INT32)
        assert bound <= INT64_LIMIT


@pytest.mark.parametrize("spec", DIVIDING, ids=name_of)
def test_nothing_is_divided_by_less_than_the_least_divisor(spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator that divides by an array has such a bound, and check-range asks for it."""
    found: list[Array] = []
    div = integers.div

    def watched(a: Array, b: Array) -> Array:
        found.append(np.asarray(b))
        return div(a, b)

    for module in [module for name, module in sys.modules.items() if name.split(".")[0] == "nitic"]:
        for name, value in list(vars(module).items()):
            if value is div:
                monkeypatch.setattr(module, name, watched)
    op = instance(spec)
    for seed in range(10):
        op.reference(*extremes(op, seed))
    least = op.least_divisor()
    assert all(divisors.ndim == 0 for divisors in found) or least is not None
    if not isinstance(op, statistics.BatchNormInverseOp):  # whose operand here is no variance
        assert least is None or (least >= 1 and min(int(each.min()) for each in found) >= least)


def test_the_inverse_of_what_is_no_variance_may_divide_by_zero() -> None:
    x = np.ones((4, 3), np.int16)
    found = make(statistics.BatchNormStatisticsOp, x)
    assert statistics.BatchNormInverseOp.of(found.results[1], epsilon=1e-5).least_divisor() == 2**8
    other = make(statistics.BatchNormInverseOp, np.ones(3, np.int64), np.asarray(0), epsilon=1e-5)
    assert other.least_divisor() == 0


@pytest.mark.parametrize("spec", INTEGER, ids=name_of)
def test_no_result_passes_its_bound(spec: Spec) -> None:
    op = instance(spec)
    if op.result_bounds([0] * len(op.operands)) == [None] * len(op.results):
        assert i64 not in [element_of(result) for result in op.results]
        return
    for seed in range(30):
        operands = extremes(op, seed)
        results = op.reference(*operands)
        results = results if isinstance(results, tuple) else (results,)
        for result, bound in zip(results, op.result_bounds(magnitudes(op, operands)), strict=True):
            assert bound is None or integers.max_abs(result) <= bound


@pytest.mark.parametrize("largest", [1, 127, 32767])
@pytest.mark.parametrize("high", [1, 500, 999, 1000])
def test_sums_of_squares_off_the_mean(largest: int, high: int) -> None:
    """Both as a CPU adds them up and as a GPU does; where the mean is 0, the bound is nearly reached."""
    n = 1000
    x = np.full((n, 1), -largest, np.int16)
    x[:high] = largest
    op = make(statistics.BatchNormStatisticsOp, x)
    bound = op.int64_bound([largest])
    values = [int(v) for v in x[:, 0]]
    mean = int(integers.div(sum(values) << 8, n))
    squares = sum(((v << 8) - mean >> 4) ** 2 for v in values)
    q, total = -mean >> 4, sum(values)
    products = q * ((total << 5) + q * n)
    in_parts = sum(v * v for v in values) << 8
    assert in_parts + products == squares
    assert max(squares, in_parts, abs(products), abs(q * n), abs(total << 9) + n) <= bound
    if largest == 32767 and high == 500:
        assert squares > 0.9999 * bound


def test_the_largest_batch_norm() -> None:
    """2^24 values of a channel are proved: 334 images of 224x224. A fourth more are not."""
    bound = statistics.BatchNormStatisticsOp.int64_bound
    for count, proved in ((2**24, True), (2**24 + 2**22, False)):
        op = make(statistics.BatchNormStatisticsOp, np.broadcast_to(np.int16(0), (count, 1)))
        assert isinstance(op, statistics.BatchNormStatisticsOp)
        assert (bound(op, [32767]) <= INT64_LIMIT) == proved


@pytest.mark.parametrize("count", [1, 2, 1000, 2**24])
def test_a_gradient_of_batch_norm_is_computed_in_int32_up_to_its_factor(count: int) -> None:
    """The kernels' promise: |xhat * slope| and what is left of dy fit, however long the sums are."""
    mean, slope = (
        make(norm.ChannelMeanOp, np.zeros(1, np.int64), count=count).result_bounds([count * most])[0]
        for most in (127, 127 * 127)
    )
    assert mean is not None
    assert slope is not None
    assert 127 * slope + 2**9 < 2**30
    assert (127 << 8) + mean + (127 * slope >> 10) + 1 < 2**30


@pytest.mark.parametrize("channels", [1, 13, 1000])
@pytest.mark.parametrize("beta", [0.01, 0.75, 16.0])
@pytest.mark.parametrize("size", [1, 5, 12])
def test_powers_and_quotients_of_lrn(size: int, beta: float, channels: int, seen: list[int]) -> None:
    rng = np.random.default_rng(0)
    for alpha in (1e-20, 1e-4, 1.0, 1e20):
        for bias in (1e-20, 1.0, 1e20):
            constants = {"size": size, "alpha": alpha, "beta": beta, "bias": bias}
            for e in EXPONENTS:
                x, dy = (rng.choice([-127, 127, 0, 1], (4, channels), p=[0.4, 0.4, 0.1, 0.1]) for _ in range(2))
                x, dy = x.astype(np.int8), dy.astype(np.int8)
                for kind, operands, factors in (
                    (lrn.LrnOp, (x,), ("exponent",)),
                    (lrn.LrnDgradOp, (dy, x), ("exponent",)),
                    (lrn.LrnRoomOp, (dy, x), ()),
                ):
                    op = make(kind, *operands, "exponent", *factors, **constants)
                    seen.clear()
                    op.reference(*operands, np.asarray(e), *(np.asarray(0) for _ in factors))
                    assert max(seen) <= op.int64_bound([127] * len(operands)) <= INT64_LIMIT


def test_a_shift_by_the_range_leaves_its_bits() -> None:
    source = make(RangeOp, np.zeros(3, np.int64))
    shift = ShiftOp.of(source.result, bits=24)
    by_range = RoundShiftOp.of(source.operands[0], shift.s, round="nearest", to="i32")
    assert by_range.result_bounds([2**36, 0]) == [2**24]
    x = np.array([2**36 - 1, -(2**36) + 1, 0])
    assert integers.max_abs(by_range.reference(x, np.asarray(36 - 24))) == 2**24
    other = make(RoundShiftOp, np.zeros(3, np.int64), "exponent", round="nearest", to="i32")
    assert other.result_bounds([2**36, 0]) == [2**31 - 1]
