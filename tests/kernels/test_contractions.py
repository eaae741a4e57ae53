"""Convolutions and matrix products, with what is fused behind them, on every variant."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.ir import SSAValue
from xdsl.rewriter import Rewriter

from nitic.arithmetic.integers import Array
from nitic.ir.op import NnOp
from nitic.ir.types import i8, i64, tensor
from nitic.ops.bfp import AlignOp, RangeOp
from nitic.ops.conv import ConvDgradOp, ConvOp, ConvWgradOp, Window
from nitic.ops.elementwise import BiasOp, ReluOp
from nitic.ops.gemm import GemmDgradOp, GemmOp, GemmWgradOp
from nitic.targets import panels
from tests.kernels.harness import (
    Build,
    Data,
    check,
    check_group,
    data,
    examples,
    make_group,
    one,
    packed_types,
    scalar,
    threads,
    variants,
)

EXAMPLES = examples(20)


@pytest.fixture(autouse=True, scope="module")
def every_layout() -> Iterator[None]:
    """Small cases get the layout of large ones too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(panels, "MANY_PIXELS", 1)
        yield


@dataclass(frozen=True)
class Case:
    """A convolution that exists."""

    n: int
    size: tuple[int, int]
    channels: tuple[int, int]
    kernel: tuple[int, int]
    window: Window

    @property
    def out(self) -> tuple[int, int]:
        return self.window.output(self.size, self.kernel)

    def x(self, of: Data) -> Array:
        return of.i8(self.n, *self.size, self.channels[0])

    def w(self, of: Data) -> Array:
        return of.other(1).i8(self.channels[1], *self.kernel, self.channels[0] // self.window.groups)

    def dy(self, of: Data) -> Array:
        return of.other(2).i8(self.n, *self.out, self.channels[1])


@st.composite
def cases(draw: st.DrawFn, groups: int = 1) -> Case:
    """Odd sizes and channel counts around the widths of registers."""
    channel = st.one_of(st.integers(1, 9), st.sampled_from((15, 16, 17, 33, 48, 70)))
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    strides, dilations = (
        draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        draw(st.tuples(st.integers(1, 2), st.integers(1, 2))),
    )
    pads = draw(st.tuples(*[st.integers(0, 3)] * 4))
    spans = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
    least = [max(1, spans[i] - pads[i] - pads[i + 2]) for i in range(2)]
    size = draw(st.integers(least[0], least[0] + 9)), draw(st.integers(least[1], least[1] + 17))
    channels = groups * draw(channel), groups * draw(channel)
    return Case(draw(st.integers(1, 9)), size, channels, kernel, Window(strides, pads, dilations, groups))


def ranged(build: Build) -> Build:
    """The same, and the range of the result."""

    def both(*operands: SSAValue) -> list[NnOp]:
        (op,) = build(*operands)
        return [op, RangeOp.of(op.result)]

    return both


KEEP = ((0, 0),)


@variants
@EXAMPLES
@given(case=cases(), of=data, threads=threads, nonnegative=st.booleans())
def test_conv(variant: str, case: Case, of: Data, threads: int, nonnegative: bool) -> None:
    x = np.abs(case.x(of)) if nonnegative else case.x(of)

    build = ranged(one(ConvOp, **case.window.properties()))
    check(build, (x, case.w(of)), variant, threads, nonnegative=nonnegative, keep=KEEP)


@variants
@EXAMPLES
@given(case=cases(), of=data, threads=threads)
def test_conv_dgrad(variant: str, case: Case, of: Data, threads: int) -> None:
    build = ranged(one(ConvDgradOp, size=case.size, **case.window.properties()))
    check(build, (case.dy(of), case.w(of)), variant, threads, keep=KEEP)


@variants
@EXAMPLES
@given(case=cases(), of=data, threads=threads, nonnegative=st.booleans())
def test_conv_wgrad(variant: str, case: Case, of: Data, threads: int, nonnegative: bool) -> None:
    x = np.abs(case.x(of)) if nonnegative else case.x(of)

    build = ranged(one(ConvWgradOp, kernel=case.kernel, **case.window.properties()))
    check(build, (x, case.dy(of)), variant, threads, nonnegative=nonnegative, keep=KEEP)


@st.composite
def grouped(draw: st.DrawFn, depthwise: bool) -> Case:
    case = draw(cases())
    groups = draw(st.integers(2, 70) if depthwise else st.integers(2, 5))
    channels = (groups, groups) if depthwise else (groups * case.channels[0], groups * case.channels[1])
    return replace(case, channels=channels, window=replace(case.window, groups=groups))


def check_all_three(variant: str, case: Case, of: Data, threads: int, nonnegative: bool) -> None:
    window, w, dy = case.window.properties(), case.w(of), case.dy(of)
    x = np.abs(case.x(of)) if nonnegative else case.x(of)
    check(ranged(one(ConvOp, **window)), (x, w), variant, threads, nonnegative=nonnegative, keep=KEEP)
    check(ranged(one(ConvDgradOp, size=case.size, **window)), (dy, w), variant, threads, keep=KEEP)
    wgrad = ranged(one(ConvWgradOp, kernel=case.kernel, **window))
    check(wgrad, (x, dy), variant, threads, nonnegative=nonnegative, keep=KEEP)


@variants
@examples(10)
@given(case=grouped(depthwise=False), of=data, threads=threads, nonnegative=st.booleans())
def test_grouped_convolutions(variant: str, case: Case, of: Data, threads: int, nonnegative: bool) -> None:
    check_all_three(variant, case, of, threads, nonnegative)


@variants
@examples(10)
@given(case=grouped(depthwise=True), of=data, threads=threads)
def test_depthwise_convolutions(variant: str, case: Case, of: Data, threads: int) -> None:
    check_all_three(variant, case, of, threads, False)


matrix = st.tuples(st.integers(1, 40), st.integers(1, 90), st.integers(1, 70))


@variants
@EXAMPLES
@given(mkn=matrix, of=data, threads=threads)
def test_products(variant: str, mkn: tuple[int, int, int], of: Data, threads: int) -> None:
    m, k, n = mkn
    x, w, dy = of.i8(m, k), of.other(1).i8(n, k), of.other(2).i8(m, n)
    check(ranged(one(GemmOp)), (x, w), variant, threads, keep=KEEP)
    check(ranged(one(GemmDgradOp)), (dy, w), variant, threads, keep=KEEP)
    check(ranged(one(GemmWgradOp)), (x, dy), variant, threads, keep=KEEP)


@variants
@EXAMPLES
@given(case=cases(), of=data, threads=threads, exponents=st.tuples(st.integers(-40, 40), st.integers(-40, 40)))
def test_bias_relu_range(variant: str, case: Case, of: Data, threads: int, exponents: tuple[int, int]) -> None:
    def build(x: SSAValue, w: SSAValue, b: SSAValue, e_from: SSAValue, e_to: SSAValue) -> list[NnOp]:
        conv, aligned = ConvOp.over(x, w, case.window), AlignOp.of(b, e_from, e_to)
        relu = ReluOp.of(BiasOp.of(conv.acc, aligned.y, e_to, e_to).y)
        bias = relu.x.owner
        assert isinstance(bias, NnOp)
        return [conv, aligned, bias, relu, RangeOp.of(relu.y)]

    bias = of.other(3).i8(case.channels[1])
    operands = (case.x(of), case.w(of), bias, *map(scalar, exponents))
    check(build, operands, variant, threads, {3: "exponent", 4: "exponent"}, keep=((3, 0),))


@variants
@pytest.mark.parametrize("nonnegative", [False, True])
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_long_weight_gradients_are_int64(variant: str, nonnegative: bool, groups: int) -> None:
    """More products than an int32 holds, all of the same sign."""
    window, shape = Window((1, 1), (1, 1, 1, 1), groups=groups), (18, 64, 64, 6)
    x, dy = np.full(shape, 127, np.int8), np.full(shape, -127, np.int8)

    def build(x: SSAValue, dy: SSAValue) -> list[NnOp]:
        op = ConvWgradOp.of(x, dy, kernel=(3, 3), **window.properties())
        Rewriter.replace_value_with_new_type(op.dw, tensor((6, 3, 3, 6 // groups), i64))
        return [op, RangeOp.of(op.dw)]

    types = packed_types(build, [tensor(shape, i8)] * 2, variant, nonnegative)
    check_group(make_group(build, types, KEEP), variant, (x, dy), 2)


@variants
@pytest.mark.parametrize("groups", [2, 50])
def test_the_longest_sums_of_a_group(variant: str, groups: int) -> None:
    """All of +-127, and for depthwise windows as many pairs as an int16 holds."""
    window = Window((1, 1), (5, 5, 5, 5), groups=groups)
    x, w = np.full((2, 11, 11, 50), 127, np.int8), np.full((50, 11, 11, 50 // groups), -127, np.int8)
    check(ranged(one(ConvOp, **window.properties())), (x, w), variant, keep=KEEP)
    check(ranged(one(ConvDgradOp, size=(11, 11), **window.properties())), (x, w), variant, keep=KEEP)
    check(ranged(one(ConvWgradOp, kernel=(11, 11), **window.properties())), (x, x), variant, keep=KEEP)


@variants
@pytest.mark.parametrize("width", range(1, 6))
@pytest.mark.parametrize("kind", ["plain", "transposed", "strided"])
def test_biases_of_narrow_depthwise_convolutions(variant: str, width: int, kind: str) -> None:
    """The results are narrower than the columns that a kernel computes together, as wide, or by one wider."""
    window = Window((2, 2) if kind == "strided" else (1, 1), (1, 1, 1, 1), groups=20)
    size = 2 * width if kind == "strided" else width

    def build(x: SSAValue, w: SSAValue, b: SSAValue, e: SSAValue) -> list[NnOp]:
        backwards = {"size": (3, width), **window.properties()}
        conv = ConvDgradOp.of(x, w, **backwards) if kind == "transposed" else ConvOp.over(x, w, window)
        biased = BiasOp.of(conv.result, b, e, e)
        return [conv, biased, RangeOp.of(biased.y)]

    of = Data(width, "random")
    operands = (of.i8(2, 3, size, 20), of.other(1).i8(20, 3, 3, 1), of.other(2).i32(20, limit=2**20), scalar(-9))
    check(build, operands, variant, 2, {3: "exponent"})
