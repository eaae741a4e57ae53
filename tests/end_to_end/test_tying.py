"""A parameter that several nodes use, in several layouts, trains as one: its gradients add up as accumulators."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nitic.frontend.importer import import_onnx
from tests.end_to_end.test_exports import assert_same_bits
from tests.networks.stages import gradient_pairs


def tied_network(folder: Path) -> Path:
    """An encoder whose decoder is its transpose, and a filter that is a matrix, too."""
    rng = np.random.default_rng(0)
    shapes = {"conv": (8, 8, 1, 1), "first": (8, 3, 3, 3), "code": (8, 6), "a": (6,), "b": (8,), "last": (8, 5)}
    weights = [numpy_helper.from_array(rng.normal(0, 0.4, s).astype(np.float32), n) for n, s in shapes.items()]
    nodes = [
        node("Conv", "x first", "c1", pads=[1, 1, 1, 1]),
        node("Relu", "c1", "r1"),
        node("Conv", "r1 conv", "c2"),
        node("Relu", "c2", "r2"),
        node("Conv", "r2 conv", "c3"),
        node("GlobalAveragePool", "c3", "g"),
        node("Flatten", "g", "f"),
        node("Gemm", "f code a", "h"),
        node("Relu", "h", "r3"),
        node("Gemm", "r3 code b", "d", transB=1),
        node("Flatten", "conv", "matrix"),
        node("Gemm", "d matrix b", "m"),
        node("Relu", "m", "r4"),
        node("Gemm", "r4 last", "y"),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 6, 6])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 5])
    graph = helper.make_graph(nodes, "tied", [x], [y], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "tied.onnx")
    return folder / "tied.onnx"


def node(op: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), [output], name=output, **attributes)


@pytest.mark.parametrize("recipe", ["niti16", "niti"])
def test_training_equals_the_interpreter(tmp_path: Path, recipe: str) -> None:
    program = assert_same_bits(tied_network(tmp_path), recipe=recipe)
    assert {"conv", "first", "code", "a", "b", "last"} <= set(program.state)
    names = [op.name for op in program.module.walk()]
    assert names.count("nn.accumulate") == 4  # conv twice, code, b


def test_a_tied_and_frozen_parameter(tmp_path: Path) -> None:
    assert_same_bits(tied_network(tmp_path), freeze=["code", "b"])


def test_integer_gradients_point_where_float_gradients_do(tmp_path: Path) -> None:
    pairs = gradient_pairs(import_onnx(tied_network(tmp_path), 32))
    assert len(pairs) == 6
    for name, (exact, found) in pairs.items():
        cosine = (found * exact).sum() / np.linalg.norm(found) / np.linalg.norm(exact)
        assert cosine > 0.97, name
        assert np.linalg.norm(found) == pytest.approx(np.linalg.norm(exact), rel=0.1), name
