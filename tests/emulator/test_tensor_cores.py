"""The tensor core template where random shapes do not lead: cut sums, and what barriers and waits are for."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from xdsl.ir import SSAValue
from xdsl.rewriter import Rewriter

from nitic.arithmetic.integers import Array
from nitic.codegen.contractions.mma import cut_product
from nitic.codegen.cuda import stages
from nitic.errors import CompileError
from nitic.ir.layout import BatchLast
from nitic.ir.op import NnOp
from nitic.ir.types import i64, shape_of, tensor
from nitic.ops.bfp import RangeOp, RoundShiftOp
from nitic.ops.conv import ConvDgradOp, ConvOp, Window
from nitic.ops.elementwise import ReluOp
from nitic.ops.fused import FusedOp
from nitic.ops.gemm import GemmDgradOp, GemmOp, GemmWgradOp
from nitic.ops.pack import PackOp
from tests.emulator.emulator import EmulatorError, needs_compiler
from tests.kernels.harness import (
    CUDA,
    Build,
    Change,
    Data,
    kernel_of,
    make_group,
    one,
    packed_types,
    reference,
    run,
    scalar,
)
from tests.support.operators import type_of

pytestmark = needs_compiler
BOTH_ORDERS = (1, 2)
NAMED = re.compile(r"^ +(nitic_\w+_barrier\(\)|nitic_copy_wait<\d+>\(\)|nitic_copy_commit\(\));", re.MULTILINE)


def group_of(build: Build, operands: Sequence[Array], keep: Sequence[tuple[int, int]] = ()) -> FusedOp:
    types = [type_of(operand) for operand in operands]
    return make_group(build, packed_types(build, types, CUDA, nonnegative=False), keep)


def is_right(group: FusedOp, operands: Sequence[Array], threads: int, change: Change = str) -> bool:
    try:
        found = run(group, CUDA, operands, threads, change)
    except EmulatorError:
        return False
    return all(np.array_equal(a, b) for a, b in zip(found, reference(group, operands), strict=True))


def test_parts_of_sums_merge() -> None:
    """Long sums with few results are cut; the kernel adds to memory that is zero."""
    operands = Data(1, "random").i8(3000, 20), Data(2, "random").i8(3000, 9)
    group = group_of(one(GemmWgradOp), operands)
    assert kernel_of(group, "kernel", CUDA).zeroed == ("r0",)
    assert cut_product(9, 20, 3008, 2**17).parts == 7
    assert all(is_right(group, operands, threads) for threads in BOTH_ORDERS)


def test_too_many_blocks_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "MOST_BLOCKS", 1)
    group = group_of(one(GemmOp), (Data(1, "random").i8(64, 16), Data(2, "random").i8(96, 16)))
    with pytest.raises(CompileError, match=r"kernel: \d+ blocks are beyond 1: use a smaller batch"):
        kernel_of(group, "kernel", CUDA)


def wide_product(x: SSAValue, dy: SSAValue) -> list[NnOp]:
    op = GemmWgradOp.of(x, dy)
    Rewriter.replace_value_with_new_type(op.results[0], tensor(shape_of(op.results[0]), i64))
    return [op]


def test_sums_beyond_int32_are_cut_to_parts_that_are_not() -> None:
    operands = Data(1, "largest").i8(140_000, 2), Data(2, "largest").i8(140_000, 1)
    group = group_of(wide_product, operands)
    assert reference(group, operands)[0].max() == 140_000 * 127**2 > 2**31
    assert cut_product(1, 2, 140_000, 2**17).parts >= 2
    assert is_right(group, operands, 1)


def in_both_layouts(first: Build) -> Build:
    """What a contraction makes, rounded, row-major and with the batch innermost."""

    def build(a: SSAValue, b: SSAValue, shift: SSAValue) -> list[NnOp]:
        (contraction,) = first(a, b)
        rounded = RoundShiftOp.of(contraction.result, shift, round="nearest", to="i8")
        return [contraction, rounded, PackOp.of(rounded.y, layout=str(BatchLast()))]

    return build


WINDOW = Window((2, 1), (1, 0, 1, 2))
CONTRACTIONS = {
    "conv": (one(ConvOp, **WINDOW.properties()), (7, 5, 12), (9, 3, 3, 12)),
    "wide conv": (one(ConvOp, **WINDOW.properties()), (12, 9, 32), (120, 3, 3, 32)),
    "conv_dgrad": (one(ConvDgradOp, size=(7, 5), **WINDOW.properties()), (4, 5, 20), (20, 3, 3, 34)),
    "groups of 6": (one(ConvOp, **replace(WINDOW, groups=3).properties()), (7, 5, 18), (15, 3, 3, 6)),
    "groups of 8": (one(ConvOp, **replace(WINDOW, groups=6).properties()), (4, 5, 48), (24, 3, 3, 8)),
    "groups of 16": (
        one(ConvDgradOp, size=(7, 5), **replace(WINDOW, groups=2).properties()),
        (4, 5, 32),
        (32, 3, 3, 5),
    ),
    "gemm": (one(GemmOp), (40,), (130, 40)),
    "gemm_dgrad": (one(GemmDgradOp), (11,), (11, 64)),
}


@pytest.mark.parametrize("images", [16, 96])
@pytest.mark.parametrize("name", CONTRACTIONS)
def test_both_layouts_at_once(name: str, images: int) -> None:
    """Sixteen or 32 images lie side by side; rows and columns end within a tile and a warp's part of it."""
    build, x, w = CONTRACTIONS[name]
    operands = Data(5, "random").i8(images, *x), Data(6, "random").i8(*w), scalar(9)
    group = group_of(in_both_layouts(build), operands, keep=[(1, 0)])
    assert all(is_right(group, operands, threads) for threads in BOTH_ORDERS)


def convolution(x: SSAValue, w: SSAValue, shift: SSAValue) -> list[NnOp]:
    """Two ranges: the second waits for the readers of the first. Two layouts."""
    conv = ConvOp.over(x, w, Window(pads=(1, 1, 1, 1)))
    relu = ReluOp.of(conv.acc)
    rounded = RoundShiftOp.of(relu.y, shift, round="nearest", to="i8")
    pack = PackOp.of(rounded.y, layout=str(BatchLast()))
    return [conv, RangeOp.of(conv.acc), relu, RangeOp.of(relu.y), rounded, pack]


def mutants() -> list[int]:
    """Every named barrier, wait and end of a group in the text of a convolution, by position."""
    return list(range(11))


@pytest.fixture(scope="module")
def case() -> tuple[FusedOp, Sequence[Array]]:
    """The first range, not the second, is that of what the last warp of the last block computes."""
    x, w = Data(3, "random").i8(16, 4, 3, 48) // 8, abs(Data(4, "random").i8(40, 3, 3, 48))
    x[-1, -2:] = -127
    operands = x, w, scalar(14)
    return group_of(convolution, operands, keep=[(2, 0), (4, 0)]), operands


def test_the_convolution_itself_is_right(case: tuple[FusedOp, Sequence[Array]]) -> None:
    group, operands = case
    found: list[str] = []
    assert is_right(group, operands, 1, lambda text: found.extend(NAMED.findall(text)) or text)
    assert is_right(group, operands, 2)
    assert len(found) == len(mutants()), found


@pytest.mark.parametrize("mutant", mutants())
def test_without_a_barrier_or_wait_it_is_wrong(case: tuple[FusedOp, Sequence[Array]], mutant: int) -> None:
    group, operands = case

    def remove(text: str) -> str:
        place = list(NAMED.finditer(text))[mutant]
        return text[: place.start()] + text[place.end() :]

    assert not all(is_right(group, operands, threads, remove) for threads in BOTH_ORDERS)
