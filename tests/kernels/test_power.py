"""Powers and the logarithm, and their gradients, at any exponent."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.ir import SSAValue

from nitic.ir.op import NnOp, Property
from nitic.ops.bfp import RangeOp, RoundShiftOp
from nitic.ops.power import LogOp, PowerDgradOp, PowerOp
from tests.kernels.harness import (
    Data,
    check,
    compiled,
    data,
    examples,
    machines,
    make_group,
    reference,
    scalar,
    threads,
)
from tests.support.operators import type_of

FRACTIONS = [(-1, 1), (3, 1), (4, 1), (1, 2), (-1, 2), (5, 2), (3, 10)]
EVERY = np.arange(-127, 128).astype(np.int8)
EXPONENTS = (*range(-30, 20), -(2**31), -(2**20) - 3, -213, 199, 2**31 - 1)


def properties(n: int, d: int) -> dict[str, Property]:
    return {"numerator": n, "denominator": d, "signed": int(d == 1)}


@machines
@pytest.mark.parametrize("fraction", FRACTIONS, ids=str)
def test_every_mantissa_at_every_exponent(variant: str, fraction: tuple[int, int]) -> None:
    n, d = fraction

    def build(x: SSAValue, dy: SSAValue, e: SSAValue) -> list[NnOp]:
        slope = PowerDgradOp.of(dy, x, e, **properties(n - d, d), factor=n / d)
        return [PowerOp.of(x, e, **properties(n, d)), slope, LogOp.of(x, e)]

    group = make_group(build, [type_of(EVERY), type_of(EVERY), type_of("exponent")])
    kernel = compiled(group, variant)
    for e in EXPONENTS:
        operands = (EVERY, EVERY[::-1], scalar(e))
        for found, expected in zip(kernel(operands, 1), reference(group, operands), strict=True):
            np.testing.assert_array_equal(found, expected)


@machines
@examples(6)
@given(count=st.integers(1, 5000), of=data, fraction=st.sampled_from(FRACTIONS), e=st.integers(-12, 2), threads=threads)
def test_power_behind_a_rounding(
    variant: str, count: int, of: Data, fraction: tuple[int, int], e: int, threads: int
) -> None:
    """With the range of its result."""

    def build(acc: SSAValue, s: SSAValue, e: SSAValue) -> list[NnOp]:
        x = RoundShiftOp.of(acc, s, round="nearest", to="i8")
        y = PowerOp.of(x.y, e, **properties(*fraction))
        return [x, y, RangeOp.of(y.y)]

    operands = (of.i32(count), scalar(24), scalar(e))
    check(build, operands, variant, threads, {1: "exponent", 2: "exponent"}, keep=((0, 0), (1, 0)))
