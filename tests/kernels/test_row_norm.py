"""Layer norm and its relatives, and rows that each have an exponent, on every variant."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from xdsl.ir import SSAValue

from nitic.arithmetic import row_norms
from nitic.arithmetic.integers import Array
from nitic.arithmetic.rows import NO_EXPONENT, TOP_BIAS, row_tops
from nitic.ir.op import NnOp
from nitic.ops.bfp import RangeOp
from nitic.ops.elementwise import WideAddOp
from nitic.ops.row_norm import (
    RowNormaliseOp,
    RowNormErrorOp,
    RowNormSumsOp,
    RowScaleGradOp,
    RowScaleOp,
    RowStatisticsOp,
)
from nitic.ops.rows import RowRoundShiftOp, RowShiftOp, RowTopsOp
from tests.kernels.harness import Data, check, data, examples, one, scalar, threads, variants

EXAMPLES = examples(6)
rows, lengths = st.integers(1, 40), st.integers(1, 300)
epsilons = st.sampled_from((1e-5, 0.0, 1.0, 1e-12))
exponents = st.one_of(st.integers(-40, 20), st.sampled_from((-(2**31), 2**31 - 1)))


@variants
@EXAMPLES
@given(n=rows, length=lengths, of=data, e=exponents, epsilon=epsilons, centred=st.integers(0, 1), threads=threads)
def test_forward(
    variant: str, n: int, length: int, of: Data, e: int, epsilon: float, centred: int, threads: int
) -> None:
    x = of.integers((n, length), 32767, np.int16)
    check(one(RowStatisticsOp, epsilon=epsilon, centred=centred), (x, scalar(e)), variant, threads, {1: "exponent"})

    def normalised(x: SSAValue, *others: SSAValue) -> list[NnOp]:
        *row, gamma, beta, e, common = others
        xhat = RowNormaliseOp.of(x, *row, centred=centred)
        y = RowScaleOp.of(xhat.xhat, gamma, beta, e, common)
        return [xhat, y, RangeOp.of(y.y)]

    row = row_norms.row_statistics(x, int(np.clip(e, -1000, 1000)), epsilon, bool(centred))
    scales = of.i8(length), of.other(1).i32(length, limit=2**20), scalar(-9), scalar(-5)
    narrow = [each.astype(np.int32) for each in row]
    check(normalised, (x, *narrow, *scales), variant, threads, {6: "exponent", 7: "exponent"}, keep=((0, 0), (1, 0)))
    check(one(RowScaleOp), (x, of.i8(length)), variant, threads)


@variants
@EXAMPLES
@given(n=rows, length=lengths, of=data, centred=st.integers(0, 1), has_gamma=st.booleans(), threads=threads)
def test_backward(variant: str, n: int, length: int, of: Data, centred: int, has_gamma: bool, threads: int) -> None:
    dy, xhat = of.i8(n, length), of.other(1).integers((n, length), 32767, np.int16)
    gamma = [of.other(2).i8(length)] if has_gamma else []
    check(one(RowScaleGradOp), (dy, xhat), variant, threads)
    check(one(RowNormSumsOp, centred=centred), (dy, xhat, *gamma), variant, threads)
    mean, slope = row_norms.row_norm_sums(dy, xhat, gamma[0] if gamma else 1)
    inverse, h = of.other(3).i32(n, 1, limit=2**17), of.other(4).i32(n, 1, limit=15)
    check(one(RowNormErrorOp, centred=centred), (dy, xhat, inverse, h, mean, slope, *gamma), variant, threads)


def requantised(x: SSAValue, h: SSAValue, r: SSAValue) -> list[NnOp]:
    s = RowShiftOp.of(r, bits=15)
    return [s, RowRoundShiftOp.of(x, h, s.s, limit=32639)]


@variants
@EXAMPLES
@given(
    n=rows,
    length=lengths,
    of=data,
    kind=st.sampled_from(((2**60, np.int64), (2**30, np.int32), (127, np.int8))),
    spread=st.integers(0, 60),
    threads=threads,
)
def test_rows_come_to_one_exponent(
    variant: str, n: int, length: int, of: Data, kind: tuple[int, type[np.generic]], spread: int, threads: int
) -> None:
    x, h = of.integers((n, length), *kind), of.other(1).i32(n, 1, limit=spread)
    x[::3], h[::3] = 0, NO_EXPONENT

    def tops(x: SSAValue, h: SSAValue) -> list[NnOp]:
        op = RowTopsOp.of(x, h)
        return [op, RangeOp.of(op.tops)]

    check(tops, (x, h), variant, threads)
    r: Array = row_tops(x, h).max()
    check(requantised, (x, h, scalar(int(r), np.int64)), variant, threads, {2: "range"})
    check(requantised, (x, h, scalar(TOP_BIAS - 2**20, np.int64)), variant, threads, {2: "range"})


@variants
@EXAMPLES
@given(n=rows, length=lengths, of=data, ea=st.integers(-40, 5), eb=st.integers(-40, 5), threads=threads)
def test_wide_sums(variant: str, n: int, length: int, of: Data, ea: int, eb: int, threads: int) -> None:
    a, b = of.integers((n, length), 32767, np.int16), of.other(1).i8(n, length)
    e = max(min(ea, eb), max(ea, eb) - 14)
    kinds = {2: "exponent", 3: "exponent", 4: "exponent"}
    check(one(WideAddOp), (a, b, scalar(ea), scalar(eb), scalar(e)), variant, threads, kinds)
