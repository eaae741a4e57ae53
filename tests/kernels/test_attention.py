"""Attention and the parts of its errors on every variant: grouped queries, causal masks, rows of one key."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nitic.arithmetic.integers import Array
from nitic.ops.attention import (
    AttentionOp,
    KeySumsOp,
    QueryRowsOp,
    RowErrorOp,
    RowExponentsOp,
    RowWeightsOp,
    ValueSumsOp,
)
from nitic.ops.bfp import RangeOp
from tests.kernels.harness import Build, Data, check, data, examples, one, scalar, threads, variants
from tests.support.operators import make

EXAMPLES = examples(5)
KINDS = {6: "exponent", 8: "exponent"}


@variants
@EXAMPLES
@given(
    n=st.integers(1, 3),
    rows=st.integers(1, 9),
    more=st.integers(0, 5),
    groups=st.integers(1, 3),
    shared=st.integers(1, 2),
    features=st.integers(1, 20),
    width=st.integers(1, 20),
    e=st.integers(-20, 2),
    scale=st.sampled_from((0.125, 0.3, 1.0)),
    causal=st.integers(0, 1),
    of=data,
    threads=threads,
)
def test_attention(
    variant: str,
    n: int,
    rows: int,
    more: int,
    groups: int,
    shared: int,
    features: int,
    width: int,
    e: int,
    scale: float,
    causal: int,
    of: Data,
    threads: int,
) -> None:
    heads, properties = groups * shared, {"scale": scale, "causal": causal}
    q, k = of.i8(n, rows, heads, features), of.other(1).i8(n, rows + more, groups, features)
    v, dy = of.other(2).i8(n, rows + more, groups, width), of.other(3).i8(n, rows, heads, width)

    def forward(*operands: object) -> list[object]:
        op = AttentionOp.of(*operands, **properties)  # pyright: ignore[reportArgumentType]
        return [op, RangeOp.of(op.o)]

    build: Build = forward  # pyright: ignore[reportAssignmentType]
    check(build, (q, k, v, scalar(e)), variant, threads, {3: "exponent"}, keep=((0, 0), (0, 1), (0, 2)))
    _, top, total = results(AttentionOp, (q, k, v, scalar(e)), 3, properties)
    rows_of = top.astype(np.int32), total.astype(np.int32)
    known = (q, k, v, dy, *rows_of, scalar(e))
    check(one(RowErrorOp, **properties), known, variant, threads, KINDS)
    mean, shift, _ = results(RowErrorOp, known, 6, properties)
    parts = (*known[:6], mean, shift.astype(np.int32), scalar(e))
    check(one(QueryRowsOp, **properties), parts, variant, threads, {8: "exponent"})
    x, w = (of.other(i).integers(like.shape, 32639, np.int16) for i, like in ((4, q), (5, dy)))
    check(one(KeySumsOp, **properties), (*parts, x), variant, threads, {8: "exponent"})
    check(one(ValueSumsOp, **properties), (q, k, w, rows_of[0], scalar(e)), variant, threads, {4: "exponent"})
    check(one(RowWeightsOp), (dy, rows_of[1]), variant, threads)
    check(one(RowExponentsOp), (rows_of[1],), variant, threads)


def results(kind: type, operands: tuple[Array, ...], exponent: int, properties: dict[str, float]) -> tuple[Array, ...]:
    """What the reference of an operator with several results gives."""
    types = ["exponent" if i == exponent else operand for i, operand in enumerate(operands)]
    found = make(kind, *types, **properties).reference(*operands)
    assert isinstance(found, tuple)
    return found
