"""Point-wise operators, updates and scalars: whatever the shift, on every variant."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.ir import SSAValue

from nitic.arithmetic.integers import max_abs
from nitic.arithmetic.requantisation import NEVER
from nitic.arithmetic.updates import full_rows
from nitic.ir.op import NnOp
from nitic.ops.bfp import (
    AlignOp,
    DitherOp,
    ExpAddOp,
    ExpCommonOp,
    ExpConstOp,
    ExpParameterSumOp,
    ExpSumOp,
    RangeOp,
    RoundShiftOp,
    ShiftOp,
    StaticShiftOp,
    TopOp,
)
from nitic.ops.elementwise import AccumulateOp, AddOp, BiasOp, DropoutOp, InputMapOp, ReluDgradOp, ReluOp
from nitic.ops.update import UpdateAdamOp, UpdateLionOp, UpdateMomentumOp, UpdateNitiOp, UpdatePlainOp
from tests.kernels.harness import Data, check, data, examples, machines, one, scalar, threads

EXAMPLES = examples(12)
shapes = st.one_of(st.tuples(st.integers(1, 5000)), st.tuples(st.integers(1, 9), st.integers(1, 40), st.integers(1, 9)))
shifts = st.one_of(st.integers(-4, 32), st.sampled_from((-(2**31), -31, -30, 33, 47, 61, 62, 63, 64, 2**31 - 1)))
roundings = st.sampled_from(("nearest", "pseudo_stochastic"))
all_roundings = st.sampled_from(("nearest", "pseudo_stochastic", "dithered"))
BEGIN = scalar(2**31 - 1)  # of a dithered rounding
STEP, SEED = scalar(77), scalar(-0x123456789ABCDEF, np.int64)


@machines
@EXAMPLES
@given(shape=shapes, of=data, shift=shifts, rounding=all_roundings, to=st.sampled_from(("i8", "i16")), threads=threads)
def test_round_shift_by_any_shift(
    variant: str, shape: tuple[int, ...], of: Data, shift: int, rounding: str, to: str, threads: int
) -> None:
    def build(x: SSAValue, s: SSAValue, *begin: SSAValue) -> list[NnOp]:
        return [RoundShiftOp.of(x, s, *begin, round=rounding, to=to)]

    begin = (BEGIN,) if rounding == "dithered" else ()
    operands = (of.i32(*shape), scalar(shift), *begin)
    check(build, operands, variant, threads, {1: "exponent", 2: "exponent"})


@machines
@EXAMPLES
@given(shape=shapes, of=data, bits=st.integers(0, 30), rounding=roundings, stochastic=st.booleans(), threads=threads)
def test_requantise_by_a_range(
    variant: str, shape: tuple[int, ...], of: Data, bits: int, rounding: str, stochastic: bool, threads: int
) -> None:
    """The usual group: shift, rounding, the mask of a relu, the exponent."""

    def build(*values: SSAValue) -> list[NnOp]:
        x, r, e, y, seed, step = values
        shift = ShiftOp.of(r, bits=7)
        if stochastic:
            rounded = RoundShiftOp.of(x, shift.s, seed, step, round="stochastic", stream=2**31 + 5, to="i8")
        else:
            rounded = RoundShiftOp.of(x, shift.s, round=rounding, to="i8")
        return [shift, rounded, ReluDgradOp.of(rounded.y, y), ExpAddOp.of(e, shift.s)]

    x = of.i32(*shape, limit=2**bits)
    operands = (x, scalar(np.abs(x).max(), np.int64), scalar(-9), of.other(1).i8(*shape), SEED, STEP)
    check(build, operands, variant, threads, {1: "range", 2: "exponent"}, keep=((1, 0),))


@machines
@EXAMPLES
@given(shape=shapes, of=data, bits=st.integers(0, 62), begin=st.integers(0, 2**31 - 1), threads=threads)
def test_requantise_dithered(
    variant: str, shape: tuple[int, ...], of: Data, bits: int, begin: int, threads: int
) -> None:
    def build(x: SSAValue, r: SSAValue, t: SSAValue) -> list[NnOp]:
        shift = ShiftOp.of(r, bits=7)
        return [shift, RoundShiftOp.of(x, shift.s, t, round="dithered", to="i8")]

    x = of.integers(shape, 2**bits, np.int64) if bits > 30 else of.i32(*shape, limit=2**bits)
    operands = (x, scalar(max_abs(x), np.int64), scalar(begin))
    check(build, operands, variant, threads, {1: "range", 2: "exponent"})


@machines
@pytest.mark.parametrize("seed", [0, 1, -1, 2**63 - 1, -(2**63)])
@pytest.mark.parametrize("step", [0, 77, 2**31 - 1])
def test_what_dithered_roundings_begin_with(variant: str, seed: int, step: int) -> None:
    def build(seed: SSAValue, step: SSAValue) -> list[NnOp]:
        return [DitherOp.of(seed, step, stream=stream) for stream in (0, 2**16, 2**31 + 5)]

    check(build, (scalar(seed, np.int64), scalar(step)), variant, 3)


@machines
@EXAMPLES
@given(shape=shapes, of=data, p=st.floats(0, 0.99), threads=threads)
def test_dropout(variant: str, shape: tuple[int, ...], of: Data, p: float, threads: int) -> None:
    def build(x: SSAValue, seed: SSAValue, step: SSAValue) -> list[NnOp]:
        op = DropoutOp.of(x, seed, step, p=p, stream=3)
        return [op, RangeOp.of(op.y)]

    check(build, (of.i8(*shape), SEED, STEP), variant, threads, keep=((0, 0),))
    check(one(DropoutOp, p=p), (of.i8(*shape),), variant, threads)


@machines
@EXAMPLES
@given(
    rows=st.integers(1, 300), channels=st.sampled_from((1, 2, 3, 17)), of=data, shared=st.booleans(), threads=threads
)
def test_input_map(variant: str, rows: int, channels: int, of: Data, shared: bool, threads: int) -> None:
    maps = 1 if shared else channels
    x = (of.integers((rows, channels), 127, np.int64) + 128).astype(np.uint8)
    multiplier, offset = np.abs(of.i32(maps, limit=2**29)), of.other(1).i32(maps, limit=2**31 - 1)
    check(one(InputMapOp), (x, multiplier, offset), variant, threads)


def biased(acc: SSAValue, b: SSAValue, e: SSAValue, e_acc: SSAValue, r: SSAValue) -> list[NnOp]:
    common = ExpParameterSumOp.of(e_acc, e, r)
    aligned = AlignOp.of(b, e, common.e)
    bias = BiasOp.of(acc, aligned.y, e_acc, common.e)
    return [common, aligned, bias, ReluOp.of(bias.y)]


@machines
@EXAMPLES
@given(
    rows=st.integers(1, 50),
    channels=st.integers(1, 70),
    of=data,
    exponent=st.integers(-70, 70),
    bits=st.sampled_from((8, 32, 64)),
    zero=st.booleans(),
    threads=threads,
)
def test_bias_and_relu_alone(
    variant: str, rows: int, channels: int, of: Data, exponent: int, bits: int, zero: bool, threads: int
) -> None:
    limit, dtype = {8: (127, np.int8), 32: (2**29, np.int32), 64: (2**40, np.int64)}[bits]
    acc = of.integers((rows, channels), limit, dtype)
    b = of.i8(channels) * np.int8(not zero)
    operands = (acc, b, scalar(exponent), scalar(2), scalar(max_abs(b), np.int64))
    check(biased, operands, variant, threads, {2: "exponent", 3: "exponent", 4: "range"}, keep=((2, 0),))


@machines
@pytest.mark.parametrize("exponent", [2, 4, 12, 22, 40])
@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64])
def test_a_bias_is_as_wide_as_the_sum(variant: str, dtype: type[np.generic], exponent: int) -> None:
    """What it is added to may be narrower: int8 mantissas, as behind a pool."""
    acc, b = np.array([[93, -5, 0], [1, 127, -127]], dtype), np.array([57, -127, 100], np.int8)
    operands = (acc, b, scalar(exponent), scalar(2), scalar(127, np.int64))
    check(biased, operands, variant, 1, {2: "exponent", 3: "exponent", 4: "range"}, keep=((2, 0),))


@machines
@EXAMPLES
@given(
    shape=shapes,
    of=data,
    exponents=st.tuples(st.integers(-30, 5), st.integers(-30, 5)),
    zero=st.sampled_from((None, 0, 1)),
    static=st.booleans(),
    threads=threads,
)
def test_add(
    variant: str,
    shape: tuple[int, ...],
    of: Data,
    exponents: tuple[int, int],
    zero: int | None,
    static: bool,
    threads: int,
) -> None:
    def build(a: SSAValue, b: SSAValue, ea: SSAValue, eb: SSAValue, *ranges: SSAValue) -> list[NnOp]:
        common = ExpCommonOp.of(ea, eb, *ranges)
        return [common, AddOp.of(a, b, ea, eb, common.e)]

    pair = [of.i8(*shape), of.other(1).i8(*shape)]
    if zero is not None:
        pair[zero] = np.zeros_like(pair[zero])
    ranges = () if static else tuple(scalar(max_abs(x), np.int64) for x in pair)
    kinds = {2: "exponent", 3: "exponent", 4: "range", 5: "range"}
    check(build, (*pair, *map(scalar, exponents), *ranges), variant, threads, kinds)


@machines
@EXAMPLES
@given(
    shape=shapes,
    of=data,
    exponents=st.tuples(st.integers(-60, 10), st.integers(-60, 10)),
    bits=st.tuples(st.integers(1, 30), st.integers(1, 45)),
    zero=st.sampled_from((None, 0, 1)),
    threads=threads,
)
def test_accumulate(
    variant: str,
    shape: tuple[int, ...],
    of: Data,
    exponents: tuple[int, int],
    bits: tuple[int, int],
    zero: int | None,
    threads: int,
) -> None:
    def build(a: SSAValue, b: SSAValue, ea: SSAValue, eb: SSAValue, ra: SSAValue, rb: SSAValue) -> list[NnOp]:
        common = ExpSumOp.of(ea, eb, ra, rb)
        return [common, AccumulateOp.of(a, b, ea, eb, common.e)]

    pair = [of.i32(*shape, limit=2 ** bits[0]), of.other(1).integers(shape, 2 ** bits[1], np.int64)]
    if zero is not None:
        pair[zero] = np.zeros_like(pair[zero])
    ranges = tuple(scalar(max_abs(x), np.int64) for x in pair)
    kinds = {2: "exponent", 3: "exponent", 4: "range", 5: "range"}
    check(build, (*pair, *map(scalar, exponents), *ranges), variant, threads, kinds)


@machines
@EXAMPLES
@given(
    shape=shapes,
    of=data,
    wide=st.booleans(),
    exponents=st.tuples(st.integers(-90, 30), st.integers(-90, 30)),
    r=st.sampled_from((0, 24575, 24576, 32767)),
    rate=st.tuples(st.integers(1, 255), st.integers(0, 20)),
    decay=st.sampled_from((80, 30, 9, 3)),
    rounding=roundings,
    threads=threads,
)
def test_updates_of_a_master(
    variant: str,
    shape: tuple[int, ...],
    of: Data,
    wide: bool,
    exponents: tuple[int, int],
    r: int,
    rate: tuple[int, int],
    decay: int,
    rounding: str,
    threads: int,
) -> None:
    master, velocity = of.integers(shape, 32767, np.int16), of.other(1).i32(*shape)
    dw = of.other(2).integers(shape, 2**40, np.int64) if wide else of.other(2).i32(*shape)
    em, e_dw, m, k, momentum, d = map(scalar, (*exponents, *rate, 230, decay))
    scales = (em, scalar(r, np.int64), e_dw)
    plain = (master, dw, m, k, *scales)
    check(one(UpdatePlainOp, round=rounding), plain, variant, threads, {4: "exponent", 5: "range", 6: "exponent"})
    moving = (master, velocity, dw, m, k, momentum, d, *scales)
    named = {7: "exponent", 8: "range", 9: "exponent"}
    check(one(UpdateMomentumOp, round=rounding), moving, variant, threads, named)


@machines
@EXAMPLES
@given(
    shape=shapes,
    of=data,
    bits=st.tuples(st.integers(0, 40), st.integers(0, 15), st.integers(0, 31)),
    wide=st.booleans(),
    zero=st.integers(0, 7),
    exponents=st.tuples(*[st.integers(-60, 30)] * 4),
    r=st.sampled_from((0, 24575, 24576, 32767)),
    rate=st.tuples(st.integers(0, 255), st.integers(0, 40), st.integers(0, 2**24)),
    starts=st.tuples(*[st.integers(0, 2**31 - 1)] * 3),
    decays=st.integers(0, 1),
    threads=threads,
)
def test_updates_by_moments(
    variant: str,
    shape: tuple[int, ...],
    of: Data,
    bits: tuple[int, int, int],
    wide: bool,
    zero: int,
    exponents: tuple[int, int, int, int],
    r: int,
    rate: tuple[int, int, int],
    starts: tuple[int, int, int],
    decays: int,
    threads: int,
) -> None:
    of_dw, of_first, of_second = (2**each - 1 for each in bits)
    dw = of.integers(shape, of_dw, np.int64) if wide else of.i32(*shape)
    first = of.other(1).integers(shape, of_first, np.int16)
    second = np.abs(of.other(2).integers(shape, of_second, np.int64)).astype(np.int32)
    dw, first, second = (x * (zero >> i & 1) for i, x in enumerate((dw, first, second)))  # a gradient may end or begin
    master, (t, *others) = of.other(3).integers(shape, 32767, np.int16), map(scalar, starts)
    em, e_dw, e_first, e_second = map(scalar, exponents)
    states = ((em, r), (e_dw, max_abs(dw)), (e_first, max_abs(first)), (e_second, max_abs(second)))
    scales = [each for e, range_ in states for each in (e, scalar(range_, np.int64))]
    rates = (*map(scalar, rate),)
    kinds = {7 + i: ("exponent", "range")[i % 2] for i in range(8)} | {15 + i: "exponent" for i in range(3)}
    operands = (master, first, second, dw, *rates, *scales, t, *others)
    check(one(UpdateAdamOp, decays=decays), operands, variant, threads, kinds)
    kinds = {6 + i: ("exponent", "range")[i % 2] for i in range(6)} | {12 + i: "exponent" for i in range(2)}
    operands = (master, first, dw, *rates, *scales[:6], t, others[0])
    check(one(UpdateLionOp, decays=decays), operands, variant, threads, kinds)


@machines
@EXAMPLES
@given(
    shape=shapes,
    of=data,
    wide=st.booleans(),
    gb=st.integers(-2, 45),
    grows=st.booleans(),
    rounding=roundings,
    threads=threads,
)
def test_update_niti(
    variant: str, shape: tuple[int, ...], of: Data, wide: bool, gb: int, grows: bool, rounding: str, threads: int
) -> None:
    dw = of.integers(shape, 2**40, np.int64) if wide else of.i32(*shape)
    row = scalar(full_rows(shape) - (not grows), np.int64)
    operands = (of.other(1).i8(*shape), dw, scalar(gb), row, scalar(np.abs(dw.astype(np.int64)).max(), np.int64))
    check(one(UpdateNitiOp, round=rounding), operands, variant, threads, {3: "range", 4: "range"})


@machines
@pytest.mark.parametrize("top", [NEVER, NEVER + 1, -1, 0, 1, 255, 256, 70000])
@pytest.mark.parametrize("r", [0, 1, 2, 127, 128, 2**30, 2**62])
def test_scalars(variant: str, top: int, r: int) -> None:
    def statistic(t: SSAValue, r: SSAValue, e: SSAValue) -> list[NnOp]:
        return [TopOp.of(t, r, e), ShiftOp.of(r, bits=7)]

    def inference(t: SSAValue, e: SSAValue) -> list[NnOp]:
        shift, five = StaticShiftOp.of(t, e, bits=7), ExpConstOp.of(value=-5)
        return [shift, five, ExpAddOp.of(shift.s, five.e)]

    old, e = scalar(top), scalar(-9)
    check(statistic, (old, scalar(r, np.int64), e), variant, 3, {1: "range", 2: "exponent"})
    check(inference, (old, e), variant, 3, {1: "exponent"})


@machines
@EXAMPLES
@given(shape=shapes, of=data, threads=threads)
def test_range_of_a_stored_tensor(variant: str, shape: tuple[int, ...], of: Data, threads: int) -> None:
    for x in (of.i8(*shape), of.integers(shape, 32767, np.int16), of.i32(*shape), of.integers(shape, 2**40, np.int64)):
        check(one(RangeOp), (x,), variant, threads)
