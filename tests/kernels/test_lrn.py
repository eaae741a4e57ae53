"""nn.lrn and its gradient at any exponent."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from xdsl.ir import SSAValue
from xdsl.rewriter import Rewriter

from nitic.arithmetic.integers import max_abs
from nitic.arithmetic.lrn import Response
from nitic.ir.op import NnOp
from nitic.ir.types import i64, with_element
from nitic.ops.bfp import RangeOp
from nitic.ops.lrn import LrnCommonOfRoomOp, LrnCommonOp, LrnDgradOp, LrnOp, LrnRoomOp
from nitic.passes.integers.check_range import LIMIT
from tests.kernels.harness import Data, check, data, examples, machines, scalar, threads

EXAMPLES = examples(12)
constants = st.fixed_dictionaries(
    {
        "size": st.integers(1, 9),
        "alpha": st.sampled_from((1e-4, 5e-4, 1.0, 1e9)),
        "beta": st.sampled_from((0.75, 0.5, 1.0, 16.0)),
        "bias": st.sampled_from((1.0, 2.0, 1e-9)),
    }
)
exponents = st.one_of(st.integers(-45, 20), st.sampled_from((-(2**31), 2**31 - 1)))


@machines
@EXAMPLES
@given(
    rows=st.integers(1, 40), channels=st.integers(1, 300), of=data, e=exponents, constants=constants, threads=threads
)
def test_lrn(
    variant: str, rows: int, channels: int, of: Data, e: int, constants: dict[str, float], threads: int
) -> None:
    def forward(x: SSAValue, e: SSAValue) -> list[NnOp]:
        common = LrnCommonOp.of(e, **constants)
        op = LrnOp.of(x, e, common.common, **constants)
        return [common, op, RangeOp.of(op.y)]

    def room(dy: SSAValue, x: SSAValue, e: SSAValue) -> list[NnOp]:
        op = LrnRoomOp.of(dy, x, e, **constants)
        return [op, RangeOp.of(op.room)]

    def backward(dy: SSAValue, x: SSAValue, e: SSAValue, r: SSAValue) -> list[NnOp]:
        common = LrnCommonOfRoomOp.of(r)
        op = LrnDgradOp.of(dy, x, e, common.common, **constants)
        if (op.accumulator_bound() or 0) > LIMIT:
            Rewriter.replace_value_with_new_type(op.dx, with_element(op.dx.type, i64))
        return [common, op, RangeOp.of(op.dx)]

    x, dy = of.i8(rows, channels), of.other(1).i8(rows, channels)
    largest = scalar(max_abs(Response(**constants).room(dy, x, e)), np.int64)  # pyright: ignore[reportArgumentType]
    check(forward, (x, scalar(e)), variant, threads, {1: "exponent"}, keep=((1, 0),))
    check(room, (dy, x, scalar(e)), variant, threads, {2: "exponent"}, keep=((0, 0),))
    check(backward, (dy, x, scalar(e), largest), variant, threads, {2: "exponent", 3: "range"}, keep=((1, 0),))
