"""Pools, reductions, the loss, and what only moves values."""

from dataclasses import dataclass

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from xdsl.ir import SSAValue
from xdsl.utils.exceptions import VerifyException

from nitic.arithmetic.losses import LARGEST_TARGET
from nitic.arithmetic.sums import common_exponent
from nitic.ir.layout import BatchLast, GroupPanels, Layout, Padded, Panels, PixelPanels, Quads, Runs, parse_layout
from nitic.ir.op import NnOp
from nitic.ops.bfp import RangeOp
from nitic.ops.elementwise import BiasGradOp
from nitic.ops.loss import CrossEntropyOp, MeanSquaredErrorOp
from nitic.ops.pack import PackOp
from nitic.ops.pool import AveragePoolDgradOp, AveragePoolOp, MaxPoolDgradOp, MaxPoolOp
from nitic.ops.reshape import ReshapeOp, TransposeOp
from tests.kernels.harness import (
    Data,
    by_dots,
    check,
    data,
    examples,
    machines,
    make_group,
    one,
    run,
    scalar,
    threads,
)
from tests.support.operators import make, reference, type_of

EXAMPLES = examples(12)


@dataclass(frozen=True)
class Pool:
    shape: tuple[int, int, int, int]
    properties: dict[str, tuple[int, ...]]

    @property
    def size(self) -> tuple[int, ...]:
        return self.shape[1:3]

    def exists(self) -> bool:
        """Whether there are windows, and each sees some of the input."""
        try:
            return bool(make(MaxPoolOp, np.zeros(self.shape, np.int8), **self.properties))
        except VerifyException:
            return False


@st.composite
def pools(draw: st.DrawFn) -> Pool:
    kernel = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    strides = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    pads = tuple(draw(st.integers(0, k - 1)) for k in (*kernel, *kernel))
    size = tuple(draw(st.integers(k, k + 9)) for k in kernel)
    n, c = draw(st.integers(1, 4)), draw(st.one_of(st.integers(1, 9), st.sampled_from((16, 33, 64))))
    dilations = draw(st.sampled_from(((1, 1), (1, 1), (1, 2), (3, 2))))
    pool = Pool((n, size[0], size[1], c), {"kernel": kernel, "strides": strides, "pads": pads, "dilations": dilations})
    assume(pool.exists())
    return pool


@machines
@EXAMPLES
@given(pool=pools(), of=data, threads=threads)
def test_max_pool(variant: str, pool: Pool, of: Data, threads: int) -> None:
    x = of.i8(*pool.shape)
    check(one(MaxPoolOp, **pool.properties), (x,), variant, threads)
    y, index = reference(MaxPoolOp, x, **pool.properties)

    def gradient(dy: SSAValue, index: SSAValue) -> list[NnOp]:
        op = MaxPoolDgradOp.of(dy, index, size=pool.size, **pool.properties)
        return [op, RangeOp.of(op.dx)] if op.overlaps else [op]

    check(gradient, (of.other(1).i8(*y.shape), index.astype(np.int8)), variant, threads, keep=((0, 0),))


@machines
@EXAMPLES
@given(pool=pools(), of=data, threads=threads, counts=st.sampled_from((None, 0, 1)))
def test_average_pool(variant: str, pool: Pool, of: Data, threads: int, counts: int | None) -> None:
    """`counts`: how much of each pad counts at most; None is all."""
    x, properties = of.i8(*pool.shape), dict(pool.properties)
    if counts is not None:
        properties["counted"] = tuple(min(pad, counts) for pad in properties["pads"])
    check(one(AveragePoolOp, **properties), (x,), variant, threads)
    dy = of.other(1).i8(*reference(AveragePoolOp, x, **properties).shape)

    def gradient(dy: SSAValue) -> list[NnOp]:
        op = AveragePoolDgradOp.of(dy, size=pool.size, **properties)
        return [op, RangeOp.of(op.dx)]

    check(gradient, (dy,), variant, threads, keep=((0, 0),))


@machines
def test_pools_of_large_images(variant: str) -> None:
    """Places are int16; an average's multiplier and its bound are those of 50,000 elements."""
    pool = {"kernel": [224, 224], "strides": [1, 1], "pads": [0, 0, 0, 0]}
    x = Data(0, "random").i8(1, 224, 224, 3)
    check(one(AveragePoolOp, **pool), (x,), variant)
    check(one(AveragePoolOp, **{**pool, "pads": [1, 2, 0, 0], "counted": [0, 1, 0, 0]}), (x,), variant)
    check(one(AveragePoolDgradOp, size=[224, 224], **pool), (x[:, :1, :1],), variant)
    small = x[:, :100, :150]
    pool["kernel"] = [100, 150]
    check(one(MaxPoolOp, **pool), (small,), variant)
    _, index = reference(MaxPoolOp, small, **pool)
    check(one(MaxPoolDgradOp, size=[100, 150], **pool), (small[:, :1, :1], index.astype(np.int16)), variant)


@machines
@EXAMPLES
@given(rows=st.integers(1, 400), channels=st.integers(1, 200), of=data, threads=threads)
def test_bias_grad(variant: str, rows: int, channels: int, of: Data, threads: int) -> None:
    def build(dy: SSAValue) -> list[NnOp]:
        op = BiasGradOp.of(dy)
        return [op, RangeOp.of(op.db)]

    check(build, (of.i8(rows, channels),), variant, threads, keep=((0, 0),))


@machines
@EXAMPLES
@given(rows=st.integers(1, 40), classes=st.integers(2, 300), of=data, exponent=st.integers(-60, 60), threads=threads)
def test_cross_entropy(variant: str, rows: int, classes: int, of: Data, exponent: int, threads: int) -> None:
    label = np.random.default_rng(of.seed).integers(-1, classes, rows).astype(np.int32)
    operands = (of.i8(rows, classes), label, scalar(exponent))
    check(one(CrossEntropyOp), operands, variant, threads, {2: "exponent"})
    random = np.asarray(of.seed << 20, np.int64), scalar(exponent + 60)
    check(one(CrossEntropyOp), (*operands, *random), variant, threads, {2: "exponent"})


@machines
@EXAMPLES
@given(
    rows=st.integers(1, 40),
    classes=st.one_of(st.just(1), st.integers(2, 300)),
    of=data,
    exponent=st.integers(-40, 40),
    threads=threads,
)
def test_mean_squared_error(variant: str, rows: int, classes: int, of: Data, exponent: int, threads: int) -> None:
    """With and without the range of the differences, and where that alone is asked for."""
    most = LARGEST_TARGET + 1 if classes == 1 else classes
    label = np.random.default_rng(of.seed).integers(-1, most, rows).astype(np.int32)
    common = common_exponent(exponent, 0)
    operands = (of.i8(rows, classes), label, scalar(exponent), scalar(common))
    exponents = {2: "exponent", 3: "exponent"}
    check(one(MeanSquaredErrorOp), operands, variant, threads, exponents)

    def build(*values: SSAValue) -> list[NnOp]:
        op = MeanSquaredErrorOp.of(*values)
        return [op, RangeOp.of(op.dlogits)]

    check(build, operands, variant, threads, exponents, keep=((0, 0),))
    check(build, operands, variant, threads, exponents)


@machines
@EXAMPLES
@given(shape=st.lists(st.integers(1, 7), min_size=1, max_size=5), of=data, threads=threads, draw=st.data())
def test_transpose_and_reshape(variant: str, shape: list[int], of: Data, threads: int, draw: st.DataObject) -> None:
    perm = draw.draw(st.permutations(range(len(shape))))
    for x in (of.i8(*shape), of.i32(*shape)):
        check(one(TransposeOp, perm=perm), (x,), variant, threads)
        check(one(ReshapeOp, shape=shape[::-1]), (x,), variant, threads)


pads = st.tuples(*[st.integers(0, 3)] * 4)
layouts = st.one_of(
    st.builds(
        Padded, st.tuples(*[st.integers(-1, 3)] * 4), st.tuples(st.integers(1, 3), st.integers(1, 3)), st.booleans()
    ),
    st.builds(Quads, pads, st.booleans()),
    st.builds(Panels, st.booleans(), st.booleans(), st.booleans()),
    st.builds(GroupPanels, st.just(True), st.booleans(), st.booleans(), st.integers(2, 4)),
    st.builds(PixelPanels, st.just(False), st.booleans(), st.booleans(), st.integers(2, 5), st.integers(1, 3)),
)
spatial = st.tuples(st.integers(1, 70), st.integers(3, 6), st.integers(3, 6), st.one_of(st.integers(1, 9), st.just(35)))
grouped_runs = st.builds(
    lambda flipped, groups: Runs(True, flipped, *groups),
    st.booleans(),
    st.sampled_from(((2, 1), (2, 2), (3, 3), (4, 2), (5, 1))),
)
tensor_core_layouts = st.one_of(st.builds(Runs, st.booleans(), st.booleans()), grouped_runs, st.just(BatchLast()))
tensors = st.one_of(spatial, st.tuples(st.integers(1, 70), st.integers(1, 70)))


@by_dots
@examples(40)
@given(layout=layouts, shape=tensors, of=data, threads=threads)
def test_pack(variant: str, layout: Layout, shape: tuple[int, ...], of: Data, threads: int) -> None:
    """A packing kernel writes the bytes of Layout.pack."""
    if isinstance(layout, Padded) and len(shape) == 2:
        layout = Padded(biased=layout.biased)
    if isinstance(layout, Quads) and len(shape) == 2:
        layout = Quads(biased=layout.biased)
    assert parse_layout(str(layout)) == layout
    if isinstance(layout, PixelPanels):
        shape = (3, *shape[1:-1], 3)
    if isinstance(layout, GroupPanels):
        shape = (layout.groups * shape[0], *shape[1:])
    x = of.i8(*shape)
    group = make_group(one(PackOp, layout=str(layout)), [type_of(x)])
    (found,) = run(group, variant, (x,), threads)
    np.testing.assert_array_equal(found, layout.pack(x)[: len(found)])


@machines
@EXAMPLES
@given(layout=tensor_core_layouts, shape=tensors, of=data, threads=threads)
def test_pack_for_tensor_cores(variant: str, layout: Layout, shape: tuple[int, ...], of: Data, threads: int) -> None:
    assert parse_layout(str(layout)) == layout
    if isinstance(layout, Runs):
        shape = (layout.groups * shape[0], *shape[1:])
    x = of.i8(*shape)
    (found,) = run(make_group(one(PackOp, layout=str(layout)), [type_of(x)]), variant, (x,), threads)
    np.testing.assert_array_equal(found, layout.pack(x)[: len(found)])
