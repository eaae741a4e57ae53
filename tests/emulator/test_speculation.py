"""Rounding by the shift of the step before: always the bits of the plain form, and a second time only where need be."""

import re
from collections.abc import Sequence

import numpy as np
import pytest
from xdsl.ir import SSAValue

from nitic.arithmetic.integers import Array
from nitic.ir.layout import BatchLast
from nitic.ir.op import NnOp
from nitic.ir.types import shape_of
from nitic.ops.bfp import ExpAddOp, ExpCommonOp, RangeOp, RoundShiftOp, ShiftOp
from nitic.ops.conv import ConvOp, Window
from nitic.ops.elementwise import AddOp, ReluDgradOp, ReluOp
from nitic.ops.fused import FusedOp
from nitic.ops.pack import PackOp
from tests.emulator.emulator import needs_compiler
from tests.kernels.harness import CUDA, Build, Data, compiled, kernel_of, make_group, packed_types, reference, scalar
from tests.support.operators import type_of

pytestmark = needs_compiler
RANGE = 2  # its place among the operators of a layer
CONDITION = re.compile(r"!= used\[0\]")


def layer(x: SSAValue, w: SSAValue, dy: SSAValue) -> list[NnOp]:
    groups = shape_of(x)[3] // shape_of(w)[3]
    conv = ConvOp.over(x, w, Window(pads=(1, 1, 1, 1), groups=groups))
    relu = ReluOp.of(conv.acc)
    taken = RangeOp.of(relu.y)
    shift = ShiftOp.of(taken.r, bits=7)
    rounded = RoundShiftOp.of(relu.y, shift.s, round="nearest", to="i8")
    return [conv, relu, taken, shift, rounded, ReluDgradOp.of(rounded.y, dy)]


def operands(scale: int, channels: int) -> list[Array]:
    data = Data(scale, "random")
    x, w, dy = data.i8(2, 5, 4, 8), data.other(1).i8(8, 3, 3, channels), data.other(2).i8(2, 5, 4, 8)
    return [x // scale, w, dy]


def group_of(arrays: Sequence[Array], build: Build = layer, keep: Sequence[tuple[int, int]] = ((RANGE, 0),)) -> FusedOp:
    types = [type_of(array) for array in arrays]
    return make_group(build, packed_types(build, types, CUDA, nonnegative=False), keep)


def is_right(found: Sequence[Array], expected: Sequence[Array]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("channels", [8, 1])
def test_every_step_has_the_bits_of_the_plain_form(channels: int) -> None:
    """The shift falls, stays, and rises again; with tensor cores, and of a depthwise convolution."""
    group = group_of(operands(1, channels))
    call = compiled(group, CUDA)
    for order, scale in enumerate((1, 30, 30, 2, 1)):
        arrays = operands(scale, channels)
        assert is_right(call(arrays, order), reference(group, arrays)), scale


def test_the_second_kernel_does_its_work_only_where_the_guess_was_wrong() -> None:
    """Where it never does, the first step is wrong, and the second one, with the same shift, right."""
    arrays = operands(1, 8)
    group = group_of(arrays)
    changed: list[int] = []

    def never(text: str) -> str:
        text, count = CONDITION.subn("== -1", text)
        changed.append(count)
        return text

    call, expected = compiled(group, CUDA, never), reference(group, arrays)
    assert changed == [1]
    assert not is_right(call(arrays, 1), expected)
    assert is_right(call(arrays, 1), expected)


def packed_layer(x: SSAValue, w: SSAValue, dy: SSAValue) -> list[NnOp]:
    *ops, gate = layer(x, w, dy)
    return [*ops, gate, PackOp.of(gate.result, layout=str(BatchLast()))]


def test_both_layouts_are_written_again() -> None:
    data = Data(7, "random")
    arrays = [data.i8(16, 3, 2, 8), data.other(1).i8(8, 3, 3, 8), data.other(2).i8(16, 3, 2, 8)]
    group = group_of(arrays, packed_layer, [(RANGE, 0), (5, 0)])
    call = compiled(group, CUDA)
    for order in range(2):
        assert is_right(call(arrays, order), reference(group, arrays)), order


def residual(x: SSAValue, w: SSAValue, skip: SSAValue, e: SSAValue, e_skip: SSAValue, r_skip: SSAValue) -> list[NnOp]:
    """A convolution, a sum with something else, and both roundings: the second range follows the first shift."""
    conv = ConvOp.over(x, w, Window(pads=(1, 1, 1, 1)))
    first = RangeOp.of(conv.acc)
    shift = ShiftOp.of(first.r, bits=7)
    rounded = RoundShiftOp.of(conv.acc, shift.s, round="nearest", to="i8")
    here = ExpAddOp.of(e, shift.s)
    common = ExpCommonOp.of(here.e, e_skip, first.r, r_skip)
    total = AddOp.of(rounded.y, skip, here.e, e_skip, common.e)
    second = RangeOp.of(total.y)
    last = ShiftOp.of(second.r, bits=7)
    out = RoundShiftOp.of(total.y, last.s, round="nearest", to="i8")
    pack = PackOp.of(out.y, layout=str(BatchLast()))
    return [conv, first, shift, rounded, here, common, total, second, last, out, pack]


SCALES = [(1, 1), (1, 1), (30, 1), (30, 1), (30, 100), (0, 1), (0, 1), (1, 0), (0, 0), (5, 5)]
"""What convolution and other operand are divided by; 0 makes them zero, and the exponent of the sum another one."""


def residual_operands(scales: tuple[int, int], exponents: tuple[int, int]) -> list[Array]:
    data = Data(9, "random")
    x, skip = (
        array // scale if scale else array * 0
        for array, scale in zip((data.i8(16, 3, 2, 8), data.other(2).i8(16, 3, 2, 8)), scales, strict=True)
    )
    return [
        x,
        data.other(1).i8(8, 3, 3, 8),
        skip,
        *map(scalar, exponents),
        scalar(abs(skip.astype(int)).max(), np.int64),
    ]


@pytest.mark.parametrize("exponents", [(-12, -3), (0, -1), (-30, 0)])
def test_a_sum_of_what_was_guessed(exponents: tuple[int, int]) -> None:
    """Either shift changes, both, or none; a range of what was guessed is taken again where the guess was wrong."""
    first = residual_operands(SCALES[0], exponents)
    named = {3: "exponent", 4: "exponent", 5: "range"}
    types = [type_of(named.get(i, array)) for i, array in enumerate(first)]
    keep = [(1, 0), (3, 0), (7, 0), (9, 0), (5, 0)]
    group = make_group(residual, packed_types(residual, types, CUDA, nonnegative=False), keep)
    assert [stage.name for stage in kernel_of(group, "kernel", CUDA).stages] == ["kernel_guess", "kernel_1", "kernel"]
    call = compiled(group, CUDA)
    for order, scales in enumerate(SCALES):
        arrays = residual_operands(scales, exponents)
        assert is_right(call(arrays, order), reference(group, arrays)), (order, scales)


def test_what_is_kept() -> None:
    kernel = kernel_of(group_of(operands(1, 8)), "kernel", CUDA)
    assert [stage.name for stage in kernel.stages] == ["kernel_guess", "kernel"]
    assert [name for name, scratch in kernel.scratch.items() if scratch.kept] == ["guess"]
