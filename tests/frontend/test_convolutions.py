"""Transposed convolutions and sequences, imported and interpreted, against onnxruntime."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from nitic.errors import CompileError
from nitic.frontend.importer import import_onnx
from nitic.interpret import run_function
from nitic.ir.function import argument, function
from nitic.ir.types import shape_of
from nitic.ops.reshape import TransposeOp
from tests.support.onnx_models import Array, check_against_onnxruntime, onnxruntime_output, random, save_network


def node(op: str, inputs: str = "x", output: str = "t", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), [output], name=f"make_{output}", **attributes)


TRANSPOSED: dict[str, dict[str, Any]] = {
    "plain": {},
    "strides": {"strides": [2, 3]},
    "asymmetric": {"pads": [2, 0, 1, 1], "strides": [2, 1]},
    "output_padding": {"strides": [2, 3], "output_padding": [1, 2], "pads": [1, 1, 1, 1]},
    "output_shape": {"strides": [2, 2], "output_shape": [8, 9]},
    "output_shape_upper": {"strides": [2, 2], "output_shape": [8, 9], "auto_pad": "SAME_UPPER"},
    "dilations": {"dilations": [2, 1], "pads": [1, 2, 1, 0]},
    "groups": {"group": 2},
    "depthwise": {"group": 4, "strides": [2, 2], "pads": [1, 1, 1, 1]},
    "same_upper": {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
    "same_lower": {"auto_pad": "SAME_LOWER", "strides": [2, 1]},
    "valid": {"auto_pad": "VALID", "strides": [2, 2]},
}


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("case", TRANSPOSED)
def test_conv_transpose(tmp_path: Path, case: str, bias: bool) -> None:
    attributes = TRANSPOSED[case]
    values = {"w": random(4, 4 // attributes.get("group", 1), 3, 3), "b": random(4)}
    conv = node("ConvTranspose", "x w b" if bias else "x w", **attributes)
    weighted = [node("Conv", "t v", "c"), node("GlobalAveragePool", "c", "g"), node("Flatten", "g", "y")]
    path = save_network(tmp_path / "m.onnx", [conv, *weighted], (2, 4, 4, 5), {**values, "v": random(3, 4, 2, 2)})
    model = check_against_onnxruntime(path, random(2, 4, 4, 5))
    for name, conversion in model.conversions.items():
        np.testing.assert_array_equal(
            conversion.to_onnx(model.parameters[name]), {**values, "v": random(3, 4, 2, 2)}[name]
        )


REFUSED: list[tuple[dict[str, Any], tuple[int, ...], str]] = [
    ({"output_padding": [1, 0]}, (4, 3, 3, 3), r"output_padding \[1, 0\] is not below the strides \[1, 1\]"),
    ({"output_shape": [30, 30]}, (4, 3, 3, 3), "no convolution of"),
    ({"group": 3}, (4, 3, 3, 3), "4 output channels are not a multiple of 3 groups"),
    ({}, (3, 4, 3, 3), "input has 4 channels but the filter expects 3"),
    ({}, (4, 3, 3), "only 1-D and 2-D convolution"),
]


@pytest.mark.parametrize(("attributes", "shape", "message"), REFUSED)
def test_what_no_transposed_convolution_is(
    tmp_path: Path, attributes: dict[str, Any], shape: tuple[int, ...], message: str
) -> None:
    conv = node("ConvTranspose", "x w", "y", **attributes)
    path = save_network(tmp_path / "m.onnx", [conv], (2, 4, 4, 5), {"w": random(*shape)})
    with pytest.raises(CompileError, match=message):
        import_onnx(path)


NORM = {"gamma": random(6), "beta": random(6), "mean": random(6), "var": np.abs(random(6)) + 1}
SEQUENCES: dict[str, list[onnx.NodeProto]] = {
    "conv": [node("Conv", "x w b", "t", pads=[2, 1], strides=[2], dilations=[2], kernel_shape=[3])],
    "same": [node("Conv", "x w", "t", auto_pad="SAME_UPPER", strides=[2])],
    "groups": [node("Conv", "x grouped", "t", group=2)],
    "transposed": [node("ConvTranspose", "x flipped b", "t", strides=[2], output_padding=[1], pads=[1, 0])],
    "transposed_shape": [node("ConvTranspose", "x flipped", "t", strides=[2], output_shape=[22])],
    "norm": [node("Conv", "x w", "a"), node("BatchNormalization", "a gamma beta mean var", "t")],
    "pools": [
        node("Conv", "x w", "a"),
        node("MaxPool", "a", "pooled", kernel_shape=[3], strides=[2], pads=[1, 0]),
        node("AveragePool", "pooled", "t", kernel_shape=[2]),
    ],
    "residual": [node("Conv", "x w", "a"), node("Relu", "a", "c"), node("Add", "a c", "t")],
    "bias": [node("Conv", "x w", "a"), node("Add", "a column", "t")],
    "images": [node("Conv", "x w", "a"), node("Unsqueeze", "a two", "c"), node("Conv", "c image", "t")],
}


@pytest.mark.parametrize("case", SEQUENCES)
def test_sequences(tmp_path: Path, case: str) -> None:
    nodes = [*SEQUENCES[case], node("Flatten", "t", "flat"), node("Gemm", "flat last", "y", transB=1)]
    weights = {"w": random(6, 4, 3), "b": random(6), "grouped": random(6, 2, 3), "flipped": random(4, 6, 3)}
    constants = {**NORM, "column": random(6, 1), "two": np.array([2], np.int64), "image": random(5, 6, 1, 3)}
    rest = {"conv": 30, "same": 36, "groups": 54, "transposed": 138, "transposed_shape": 132}
    rest |= {"norm": 54, "pools": 18, "residual": 54, "bias": 54, "images": 35}
    values = {**weights, **constants, "last": random(3, rest[case])}
    used = {name for each in nodes for name in each.input}
    path = save_network(tmp_path / "m.onnx", nodes, (2, 4, 11), {n: v for n, v in values.items() if n in used})
    check_sequences(path, random(2, 4, 11))


def check_sequences(path: Path, x: Array) -> None:
    """Samples go in as images of one row, and no activation is moved."""
    model = import_onnx(path)
    predict = function(model.module, "predict")
    inputs = {"input": x.transpose(0, 2, 1)[:, None], **model.parameters}
    np.testing.assert_allclose(run_function(predict, inputs)["logits"], onnxruntime_output(path, x), atol=1e-4)
    assert not [op for op in model.module.walk() if isinstance(op, TransposeOp)]
    for name, conversion in model.conversions.items():
        assert conversion.from_onnx(conversion.to_onnx(model.parameters[name])).shape == model.parameters[name].shape


FILTER = random(3, 4, 3)
MAKERS: dict[str, list[onnx.NodeProto]] = {
    "initializer": [node("Identity", "v", "w")],
    "cast": [node("Cast", "half", "w", to=1)],
    "constant": [node("Constant", "", "w", value=onnx.numpy_helper.from_array(FILTER))],
    "transpose": [node("Transpose", "klo", "w", perm=[2, 1, 0])],
    "reshape": [node("Reshape", "flat sizes", "w")],
    "generated": [node("RandomNormal", "", "w", shape=[3, 4, 3], seed=1.0)],
}


@pytest.mark.parametrize("case", MAKERS)
def test_a_sequence_is_one_wherever_its_filter_comes_from(tmp_path: Path, case: str) -> None:
    """Else samples of length x channels would be read in another order."""
    values = {"v": FILTER, "half": FILTER.astype(np.float16), "klo": FILTER.T, "flat": FILTER.ravel()}
    nodes = [*MAKERS[case], node("Conv", "x w", "c"), node("GlobalAveragePool", "c", "g"), node("Flatten", "g", "y")]
    model = import_onnx(save_network(tmp_path / "m.onnx", nodes, (2, 4, 11), {**values, "sizes": np.array([3, 4, 3])}))
    assert shape_of(argument(function(model.module, "predict"), "input")) == (2, 1, 11, 4)


def test_sequences_with_channels_last(tmp_path: Path) -> None:
    nodes = [
        node("Transpose", "x", "a", perm=[0, 2, 1]),
        node("Conv", "a w", "b"),
        node("GlobalAveragePool", "b", "c"),
        node("Flatten", "c", "y"),
    ]
    path = save_network(tmp_path / "m.onnx", nodes, (2, 11, 4), {"w": random(6, 4, 3)})
    x = random(2, 4, 11)
    model = import_onnx(path)
    found = run_function(
        function(model.module, "predict"), {"input": x.transpose(0, 2, 1)[:, None], **model.parameters}
    )
    np.testing.assert_allclose(found["logits"], onnxruntime_output(path, x.transpose(0, 2, 1)), atol=1e-4)
    assert not [op for op in model.module.walk() if isinstance(op, TransposeOp)]


def test_pads_of_two_dimensions_do_not_fit_one(tmp_path: Path) -> None:
    path = save_network(
        tmp_path / "m.onnx", [node("Conv", "x w", "y", pads=[1] * 4)], (2, 4, 11), {"w": random(6, 4, 3)}
    )
    with pytest.raises(CompileError, match="'pads' has 4 values; one spatial dimension needs 2"):
        import_onnx(path)
