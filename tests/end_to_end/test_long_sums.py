"""Reductions longer than int32 can hold: int64 accumulators, with the bits of the interpreter."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nitic.frontend.writer import NetworkWriter
from nitic.ir.types import element_of, i64
from tests.end_to_end.test_exports import assert_same_bits


def linear() -> NetworkWriter:
    """76,800 products for each output."""
    net = NetworkWriter("long", (3, 160, 160), 0)
    net.linear("fc", 5)
    net.relu()
    net.linear("head", 3)
    return net


def pool() -> NetworkWriter:
    """Averages of 784 elements, whose multiplier takes the sum beyond int32."""
    net = NetworkWriter("pool", (1, 28, 28), 0)
    net.conv("conv", 4, 3, pad=1)
    net.global_average_pool()
    net.linear("head", 3)
    return net


@pytest.mark.parametrize("writer", [linear, pool])
def test_long_reductions(writer: Callable[[], NetworkWriter], tmp_path: Path) -> None:
    writer().save(tmp_path / "net.onnx")
    program = assert_same_bits(tmp_path / "net.onnx")
    sums = [op for op in program.module.walk() if op.name in {"nn.gemm", "nn.avg_pool"}]
    assert any(element_of(op.results[0]) == i64 for op in sums)
