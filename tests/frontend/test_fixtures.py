"""What the PyTorch exporters write imports, and computes what torch and onnxruntime compute."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from nitic.frontend.importer import import_onnx
from nitic.ops.elementwise import DropoutOp
from tests.support.onnx_models import FIXTURES, Array, log_softmax, logits, onnxruntime_output, random

EXPORTS = sorted(FIXTURES.glob("*.onnx"))


def recorded(path: Path) -> Path:
    """An input of the network and torch's output."""
    return FIXTURES / f"{path.stem.split('-')[0]}.npz"


def network_output(path: Path, x: Array) -> Array:
    """What the whole model computes: the logits, and the softmax that the importer dropped."""
    result = logits(import_onnx(path, batch_size=len(x)), x)
    last = onnx.load(path, load_external_data=False).graph.node[-1].op_type
    if last in {"Softmax", "LogSoftmax"}:
        result = log_softmax(result)
    return np.exp(result) if last == "Softmax" else result


@pytest.mark.parametrize("path", [path for path in EXPORTS if recorded(path).exists()], ids=lambda path: path.stem)
def test_output_equals_torch(path: Path) -> None:
    data = np.load(recorded(path))
    np.testing.assert_allclose(network_output(path, data["input"]), data["output"], atol=1e-4)


@pytest.mark.parametrize("path", [path for path in EXPORTS if "train" not in path.stem], ids=lambda path: path.stem)
def test_output_equals_onnxruntime(path: Path) -> None:
    shape = [dim.dim_value or 2 for dim in onnx.load(path).graph.input[0].type.tensor_type.shape.dim]
    x = random(*shape)
    if path.stem.startswith("keras_like"):  # its input is NHWC, and so is nitic's
        np.testing.assert_allclose(
            network_output(path, x.transpose(0, 3, 1, 2)), onnxruntime_output(path, x), atol=1e-4
        )
    else:
        np.testing.assert_allclose(network_output(path, x), onnxruntime_output(path, x), atol=1e-4)


TIME_FIRST = {"vit"}  # nn.MultiheadAttention computes over [time, batch, features]


@pytest.mark.parametrize(
    "path", [path for path in EXPORTS if path.stem.split("-")[0] not in TIME_FIRST], ids=lambda path: path.stem
)
def test_no_transpose_is_left(path: Path) -> None:
    ops = {op.name for op in import_onnx(path).module.walk()}
    assert "nn.transpose" not in ops


@pytest.mark.parametrize("path", EXPORTS, ids=lambda path: path.stem)
def test_layouts_lead_back_to_the_initializers(path: Path) -> None:
    initializers = {i.name: onnx.numpy_helper.to_array(i) for i in onnx.load(path).graph.initializer}
    model = import_onnx(path)
    assert model.parameters.keys() == model.conversions.keys()
    for name, array in model.parameters.items():
        conversion = model.conversions[name]
        np.testing.assert_array_equal(conversion.to_onnx(array), initializers[conversion.source])
        np.testing.assert_array_equal(conversion.from_onnx(initializers[conversion.source]), array)


@pytest.mark.parametrize("name", ["mlp_nobias-legacy-eval", "mlp_nobias-legacy-train", "mlp_nobias-dynamo-eval"])
def test_parameters_keep_their_torch_names(name: str) -> None:
    model = import_onnx(FIXTURES / f"{name}.onnx")
    assert list(model.parameters) == ["net.1.weight", "net.3.weight"]
    assert [array.shape for array in model.parameters.values()] == [(12, 16), (5, 12)]


@pytest.mark.parametrize("mode", ["legacy-eval", "dynamo-eval"])
def test_folded_batch_norm_is_noted(mode: str) -> None:
    model = import_onnx(FIXTURES / f"batchnorm-{mode}.onnx")
    assert list(model.parameters) == ["conv.weight", "conv.bias", "fc.weight", "fc.bias"]
    assert any("folded a batch normalisation" in note and "optimize=False" in note for note in model.notes)


def test_dropout_is_kept() -> None:
    for name in ("poolnet-legacy-train", "poolnet-dynamo-train", "poolnet-legacy-train-dynamic-opset9"):
        module = import_onnx(FIXTURES / f"{name}.onnx").module
        assert [op.p.value.data for op in module.walk() if isinstance(op, DropoutOp)] == [0.25]


def test_batch_size() -> None:
    assert import_onnx(FIXTURES / "lenet-legacy-eval-dynamic.onnx").batch_size == 64
    assert import_onnx(FIXTURES / "lenet-legacy-eval-dynamic.onnx", 32).batch_size == 32
    assert import_onnx(FIXTURES / "lenet-legacy-eval.onnx").batch_size == 2
    rebatched = import_onnx(FIXTURES / "lenet-dynamo-eval.onnx", 5)
    assert any("batches of 2" in note for note in rebatched.notes)
    x = random(5, 1, 28, 28)
    expected = onnxruntime_output(FIXTURES / "lenet-dynamo-eval-dynamic.onnx", x)
    np.testing.assert_allclose(logits(rebatched, x), expected, atol=1e-4)
