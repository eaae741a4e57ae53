"""What moves values: transposes, slices, pads and concats of any shape equal their references, with a tail, too."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from xdsl.ir import SSAValue

from nitic.arithmetic.integers import Array, max_abs
from nitic.ir.op import NnOp
from nitic.ops.bfp import ExpLargestOp, RangeOp
from nitic.ops.concat import ConcatOp, PadOp, SliceOp
from nitic.ops.elementwise import ReluOp
from nitic.ops.reshape import TransposeOp
from tests.kernels.harness import Build, Data, check, data, examples, machines, one, scalar, threads

EXAMPLES = examples(15)
shapes = st.lists(st.one_of(st.integers(1, 7), st.just(70)), min_size=1, max_size=4).filter(
    lambda shape: shape.count(70) < 3  # a padded one of 70^4 would have 10^9 elements
)


def with_tail(kind: type[NnOp], **properties: list[int]) -> Build:
    """The operator, then what may join its kernel."""

    def build(x: SSAValue) -> list[NnOp]:
        op = kind.of(x, **properties)
        relu = ReluOp.of(op.result)
        return [op, RangeOp.of(op.result), relu, RangeOp.of(relu.y)]

    return build


@machines
@EXAMPLES
@given(shape=shapes, of=data, wide=st.booleans(), threads=threads, draw=st.data())
def test_transpose(variant: str, shape: list[int], of: Data, wide: bool, threads: int, draw: st.DataObject) -> None:
    """Of int8 mantissas, and of int16 ones on their way to a batch norm."""
    perm = draw.draw(st.permutations(range(len(shape))))
    x = of.integers(shape, 2**15 - 1, np.int16) if wide else of.i8(*shape)
    check(with_tail(TransposeOp, perm=perm), (x,), variant, threads, keep=((0, 0),))


@machines
@EXAMPLES
@given(shape=shapes, of=data, threads=threads, draw=st.data())
def test_slice(variant: str, shape: list[int], of: Data, threads: int, draw: st.DataObject) -> None:
    starts = [draw.draw(st.integers(0, size - 1)) for size in shape]
    stops = [draw.draw(st.integers(start + 1, size)) for start, size in zip(starts, shape, strict=True)]
    steps = [draw.draw(st.integers(1, 3)) for _ in shape]
    build = with_tail(SliceOp, starts=starts, stops=stops, steps=steps)
    check(build, (of.i8(*shape),), variant, threads, keep=((0, 0),))


@machines
@EXAMPLES
@given(shape=shapes, of=data, threads=threads, draw=st.data())
def test_pad(variant: str, shape: list[int], of: Data, threads: int, draw: st.DataObject) -> None:
    before, after, between = ([draw.draw(st.sampled_from((0, 0, 1, 3))) for _ in shape] for _ in range(3))
    build = with_tail(PadOp, before=before, after=after, between=between)
    check(build, (of.i8(*shape),), variant, threads, keep=((0, 0),))


@machines
@EXAMPLES
@given(
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    parts=st.lists(st.tuples(st.one_of(st.integers(1, 9), st.just(400)), st.integers(-12, 12)), min_size=1, max_size=6),
    of=data,
    static=st.booleans(),
    zero=st.integers(0, 5),
    threads=threads,
    draw=st.data(),
)
def test_concat(
    variant: str,
    shape: list[int],
    parts: list[tuple[int, int]],
    of: Data,
    static: bool,
    zero: int,
    threads: int,
    draw: st.DataObject,
) -> None:
    axis, count = draw.draw(st.integers(0, len(shape) - 1)), len(parts)
    xs = [of.other(i).i8(*shape[:axis], size, *shape[axis + 1 :]) for i, (size, _) in enumerate(parts)]
    if zero < count:
        xs[zero] = np.zeros_like(xs[zero])
    check_concat(variant, axis, xs, [e for _, e in parts], threads, static=static)


def check_concat(variant: str, axis: int, xs: list[Array], exponents: list[int], threads: int, *, static: bool) -> None:
    count = len(xs)

    def build(*values: SSAValue) -> list[NnOp]:
        parts, each, ranges = values[:count], values[count : 2 * count], values[2 * count :]
        largest = ExpLargestOp.of(*each, *ranges)
        op = ConcatOp.along(axis, *parts, *each, largest.e)
        return [largest, op, RangeOp.of(op.y)]

    ranges = [] if static else [scalar(max_abs(x), np.int64) for x in xs]
    kinds = {count + i: "exponent" for i in range(count)} | {2 * count + i: "range" for i in range(count)}
    check(build, (*xs, *map(scalar, exponents), *ranges), variant, threads, kinds, keep=((0, 0), (1, 0)))


@machines
def test_exponents_may_be_far_apart(variant: str) -> None:
    xs = [np.full((2, 3), 127, np.int8), np.full((2, 5), -127, np.int8)]
    for pair in ([-40, 40], [2**20, -(2**20)], [7, 0], [8, 0], [9, 0]):
        check_concat(variant, 1, xs, pair, 1, static=True)


@machines
def test_long_rows_are_shared_out(variant: str) -> None:
    rng = np.random.default_rng(0)
    xs = [rng.integers(-127, 128, size).astype(np.int8) for size in ((70_001, 3), (5, 3), (40_000, 3))]
    check_concat(variant, 0, xs, [0, 3, 1], 3, static=False)
    x = rng.integers(-127, 128, (3, 65, 130)).astype(np.int8)
    check(one(TransposeOp, perm=[0, 2, 1]), (x,), variant, 3)
    check(one(SliceOp, starts=[0, 0, 0], stops=[3, 65, 130], steps=[2, 1, 1]), (x,), variant, 3)
