"""One ONNX operator at a time, imported and interpreted, against onnxruntime."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from nitic.frontend.importer import import_onnx
from nitic.ir.text import print_module
from nitic.ops.activation import StepOp
from tests.support.onnx_models import (
    Array,
    check_against_onnxruntime,
    count_of,
    log_softmax,
    logits,
    onnxruntime_output,
    random,
    save_network,
)

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


PARAMETERS: dict[str, tuple[int, ...]] = {
    "c1": (1,),
    "c6": (6,),
    "c168": (168,),
    "c11168": (1, 1, 168),
    "c44": (4, 4),
    "c411": (4, 1, 1),
    "c471": (4, 7, 1),
    "c476": (4, 7, 6),
    "c647": (6, 4, 7),
}
SCALARS: dict[str, Array] = {
    "three": np.asarray(3, np.float32),
    "half": np.asarray(0.5, np.float32),
    "axis0": np.array([0]),
    "axes23": np.array([2, 3]),
}
ARITHMETIC: dict[str, tuple[list[onnx.NodeProto], list[str]]] = {
    "square": ([node("Mul", "x x", "t")], []),
    "double": ([node("Add", "x x", "t")], []),
    "minus": ([node("Relu", "x", "a"), node("Sub", "a x", "t")], []),
    "negative": ([node("Neg", "x", "t")], []),
    "sum": ([node("Relu", "x", "a"), node("Neg", "x", "b"), node("Sum", "x a b x", "t")], []),
    "sum_with_bias": ([node("Sum", "x c411 x", "t")], ["c411"]),
    "sum_of_one": ([node("Sum", "x", "t")], []),
    "factor_per_channel": ([node("Mul", "x c411", "t")], ["c411"]),
    "factor_of_last_axis": ([node("Mul", "c6 x", "t")], ["c6"]),
    "factor_per_element": ([node("Mul", "x c476", "t")], ["c476"]),
    "factor_for_all": ([node("Mul", "x c1", "t")], ["c1"]),
    "factor_after_transpose": (
        [node("Relu", "x", "a"), node("Transpose", "a", "b", perm=[0, 3, 1, 2]), node("Mul", "b c647", "t")],
        ["c647"],
    ),
    "factor_after_flatten": ([node("Flatten", "x", "a"), node("Mul", "a c168", "t")], ["c168"]),
    "factor_of_higher_rank": (
        [node("Flatten", "x", "a"), node("Mul", "a c11168", "b"), node("Squeeze", "b axis0", "t")],
        ["c11168"],
    ),
    "quotient_per_channel": ([node("Div", "x c411", "t")], ["c411"]),
    "quotient": ([node("Div", "x three", "t")], []),
    "scalar_factor": ([node("Mul", "three x", "t")], []),
    "scalar_sum": ([node("Add", "three x", "a"), node("Sub", "a half", "b"), node("Sub", "half b", "t")], []),
    "bias_of_all_elements": ([node("Add", "x c476", "t")], ["c476"]),
    "bias_of_two_axes": ([node("Add", "c471 x", "t")], ["c471"]),
    "bias_for_all": ([node("Add", "x c1", "t")], ["c1"]),
    "minus_bias": ([node("Sub", "x c411", "t")], ["c411"]),
    "bias_minus": ([node("Sub", "c411 x", "t")], ["c411"]),
    "excite": ([node("GlobalAveragePool", "x", "a"), node("Mul", "x a", "t")], []),
    "excite_first": ([node("GlobalAveragePool", "x", "a"), node("Mul", "a x", "t")], []),
    "excite_flat": (
        [
            node("GlobalAveragePool", "x", "a"),
            node("Flatten", "a", "b"),
            node("Gemm", "b c44", "c"),
            node("Unsqueeze", "c axes23", "d"),
            node("Mul", "x d", "t"),
        ],
        ["c44"],
    ),
    "add_broadcast": ([node("GlobalAveragePool", "x", "a"), node("Add", "a x", "t")], []),
    "subtract_broadcast": ([node("GlobalAveragePool", "x", "a"), node("Sub", "x a", "t")], []),
    "outer": (
        [
            node("GlobalAveragePool", "x", "a"),
            node("Transpose", "x", "b", perm=[0, 2, 1, 3]),
            node("GlobalAveragePool", "b", "c"),
            node("Transpose", "c", "d", perm=[0, 2, 1, 3]),
            node("Mul", "a d", "e"),
            node("Mul", "e x", "t"),
        ],
        [],
    ),
    "lower_rank": (
        [node("GlobalAveragePool", "x", "a"), node("Squeeze", "a axis0", "b"), node("Mul", "x b", "t")],
        [],
    ),
    "prelu": ([node("PRelu", "x c411", "t")], ["c411"]),
    "prelu_for_all": ([node("PRelu", "x c1", "t")], ["c1"]),
}


@pytest.mark.parametrize("case", ARITHMETIC)
def test_arithmetic(tmp_path: Path, case: str) -> None:
    batch = 1 if case in ("lower_rank", "factor_of_higher_rank") else 2
    nodes, parameters = ARITHMETIC[case]
    used = {name for n in nodes for name in n.input}
    tail, values = classifier(168)
    values |= {name: random(*shape, seed=len(shape)) for name, shape in PARAMETERS.items() if name in used}
    values |= {name: array for name, array in SCALARS.items() if name in used}
    path = save_network(tmp_path / "m.onnx", [*nodes, *tail], (batch, *X[1:]), values)
    model = check_against_onnxruntime(path, random(batch, *X[1:]), standardises=False)
    assert list(model.parameters) == [*parameters, "last.weight"]
    for name, conversion in model.conversions.items():
        np.testing.assert_allclose(conversion.to_onnx(model.parameters[name]), values[conversion.source], rtol=1e-6)


F32_MAX = float(np.finfo(np.float32).max)
FUNCTIONS: dict[str, tuple[onnx.NodeProto, int]] = {
    "clip": (node("Clip", "x low high", "t"), 17),
    "clip_low": (node("Clip", "x low", "t"), 17),
    "clip_zero": (node("Clip", "x zero", "t"), 17),
    "clip_high": (helper.make_node("Clip", ["x", "", "high"], ["t"]), 17),
    "clip_none": (node("Clip", "x", "t"), 17),
    "clip_above": (node("Clip", "x half high", "t"), 17),
    "clip_below": (node("Clip", "x low minus", "t"), 17),
    "celu": (node("Celu"), 17),
    "celu_narrow": (node("Celu", alpha=0.3), 17),
    "celu_wide": (node("Celu", alpha=4.0), 17),
    "clip_to_one_value": (node("Clip", "x half half", "t"), 17),
    "clip_by_attributes": (node("Clip", min=-0.5, max=0.25), 9),
    "clip_by_one_attribute": (node("Clip", min=0.0, max=F32_MAX), 9),
    "max": (node("Max", "x half"), 17),
    "min": (node("Min", "high x"), 17),
    "erf": (node("Erf"), 17),
    "elu": (node("Elu", alpha=0.7), 17),
    "gelu": (node("Gelu"), 20),
    "gelu_tanh": (node("Gelu", approximate="tanh"), 20),
    "hard_sigmoid": (node("HardSigmoid"), 17),
    "hard_sigmoid_of_torch": (node("HardSigmoid", alpha=1 / 6), 17),
    "hard_swish": (node("HardSwish"), 17),
    "leaky_relu": (node("LeakyRelu", alpha=0.2), 17),
    "leaky_relu_by_default": (node("LeakyRelu"), 17),
    "mish": (node("Mish"), 18),
    "relu": (node("Relu"), 17),
    "selu": (node("Selu"), 17),
    "sigmoid": (node("Sigmoid"), 17),
    "softplus": (node("Softplus"), 17),
    "swish": (node("Swish"), 24),
    "tanh": (node("Tanh"), 17),
}


@pytest.mark.parametrize("case", FUNCTIONS)
def test_activation_function(tmp_path: Path, case: str) -> None:
    made, opset = FUNCTIONS[case]
    bounds = {"low": -0.75, "zero": 0.0, "high": 1.25, "half": 0.5, "minus": -0.5}
    nodes = [node("Flatten", "t", "flat"), node("MatMul", "flat last.weight", "y")]
    values = {"last.weight": random(168, 3)} | {
        name: np.asarray(bounds[name], np.float32) for name in made.input if name in bounds
    }
    path = save_network(tmp_path / "m.onnx", [made, *nodes], X, values, opset)
    model = check_against_onnxruntime(path, 3 * random(*X))
    assert list(model.parameters) == ["last.weight"]


@pytest.mark.parametrize(("op", "limit"), [("Exp", np.exp(155 / 32)), ("Softsign", 8 / 9)])
def test_a_constant_where_tables_end(tmp_path: Path, op: str, limit: float) -> None:
    """Exp is too steep there, and Softsign still far from its limit."""
    nodes, values = classifier(168)
    path = save_network(tmp_path / "m.onnx", [node(op), *nodes], X, values)
    check_against_onnxruntime(path, random(*X))
    above = np.full(X, 9.0, np.float32)
    weight = values["last.weight"].reshape(3, 168)
    expected = np.full((2, 168), limit) @ weight.T
    np.testing.assert_allclose(logits(import_onnx(path), above), expected, rtol=1e-5)


@pytest.mark.parametrize("exponent", [1, 2, 3, 4, 7, 16, -1, -2, -3, 0.5, -0.5, 2.5, -1.5, 1 / 3, 0.1, 2.2])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_power(tmp_path: Path, exponent: float, dtype: type) -> None:
    """A fraction of positive numbers; others may be negative."""
    nodes, values = classifier(168)
    values["p"] = np.asarray(exponent if dtype == np.float32 else int(exponent) or 2, dtype)
    values["p"] = values["p"].reshape((1,) if exponent == 3 else ())
    x = np.sign(random(*X)) * (np.abs(random(*X)) / 4 + 0.3)
    path = save_network(tmp_path / "m.onnx", [node("Pow", "x p"), *nodes], X, values)
    model = check_against_onnxruntime(path, x if values["p"] % 1 == 0 else np.abs(x))
    assert list(model.parameters) == ["last.weight"]


POWERS: dict[str, tuple[str, list[str]]] = {
    "sqrt": ("t = Sqrt x", []),
    "reciprocal": ("t = Reciprocal x", []),
    "log": ("t = Log x", []),
    "log_of_sigmoid": ("a = Neg x; b = Sigmoid a; t = Log b", []),
    "log_of_softmax_like": ("a = Exp x; b = ReduceSum a axis1; t = Log b; t2 = Sub x t", []),
    "reciprocal_root": ("a = Sqrt x; t = Reciprocal a", []),
    "quotient": ("a = Add x half; t = Div x a", []),
    "number_by": ("t = Div half x", []),
    "parameter_by": ("t = Div c6 x", ["c6"]),
    "by_a_mean": ("a = GlobalAveragePool x; t = Div x a", []),
    "a_mean_by": ("a = GlobalAveragePool x; t = Div a x", []),
    "norm": (
        "a = Mul x x; b = ReduceSum a axis1; r = Sqrt b; m = Max r half; s = Shape x; e = Expand m s; t = Div x e",
        [],
    ),
    "deviation": (
        "m = ReduceMean x; d = Sub x m; a = Mul d d; v = ReduceMean a; w = Add v half; r = Sqrt w; t = Div d r",
        [],
    ),
}


def chain(text: str) -> list[onnx.NodeProto]:
    """Nodes as `result = Operator inputs`, with semicolons between."""
    lines = [line.replace("= ", "").split() for line in text.split(";")]
    reduction = {"ReduceMean": {"axes": [1]}}
    return [node(op, " ".join(inputs), output, **reduction.get(op, {})) for output, op, *inputs in lines]


@pytest.mark.parametrize("case", POWERS)
def test_powers_and_quotients(tmp_path: Path, case: str) -> None:
    text, parameters = POWERS[case]
    made = chain(text)
    last = made[-1].output[0]
    tail, values = classifier(168)
    tail[0].input[0] = last
    values |= {"half": np.asarray(0.5, np.float32), "c6": random(6), "axis1": np.array([1])}
    used = {name for each in [*made, *tail] for name in each.input}
    values = {name: values[name] for name in values.keys() & used}
    path = save_network(tmp_path / "m.onnx", [*made, *tail], X, values)
    model = check_against_onnxruntime(path, np.abs(random(*X)) + 0.1)
    assert set(model.parameters) == {*parameters, "last.weight"}


def test_what_has_no_power_is_finite(tmp_path: Path) -> None:
    """Where onnxruntime gives NaN and infinity."""
    x = np.array([[-2.0, 0.0, 4.0]], np.float32)
    for op, expected in (("Sqrt", [0, 0, 2]), ("Log", [None, None, np.log(4)]), ("Reciprocal", [-0.5, None, 0.25])):
        path = save_network(tmp_path / "m.onnx", [node(op), node("Gemm", "t w", "y")], (1, 3), {"w": np.eye(3, 3)})
        found = logits(import_onnx(path), x)[0]
        assert np.isfinite(found).all()
        assert [f == pytest.approx(e) for f, e in zip(found, expected, strict=True) if e is not None].count(False) == 0


@pytest.mark.parametrize(
    ("gate", "name"), [(node("Sigmoid", "x", "g"), "swish"), (node("HardSigmoid", "x", "g", alpha=1 / 6), "hard_swish")]
)
def test_x_times_its_gate_is_one_function(tmp_path: Path, gate: onnx.NodeProto, name: str) -> None:
    nodes, values = classifier(168)
    for inputs in ("x g", "g x"):
        path = save_network(tmp_path / "m.onnx", [gate, node("Mul", inputs), *nodes], X, values)
        model = check_against_onnxruntime(path, random(*X))
        assert f"nn.activation %input function = {name}" in print_module(model.module)
        assert "nn.mul" not in print_module(model.module)


@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (0.5, 3.0), (1.0, 0.0)])
@pytest.mark.parametrize("c", ["", "c", "row"])
def test_gemm(tmp_path: Path, trans_b: int, alpha: float, beta: float, c: str) -> None:
    values = {"w": random(5, 6).reshape((5, 6) if trans_b else (6, 5)), "c": random(5), "row": random(1, 5)}
    gemm = node("Gemm", f"x w {c}".strip(), "y", transB=trans_b, alpha=alpha, beta=beta)
    path = save_network(tmp_path / "m.onnx", [gemm], (2, 6), values)
    model = check_against_onnxruntime(path, random(2, 6))
    assert model.parameters["w"].shape == (5, 6)
    for name, conversion in model.conversions.items():
        np.testing.assert_allclose(conversion.to_onnx(model.parameters[name]), values[conversion.source], rtol=1e-6)


def test_matmul_of_a_sequence(tmp_path: Path) -> None:
    nodes, values = classifier(3 * 5)
    values |= {"w": random(6, 5), "b": random(5)}
    path = save_network(
        tmp_path / "m.onnx", [node("MatMul", "x w", "a"), node("Add", "a b", "t"), *nodes], (2, 3, 6), values
    )
    check_against_onnxruntime(path, random(2, 3, 6))


LEFT: dict[str, tuple[list[onnx.NodeProto], tuple[int, ...], int]] = {
    "sequence": ([node("MatMul", "l x")], (2, 3, 6), 5 * 6),
    "image": ([node("MatMul", "l x")], (2, 4, 3, 6), 4 * 5 * 6),
    "with_bias": ([node("MatMul", "l x", "a"), node("Add", "a b")], (2, 3, 6), 5 * 6),
    "between_transposes": (
        [
            node("Transpose", "x", "a", perm=[0, 2, 1]),
            node("MatMul", "l a", "c"),
            node("Transpose", "c", perm=[0, 2, 1]),
        ],
        (2, 6, 3),
        5 * 6,
    ),
    "both_sides": ([node("MatMul", "l x", "a"), node("Relu", "a", "c"), node("MatMul", "c r")], (2, 3, 6), 5 * 4),
    "behind_a_convolution": ([node("Conv", "x k", "a"), node("MatMul", "l a")], (2, 2, 3, 6), 4 * 5 * 6),
}


@pytest.mark.parametrize("case", LEFT)
def test_matmul_with_the_weight_on_the_left(tmp_path: Path, case: str) -> None:
    made, shape, rest = LEFT[case]
    nodes, values = classifier(rest)
    values |= {"l": random(5, 3), "r": random(6, 4), "b": random(5, 1), "k": random(4, 2, 1, 1)}
    used = {name for each in [*made, *nodes] for name in each.input}
    values = {name: values[name] for name in values.keys() & used}
    model = check_against_onnxruntime(save_network(tmp_path / "m.onnx", [*made, *nodes], shape, values), random(*shape))
    for name, conversion in model.conversions.items():
        np.testing.assert_array_equal(conversion.to_onnx(model.parameters[name]), values[conversion.source])


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
    assert any("parameter 'w' is used by several nodes, and trained as one" in note for note in model.notes)


def test_weights_computed_without_parameters(tmp_path: Path) -> None:
    """As in the light models of the onnx wheel, whose weights are ConstantOfShape."""
    value = helper.make_tensor("v", 1, [1], [0.5])
    nodes = [node("ConstantOfShape", "shape", "w", value=value), node("Gemm", "x w", "y")]
    path = save_network(tmp_path / "m.onnx", nodes, (2, 6), {"shape": np.array([6, 5], I64)})
    assert list(check_against_onnxruntime(path, random(2, 6)).parameters) == ["w"]


SOFTPLUS: dict[str, tuple[str, bool]] = {
    "default": ("s = Softplus x; c = Greater x twenty; t = Where c x s", True),
    "or_equal": ("s = Softplus x; c = GreaterOrEqual x twenty; t = Where c x s", True),
    "beta": ("b = Mul x two; q = Softplus b; s = Div q two; c = Greater b twenty; t = Where c x s", True),
    "beta_first": ("b = Mul two x; q = Softplus b; s = Mul half q; c = Greater b twenty; t = Where c x s", True),
    "low_threshold": ("s = Softplus x; c = Greater x two; t = Where c x s", False),
    "other_value": ("s = Softplus x; c = Greater x twenty; r = Relu x; t = Where c r s", False),
    "other_condition": ("s = Softplus x; r = Neg x; c = Greater r twenty; t = Where c x s", False),
}


@pytest.mark.parametrize("case", SOFTPLUS)
def test_softplus_with_a_threshold(tmp_path: Path, case: str) -> None:
    text, is_softplus = SOFTPLUS[case]
    nodes, values = classifier(4 * 7 * 6)
    nodes = [*chain(text), *nodes]
    values |= {name: np.asarray(value, np.float32) for name, value in (("twenty", 20), ("two", 2), ("half", 0.5))}
    used = {name for each in nodes for name in each.input}
    path = save_network(tmp_path / "m.onnx", nodes, X, {name: values[name] for name in values.keys() & used})
    model = check_against_onnxruntime(path, 9 * random(*X))
    assert (count_of(model, StepOp) == 0) == is_softplus


JOINED: dict[str, list[onnx.NodeProto]] = {
    "max": [node("Tanh", "x", "a"), node("Max", "x a")],
    "min": [node("Tanh", "x", "a"), node("Min", "a x")],
    "max_of_a_channel": [node("GlobalAveragePool", "x", "a"), node("Max", "a x")],
    "min_of_a_channel": [node("GlobalAveragePool", "x", "a"), node("Min", "x a")],
    "max_of_three": [node("Tanh", "x", "a"), node("Neg", "x", "b"), node("Max", "x a b")],
    "min_of_four": [node("Tanh", "x", "a"), node("Neg", "x", "b"), node("Min", "half x a b")],
    "max_of_one": [node("Max", "x")],
    "mean": [node("Tanh", "x", "a"), node("Relu", "x", "b"), node("Mean", "x a b")],
    "mean_of_one": [node("Mean", "x")],
    "abs": [node("Abs", "x")],
}


@pytest.mark.parametrize("case", JOINED)
def test_what_is_made_of_rectified_differences(tmp_path: Path, case: str) -> None:
    nodes, values = classifier(4 * 7 * 6)
    values |= {"half": np.asarray(0.5, np.float32)} if case == "min_of_four" else {}
    check_against_onnxruntime(save_network(tmp_path / "m.onnx", [*JOINED[case], *nodes], X, values), random(*X))


CHOICES: dict[str, tuple[str, list[str]]] = {
    "positive": ("c = Greater x zero; a = Tanh x; t = Where c x a", []),
    "negative": ("c = Less x zero; t = Where c zero x", []),
    "at_least": ("c = GreaterOrEqual x half; t = Where c x zero", []),
    "at_most": ("c = LessOrEqual x half; t = Where c half x", []),
    "number_first": ("c = Greater half x; t = Where c x zero", []),
    "of_two": ("a = Neg x; b = Tanh x; c = Less b a; t = Where c x a", []),
    "of_a_mean": ("a = GlobalAveragePool x; c = Greater x a; t = Where c x a", []),
    "of_a_parameter": ("c = Greater x c411; t = Where c x half", ["c411"]),
    "parameter_chosen": ("c = Greater x half; t = Where c x c411", ["c411"]),
    "both_zero": ("c = Greater x half; a = Where c zero zero; t = Add a x", []),
    "not": ("c = Greater x half; n = Not c; t = Where n x zero", []),
    "and": ("c = Greater x half; d = Less x three; n = And c d; t = Where n x zero", []),
    "or": ("c = Greater x half; d = Less x zero; n = Or c d; t = Where n x zero", []),
    "as_number": ("c = Greater x half; n = CastLike c x; t = Mul x n", []),
    "sign": ("s = Sign x; t = Mul x s", []),
    "thresholded": ("t = ThresholdedRelu x", []),
    "hard_shrink": ("a = Abs x; c = LessOrEqual a half; t = Where c zero x", []),
    "soft_shrink": (
        "a = Abs x; c = Greater a half; s = Sign x; h = Mul s half; d = Sub x h; z = Mul x zero; t = Where c d z",
        [],
    ),
    "repeated_zeros": ("c = Greater x half; s = Shape x; z = Expand zero s; t = Where c x z", []),
    "repeated_number": ("c = Greater x half; s = Shape x; z = Expand three s; t = Where c x z", []),
    "mask_of_columns": ("a = Tanh x; t = Where m6 x a", []),
    "mask_of_channels": ("t = Where m411 x zero", []),
    "mask_of_two_axes": ("a = Neg x; t = Where m471 a x", []),
    "mask_of_all": ("t = Where m476 half x", []),
    "mask_of_true": ("a = Tanh x; t = Where m1 a x", []),
    "mask_and_parameter": ("t = Where m6 x c411", ["c411"]),
    "mask_and_mean": ("a = GlobalAveragePool x; t = Where m6 x a", []),
}


@pytest.mark.parametrize("case", CHOICES)
def test_comparisons_and_choices(tmp_path: Path, case: str) -> None:
    text, parameters = CHOICES[case]
    tail, values = classifier(168)
    rng, masks = np.random.default_rng(1), {"m6": (6,), "m411": (4, 1, 1), "m471": (4, 7, 1)}
    values |= {name: rng.random(shape) < 0.7 for name, shape in masks.items()} | {"m1": np.array([True])}
    values |= {"m476": (np.arange(168) // 10 % 3 == 0).reshape(4, 7, 6)}
    values |= {name: np.asarray(number, np.float32) for name, number in (("zero", 0), ("half", 0.5), ("three", 3))}
    values |= {"c411": random(4, 1, 1)}
    nodes = [*chain(text), *tail]
    used = {name for each in nodes for name in each.input}
    path = save_network(tmp_path / "m.onnx", nodes, X, {name: values[name] for name in values.keys() & used})
    x = np.where(random(*X, seed=5) > 1, np.float32(0.5), 2 * random(*X))  # some are equal to the threshold
    model = check_against_onnxruntime(path, x)
    assert set(model.parameters) == {*parameters, "last.weight"}
