"""The largest reductions of real networks at their worst: all mantissas at the ends of their range, all signs equal.

ResNet-50, VGG, MobileNetV2, EfficientNet at 224x224, batch 8: nothing overflows, and what int32 cannot hold is int64.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from xdsl.ir import Attribute, SSAValue
from xdsl.rewriter import Rewriter

from nitic.arithmetic.integers import Array
from nitic.ir.op import NnOp, Property
from nitic.ir.types import element_of, exponent, i32, i64, with_element
from nitic.ops.bfp import RangeOp
from nitic.ops.conv import ConvDgradOp, ConvOp, ConvWgradOp, Window
from nitic.ops.elementwise import BiasGradOp, BiasOp
from nitic.ops.gemm import GemmDgradOp, GemmOp, GemmWgradOp
from nitic.ops.norm import ScaleGradOp
from nitic.ops.pool import AveragePoolDgradOp, AveragePoolOp, MaxPoolDgradOp
from nitic.ops.statistics import BatchNormStatisticsOp
from nitic.passes.integers.check_range import LIMIT
from tests.kernels.harness import FOR_CPUS, compiled, make_group, packed_types, reference, runs_here
from tests.support.operators import type_of

Shape = tuple[int, ...]
Properties = Mapping[str, Property]
SAME, VALID = Window(pads=(1, 1, 1, 1)).properties(), Window().properties()
STEM = Window((2, 2), (3, 3, 3, 3)).properties()
POOL: Properties = {"kernel": [3, 3], "strides": [1, 1], "pads": [1, 1, 1, 1]}
GLOBAL: Properties = {"kernel": [112, 112], "strides": [1, 1], "pads": [0, 0, 0, 0]}


def depthwise(channels: int, stride: int = 1) -> Properties:
    return Window((stride, stride), (1, 1, 1, 1), groups=channels).properties()


@dataclass(frozen=True)
class Sum:
    """An operator that sums over operands of these shapes, and how many bits its result has to hold."""

    what: str
    op: type[NnOp]
    shapes: Sequence[Shape]
    properties: Properties = field(default_factory=dict[str, Property])
    limit: int = 127
    wide: bool = False

    def operands(self, signs: Sequence[int]) -> list[Array]:
        dtype = np.int8 if self.limit == 127 else np.int16
        return [np.full(shape, sign * self.limit, dtype) for shape, sign in zip(self.shapes, signs, strict=False)]

    def build(self, *operands: SSAValue) -> list[NnOp]:
        """The operator as check-range leaves it, and its range."""
        op = self.op.of(*operands, **self.properties)
        bound = op.accumulator_bound()
        assert self.wide == (bound is not None and bound > LIMIT)
        if self.wide:
            Rewriter.replace_value_with_new_type(op.result, with_element(op.result.type, i64))
        return [op, RangeOp.of(op.result)] if element_of(op.result) in (i32, i64) else [op]


SUMS = [
    Sum("conv 1x1x2048", ConvOp, [(1, 7, 7, 2048), (64, 1, 1, 2048)], VALID),
    Sum("conv 3x3x512", ConvOp, [(1, 7, 7, 512), (64, 3, 3, 512)], SAME),
    Sum("conv 7x7x512, VGG's first linear layer", ConvOp, [(1, 7, 7, 512), (32, 7, 7, 512)], VALID),
    Sum("depthwise conv 3x3", ConvOp, [(1, 14, 14, 96), (96, 3, 3, 1)], depthwise(96)),
    Sum("dgrad 1x1x2048", ConvDgradOp, [(1, 7, 7, 2048), (2048, 1, 1, 64)], {**VALID, "size": [7, 7]}),
    Sum("dgrad 3x3x512", ConvDgradOp, [(1, 7, 7, 512), (512, 3, 3, 64)], {**SAME, "size": [7, 7]}),
    Sum(
        "wgrad of ResNet's stem",
        ConvWgradOp,
        [(8, 224, 224, 3), (8, 112, 112, 16)],
        {**STEM, "kernel": [7, 7]},
        wide=True,
    ),
    Sum(
        "wgrad 3x3 at 112x112", ConvWgradOp, [(8, 112, 112, 8), (8, 112, 112, 8)], {**SAME, "kernel": [3, 3]}, wide=True
    ),
    Sum("wgrad 1x1 at 56x56", ConvWgradOp, [(8, 56, 56, 16), (8, 56, 56, 16)], {**VALID, "kernel": [1, 1]}),
    Sum(
        "depthwise wgrad at 112x112",
        ConvWgradOp,
        [(8, 112, 112, 24), (8, 112, 112, 24)],
        {**depthwise(24), "kernel": [3, 3]},
        wide=True,
    ),
    Sum("linear 25088", GemmOp, [(8, 25088), (64, 25088)]),
    Sum("linear dgrad 4096", GemmDgradOp, [(8, 4096), (4096, 64)]),
    Sum("linear wgrad, batch 1024", GemmWgradOp, [(1024, 64), (1024, 48)]),
    Sum("bias gradient at 112x112", BiasGradOp, [(8, 112, 112, 64)]),
    Sum("gamma's gradient at 112x112", ScaleGradOp, [(8, 112, 112, 64), (8, 112, 112, 64)], wide=True),
    Sum("batch norm's statistics at 112x112", BatchNormStatisticsOp, [(8, 112, 112, 24)], limit=32767),
    Sum("average pool 3x3", AveragePoolOp, [(1, 14, 14, 64)], POOL),
    Sum("global average pool", AveragePoolOp, [(1, 112, 112, 64)], GLOBAL, wide=True),
    Sum("average pool's gradient", AveragePoolDgradOp, [(1, 14, 14, 64)], {**POOL, "size": [14, 14]}),
]


@pytest.mark.parametrize("variant", [v for v in FOR_CPUS if runs_here(v)])
@pytest.mark.parametrize("case", SUMS, ids=lambda case: case.what)
def test_nothing_overflows(case: Sum, variant: str) -> None:
    check(case, variant, case.operands((1, 1)), case.operands((1, -1)), case.operands((-1, -1)))


def check(case: Sum, variant: str, *all_operands: Sequence[Array]) -> None:
    each = all_operands[0]
    types: list[Attribute] = [type_of(operand) if operand.shape else exponent for operand in each]
    group = make_group(case.build, packed_types(case.build, types, variant, nonnegative=False), keep=((0, 0),))
    kernel = compiled(group, variant)
    for operands in all_operands:
        for found, expected in zip(kernel(operands, 2), reference(group, operands), strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("variant", [v for v in FOR_CPUS if runs_here(v)])
def test_mixed_signs_overflow_nowhere(variant: str) -> None:
    """A batch norm's worst variance: one half of the values at each end."""
    case = next(case for case in SUMS if case.op is BatchNormStatisticsOp)
    (x,) = case.operands((1,))
    x[::2] *= -1
    check(case, variant, [x])


@pytest.mark.parametrize("variant", [v for v in FOR_CPUS if runs_here(v)])
def test_every_window_picks_the_same_pixel(variant: str) -> None:
    """Nine errors meet where 3x3 windows overlap."""
    case = Sum("max pool's gradient", MaxPoolDgradOp, [(1, 14, 14, 64)] * 2, {**POOL, "size": [14, 14]})
    rows, columns = np.indices((14, 14)) % 3
    index = np.broadcast_to((((1 - rows) % 3) * 3 + (1 - columns) % 3)[None, :, :, None], (1, 14, 14, 64))
    check(case, variant, [np.full((1, 14, 14, 64), -127, np.int8), np.ascontiguousarray(index, np.int8)])


@pytest.mark.parametrize("variant", [v for v in FOR_CPUS if runs_here(v)])
def test_a_bias_at_its_largest_on_top(variant: str) -> None:
    """VGG's first linear layer and a bias that alignment has shifted as far as it may."""
    acc = np.full((8, 64), 25088 * 127 * 127, np.int32)
    case = Sum("bias", BiasOp, [(8, 64), (64,), (), ()])
    e = [np.zeros((), np.int32)] * 2
    check(case, variant, [acc, np.full(64, 127 << 20, np.int32), *e], [-acc, np.full(64, -127 << 20, np.int32), *e])
