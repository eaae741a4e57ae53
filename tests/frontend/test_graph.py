"""Which part of a file's graph is imported: one output of logits, and what it needs."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from nitic.errors import CompileError
from nitic.frontend.graph import Ports
from nitic.frontend.importer import ImportedModel, import_onnx
from tests.support.onnx_models import Array, logits, random, save_network

W = random(6, 3)
REAL, WHOLE = TensorProto.FLOAT, TensorProto.INT64


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), outputs.split(), name=f"make_{outputs}", **attributes)


def save(
    folder: Path, nodes: list[onnx.NodeProto], outputs: dict[str, int], values: dict[str, Array] | None = None
) -> Path:
    """A network from `x` to some outputs, of these element types."""
    path = save_network(folder / "m.onnx", nodes, (2, 6), {"w": W} if values is None else values)
    model = onnx.load(path)
    del model.graph.output[:]
    model.graph.output.extend(helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items())
    if any("t" in each.input for each in nodes):
        model.graph.input.append(helper.make_tensor_value_info("t", WHOLE, [2]))
    onnx.save(model, path)
    return path


LOGITS, ARGMAX = node("Gemm", "x w", "z"), node("ArgMax", "z", "label", axis=1, keepdims=0)


def is_linear(model: ImportedModel) -> bool:
    x = random(2, 6)
    return np.allclose(logits(model, x), x @ W, atol=1e-5)


def test_what_no_output_needs_is_not_imported(tmp_path: Path) -> None:
    path = save(tmp_path, [LOGITS, ARGMAX, node("Det", "z", "d")], {"z": REAL})
    assert is_linear(import_onnx(path))


def test_an_output_of_integers_is_left_out(tmp_path: Path) -> None:
    model = import_onnx(save(tmp_path, [LOGITS, ARGMAX], {"label": WHOLE, "z": REAL}))
    assert is_linear(model)
    assert model.notes == ("output 'label' holds no floats, so it is left out",)


TWO = [LOGITS, node("Softmax", "z", "p")]


@pytest.mark.parametrize("name", ["z", "p"])
def test_one_of_several_outputs(tmp_path: Path, name: str) -> None:
    assert is_linear(import_onnx(save(tmp_path, TWO, {"z": REAL, "p": REAL}), ports=Ports(output=name)))


def test_a_value_that_is_no_output_may_be_one(tmp_path: Path) -> None:
    nodes = [LOGITS, node("Relu", "z", "r"), node("Gemm", "r v", "y")]
    path = save(tmp_path, nodes, {"y": REAL}, {"w": W, "v": random(3, 4)})
    assert is_linear(import_onnx(path, ports=Ports(output="z")))


def test_several_outputs_are_named(tmp_path: Path) -> None:
    path = save(tmp_path, TWO, {"z": REAL, "p": REAL})
    with pytest.raises(CompileError, match="one output, but this has 2: 'z', 'p'") as caught:
        import_onnx(path)
    assert "--output-name" in caught.value.note
    with pytest.raises(CompileError, match="no node makes 'q'; the file's outputs are 'z', 'p'"):
        import_onnx(path, ports=Ports(output="q"))


CROSS_ENTROPY = node("SoftmaxCrossEntropyLoss", "z t", "loss")
EMBEDDED: dict[str, tuple[list[onnx.NodeProto], dict[str, int]]] = {
    "loss": ([LOGITS, CROSS_ENTROPY], {"loss": REAL}),
    "loss_and_logits": ([LOGITS, CROSS_ENTROPY], {"loss": REAL, "z": REAL}),
    "all": ([LOGITS, ARGMAX, CROSS_ENTROPY], {"label": WHOLE, "z": REAL, "loss": REAL}),
    "summed": ([LOGITS, node("SoftmaxCrossEntropyLoss", "z t", "loss", reduction="sum")], {"loss": REAL}),
    "of_logarithms": (
        [LOGITS, node("LogSoftmax", "z", "l"), node("NegativeLogLikelihoodLoss", "l t", "loss")],
        {"loss": REAL},
    ),
}


@pytest.mark.parametrize("case", EMBEDDED)
def test_an_embedded_loss_is_dropped(tmp_path: Path, case: str) -> None:
    model = import_onnx(save(tmp_path, *EMBEDDED[case]))
    assert is_linear(model)
    assert any("nitic has the loss, and takes the labels from the data" in note for note in model.notes)


def test_a_loss_with_weights_of_classes_is_refused(tmp_path: Path) -> None:
    nodes = [LOGITS, node("SoftmaxCrossEntropyLoss", "z t c", "loss")]
    path = save(tmp_path, nodes, {"loss": REAL}, {"w": W, "c": random(3)})
    with pytest.raises(CompileError, match="weights of classes are not supported"):
        import_onnx(path)


AFTER: dict[str, list[onnx.NodeProto]] = {
    "identity": [node("Identity", "p", "y")],
    "reshape": [node("Reshape", "p s", "y")],
    "several": [node("Unsqueeze", "p a", "u"), node("Squeeze", "u a", "v"), node("Cast", "v", "y", to=1)],
    "flatten": [node("Flatten", "p", "y")],
}


@pytest.mark.parametrize("softmax", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("case", AFTER)
def test_views_may_follow_the_softmax(tmp_path: Path, case: str, softmax: str) -> None:
    values: dict[str, Array] = {"w": W, "s": np.array([-1, 3]), "a": np.array([1])}
    path = save_network(tmp_path / "m.onnx", [LOGITS, node(softmax, "z", "p"), *AFTER[case]], (2, 6), values)
    assert is_linear(import_onnx(path))


@pytest.mark.parametrize("last", [node("Relu", "q", "y"), node("Transpose", "q", "y", perm=[1, 0])])
def test_nothing_else_may_follow(tmp_path: Path, last: onnx.NodeProto) -> None:
    nodes = [LOGITS, node("Softmax", "z", "p"), node("Identity", "p", "q"), last]
    with pytest.raises(CompileError, match=r"'make_p' \(Softmax\) is supported only as the last"):
        import_onnx(save_network(tmp_path / "m.onnx", nodes, (2, 6), {"w": W}))
