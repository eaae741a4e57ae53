"""Reductions longer than int32 can hold: int64 accumulators, with the bits of the interpreter."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import nitic
from nitic.frontend.writer import NetworkWriter
from nitic.ir.types import element_of, i64
from nitic.options import Target
from tests.end_to_end.test_exports import BATCH, STEPS, interpreted, supported


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
    compiled = nitic.compile(tmp_path / "net.onnx", batch_size=BATCH, target=Target.X86_64_AVX512VNNI)
    program, rng = compiled.program, np.random.default_rng(0)
    assert any(
        element_of(r) == i64 for op in program.module.walk() for r in op.results if op.name != "nn.cross_entropy"
    )
    x = rng.choice(np.array([0, 255], np.uint8), (STEPS * BATCH, *program.input_shape[1:]))
    y = rng.integers(0, 3, STEPS * BATCH)
    expected = interpreted(program, x, y)
    for variant in supported(program):
        session = nitic.TrainingSession(compiled, threads=2, variant=variant)
        session.configure(lr="2^-6", momentum="0.9", schedule="constant")
        session.set_statistics(x)
        session.begin_epoch(0)
        for i in range(0, len(x), BATCH):
            session.train_step(x[i : i + BATCH], y[i : i + BATCH])
        found = session.state_dict()
        assert [n for n in expected if not np.array_equal(found[n], expected[n])] == []
