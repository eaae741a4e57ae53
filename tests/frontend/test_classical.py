"""What scikit-learn's converters write: linear models and scalers of ai.onnx.ml, networks of two classes."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from scipy.special import softmax

from nitic.errors import CompileError
from nitic.export.float import float_model
from nitic.frontend.importer import ImportedModel, import_onnx
from tests.export.test_float import METADATA, moved_state
from tests.support.onnx_models import Array, logits, onnxruntime_output, random

FEATURES, CLASSES, BATCH = 6, 3, 5
X = random(BATCH, FEATURES)
WEIGHT, BIAS = random(CLASSES, FEATURES, seed=1), random(CLASSES, seed=2)


def ml(op: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), outputs.split(), name=op, domain="ai.onnx.ml", **attributes)


def save(path: Path, nodes: list[onnx.NodeProto], output: str, opset: int = 22, **tensors: Array) -> Path:
    """From the features `x` to the labels `label`, if a node gives them, and to `output`."""
    made = {name for node in nodes for name in node.output}
    outputs = [helper.make_tensor_value_info("label", TensorProto.INT64, ["N"])] if "label" in made else []
    is_map = nodes[-1].op_type == "ZipMap"
    outputs.append(
        helper.make_value_info(
            output,
            helper.make_sequence_type_proto(
                helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
            ),
        )
        if is_map
        else helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", "C"])
    )
    source = helper.make_tensor_value_info("x", TensorProto.FLOAT, [BATCH, FEATURES])
    initializers = [numpy_helper.from_array(np.asarray(array), name) for name, array in tensors.items()]
    graph = helper.make_graph(nodes, "model", [source], outputs, initializers)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return path


def classifier(transform: str = "SOFTMAX", output: str = "y", weight: Array = WEIGHT, bias: Array = BIAS) -> Any:
    return ml(
        "LinearClassifier",
        "x",
        f"label {output}",
        classlabels_ints=list(range(10, 10 + len(weight))),
        coefficients=weight.reshape(-1).tolist(),
        intercepts=bias.tolist(),
        post_transform=transform,
    )


def outputs_of(path: Path) -> Any:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": X})


def probabilities(model: ImportedModel) -> Array:
    return softmax(logits(model, X), 1)


@pytest.mark.parametrize("norm", [False, True])
def test_a_logistic_regression_is_a_linear_layer(tmp_path: Path, norm: bool) -> None:
    nodes = [classifier(output="p" if norm else "y"), *([ml("Normalizer", "p", "y", norm="L1")] if norm else [])]
    path = save(tmp_path / "m.onnx", nodes, "y")
    model = import_onnx(path)
    np.testing.assert_allclose(probabilities(model), outputs_of(path)[1], atol=1e-5)
    np.testing.assert_array_equal(model.parameters["LinearClassifier.weight"], WEIGHT)
    np.testing.assert_array_equal(model.parameters["LinearClassifier.bias"], BIAS)


def test_two_classes_have_opposite_scores(tmp_path: Path) -> None:
    """Of which each is behind a sigmoid of its own."""
    z, b = random(1, FEATURES, seed=3), random(1, seed=4)
    node = classifier("LOGISTIC", weight=np.concatenate([-z, z]), bias=np.concatenate([-b, b]))
    path = save(tmp_path / "m.onnx", [node], "y")
    np.testing.assert_allclose(probabilities(import_onnx(path)), outputs_of(path)[1], atol=1e-5)


def test_sigmoids_of_several_scores_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "m.onnx", [classifier("LOGISTIC")], "y")
    with pytest.raises(CompileError, match="'post_transform' is 'LOGISTIC'"):
        import_onnx(path)


def test_dictionaries_stand_for_probabilities(tmp_path: Path) -> None:
    """The default of skl2onnx."""
    zip_map = ml("ZipMap", "p", "y", classlabels_int64s=[10, 11, 12])
    path = save(tmp_path / "m.onnx", [classifier(output="p"), zip_map], "y")
    expected = np.asarray([[*each.values()] for each in outputs_of(path)[1]])
    np.testing.assert_allclose(probabilities(import_onnx(path)), expected, atol=1e-5)


@pytest.mark.parametrize("opset", [17, 22])
@pytest.mark.parametrize("norm", ["L1", "L2"])
def test_what_prepares_features(tmp_path: Path, norm: str, opset: int) -> None:
    offset, scale = random(FEATURES, seed=5), np.abs(random(FEATURES, seed=6))
    nodes = [
        ml("Scaler", "x", "s", offset=offset.tolist(), scale=scale.tolist()),
        ml("Normalizer", "s", "n", norm=norm),
        helper.make_node("MatMul", ["n", "w"], ["y"]),
    ]
    path = save(tmp_path / "m.onnx", nodes, "y", opset, w=WEIGHT.T.copy())
    np.testing.assert_allclose(logits(import_onnx(path), X), outputs_of(path)[0], atol=1e-5)


def test_a_linear_regression(tmp_path: Path) -> None:
    attributes = {"coefficients": WEIGHT[0].tolist(), "intercepts": BIAS[:1].tolist(), "targets": 1}
    path = save(tmp_path / "m.onnx", [ml("LinearRegressor", "x", "y", **attributes)], "y")
    np.testing.assert_allclose(logits(import_onnx(path), X), outputs_of(path)[0], atol=1e-5)


def test_the_trained_model_gives_labels_as_before(tmp_path: Path) -> None:
    path, out = save(tmp_path / "m.onnx", [classifier()], "y"), tmp_path / "out.onnx"
    model = import_onnx(path)
    out.write_bytes(float_model(model, path, moved_state(path), METADATA))
    onnx.checker.check_model(out, full_check=True)
    labels, found = outputs_of(out)
    np.testing.assert_array_equal(labels, 10 + found.argmax(1))
    np.testing.assert_allclose(probabilities(import_onnx(out)), found, atol=1e-5)


@pytest.mark.parametrize("axis", [1, -1])
def test_a_probability_beside_its_complement_is_one_logit(tmp_path: Path, axis: int) -> None:
    """Cross-entropy would take both probabilities as logits."""
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["z"], transB=1),
        helper.make_node("Sigmoid", ["z"], ["s"]),
        helper.make_node("Sub", ["one", "s"], ["other"]),
        helper.make_node("Concat", ["other", "s"], ["both"], axis=axis),
        helper.make_node("Identity", ["both"], ["y"]),
    ]
    tensors = {"w": WEIGHT[:1], "b": BIAS[:1], "one": np.asarray(1, np.float32)}
    path = save(tmp_path / "m.onnx", nodes, "y", 22, **tensors)
    model = import_onnx(path)
    found = logits(model, X)
    assert found.shape == (BATCH, 1)
    np.testing.assert_allclose(found[:, 0], onnxruntime_output(path, X)[:, 1], atol=1e-6)
    assert any("probabilities of two classes" in note for note in model.notes)


def test_other_pairs_stay_as_they_are(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["z"], transB=1),
        helper.make_node("Sigmoid", ["z"], ["s"]),
        helper.make_node("Sub", ["two", "s"], ["other"]),
        helper.make_node("Concat", ["other", "s"], ["y"], axis=1),
    ]
    path = save(tmp_path / "m.onnx", nodes, "y", w=WEIGHT[:1], two=np.asarray(2, np.float32))
    np.testing.assert_allclose(logits(import_onnx(path), X), onnxruntime_output(path, X), atol=1e-6)
