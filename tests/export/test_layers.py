"""`--format integer` of single layers: their attributes, and where two operands meet."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper
from onnx.shape_inference import infer_shapes

from nitic.arithmetic.integers import Array
from nitic.errors import CompileError
from nitic.interpret import known_values
from nitic.ir.function import function
from nitic.ops.norm import NormaliseOp
from tests.export.predictions import BATCH, Prediction, check, trained
from tests.support.onnx_models import random, save_network

SHAPE, CHANNELS = (BATCH, 1, 8, 8), 4
WEIGHTS: dict[str, Array] = {
    "w": random(CHANNELS, 1, 3, 3),
    "v": random(CHANNELS, 1, 3, 3, seed=1) * 8,
    "factor": random(CHANNELS, 1, 1, seed=2) + 3,
    "two": np.array(2.0, np.float32),
    "sizes": np.array([1, 1, 2, 2], np.float32),
    "frame": np.array([0, 0, 1, 2, 0, 0, 0, 1], np.int64),
}
"""Of two convolutions of the samples, `a` and the larger `b`, and of what is made of them."""

node = helper.make_node
UP = [random(CHANNELS, 3, 3, 3, seed=3), random(CHANNELS, 1, 3, 3, seed=4), random(CHANNELS, 3, 1, 1, seed=5)]
TRANSPOSED: list[tuple[Array, dict[str, Any]]] = [
    (UP[0], {}),
    (UP[0], {"strides": [2, 3], "pads": [1, 0, 0, 1], "output_padding": [1, 0]}),
    (UP[1], {"group": 4, "strides": [1, 2]}),
    (UP[0], {"dilations": [2, 1], "pads": [1, 1, 1, 1]}),
    (UP[0], {"pads": [4, 3, 2, 3]}),
    (UP[2], {"strides": [2, 2]}),
]
FRAMES: list[dict[str, Any]] = [
    {"kernel_shape": [3, 3], "pads": [0, 1, 2, 0]},
    {"kernel_shape": [3, 1], "pads": [1, 0, 1, 0]},
]
POOLS = [
    *(node("MaxPool", ["a"], ["m"], **frame) for frame in FRAMES),
    *(node("AveragePool", ["a"], ["m"], count_include_pad=i, **frame) for frame in FRAMES for i in range(2)),
]
MIXED = [
    node("Mul", ["a", "b"], ["m"]),
    node("Max", ["a", "b"], ["m"]),
    node("Sub", ["a", "b"], ["m"]),
    node("Div", ["a", "factor"], ["m"]),
    node("Pow", ["a", "two"], ["m"]),
    node("Concat", ["a", "b", "a"], ["m"], axis=1),
    node("Concat", ["a", "x"], ["m"], axis=1),
    node("Pad", ["a", "frame"], ["m"], mode="reflect"),
    node("Resize", ["a", "", "sizes"], ["m"], coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    node("LRN", ["a"], ["m"], size=3, alpha=0.5),
    node("LRN", ["b"], ["m"], size=8, alpha=0.5, beta=1.0, bias=2.0),
    node("ReduceMax", ["a"], ["m"], axes=[2, 3]),
]


def network(folder: Path, layer: NodeProto, **weights: Array) -> Path:
    """A file in which a linear layer reads the value m that a node gives."""
    first = [node("Conv", ["x", each], [name], pads=[1] * 4) for each, name in (("w", "a"), ("v", "b"))]
    tensors = {**WEIGHTS, **weights}
    probe = helper.make_graph(
        [*first, layer],
        "probe",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [],
        [helper.make_tensor(k, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape, v) for k, v in tensors.items()],
    )
    inferred = infer_shapes(helper.make_model(probe, opset_imports=[helper.make_opsetid("", 17)]), data_prop=True)
    (shape,) = (each.type.tensor_type.shape.dim for each in inferred.graph.value_info if each.name == "m")
    tensors["fc"] = random(10, int(np.prod([each.dim_value for each in shape[1:]])), seed=9)
    last = [node("Flatten", ["m"], ["flat"]), node("Gemm", ["flat", "fc"], ["y"], transB=1)]
    used = {name for each in (*first, layer, *last) for name in each.input}
    kept = {name: value for name, value in tensors.items() if name in used}
    return save_network(folder / "layer.onnx", [*first, layer, *last], SHAPE, kept)


def predictions(folder: Path, layer: NodeProto, **weights: Array) -> Prediction:
    found = trained(network(folder, layer, **weights), steps=2)
    assert len(np.unique(found.logits)) > 20, "nothing to tell right from wrong"
    return found


@pytest.mark.parametrize("layer", [*POOLS, *MIXED], ids=lambda layer: f"{layer.op_type}-{'-'.join(layer.input)}")
def test_layers(layer: NodeProto, tmp_path: Path) -> None:
    check(predictions(tmp_path, layer))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("filters", "attributes"), TRANSPOSED)
def test_transposed_convolutions(filters: Array, attributes: dict[str, Any], bias: bool, tmp_path: Path) -> None:
    channels = filters.shape[1] * attributes.get("group", 1)
    weights = {"up": filters} | ({"offset": random(channels, seed=6)} if bias else {})
    check(predictions(tmp_path, node("ConvTranspose", ["a", *weights], ["m"], **attributes), **weights))


def test_running_deviations_far_above_what_is_normalised(tmp_path: Path) -> None:
    """One channel's makes the exponent of the means so large that all others are rounded to it first."""
    statistics = {"mean": np.zeros(CHANNELS), "variance": np.array([1e8, 0.01, 0.02, 0.03])}
    norm = {"gamma": np.ones(CHANNELS), "beta": np.zeros(CHANNELS), **statistics}
    layer = node("BatchNormalization", ["a", *norm], ["m"])
    weights = {name: value.astype(np.float32) for name, value in norm.items()}
    found = predictions(tmp_path, layer, w=WEIGHTS["w"] / 512, **weights)
    predict = function(found.net.module, "predict")
    known = known_values(predict, found.net.state)
    (op,) = (each for each in predict.body.block.ops if isinstance(each, NormaliseOp))
    of_x, _, of_mean = (int(known[scale]) for scale in op.scales)
    assert of_mean > of_x
    check(found)


def test_a_wide_window_of_squares_is_refused_by_its_numbers(tmp_path: Path) -> None:
    wide = {"w": random(80, 1, 3, 3)}
    prediction = trained(network(tmp_path, node("LRN", ["a"], ["m"], size=99), **wide), steps=1)
    sentence = r"net: nn.lrn \(node 'm'\) has no exact form in ONNX: the squares in its windows add up to 1290320"
    with pytest.raises(CompileError, match=sentence):
        _ = prediction.model
