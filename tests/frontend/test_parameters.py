"""What is a parameter of its own, what is shared, and what is none."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nitic.errors import CompileError, ExitCode
from nitic.frontend.importer import ImportedModel, import_onnx
from nitic.ir.function import argument_labels, function
from tests.support.onnx_models import Array, check_against_onnxruntime, random, save_network

X = (2, 4, 7, 6)
ZEROS, ONES = np.zeros(4, np.float32), np.ones(4, np.float32)
ZERO = helper.make_tensor("v", TensorProto.FLOAT, [1], [0.0])


def node(op: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), [output], name=f"make_{output}", **attributes)


def weights(model: ImportedModel) -> list[str]:
    return [label.name for label in argument_labels(function(model.module, "predict")) if label.role == "weight"]


ZERO_BIASES: dict[str, list[onnx.NodeProto]] = {
    "initializer": [],
    "constant": [node("Constant", "", "b", value=numpy_helper.from_array(ZEROS))],
    "list": [node("Constant", "", "b", value_floats=ZEROS.tolist())],
    "constant_of_shape": [node("ConstantOfShape", "four", "b", value=ZERO)],
    "identity": [node("Constant", "", "made", value=numpy_helper.from_array(ZEROS)), node("Identity", "made", "b")],
    "reshaped": [node("Constant", "", "made", value_floats=ZEROS.tolist()), node("Reshape", "made four", "b")],
}


@pytest.mark.parametrize("layer", ["Gemm", "Add"])
@pytest.mark.parametrize("case", ZERO_BIASES)
def test_a_bias_of_zeros_is_trained(tmp_path: Path, case: str, layer: str) -> None:
    layers = {
        "Gemm": [node("Gemm", "x w b", "y")],
        "Add": [node("MatMul", "x w", "h"), node("Add", "h b", "y")],
    }
    values = {"w": random(6, 4), "four": np.array([4]), **({} if ZERO_BIASES[case] else {"b": ZEROS})}
    path = save_network(tmp_path / "m.onnx", [*ZERO_BIASES[case], *layers[layer]], (2, 6), values)
    model = check_against_onnxruntime(path, random(2, 6))
    assert list(model.parameters) == ["w", "b"]
    assert not model.notes


def test_a_zero_that_expand_repeats_is_no_bias(tmp_path: Path) -> None:
    """So torch writes a layer without one, in training form."""
    nodes = [
        node("Constant", "", "zero", value_float=0.0),
        node("Expand", "zero four", "b"),
        node("Gemm", "x w b", "h"),
        node("Gemm", "h v b", "y"),
    ]
    values = {"w": random(6, 4), "v": random(4, 4), "four": np.array([4])}
    model = check_against_onnxruntime(save_network(tmp_path / "m.onnx", nodes, (2, 6), values), random(2, 6))
    assert list(model.parameters) == ["w", "v"]
    assert any("and 1 more: the bias is a zero that Expand repeats" in note for note in model.notes)


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
    assert [label.name for label in labels if label.role == "weight"] == ["one.2", "zero.2", "one.4", "zero.4"]


def merged(tmp_path: Path, nodes: list[onnx.NodeProto], **values: Array) -> ImportedModel:
    path = save_network(tmp_path / "m.onnx", nodes, (2, 4), {"w": random(4, 4), "v": random(4, 4), **values})
    return check_against_onnxruntime(path, random(2, 4))


def test_biases_that_an_exporter_merged_are_trained_apart(tmp_path: Path) -> None:
    nodes = [
        node("Identity", "1.bias", "3.bias"),
        node("Gemm", "x w 1.bias", "h"),
        node("Relu", "h", "r"),
        node("Gemm", "r v 3.bias", "y"),
    ]
    model = merged(tmp_path, nodes, **{"1.bias": ZEROS})
    assert weights(model) == ["w", "1.bias", "v", "3.bias"]
    assert {model.conversions[name].source for name in ("1.bias", "3.bias")} == {"1.bias"}
    assert any("'1.bias' holds one number" in note and "trains its own" in note for note in model.notes)


def test_a_layer_that_is_used_twice_keeps_its_bias(tmp_path: Path) -> None:
    """It shares a weight that no initial value explains, so the bias is shared, too."""
    nodes = [node("Gemm", "x w b", "h"), node("Relu", "h", "r"), node("Gemm", "r w b", "y", transB=1)]
    model = merged(tmp_path, nodes, b=ZEROS)
    assert weights(model) == ["w", "b"]
    assert any("'b' is used by several nodes, and trained as one" in note for note in model.notes)


def test_values_that_differ_stay_tied(tmp_path: Path) -> None:
    nodes = [node("Gemm", "x w b", "h"), node("Gemm", "h v b", "y")]
    model = merged(tmp_path, nodes, b=random(4))
    assert weights(model) == ["w", "b", "v"]
    assert any("'b' is used by several nodes" in note and "TrainingMode.TRAINING" in note for note in model.notes)


@pytest.mark.parametrize(("value", "count"), [(0.25, 2), (1.0, 2), (0.3, 1)])
def test_slopes_of_one_number(tmp_path: Path, value: float, count: int) -> None:
    """0.25 and 1 are what layers begin with; 0.3 is shared, since no two layers begin with it by chance."""
    nodes = [node("Gemm", "x w", "h"), node("PRelu", "h s", "p"), node("Gemm", "p v", "q"), node("PRelu", "q s", "y")]
    model = merged(tmp_path, nodes, s=np.array([value], np.float32))
    assert len([name for name in weights(model) if name.startswith("s")]) == count


def test_a_scale_and_a_bias_of_one_value_are_two(tmp_path: Path) -> None:
    nodes = [node("Gemm", "x w", "h"), node("Mul", "h one", "m"), node("Add", "m one", "a"), node("Gemm", "a v", "y")]
    assert weights(merged(tmp_path, nodes, one=ONES)) == ["w", "one", "one.2", "v"]


WRONG_VALUES: dict[str, tuple[str, Any, str]] = {
    "variance": ("var", -1e-4, "parameter 'var' holds -0.0001 at [2], but must be finite and at least 0.0"),
    "variance_nan": ("var", np.nan, "parameter 'var' holds nan at [2], but must be finite and at least 0.0"),
    "mean": ("mean", np.inf, "parameter 'mean' holds inf at [2], but must be finite"),
    "gamma": ("gamma", -np.inf, "parameter 'gamma' holds -inf at [2], but must be finite"),
    "beta": ("beta", np.nan, "parameter 'beta' holds nan at [2], but must be finite"),
    "filter": ("w", np.nan, "parameter 'w' holds nan at [2, 0, 0, 0], but must be finite"),
    "double": ("w", 1e300, "parameter 'w' holds inf at [2, 0, 0, 0], but must be finite"),
}


@pytest.mark.parametrize("case", WRONG_VALUES)
def test_values_outside_the_domain(tmp_path: Path, case: str) -> None:
    """A negative variance would divide by zero, or take the root of a negative number."""
    name, wrong, message = WRONG_VALUES[case]
    values: dict[str, Array] = {"w": random(4, 4, 1, 1), "gamma": ONES, "beta": ZEROS, "mean": ZEROS, "var": ONES}
    changed = values[name].astype(np.float64)
    changed[(2, *(0,) * (changed.ndim - 1))] = wrong
    values[name] = changed if case == "double" else changed.astype(np.float32)
    nodes = [
        node("Cast", "w", "v", to=1),
        node("Conv", "x v", "c"),
        node("BatchNormalization", "c gamma beta mean var", "n"),
        node("GlobalAveragePool", "n", "g"),
        node("Flatten", "g", "y"),
    ]
    path = save_network(tmp_path / "m.onnx", nodes, X, values)
    with pytest.raises(CompileError, match=re.escape(message)) as caught:
        import_onnx(path)
    assert "node 'make_" in caught.value.location
    assert caught.value.exit_code == ExitCode.UNSUPPORTED_MODEL


def test_a_variance_of_zero_is_one(tmp_path: Path) -> None:
    nodes = [
        node("BatchNormalization", "x one zero zero zero", "n"),
        node("GlobalAveragePool", "n", "g"),
        node("Flatten", "g", "y"),
    ]
    path = save_network(tmp_path / "m.onnx", nodes, X, {"one": ONES, "zero": ZEROS})
    check_against_onnxruntime(path, random(*X) / 1000)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("flat", [False, True])
def test_a_batch_norm_over_one_value_is_told(tmp_path: Path, batch: int, flat: bool) -> None:
    """Its own mean is all that it has: nothing is left of the value, nor of its gradient."""
    first, second = ("Flatten", "BatchNormalization") if flat else ("BatchNormalization", "Flatten")
    operands = {"Flatten": "", "BatchNormalization": " one zero zero one"}
    nodes = [
        node("GlobalAveragePool", "x", "g"),
        node(first, "g" + operands[first], "h"),
        node(second, "h" + operands[second], "y"),
    ]
    model = import_onnx(save_network(tmp_path / "m.onnx", nodes, X, {"one": ONES, "zero": ZEROS}), batch)
    assert any("one value per channel" in note for note in model.notes) == (batch == 1)


@pytest.mark.parametrize("batch", [2, 3])
@pytest.mark.parametrize("make", [(), (node("Constant", "", "c", value=numpy_helper.from_array(np.zeros((2, 4)))),)])
def test_zeros_for_each_sample_are_no_parameter(tmp_path: Path, batch: int, make: tuple[onnx.NodeProto, ...]) -> None:
    """The state that an unrolled recurrent layer begins with."""
    nodes = [*make, node("MatMul", "x w", "h"), node("Add", "h c", "s"), node("Tanh", "s", "y")]
    values = {"w": random(6, 4), **({} if make else {"c": np.zeros((2, 4), np.float32)})}
    model = import_onnx(save_network(tmp_path / "m.onnx", nodes, (2, 6), values), batch)
    assert weights(model) == ["w"]


@pytest.mark.parametrize("batch", [2, 3])
@pytest.mark.parametrize(
    ("operator", "shape"), [("Add", (2, 4)), ("Add", (2, 1)), ("Mul", (2, 4)), ("Sub", (2, 4)), ("Div", (2, 1))]
)
def test_values_for_each_sample_are_refused(tmp_path: Path, operator: str, shape: tuple[int, ...], batch: int) -> None:
    nodes = [node("MatMul", "x w", "h"), node(operator, "h c", "y")]
    path = save_network(tmp_path / "m.onnx", nodes, (2, 6), {"w": random(6, 4), "c": random(*shape)})
    with pytest.raises(CompileError, match=re.escape(f"'c' of {list(shape)} has values for each of the 2 samples")):
        import_onnx(path, batch)


def test_one_row_for_all_samples_is_a_parameter(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x w", "h"), node("Add", "h c", "y")]
    path = save_network(tmp_path / "m.onnx", nodes, (2, 6), {"w": random(6, 4), "c": random(1, 4)})
    assert weights(check_against_onnxruntime(path, random(2, 6))) == ["w", "c"]


def with_hierarchy(proto: onnx.NodeProto) -> onnx.NodeProto:
    """As torch's exporter marks what it folded a batch norm into."""
    entry = proto.metadata_props.add()
    entry.key, entry.value = "pkg.torch.onnx.class_hierarchy", "['aten._native_batch_norm_legit_no_training.default']"
    return proto


FILTER, BIAS = "onnx::Conv_205", "onnx::Conv_206"
LAYERS: dict[str, tuple[onnx.NodeProto, int]] = {
    "conv": (with_hierarchy(node("Conv", "x filter", "t")), 1),
    "transposed": (with_hierarchy(node("ConvTranspose", "x filter", "t")), 1),
    "both_made_up": (node("Conv", f"x {FILTER} {BIAS}", "t"), 1),
    "made_up_from_weight": (node("Conv", "x filter c.weight_bias", "t"), 1),
    "filter_of_another_layout": (node("Conv", f"x {FILTER}", "t"), 0),
    "named_bias": (node("Conv", f"x {FILTER} bias", "t"), 0),
    "plain": (node("Conv", "x filter bias", "t"), 0),
}


@pytest.mark.parametrize("case", LAYERS)
def test_what_a_batch_norm_was_folded_into(tmp_path: Path, case: str) -> None:
    """The legacy exporter names every filter so that it computes; only a folded one has a bias of that kind."""
    layer, folded = LAYERS[case]
    filters = dict.fromkeys(("filter", FILTER), random(4, 4, 1, 1))
    values = {**filters, **dict.fromkeys(("bias", BIAS, "c.weight_bias"), random(4))}
    nodes = [layer, node("GlobalAveragePool", "t", "g"), node("Flatten", "g", "y")]
    path = save_network(tmp_path / "m.onnx", nodes, X, {name: values[name] for name in layer.input[1:]})
    model = import_onnx(path)
    assert model.folded_batch_norms == folded
    assert any("folded a batch normalisation" in note for note in model.notes) == bool(folded)


@pytest.mark.parametrize("folded", [False, True])
def test_a_linear_layer_with_a_folded_batch_norm(tmp_path: Path, folded: bool) -> None:
    layer = node("Gemm", "x w b", "y")
    path = tmp_path / "m.onnx"
    save_network(path, [with_hierarchy(layer) if folded else layer], (2, 6), {"w": random(6, 4), "b": random(4)})
    assert import_onnx(path).folded_batch_norms == folded
