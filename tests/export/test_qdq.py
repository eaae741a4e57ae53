"""`--format qdq`: int8 weights and the program's roundings in the file that was compiled, near to what it predicts."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from nitic.arithmetic.integers import Array
from nitic.export.qdq import OPSET, qdq_model
from nitic.frontend.importer import import_onnx, opset
from nitic.ir.function import function
from tests.export.predictions import BATCH, Prediction, trained
from tests.networks.stages import WRITERS, Interpreted
from tests.support.bits import moves
from tests.support.onnx_models import onnxruntime_output


def exported(name: str, prediction: Prediction, folder: Path) -> Path:
    path, out = folder / f"{name}.onnx", folder / "qdq.onnx"
    WRITERS[name]().save(path)
    net = prediction.net
    out.write_bytes(qdq_model(import_onnx(path, BATCH), path, function(net.module, "predict"), net.state, {}))
    return out


def standardised(prediction: Prediction) -> Array:
    """Samples as the file takes them."""
    state = prediction.net.state
    mapped = prediction.x * state["input.multiplier"].astype(np.float64) + state["input.offset"]
    x = mapped * 2.0 ** (int(state["input.exponent"]) - 16)
    return (x.transpose(0, 3, 1, 2) if x.ndim == 4 else x).astype(np.float32)


@pytest.mark.parametrize(
    "name", ["mlp", "lenet", "vgg_narrow", "resnet8", "mobile", "densenet", "inception", "recurrent"]
)
def test_logits_are_near_those_of_the_program(name: str, tmp_path: Path) -> None:
    """Where they differ, halves were rounded to even, a batch norm kept more than 16 bits, or a recurrent layer all."""
    prediction = trained(name)
    out = exported(name, prediction, tmp_path)
    onnx.checker.check_model(out, full_check=True)
    parts = np.split(standardised(prediction), len(prediction.x) // BATCH)
    logits = np.concatenate([onnxruntime_output(out, x, optimised=False) for x in parts])
    away = np.abs(logits * 2.0**-prediction.exponent - prediction.logits)
    assert (away == np.rint(away)).all(), "logits are rounded as the program rounds them"
    assert np.median(away) <= 1
    assert away.max() <= (20 if name == "recurrent" else 8)


@pytest.mark.parametrize("name", ["lenet", "resnet8"])
def test_the_file_comes_back_in_with_the_weights_of_the_checkpoint(name: str, tmp_path: Path) -> None:
    """Under the names of the original: as int8 rounds them, and what has one axis, as it is."""
    prediction = trained(name)
    out, net = exported(name, prediction, tmp_path), prediction.net
    model = import_onnx(out, BATCH)
    assert model.parameters.keys() == import_onnx(tmp_path / f"{name}.onnx", BATCH).parameters.keys()
    for parameter, (mantissas, exponent) in net.weights().items():
        np.testing.assert_array_equal(model.parameters[parameter], mantissas * 2.0**exponent, parameter)
    assert "are read as the floats that they stand for" in model.notes[0]
    again = [type(op) for op in function(model.module, "predict").body.block.ops]
    before = import_onnx(tmp_path / f"{name}.onnx", BATCH)
    assert again == [type(op) for op in function(before.module, "predict").body.block.ops]


def test_training_goes_on_from_the_file(tmp_path: Path) -> None:
    out = exported("lenet", trained("lenet"), tmp_path)
    before, after = Interpreted(out, BATCH), trained(out).net
    assert all(moves(name, before.state, after.state) for name in after.weights())


def test_weights_are_int8_and_scales_powers_of_two(tmp_path: Path) -> None:
    model = onnx.load(exported("lenet", trained("lenet"), tmp_path))
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    read = [node for node in model.graph.node if node.op_type == "DequantizeLinear"]
    assert {stored[node.input[0]].dims[0] for node in read if node.input[0] in stored} == {6, 16, 120, 84, 10}
    for node in read:
        if node.input[0] in stored:
            assert stored[node.input[0]].data_type == TensorProto.INT8
        assert np.log2(onnx.numpy_helper.to_array(stored[node.input[1]])) % 1 == 0
    assert opset(model) >= OPSET
