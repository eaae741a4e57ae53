"""Pools, means and LRN against onnxruntime, with the semantics of opset 19 and later."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from nitic.errors import CompileError
from nitic.frontend.importer import import_onnx
from nitic.ops.product import ScaleConstOp
from tests.support.onnx_models import (
    Array,
    check_against_onnxruntime,
    logits,
    onnxruntime_output,
    random,
    save_network,
)

POOLS: dict[str, dict[str, Any]] = {
    "plain": {"kernel_shape": [3, 2]},
    "pads": {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
    "asymmetric": {"kernel_shape": [4, 3], "strides": [1, 2], "pads": [0, 1, 3, 2]},
    "same_upper": {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
    "same_lower": {"kernel_shape": [2, 3], "strides": [2, 2], "auto_pad": "SAME_LOWER"},
    "ceil": {"kernel_shape": [3, 2], "strides": [2, 2], "ceil_mode": 1},
    "ceil_pads": {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "ceil_mode": 1},
    "ceil_begins_in_padding": {"kernel_shape": [2, 2], "strides": [3, 5], "pads": [0, 0, 1, 1], "ceil_mode": 1},
    "dilations": {"kernel_shape": [3, 2], "dilations": [2, 3], "strides": [1, 2], "pads": [1, 1, 0, 1]},
    "dilations_ceil": {"kernel_shape": [2, 2], "dilations": [2, 2], "strides": [2, 2], "ceil_mode": 1},
    "whole": {"kernel_shape": [7, 6], "pads": [1, 2, 3, 0]},
}


def node(op: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), [output], name=f"make_{output}", **attributes)


def check(path: Path, pool: onnx.NodeProto, x: Array, opset: int = 19, **values: Array) -> None:
    """Every element of the result reaches the output: by its sums with two weights."""
    alone = save_network(path / "pool.onnx", [pool, node("Identity", "t", "y")], x.shape, values, opset)
    shape = onnxruntime_output(alone, x).shape
    weights = {"w": random(2, int(np.prod(shape[1:])))}
    tail = [node("Flatten", "t", "f"), node("Gemm", "f w", "y", transB=1)]
    check_against_onnxruntime(save_network(path / "m.onnx", [pool, *tail], x.shape, {**values, **weights}, opset), x)


@pytest.mark.parametrize("case", POOLS)
def test_max_pool(tmp_path: Path, case: str) -> None:
    check(tmp_path, node("MaxPool", "x", "t", **POOLS[case]), random(2, 3, 7, 6))


@pytest.mark.parametrize("count_include_pad", [0, 1])
@pytest.mark.parametrize("case", POOLS)
def test_average_pool(tmp_path: Path, case: str, count_include_pad: int) -> None:
    pool = node("AveragePool", "x", "t", count_include_pad=count_include_pad, **POOLS[case])
    check(tmp_path, pool, random(2, 3, 7, 6))


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_no_window_begins_behind_the_input(tmp_path: Path, op: str) -> None:
    """Rows 8 and 9 of 7 and one of padding: onnxruntime drops them, but ONNX's shape inference counts them."""
    pool = node(op, "x", "t", kernel_shape=[2, 3], strides=[4, 4], pads=[0, 1, 1, 0], ceil_mode=1)
    tail = [node("Conv", "t w", "c"), node("GlobalAveragePool", "c", "g"), node("Flatten", "g", "y")]
    path = save_network(tmp_path / "m.onnx", [pool, *tail], (2, 3, 7, 6), {"w": random(2, 3, 1, 1)}, 19)
    check_against_onnxruntime(path, random(2, 3, 7, 6))


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel_shape": [3]},
        {"kernel_shape": [3], "strides": [2], "pads": [1, 0], "ceil_mode": 1},
        {"kernel_shape": [2], "strides": [2], "auto_pad": "SAME_UPPER"},
        {"kernel_shape": [2], "dilations": [3]},
    ],
)
def test_one_dimension(tmp_path: Path, op: str, attributes: dict[str, Any]) -> None:
    check(tmp_path, node(op, "x", "t", **attributes), random(2, 3, 11))


@pytest.mark.parametrize("op", ["GlobalMaxPool", "GlobalAveragePool"])
@pytest.mark.parametrize("shape", [(2, 3, 7, 6), (2, 3, 11), (2, 3, 3, 2, 4), (2, 2, 20, 30)])
def test_global_pools(tmp_path: Path, op: str, shape: tuple[int, ...]) -> None:
    check(tmp_path, node(op, "x", "t"), random(*shape))


@pytest.mark.parametrize(
    "op", ["ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum", "ReduceSumSquare", "ReduceL1", "ReduceL2"]
)
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", [[1], [2], [3], [1, 2], [-1, 1], [2, 3], [1, 2, 3]])
def test_reductions(tmp_path: Path, op: str, keepdims: int, axes: list[int]) -> None:
    reduce = node(op, "x a", "t", keepdims=keepdims)
    check(tmp_path, reduce, random(2, 3, 7, 6), 18, a=np.array(axes, np.int64))


@pytest.mark.parametrize("constants", [{"size": 5}, {"size": 3, "alpha": 0.5, "beta": 0.5, "bias": 2.0}])
def test_local_response_normalisation(tmp_path: Path, constants: dict[str, Any]) -> None:
    check(tmp_path, node("LRN", "x", "t", **constants), random(2, 9, 4, 3))


@pytest.mark.parametrize("axes", [[1], [2], [1, 2]])
def test_means_of_sequences(tmp_path: Path, axes: list[int]) -> None:
    reduce = node("ReduceMean", "x", "t", keepdims=0, axes=axes)
    check(tmp_path, reduce, random(2, 5, 6), 13)


@pytest.mark.parametrize("declared", ["N", 1, 2])
@pytest.mark.parametrize(("op", "axes"), [("ReduceMean", [0]), ("ReduceMax", [0, 2]), ("ReduceSum", [0])])
def test_a_mean_over_steps_of_time(tmp_path: Path, op: str, axes: list[int], declared: int | str) -> None:
    """The samples are in the second axis."""
    nodes = [
        node("Transpose", "x", "t", perm=[1, 0, 2]),
        node("MatMul", "t v", "h"),
        node(op, "h a", "r", keepdims=1),
        node("Transpose", "r", "b", perm=[1, 0, 2]),
        node("Flatten", "b", "f"),
        node("MatMul", "f w", "y"),
    ]
    values = {"a": np.array(axes), "v": random(6, 4), "w": random(1 if 2 in axes else 4, 3)}
    path = save_network(tmp_path / "m.onnx", nodes, (declared, 5, 6), values, opset=18)
    x, each = random(4, 5, 6), 4 if declared == "N" else int(declared)
    expected = [onnxruntime_output(path, x[i : i + each]) for i in range(0, 4, each)]
    np.testing.assert_allclose(logits(import_onnx(path, 4), x), np.concatenate(expected), atol=1e-4)


@pytest.mark.parametrize(
    ("declared", "perm", "axes"), [("N", [1, 0, 2], [1]), (2, [1, 2, 0], [1, 2]), ("N", [0, 1, 2], [0])]
)
def test_a_mean_over_samples_is_refused(tmp_path: Path, declared: int | str, perm: list[int], axes: list[int]) -> None:
    nodes = [
        node("Transpose", "x", "t", perm=perm),
        node("ReduceMean", "t a", "r", keepdims=1),
        node("Flatten", "r", "f"),
        node("MatMul", "f w", "y"),
    ]
    path = save_network(
        tmp_path / "m.onnx", nodes, (declared, 5, 6), {"a": np.array(axes), "w": random(6, 3)}, opset=18
    )
    with pytest.raises(CompileError, match="it would mix the samples of a batch"):
        import_onnx(path, 4)


@pytest.mark.parametrize("count", [20, 7])
def test_a_sum_that_is_divided_is_one_factor(tmp_path: Path, count: int) -> None:
    """By the number of its elements it is a mean, without a factor."""
    nodes = [node("ReduceSum", "x a", "s", keepdims=0), node("Div", "s n", "d"), node("MatMul", "d w", "y")]
    values = {"a": np.array([2, 3]), "n": np.asarray(count, np.float32), "w": random(3, 5)}
    model = check_against_onnxruntime(
        save_network(tmp_path / "m.onnx", nodes, (2, 3, 4, 5), values), random(2, 3, 4, 5)
    )
    factors = [op for op in model.module.walk() if isinstance(op, ScaleConstOp) and any(op.y.uses)]
    assert len(factors) == (count != 20)
