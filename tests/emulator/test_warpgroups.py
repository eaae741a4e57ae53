"""Products of four warps together, as sm_90a has them: the same kernels with the other half of a tile's functions."""

import re
from collections.abc import Sequence

import pytest
from xdsl.ir import SSAValue

from nitic.arithmetic.integers import Array
from nitic.codegen.contractions.mma import choose_tile
from nitic.ir.op import NnOp
from nitic.ops.bfp import RangeOp
from nitic.ops.conv import ConvOp, Window
from nitic.ops.fused import FusedOp
from tests.emulator.emulator import needs_compiler
from tests.emulator.test_tensor_cores import BOTH_ORDERS, CONTRACTIONS, group_of, in_both_layouts, is_right
from tests.kernels.harness import Data, scalar

pytestmark = needs_compiler
TOGETHER = "#undef NITIC_WGMMA\n#define NITIC_WGMMA 1\n"
NAMED = re.compile(
    r"^ +(nitic_(?:\w+_barrier|copy_commit|proxy_fence|products_begin|products_wait)\(\)|nitic_copy_wait<\d+>\(\));",
    re.MULTILINE,
)


def convolution(x: SSAValue, w: SSAValue) -> list[NnOp]:
    conv = ConvOp.over(x, w, Window(pads=(1, 1, 1, 1)))
    return [conv, RangeOp.of(conv.acc)]


def case(images: int, channels: int, outputs: int) -> tuple[FusedOp, Sequence[Array]]:
    operands = Data(5, "random").i8(images, 8, 8, channels), Data(6, "random").i8(outputs, 3, 3, channels)
    return group_of(convolution, operands, keep=[(0, 0)]), operands


@pytest.mark.parametrize(
    ("images", "channels", "outputs", "tile"),
    [(2, 32, 128, (128, 128)), (2, 16, 60, (128, 64)), (1, 16, 64, (64, 64)), (2, 5, 120, (128, 128))],
)
def test_a_convolution(images: int, channels: int, outputs: int, tile: tuple[int, int]) -> None:
    """Whole tiles of each size; a tile that is not full, and channels that threads gather."""
    assert choose_tile(images * 64, outputs).block == tile
    group, operands = case(images, channels, outputs)
    assert all(is_right(group, operands, order, lambda text: TOGETHER + text) for order in BOTH_ORDERS)


def test_both_layouts_at_once() -> None:
    build, x, w = CONTRACTIONS["wide conv"]
    operands = Data(5, "random").i8(64, *x), Data(6, "random").i8(*w), scalar(9)
    assert choose_tile(64 * 6 * 9, 120).together
    group = group_of(in_both_layouts(build), operands, keep=[(1, 0)])
    assert all(is_right(group, operands, order, lambda text: TOGETHER + text) for order in BOTH_ORDERS)


OTHERS = 2  # barriers of the range, of which test_tensor_cores.py makes mutants
MUTANTS = 11


@pytest.fixture(scope="module")
def mutated() -> tuple[FusedOp, Sequence[Array]]:
    return case(2, 24, 128)


def test_how_many_mutants_there_are(mutated: tuple[FusedOp, Sequence[Array]]) -> None:
    found: list[str] = []
    assert is_right(*mutated, 1, lambda text: found.extend(NAMED.findall(text)) or TOGETHER + text)
    assert len(found) == OTHERS + MUTANTS, found


@pytest.mark.parametrize("mutant", range(MUTANTS))
def test_without_a_barrier_fence_or_wait_it_is_wrong(mutated: tuple[FusedOp, Sequence[Array]], mutant: int) -> None:
    def remove(text: str) -> str:
        place = list(NAMED.finditer(text))[OTHERS + mutant]
        return TOGETHER + text[: place.start()] + text[place.end() :]

    assert not all(is_right(*mutated, order, remove) for order in BOTH_ORDERS)
