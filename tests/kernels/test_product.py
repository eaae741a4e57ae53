"""Products, broadcasts and the sums that are their gradients, whatever axes a tensor broadcasts along."""

from hypothesis import given
from hypothesis import strategies as st
from xdsl.ir import SSAValue

from nitic.arithmetic.pointwise import as_integer
from nitic.ir.op import NnOp
from nitic.ops.bfp import ExpCommonOp, RangeOp, RoundShiftOp
from nitic.ops.elementwise import BiasOp
from nitic.ops.product import SUMMAND_BITS, AddConstOp, ExpandOp, MulOp, MulSumOp, NegOp, ReduceSumOp, ScaleConstOp
from tests.kernels.harness import Build, Data, check, data, examples, machines, one, scalar, threads

EXAMPLES = examples(14)
Shape = tuple[int, ...]
sizes = st.sampled_from((1, 2, 3, 5, 17, 70))
images = st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), sizes)
large = st.one_of(images, st.tuples(st.integers(1, 9), sizes), st.just((2, 3, 5000)), st.just((1, 9001)))
# Squeeze-and-excite, a factor per channel, per image, per pixel, per row; one for all; none.
KEPT = (0b1001, 0b0001, 0b1000, 0b1110, 0b0100, 0b0101, 0, 0b1111)
kept = st.sampled_from(KEPT)


def broadcast(shape: Shape, axes: int, short: bool) -> Shape:
    """The shape where bit i of `axes` keeps axis -1 - i; without leading ones where it is to be short."""
    small = tuple(size if axes >> (len(shape) - 1 - i) & 1 else 1 for i, size in enumerate(shape))
    leading = next((i for i, size in enumerate(small) if size > 1), len(small) - 1)
    return small[leading:] if short else small


@machines
@EXAMPLES
@given(shape=large, axes=kept, short=st.booleans(), of=data, threads=threads)
def test_product(variant: str, shape: Shape, axes: int, short: bool, of: Data, threads: int) -> None:
    """Behind a rounding, as fuse leaves it, and under a bias, which broadcasts in its own way."""

    def build(acc: SSAValue, s: SSAValue, b: SSAValue, c: SSAValue, to: SSAValue) -> list[NnOp]:
        rounded = RoundShiftOp.of(acc, s, round="nearest", to="i8")
        product = MulOp.of(rounded.y, b)
        biased = BiasOp.of(product.y, c, s, to)
        return [rounded, product, biased, RangeOp.of(biased.y)]

    small = broadcast(shape, axes, short)
    operands = (of.i32(*shape), scalar(24), of.other(1).i8(*small), of.other(2).i32(shape[-1], limit=2**27), scalar(27))
    check(build, operands, variant, threads, {1: "exponent", 4: "exponent"}, keep=((0, 0), (2, 0)))


@machines
@EXAMPLES
@given(shape=large, of=data, threads=threads)
def test_square(variant: str, shape: Shape, of: Data, threads: int) -> None:
    check(lambda a: [MulOp.of(a, a)], (of.i8(*shape),), variant, threads)


@machines
@EXAMPLES
@given(shape=large, axes=kept, short=st.booleans(), of=data, threads=threads)
def test_expand_and_its_gradient(variant: str, shape: Shape, axes: int, short: bool, of: Data, threads: int) -> None:
    small = broadcast(shape, axes, short)
    check(one(ExpandOp, shape=shape), (of.i8(*small),), variant, threads)
    check(summed(ReduceSumOp, small), (of.i8(*shape),), variant, threads, keep=((0, 0),))


def summed(op: type[NnOp], shape: Shape) -> Build:
    def build(*operands: SSAValue) -> list[NnOp]:
        total = op.of(*operands, shape=shape)
        return [total, RangeOp.of(total.result)]

    return build


@machines
@EXAMPLES
@given(shape=large, axes=kept, short=st.booleans(), of=data, threads=threads)
def test_gradient_of_a_product(variant: str, shape: Shape, axes: int, short: bool, of: Data, threads: int) -> None:
    build = summed(MulSumOp, broadcast(shape, axes, short))
    check(build, (of.i8(*shape), of.other(1).i8(*shape)), variant, threads, keep=((0, 0),))


@machines
@EXAMPLES
@given(shape=large, of=data, factor=st.floats(-100, 100), threads=threads)
def test_constant_factor(variant: str, shape: Shape, of: Data, factor: float, threads: int) -> None:
    def build(x: SSAValue) -> list[NnOp]:
        negative = NegOp.of(x)
        scaled = ScaleConstOp.of(negative.y, factor=factor)
        return [negative, scaled, RangeOp.of(scaled.y)]

    check(build, (of.i8(*shape),), variant, threads, keep=((0, 0), (1, 0)))


@machines
@EXAMPLES
@given(shape=large, of=data, value=st.floats(-1e4, 1e4), e=st.integers(-40, 30), threads=threads)
def test_constant_summand(variant: str, shape: Shape, of: Data, value: float, e: int, threads: int) -> None:
    summand = scalar(as_integer(value, SUMMAND_BITS)[1])

    def build(x: SSAValue, e: SSAValue, e_c: SSAValue) -> list[NnOp]:
        common = ExpCommonOp.of(e, e_c)
        return [common, AddConstOp.of(x, e, common.e, value=value)]

    check(build, (of.i8(*shape), scalar(e), summand), variant, threads, {1: "exponent", 2: "exponent"})
