"""Rounding by the shift of the step before: always the bits of the plain form, and a second time only where need be."""

import re
from collections.abc import Sequence

import numpy as np
import pytest
from xdsl.ir import SSAValue

from nitic.codegen.table import CUDA, emit
from nitic.ir.layout import BatchLast
from nitic.ir.op import NnOp
from nitic.ir.types import shape_of
from nitic.numerics import Array
from nitic.ops.bfp import RangeOp, RoundShiftOp, ShiftOp
from nitic.ops.conv import ConvOp, Window
from nitic.ops.elementwise import ReluDgradOp, ReluOp
from nitic.ops.fused import FusedOp
from nitic.ops.pack import PackOp
from tests.emulator.emulator import needs_compiler
from tests.kernels.harness import Build, Data, compiled, make_group, packed_types, reference
from tests.support import type_of

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


def test_what_is_kept() -> None:
    kernel = emit(group_of(operands(1, 8)), "kernel", CUDA)
    assert [stage.name for stage in kernel.stages] == ["kernel_guess", "kernel"]
    assert [name for name, scratch in kernel.scratch.items() if scratch.kept] == ["guess"]
