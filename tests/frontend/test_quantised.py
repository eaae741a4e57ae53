"""Operators of quantised networks are read as those on the floats that codes stand for."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nitic.errors import CompileError
from nitic.frontend.importer import import_onnx
from nitic.ops.elementwise import ReluOp
from nitic.ops.norm import NormaliseOp
from tests.export.predictions import trained
from tests.support.onnx_models import count_of, log_softmax, logits, onnxruntime_output, random, save_network


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    """`microsoft.OP` is of onnxruntime's domain."""
    domain, _, kind = op.rpartition(".")
    made = helper.make_node(kind, inputs.split(), outputs.split(), name=f"make_{outputs}", **attributes)
    made.domain = f"com.{domain}" if domain == "microsoft" else domain
    return made


def save(folder: Path, nodes: list[onnx.NodeProto], shape: tuple[int, ...], opset: Any = 17, **values: Any) -> Path:
    path = save_network(folder / "m.onnx", nodes, shape, values, opset)
    model = onnx.load(path)
    for domain in {each.domain for each in nodes} - {""}:
        model.opset_import.append(helper.make_opsetid(domain, 1))
    onnx.save(model, path)
    return path


# Made files: a quantised linear layer, in every form

CODES = np.random.default_rng(0).integers(-100, 100, (6, 3)).astype(np.int8)
SCALES = np.array([0.01, 0.02, 0.04], np.float32)
ONE: dict[str, Any] = {"one": np.float32(0.02), "none": np.int8(0), "xs": np.float32(0.05), "xz": np.int8(3)}
VALUES: dict[str, Any] = {
    "w_quantized": CODES,
    "s": SCALES,
    "z": np.array([1, 0, -5], np.int8),
    **ONE,
    "b": np.array([5, -300, 1000], np.int32),
    "bs": np.float32(0.05) * SCALES,
    "ys": np.float32(0.2),
}
W = (CODES.astype(np.float32) - [1, 0, -5]) * SCALES
WEIGHT = node("DequantizeLinear", "w_quantized s z", "w", axis=1)
ROUND_X, X = node("QuantizeLinear", "x xs xz", "q"), node("DequantizeLinear", "q xs xz", "d")

LINEAR: dict[str, list[onnx.NodeProto]] = {
    "pairs": [ROUND_X, X, WEIGHT, node("MatMul", "d w", "y")],
    "weight_alone": [WEIGHT, node("Gemm", "x w", "y")],
    "weight_alone_behind_views": [WEIGHT, node("Identity", "w", "v"), node("MatMul", "x v", "y")],
    "qlinear": [
        ROUND_X,
        node("QLinearMatMul", "q xs xz w_quantized s z ys none", "r"),
        node("DequantizeLinear", "r ys none", "y"),
    ],
    "qgemm": [ROUND_X, node("microsoft.QGemm", "q xs xz w_quantized s z", "y", alpha=1.0)],
    "dynamic": [
        node("DynamicQuantizeLinear", "x", "q qs qz"),
        node("MatMulInteger", "q w_quantized qz z", "i"),
        node("Cast", "i", "f", to=1),
        node("Mul", "s qs", "both"),
        node("Mul", "both f", "y"),
    ],
    "integers_by_a_constant": [
        ROUND_X,
        node("MatMulInteger", "q w_quantized xz z", "i"),
        node("Cast", "i", "f", to=1),
        node("Mul", "f bs", "y"),
    ],
}


@pytest.mark.parametrize("form", LINEAR)
def test_a_linear_layer_in_every_form(tmp_path: Path, form: str) -> None:
    model = import_onnx(save(tmp_path, LINEAR[form], (4, 6), **VALUES))
    x = random(4, 6)
    np.testing.assert_allclose(logits(model, x), x @ W, atol=1e-5)
    np.testing.assert_allclose(model.parameters["w"], W.T, rtol=1e-6)
    assert [c.source for c in model.conversions.values()] == ["w"]
    assert "a Relu is put there" not in "".join(model.notes)


@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_the_bias_of_qgemm_has_the_scale_of_the_products(tmp_path: Path, alpha: float) -> None:
    gemm = node("microsoft.QGemm", "q xs xz w_quantized s z b ys none", "r", alpha=alpha)
    nodes = [ROUND_X, gemm, node("DequantizeLinear", "r ys none", "y")]
    path, x = save(tmp_path, nodes, (4, 6), **{**VALUES, "z": np.zeros(3, np.int8)}), random(4, 6)
    assert np.abs(logits(import_onnx(path), x) - onnxruntime_output(path, x, optimised=False)).max() <= 0.2


STORED: dict[str, tuple[str, dict[str, Any], int, dict[str, Any]]] = {
    "no_zero_point": ("q s", {"axis": 1}, 13, {"q": CODES, "s": SCALES}),
    "from_the_end": ("q s", {"axis": -1}, 13, {"q": CODES, "s": SCALES}),
    "one_of_a_list": ("q s z", {}, 13, {"q": CODES, "s": np.array([0.1], np.float32), "z": np.array([0], np.int8)}),
    "uint8": ("q s z", {}, 10, {"q": CODES.view(np.uint8), "s": np.float32(0.1), "z": np.uint8(7)}),
    "int16": ("q s z", {}, 21, {"q": CODES.astype(np.int16), "s": np.float32(0.1), "z": np.int16(-300)}),
    "int32": ("q s", {}, 13, {"q": CODES.astype(np.int32) * 2**22 + 1, "s": np.float32(1e-8)}),
    "blocks": ("q s", {"axis": 0, "block_size": 4}, 21, {"q": CODES, "s": np.abs(random(2, 3)) + np.float32(0.1)}),
}


@pytest.mark.parametrize("case", STORED)
def test_stored_codes(tmp_path: Path, case: str) -> None:
    inputs, attributes, opset, values = STORED[case]
    nodes = [node("DequantizeLinear", inputs, "w", **attributes), node("MatMul", "x w", "y")]
    path, x = save(tmp_path, nodes, (4, 6), opset, **values), random(4, 6)
    np.testing.assert_allclose(
        logits(import_onnx(path), x), onnxruntime_output(path, x, optimised=False), rtol=1e-5, atol=1e-5
    )


def test_four_bits(tmp_path: Path) -> None:
    path = save(
        tmp_path, [node("DequantizeLinear", "q s", "w"), node("MatMul", "x w", "y")], (4, 6), 21, s=np.float32(0.5)
    )
    model, codes = onnx.load(path), CODES // 16
    model.graph.initializer.append(helper.make_tensor("q", TensorProto.INT4, CODES.shape, codes.flatten().tolist()))
    onnx.save(model, path)
    np.testing.assert_array_equal(import_onnx(path).parameters["q"], codes.T * 0.5)


@pytest.mark.parametrize(
    ("stored", "result", "name"),
    [
        ("fc.weight_quantized", "fc.weight_DequantizeLinear_Output", "fc.weight"),
        ("fc.weight.int8", "fc.weight", "fc.weight"),
        ("fc.weight", "dequantised", "fc.weight"),
        ("fc.weight_quantized", "fc.weight", "fc.weight"),
    ],
)
def test_a_weight_gets_its_name_back(tmp_path: Path, stored: str, result: str, name: str) -> None:
    nodes = [node("DequantizeLinear", f"{stored} one", result), node("MatMul", f"x {result}", "y")]
    model = import_onnx(save(tmp_path, nodes, (4, 6), **{stored: CODES, "one": np.float32(1)}))
    assert list(model.parameters) == [name]
    assert [conversion.source for conversion in model.conversions.values()] == [name]


def test_a_name_that_another_value_has_is_left_to_it(tmp_path: Path) -> None:
    nodes = [
        WEIGHT,
        node("Gemm", "x w", "h"),
        node("DequantizeLinear", "h_quantized one", "v"),
        node("Gemm", "h v", "y"),
    ]
    model = import_onnx(save(tmp_path, nodes, (4, 6), **VALUES, h_quantized=np.eye(3, dtype=np.int8)))
    assert list(model.parameters) == ["w", "h.2"]


def test_a_weight_of_several_layers_is_read_once(tmp_path: Path) -> None:
    square = CODES[:3]
    nodes = [
        *(node("DequantizeLinear", "w_quantized one", name) for name in ("a", "b")),
        node("MatMul", "x a", "h"),
        node("MatMul", "h b", "y"),
    ]
    model = import_onnx(save(tmp_path, nodes, (4, 3), w_quantized=square, one=np.float32(0.02)))
    assert list(model.parameters) == ["w"]


def test_codes_in_a_constant_and_scales_behind_an_identity(tmp_path: Path) -> None:
    nodes = [
        node("Constant", "", "w_quantized", value=numpy_helper.from_array(CODES)),
        node("Constant", "", "t", value_floats=SCALES.tolist()),
        node("Identity", "t", "s"),
        node("DequantizeLinear", "w_quantized s", "v", axis=1),
        node("MatMul", "x v", "y"),
    ]
    model = import_onnx(save(tmp_path, nodes, (4, 6)))
    np.testing.assert_array_equal(model.parameters["w"], (CODES * SCALES).T)


def test_floats_that_are_rounded_on_their_way_stay_as_they_are(tmp_path: Path) -> None:
    """As Brevitas writes weights, with a QuantizeLinear, a Clip and a DequantizeLinear; and as qonnx does."""
    weight = random(6, 3)
    nodes = [
        node("QuantizeLinear", "weight one none", "q"),
        node("Clip", "q least most", "c"),
        node("DequantizeLinear", "c one none", "d"),
        node("MatMul", "x d", "y"),
    ]
    bounds: dict[str, Any] = {"least": np.int8(-127), "most": np.int8(127)}
    model = import_onnx(save(tmp_path, nodes, (4, 6), weight=weight, **ONE, **bounds))
    np.testing.assert_array_equal(model.parameters["weight"], weight.T)
    quant = node(
        "qonnx.custom_op.general.Quant", "weight one zero bits", "d", signed=0, narrow=0, rounding_mode="ROUND"
    )
    values = {"one": np.float32(1), "zero": np.float32(0), "bits": np.float32(4)}
    model = import_onnx(save(tmp_path, [quant, node("MatMul", "x d", "y")], (4, 6), weight=weight, **values))
    np.testing.assert_array_equal(model.parameters["weight"], weight.T)
    assert "1 parameters, and 0 activations" in model.notes[0]


# Activations

HIDDEN = [WEIGHT, node("Gemm", "x w", "h")]
LAST = [node("DequantizeLinear", "v_quantized one", "v"), node("Gemm", "t v", "y")]
V: dict[str, Any] = {"v_quantized": np.random.default_rng(1).integers(-9, 9, (3, 3)).astype(np.int8)}


def coded(x: str, zero: str, inner: str = "") -> list[onnx.NodeProto]:
    """Codes of x, which an operator may take on their way back to floats."""
    op, *operands = inner.split() or [""]
    between = [node(op, " ".join(["q", *operands]), "c")] if op else []
    return [
        node("QuantizeLinear", f"{x} one {zero}", "q"),
        *between,
        node("DequantizeLinear", f"{'c' if op else 'q'} one {zero}", "t"),
    ]


CUT: dict[str, tuple[list[onnx.NodeProto], int]] = {
    "least_uint8": (coded("h", "u0"), 1),
    "least_int8": (coded("h", "i-128"), 1),
    "no_zero_point": (coded("h", ""), 1),
    "in_the_middle": (coded("h", "u128"), 0),
    "has_its_relu": ([node("Relu", "h", "r"), *coded("r", "u0")], 1),
    "sigmoid": ([node("Sigmoid", "h", "r"), *coded("r", "u0")], 0),
    "relu_of_codes": (coded("h", "none", "Relu"), 1),
    "clip_of_codes": (coded("h", "none", "Clip none i127"), 1),
    "narrow_range": (coded("h", "none", "Clip i-127 i127"), 0),
    "read_twice": (
        [
            node("QuantizeLinear", "h one u0", "q"),
            node("DequantizeLinear", "q one u0", "left"),
            node("DequantizeLinear", "q one u0", "right"),
            node("Add", "left right", "t"),
        ],
        1,
    ),
    "added": (
        [
            node("QuantizeLinear", "h one none", "q"),
            node("microsoft.QLinearAdd", "q one none q one none one u0", "sum"),
            node("DequantizeLinear", "sum one u0", "t"),
        ],
        1,
    ),
}
ZEROS: dict[str, Any] = {f"u{v}": np.uint8(v) for v in (0, 128)} | {f"i{v}": np.int8(v) for v in (-128, -127, 127)}


@pytest.mark.parametrize("case", CUT)
def test_a_relu_is_where_negative_numbers_have_no_codes(tmp_path: Path, case: str) -> None:
    nodes, count = CUT[case]
    model = import_onnx(save(tmp_path, [*HIDDEN, *nodes, *LAST], (4, 6), 14, **VALUES, **V, **ZEROS))
    assert count_of(model, ReluOp) == count


def test_samples_are_never_cut(tmp_path: Path) -> None:
    """Samples from 0 to 1 are quantised without negative numbers; the program standardises them."""
    nodes = [
        node("QuantizeLinear", "x one u0", "q"),
        node("DequantizeLinear", "q one u0", "d"),
        node("Flatten", "d", "f"),
    ]
    model = import_onnx(save(tmp_path, [*nodes, WEIGHT, node("Gemm", "f w", "y")], (4, 6), **VALUES, **ZEROS))
    assert count_of(model, ReluOp) == 0


@pytest.mark.parametrize(("scale", "zero"), [(1 / 255, 0), (0.02, 128)])
def test_samples_that_come_quantised_are_standardised_by_their_scale(tmp_path: Path, scale: float, zero: int) -> None:
    values: dict[str, Any] = {**VALUES, "scale": np.float32(scale), "zero": np.uint8(zero)}
    path = save(
        tmp_path, [node("DequantizeLinear", "x scale zero", "d"), WEIGHT, node("Gemm", "d w", "y")], (4, 6), **values
    )
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    onnx.save(model, path)
    found, x = import_onnx(path), np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
    assert found.standardisation
    assert found.standardisation.largest == 255
    np.testing.assert_allclose(found.standardisation.mean, [zero])
    np.testing.assert_allclose(logits(found, x), onnxruntime_output(path, x), atol=1e-4)


def test_codes_are_moved_and_chosen_as_floats(tmp_path: Path) -> None:
    nodes = [
        node("QuantizeLinear", "x one xz", "q"),
        node("Pad", "q pads xz", "p"),
        node("MaxPool", "p", "m", kernel_shape=[2, 2], strides=[2, 2]),
        node("Transpose", "m", "t", perm=[0, 2, 3, 1]),
        node("Concat", "t t", "c", axis=3),
        node("Flatten", "c", "f"),
        node("DequantizeLinear", "f one xz", "d"),
        node("DequantizeLinear", "w_quantized one", "w"),
        node("Gemm", "d w", "y"),
    ]
    values: dict[str, Any] = {**ONE, "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1])}
    codes = np.random.default_rng(0).integers(-9, 9, (36, 4)).astype(np.int8)
    path, x = save(tmp_path, nodes, (2, 2, 4, 4), w_quantized=codes, **values), random(2, 2, 4, 4)
    step = 0.02 * np.abs(codes * 0.02).sum(0).max()
    assert np.abs(logits(import_onnx(path), x) - onnxruntime_output(path, x, optimised=False)).max() <= step


POINTWISE: dict[str, tuple[onnx.NodeProto, Any]] = {
    "add": (node("microsoft.QLinearAdd", "q one none q one none ys none", "r"), lambda x: 2 * x),
    "mul": (node("microsoft.QLinearMul", "q one none q one none ys none", "r"), lambda x: x * x),
    "sigmoid": (node("microsoft.QLinearSigmoid", "q one none ys none", "r"), lambda x: 1 / (1 + np.exp(-x))),
    "leaky": (
        node("microsoft.QLinearLeakyRelu", "q one none ys none", "r", alpha=0.25),
        lambda x: np.where(x < 0, x / 4, x),
    ),
    "concat": (
        node("microsoft.QLinearConcat", "ys none q one none q one none", "r", axis=1),
        lambda x: np.hstack([x, x]),
    ),
}


@pytest.mark.parametrize("case", POINTWISE)
def test_operators_of_onnxruntime(tmp_path: Path, case: str) -> None:
    made, formula = POINTWISE[case]
    nodes = [WEIGHT, node("Gemm", "x w", "h"), node("QuantizeLinear", "h one none", "q"), made]
    model = import_onnx(save(tmp_path, [*nodes, node("DequantizeLinear", "r ys none", "y")], (4, 6), **VALUES))
    x = random(4, 6) / 4
    np.testing.assert_allclose(logits(model, x), formula(x @ W), atol=1e-3)


def test_an_average_pool_of_onnxruntime(tmp_path: Path) -> None:
    nodes = [
        node("QuantizeLinear", "x one none", "q"),
        node("QLinearConv", "q one none w_quantized one none ys none", "c"),
        node("microsoft.QLinearAveragePool", "c ys none ys none", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("microsoft.QLinearGlobalAveragePool", "p ys none ys none", "g", channels_last=0),
        node("Flatten", "g", "f"),
        node("DequantizeLinear", "f ys none", "y"),
    ]
    codes = np.random.default_rng(0).integers(-99, 99, (3, 2, 3, 3)).astype(np.int8)
    path, x = save(tmp_path, nodes, (2, 2, 6, 6), w_quantized=codes, **ONE, ys=np.float32(0.2)), random(2, 2, 6, 6)
    assert np.abs(logits(import_onnx(path), x) - onnxruntime_output(path, x, optimised=False)).max() <= 0.4


def test_the_last_softmax_is_dropped_quantised_as_well(tmp_path: Path) -> None:
    nodes = [WEIGHT, node("Gemm", "x w", "h"), node("Softmax", "h", "p"), node("QuantizeLinear", "p one u0", "q")]
    path = save(tmp_path, [*nodes, node("DequantizeLinear", "q one u0", "y")], (4, 6), **VALUES, **ZEROS)
    x = random(4, 6)
    np.testing.assert_allclose(log_softmax(logits(import_onnx(path), x)), log_softmax(x @ W), atol=1e-4)


def test_stored_codes_within_bounds(tmp_path: Path) -> None:
    """As Brevitas stores weights: of few bits, in bytes."""
    nodes = [
        node("Clip", "w_quantized low high", "clipped"),
        node("DequantizeLinear", "clipped s", "w", axis=1),
        node("MatMul", "x w", "y"),
    ]
    path = save(tmp_path, nodes, (2, 6), w_quantized=CODES, s=SCALES, low=np.int8(-7), high=np.int8(7))
    x = random(2, 6)
    expected = onnxruntime_output(path, x, optimised=False)
    np.testing.assert_allclose(logits(import_onnx(path, 2), x), expected, rtol=1e-5, atol=1e-6)


ROUNDING = [
    node("Div", "x there", "quotient"),
    node("Round", "quotient", "whole"),
    node("Clip", "whole low high", "mantissa"),
    node("Mul", "mantissa back", "rounded"),
    node("MatMul", "rounded w", "y"),
]
RANGE: dict[str, Any] = {"w": W.astype(np.float32), "low": np.float32(-32767), "high": np.float32(32767)}


@pytest.mark.parametrize("there", [np.float32(0.25), np.nextafter(np.float32(0.25), np.float32(0))])
def test_a_rounding_by_arithmetic_is_left_out(tmp_path: Path, there: np.float32) -> None:
    """Halves go away from zero where the divisor is one step below the factor: it means the same power of two."""
    path = save(tmp_path, ROUNDING, (2, 6), **RANGE, there=there, back=np.float32(0.25))
    model = import_onnx(path, 2)
    assert "1 activations, whose rounding is left out" in model.notes[0]
    x = random(2, 6)
    np.testing.assert_allclose(logits(model, x), x @ W, rtol=1e-5)


@pytest.mark.parametrize(
    "changed",
    [{"back": np.float32(0.5)}, {"high": np.float32(100)}, {"there": np.float32(0.2499)}, {"low": np.float32(0)}],
)
def test_other_arithmetic_is_no_rounding(tmp_path: Path, changed: dict[str, Any]) -> None:
    values = {**RANGE, "there": np.float32(0.25), "back": np.float32(0.25), **changed}
    with pytest.raises(CompileError, match=r"operator Round is supported only on constants|Round is not supported"):
        import_onnx(save(tmp_path, ROUNDING, (2, 6), **values), 2)


def two_norms(epsilon: float) -> list[onnx.NodeProto]:
    return [
        node("BatchNormalization", "x one nought mean var", "normal", epsilon=0.01),
        node("BatchNormalization", "normal gamma beta nought one", "scaled", epsilon=epsilon),
        node("MatMul", "scaled w", "y"),
    ]


@pytest.mark.parametrize(("epsilon", "count"), [(0.0, 1), (1e-5, 2)])
def test_a_batch_norm_that_normalises_and_one_that_scales_are_one(tmp_path: Path, epsilon: float, count: int) -> None:
    rng = np.random.default_rng(0)
    own = {key: rng.uniform(0.5, 2, 6).astype(np.float32) for key in ("mean", "var", "gamma", "beta")}
    ends = {"one": np.ones(6, np.float32), "nought": np.zeros(6, np.float32)}
    path = save(tmp_path, two_norms(epsilon), (2, 6), w=W.astype(np.float32), **own, **ends)
    model = import_onnx(path, 2)
    assert count_of(model, NormaliseOp) == count
    x = random(2, 6)
    np.testing.assert_allclose(logits(model, x), onnxruntime_output(path, x), rtol=1e-4, atol=1e-5)
    assert {"gamma", "beta", "mean", "var"} <= model.parameters.keys()


def test_an_output_of_codes(tmp_path: Path) -> None:
    nodes = [WEIGHT, node("Gemm", "x w", "h"), node("QuantizeLinear", "h one none", "y")]
    path, x = save(tmp_path, nodes, (4, 6), **VALUES), random(4, 6)
    model = onnx.load(path)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT8
    model.graph.output.append(helper.make_tensor_value_info("label", TensorProto.INT64, None))
    model.graph.node.append(node("ArgMax", "h", "label", axis=1))
    onnx.save(model, path)
    np.testing.assert_allclose(logits(import_onnx(path), x), x @ W, atol=1e-4)


# What is refused

REFUSED: dict[str, tuple[list[onnx.NodeProto], str]] = {
    "another_scale": (
        [node("QuantizeLinear", "h one none", "q"), node("DequantizeLinear", "q ys none", "y")],
        "input 'q' was quantised by another scale or zero point",
    ),
    "another_zero_point": (
        [node("QuantizeLinear", "h one none", "q"), node("DequantizeLinear", "q one xz", "y")],
        "input 'q' was quantised by another scale or zero point",
    ),
    "computes": (
        [node("QuantizeLinear", "h one none", "q"), node("Neg", "q", "n"), node("DequantizeLinear", "n one none", "y")],
        "computes with the codes of quantised numbers",
    ),
    "index_of_a_table": (
        [
            node("QuantizeLinear", "h one u0", "q"),
            node("Gather", "table q", "t"),
            node("DequantizeLinear", "t one none", "y"),
        ],
        "computes with the codes of quantised numbers",
    ),
    "constant_among_activations": (
        [
            node("QuantizeLinear", "h one xz", "q"),
            node("Concat", "q w_quantized", "c", axis=0),
            node("DequantizeLinear", "c one xz", "y"),
        ],
        "input 1 is the constant 'w.2', but must come from the network's input",
    ),
    "bounds_of_codes": (
        [node("QuantizeLinear", "h one none", "q"), node("Clip", "h8 none q", "t"), node("Add", "h t", "y")],
        "computes with the codes of quantised numbers",
    ),
    "relu_elsewhere": (
        [node("QuantizeLinear", "h one xz", "q"), node("Relu", "q", "n"), node("DequantizeLinear", "n one xz", "y")],
        "cuts the codes of quantised numbers elsewhere than at 0",
    ),
    "mixed": (
        [
            node("QuantizeLinear", "h one none", "q"),
            node("QuantizeLinear", "h ys none", "r"),
            node("Concat", "q r", "n", axis=1),
            node("DequantizeLinear", "n one none", "y"),
        ],
        "its inputs have different scales or zero points",
    ),
    "no_rescaling": (
        [
            node("QuantizeLinear", "h one none", "q"),
            node("MatMulInteger", "q v8 none", "i"),
            node("Cast", "i", "y", to=1),
        ],
        "its result is read otherwise than by a Cast and a Mul by its scales",
    ),
    "computed_scale": (
        [
            node("ReduceMean", "h", "m", keepdims=0),
            node("QuantizeLinear", "h one none", "q"),
            node("DequantizeLinear", "q m none", "y"),
        ],
        "the scale or zero point 'm' is not constant",
    ),
    "scales_that_do_not_fit": (
        [node("DequantizeLinear", "v8 four", "v"), node("Gemm", "h v", "y")],
        r"4 scales or zero points do not fit axis 1 of a tensor of \[3, 3\]",
    ),
    "axis_that_is_none": (
        [node("DequantizeLinear", "v8 s", "v", axis=2), node("Gemm", "h v", "y")],
        r"its scales are along axis 2, which a tensor of \[3, 3\] does not have",
    ),
    "channels_last": (
        [
            node("QuantizeLinear", "h one none", "q"),
            node("microsoft.QLinearGlobalAveragePool", "q one none one none", "r", channels_last=1),
            node("DequantizeLinear", "r one none", "y"),
        ],
        "attribute 'channels_last' is 1, but must be 0",
    ),
    "no_inputs": ([node("microsoft.QLinearAdd", "", "r"), node("Add", "h r", "y")], "is malformed"),
    "blocks_of_nothing": (
        [node("DequantizeLinear", "v8 eye", "v", axis=0, block_size=-1), node("Gemm", "h v", "y")],
        "is malformed: negative dimensions are not allowed",
    ),
    "scale_of_many_factors": (
        [
            node("QuantizeLinear", "h one none", "q"),
            node("MatMulInteger", "q v8 none", "i"),
            node("Cast", "i", "f", to=1),
            *(node("Mul", f"m{i} m{i}", f"m{i + 1}") for i in range(50)),
            node("Mul", "f m50", "y"),
        ],
        "the scale or zero point 'm46' is not constant",
    ),
    "inputs_without_end": (
        [node("microsoft.QLinearSigmoid", "h one none one none one", "y")],
        "has 6 inputs, but at most 5 are known",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_says_why(tmp_path: Path, case: str) -> None:
    nodes, message = REFUSED[case]
    values: dict[str, Any] = {
        **VALUES,
        "v8": np.eye(3, dtype=np.int8),
        "four": np.ones(4, np.float32),
        "eye": np.eye(3, dtype=np.float32),
    }
    values |= {"m0": np.float32(1), "u0": np.uint8(0), "table": np.arange(256).astype(np.int8), "h8": CODES[:4, :3]}
    with pytest.raises(CompileError, match=message):
        import_onnx(save(tmp_path, [*HIDDEN, *nodes], (4, 6), 21 if case == "blocks_of_nothing" else 14, **values))


def test_a_program_of_integers_is_no_network_of_floats(tmp_path: Path) -> None:
    """As `nitic export --format integer` writes it: tables by codes, shifts of accumulators."""
    path = tmp_path / "m.onnx"
    path.write_bytes(trained("lenet", steps=1).model)
    with pytest.raises(CompileError):
        import_onnx(path)


def test_a_file_that_is_not_quantised_says_nothing(tmp_path: Path) -> None:
    path = save(tmp_path, [node("Gemm", "x w", "y")], (4, 6), w=random(6, 3))
    assert import_onnx(path).notes == ()
