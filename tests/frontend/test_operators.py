"""One ONNX operator at a time, imported and interpreted, against onnxruntime."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from frontend.support import (
    Array,
    check_against_onnxruntime,
    log_softmax,
    logits,
    onnxruntime_output,
    random,
    save_network,
)
from onnx import helper

from nitic.frontend.onnx import import_onnx
from nitic.ir.function import argument_labels, function

X = (2, 4, 7, 6)
I64 = np.int64


def node(op: str, inputs: str = "x", output: str = "t", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), [output], name=f"make_{output}", **attributes)


def classifier(rest: int) -> tuple[list[onnx.NodeProto], dict[str, Array]]:
    """From the value `t` with `rest` elements per sample to the output."""
    nodes = [node("Flatten", "t", "flat"), node("Gemm", "flat last.weight", "y", transB=1)]
    return nodes, {"last.weight": random(3, rest, seed=9)}


CONVS: dict[str, dict[str, Any]] = {
    "plain": {},
    "kernel_shape": {"kernel_shape": [3, 3]},
    "pads": {"pads": [1, 1, 1, 1]},
    "asymmetric": {"pads": [2, 0, 1, 1]},
    "strides": {"strides": [2, 3]},
    "dilations": {"dilations": [2, 1], "pads": [1, 2, 1, 0]},
    "groups": {"group": 2},
    "depthwise": {"group": 4, "pads": [1, 1, 1, 1]},
    "same_upper": {"auto_pad": "SAME_UPPER"},
    "same_upper_strided": {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
    "same_lower_strided": {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
    "same_upper_strided_3": {"auto_pad": "SAME_UPPER", "strides": [3, 2]},
    "valid": {"auto_pad": "VALID"},
}


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("case", CONVS)
def test_conv(tmp_path: Path, case: str, bias: bool) -> None:
    attributes = CONVS[case]
    values = {"w": random(4, 4 // attributes.get("group", 1), 3, 3), "b": random(4)}
    conv = node("Conv", "x w b" if bias else "x w", **attributes)
    pool = [node("GlobalAveragePool", "t", "g"), node("Flatten", "g", "y")]
    path = save_network(tmp_path / "m.onnx", [conv, *pool], X, values)
    model = check_against_onnxruntime(path, random(*X))
    assert list(model.parameters) == (["w", "b"] if bias else ["w"])


@pytest.mark.parametrize(
    ("op", "attributes", "rest"),
    [
        ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2]}, 4 * 3 * 3),
        ("MaxPool", {"kernel_shape": [3, 2]}, 4 * 5 * 5),
        ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}, 4 * 4 * 3),
        ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 1, 1, 0]}, 4 * 3 * 3),
        ("MaxPool", {"kernel_shape": [3, 2], "strides": [2, 2], "ceil_mode": 1}, 4 * 3 * 3),
        ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"}, 4 * 4 * 3),
        ("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2]}, 4 * 3 * 3),
        ("AveragePool", {"kernel_shape": [2, 2], "pads": [1, 1, 1, 1], "count_include_pad": 1}, 4 * 8 * 7),
        ("GlobalAveragePool", {}, 4),
        ("ReduceMean", {"axes": [2, 3]}, 4),
        ("ReduceMean", {"axes": [-1, -2], "keepdims": 0}, 4),
        ("Relu", {}, 4 * 7 * 6),
        ("Identity", {}, 4 * 7 * 6),
        ("Dropout", {}, 4 * 7 * 6),
        ("Cast", {"to": 1}, 4 * 7 * 6),
        ("Transpose", {"perm": [0, 2, 3, 1]}, 4 * 7 * 6),
        ("Transpose", {"perm": [0, 3, 2, 1]}, 4 * 7 * 6),
        ("Flatten", {"axis": -3}, 4 * 7 * 6),
    ],
)
def test_without_parameters(tmp_path: Path, op: str, attributes: dict[str, Any], rest: int) -> None:
    nodes, values = classifier(rest)
    path = save_network(tmp_path / "m.onnx", [node(op, **attributes), *nodes], X, values)
    check_against_onnxruntime(path, random(*X))


LAYOUT_CHAINS: dict[str, list[onnx.NodeProto]] = {
    "reshape": [node("Reshape", "x minus", "t")],
    "reshape_zero": [node("Reshape", "x zero", "t")],
    "reshape_of_reshape": [node("Reshape", "x three", "a"), node("Reshape", "a minus", "t")],
    "transpose_twice": [node("Transpose", "x", "a", perm=[0, 2, 3, 1]), node("Transpose", "a", "t", perm=[0, 2, 1, 3])],
    "transpose_flat": [node("Reshape", "x three", "a"), node("Transpose", "a", "t", perm=[0, 2, 1])],
    "transpose_reshape_transpose": [
        node("Transpose", "x", "a", perm=[0, 2, 3, 1]),
        node("Reshape", "a three", "b"),
        node("Transpose", "b", "t", perm=[0, 2, 1]),
    ],
    "back_to_images": [
        node("Reshape", "x minus", "a"),
        node("Reshape", "a other", "b"),
        node("GlobalAveragePool", "b", "t"),
    ],
    "dropout_after_flatten": [node("Flatten", "x", "a"), node("Dropout", "a", "b"), node("Relu", "b", "t")],
    "bias_of_channels": [node("Add", "x b411", "t")],
    "bias_first": [node("Add", "b1411 x", "t")],
    "bias_of_last_axis": [node("Add", "x b6", "t")],
    "bias_after_flatten": [node("Flatten", "x", "a"), node("Add", "a b168", "t")],
    "unsqueeze": [node("Unsqueeze", "x axes", "a"), node("Squeeze", "a axes", "t")],
}


@pytest.mark.parametrize("case", LAYOUT_CHAINS)
def test_layout(tmp_path: Path, case: str) -> None:
    constants = {
        "minus": np.array([2, -1], I64),
        "zero": np.array([0, -1], I64),
        "three": np.array([2, 12, -1], I64),
        "other": np.array([-1, 6, 7, 4], I64),
        "axes": np.array([1, -1], I64),
        "b411": random(4, 1, 1),
        "b1411": random(1, 4, 1, 1),
        "b6": random(6),
        "b168": random(168),
    }
    nodes, values = classifier(6 if case == "back_to_images" else 168)
    used = {name for n in LAYOUT_CHAINS[case] for name in n.input}
    values |= {name: array for name, array in constants.items() if name in used}
    path = save_network(tmp_path / "m.onnx", [*LAYOUT_CHAINS[case], *nodes], X, values)
    check_against_onnxruntime(path, random(*X))


@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (0.5, 3.0), (1.0, 0.0)])
@pytest.mark.parametrize("c", ["", "c", "row"])
def test_gemm(tmp_path: Path, trans_b: int, alpha: float, beta: float, c: str) -> None:
    values = {"w": random(5, 6).reshape((5, 6) if trans_b else (6, 5)), "c": random(5), "row": random(1, 5)}
    gemm = node("Gemm", f"x w {c}".strip(), "y", transB=trans_b, alpha=alpha, beta=beta)
    path = save_network(tmp_path / "m.onnx", [gemm], (2, 6), values)
    model = check_against_onnxruntime(path, random(2, 6))
    assert model.parameters["w"].shape == (5, 6)
    for name, layout in model.layouts.items():
        np.testing.assert_allclose(layout.to_onnx(model.parameters[name]), values[layout.source], rtol=1e-6)


def test_matmul_of_a_sequence(tmp_path: Path) -> None:
    nodes, values = classifier(3 * 5)
    values |= {"w": random(6, 5), "b": random(5)}
    path = save_network(
        tmp_path / "m.onnx", [node("MatMul", "x w", "a"), node("Add", "a b", "t"), *nodes], (2, 3, 6), values
    )
    check_against_onnxruntime(path, random(2, 3, 6))


@pytest.mark.parametrize("axis", [1, -1])
def test_last_softmax_is_dropped(tmp_path: Path, axis: int) -> None:
    nodes = [node("Gemm", "x w", "t"), node("LogSoftmax", "t", "y", axis=axis)]
    path = save_network(tmp_path / "m.onnx", nodes, (2, 6), {"w": random(6, 5)})
    model, x = import_onnx(path), random(2, 6)
    np.testing.assert_allclose(log_softmax(logits(model, x)), onnxruntime_output(path, x), atol=1e-4)
    assert any("dropped" in note for note in model.notes)


def test_weight_through_identity_transpose_and_cast(tmp_path: Path) -> None:
    nodes = [
        node("Cast", "fc.weight", "f", to=1),
        node("Identity", "f", "i"),
        node("Transpose", "i", "wt", perm=[1, 0]),
        node("MatMul", "x wt", "y"),
    ]
    weight = random(5, 6).astype(np.float16)
    path = save_network(tmp_path / "m.onnx", nodes, (2, 6), {"fc.weight": weight})
    model = check_against_onnxruntime(path, random(2, 6))
    np.testing.assert_array_equal(model.parameters["fc.weight"], weight.astype(np.float32))


def test_shared_weight_is_one_parameter(tmp_path: Path) -> None:
    nodes = [node("Gemm", "x w", "a"), node("Relu", "a", "b"), node("Gemm", "b w", "y")]
    path = save_network(tmp_path / "m.onnx", nodes, (2, 6), {"w": random(6, 6)})
    assert list(check_against_onnxruntime(path, random(2, 6)).parameters) == ["w"]


TIED: dict[str, tuple[list[onnx.NodeProto], tuple[int, ...], tuple[int, ...]]] = {
    "gemm_both_ways": (
        [node("Gemm", "x w", "a"), node("Relu", "a", "b"), node("Gemm", "b w", "y", transB=1)],
        (2, 6),
        (6, 5),
    ),
    "matmul_of_a_transpose": (
        [node("MatMul", "x w", "a"), node("Transpose", "w", "wt", perm=[1, 0]), node("MatMul", "a wt", "y")],
        (2, 6),
        (6, 5),
    ),
    "scaled_alike": (
        [node("Gemm", "x w", "a", alpha=0.5), node("Gemm", "a w", "y", transB=1, alpha=0.5)],
        (2, 6),
        (6, 5),
    ),
    "filter_as_matrix": (
        [
            node("Conv", "x w", "a"),
            node("GlobalAveragePool", "a", "b"),
            node("Flatten", "b", "c"),
            node("Flatten", "w", "wm"),
            node("Gemm", "c wm", "y"),
        ],
        (2, 4, 5, 5),
        (4, 4, 1, 1),
    ),
    "filter_twice": (
        [
            node("Conv", "x w", "a"),
            node("Conv", "a w", "b"),
            node("GlobalAveragePool", "b", "c"),
            node("Flatten", "c", "y"),
        ],
        (2, 4, 6, 6),
        (4, 4, 3, 3),
    ),
}


@pytest.mark.parametrize("case", TIED)
def test_a_parameter_in_several_layouts_is_one(tmp_path: Path, case: str) -> None:
    nodes, x, w = TIED[case]
    path = save_network(tmp_path / "m.onnx", nodes, x, {"w": random(*w)})
    model = check_against_onnxruntime(path, random(*x))
    assert list(model.parameters) == ["w"]
    assert "parameter 'w' is used by several nodes, and trained as one" in model.notes


def test_statistics_that_start_from_one_tensor_go_their_own_ways(tmp_path: Path) -> None:
    """Tools merge equal tensors, and a new network's gammas and variances are all ones."""
    nodes = [
        node("BatchNormalization", "x one zero zero one", "a"),
        node("Relu", "a", "b"),
        node("BatchNormalization", "b one zero zero one", "c"),
        node("GlobalAveragePool", "c", "d"),
        node("Flatten", "d", "y"),
    ]
    values = {"one": np.ones(4, np.float32), "zero": np.zeros(4, np.float32)}
    model = check_against_onnxruntime(save_network(tmp_path / "m.onnx", nodes, X, values), random(*X))
    labels = argument_labels(function(model.module, "predict"))
    assert [label.role for label in labels].count("statistic") == 4
    assert [label.name for label in labels if label.role == "weight"] == ["one.2", "zero.2"]


def test_weights_computed_without_parameters(tmp_path: Path) -> None:
    """As in the light models of the onnx wheel, whose weights are ConstantOfShape."""
    value = helper.make_tensor("v", 1, [1], [0.5])
    nodes = [node("ConstantOfShape", "shape", "w", value=value), node("Gemm", "x w", "y")]
    path = save_network(tmp_path / "m.onnx", nodes, (2, 6), {"shape": np.array([6, 5], I64)})
    assert list(check_against_onnxruntime(path, random(2, 6)).parameters) == ["w"]
