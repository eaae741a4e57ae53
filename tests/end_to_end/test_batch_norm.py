"""Batch norm behind operators that only move values: it takes int16 mantissas, with the same bits however it runs."""

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from nitic.ir.types import element_of, i16
from tests.end_to_end.test_convolutions import head, node, norm
from tests.end_to_end.test_exports import assert_same_bits
from tests.support.onnx_models import random, save_network


@pytest.mark.parametrize("residual", [False, True], ids=["alone", "beside a residual connection"])
def test_batch_norm_behind_a_reshape_and_a_transpose(tmp_path: Path, residual: bool) -> None:
    """A linear layer whose outputs become 8 channels of 3x3: in NHWC that is a reshape and a transpose."""
    shape = np.array([6, 8, 3, 3], np.int64)
    first = [
        node("Flatten", "x", "flat_x"),
        node("Gemm", "flat_x grow.w grow.b", "a", transB=1),
        node("Reshape", "a shape", "b"),
    ]
    middle, values = norm("b", "c", 8)
    joined = [helper.make_node("Add", ["c", "b"], ["d"], name="make_d")] if residual else []
    ends, weights = head("d" if residual else "c", 8)
    parameters = {"grow.w": random(72, 48), "grow.b": random(72), "shape": shape, **values, **weights}
    model = save_network(tmp_path / "net.onnx", [*first, *middle, *joined, *ends], (6, 3, 4, 4), parameters)
    program = assert_same_bits(model)
    taken = [op for op in program.train_step.walk() if op.name == "nn.batch_norm_statistics"]
    assert [element_of(op.operands[0]) for op in taken] == [i16]
