"""Sums over long axes on a GPU: cut to parts, in a kernel before the one that has the group's tail."""

import numpy as np
import pytest
from xdsl.ir import SSAValue

from nitic.codegen.cuda.parts import THREADS, parts_of
from nitic.ir.op import NnOp
from nitic.ops.bfp import RangeOp
from nitic.ops.elementwise import BiasGradOp
from nitic.ops.statistics import BatchNormStatisticsOp
from tests.emulator.emulator import needs_compiler
from tests.kernels.harness import CUDA, Data, check, kernel_of, make_group, one
from tests.support.operators import type_of


def bias_grad(dy: SSAValue) -> list[NnOp]:
    op = BiasGradOp.of(dy)
    return [op, RangeOp.of(op.db)]


def test_the_sums_of_a_group_that_yields_them_lie_in_its_result() -> None:
    kernel = kernel_of(make_group(bias_grad, [type_of(Data(1, "random").i8(496, 6))], keep=[(0, 0)]), "kernel", CUDA)
    assert [(stage.name, stage.zeroed) for stage in kernel.stages] == [("kernel_parts", ("r0",)), ("kernel", ())]
    assert kernel.before[0].units == 6 * parts_of(6, 496)
    assert not kernel.scratch


def test_others_lie_in_scratch_memory() -> None:
    """Of a batch norm the sums of values and of squares, 64 bits each."""
    group = make_group(one(BatchNormStatisticsOp), [type_of(Data(1, "random").integers((500, 6), 9, np.int16))])
    kernel = kernel_of(group, "kernel", CUDA)
    assert kernel.before[0].zeroed == ("sums",)
    assert {name: scratch.count for name, scratch in kernel.scratch.items()} == {"sums": 12}


def test_there_are_no_more_parts_than_a_gpu_is_busy_with() -> None:
    assert parts_of(64, 2**18) == THREADS // 64
    assert parts_of(2 * THREADS, 2**18) == 1
    assert parts_of(64, 5) == 1


@needs_compiler
@pytest.mark.parametrize("character", ["random", "largest"])
def test_many_parts(character: str) -> None:
    check(one(BatchNormStatisticsOp), (Data(1, character).integers((3000, 3), 32767, np.int16),), CUDA)
    check(bias_grad, (Data(2, character).i8(7, 11, 13, 5),), CUDA, keep=[(0, 0)])
