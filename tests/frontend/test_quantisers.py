"""Files of onnxruntime's quantisers are read as the networks of floats that they were made of."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

from nitic.arithmetic.requantisation import NEVER
from nitic.driver.build import build_program
from nitic.driver.check import check_model
from nitic.export.float import float_model, trained_values
from nitic.frontend.importer import import_onnx
from nitic.frontend.writer import NetworkWriter
from nitic.ops.elementwise import ReluOp
from nitic.options import CompileOptions, Init
from tests.export.test_float import METADATA, moved_state
from tests.support.onnx_models import Array, count_of, logits, onnxruntime_output, random

QDQ, INTEGERS = QuantFormat.QDQ, QuantFormat.QOperator
I8, U8 = QuantType.QInt8, QuantType.QUInt8
SHAPE = (4, 2, 10, 10)


class Samples(CalibrationDataReader):
    """Noise, by which the quantiser chooses its ranges."""

    def __init__(self) -> None:
        self._batches: Iterator[dict[str, Array]] = iter([{"input": random(*SHAPE, seed=i)} for i in range(4)])

    def get_next(self) -> dict[str, Array] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        return next(self._batches, None)


def original(path: Path, opset: int = 17) -> onnx.ModelProto:
    """A residual network in floats, with biases."""
    writer = NetworkWriter("net", SHAPE[1:])
    writer.conv("conv1", 4, 3, pad=1)
    writer.relu()
    before = writer.value
    writer.conv("conv2", 4, 3, pad=1)
    writer.add("sum", before)
    writer.relu()
    writer.max_pool()
    writer.conv("conv3", 6, 3)
    writer.relu()
    writer.global_average_pool()
    writer.linear("fc", 5)
    model = writer.model()
    model.opset_import[0].version = opset
    for tensor in model.graph.initializer:
        if tensor.name.endswith("bias"):
            tensor.CopyFrom(numpy_helper.from_array(random(*tensor.dims, seed=len(tensor.name)) / 4, tensor.name))
    onnx.save(model, path)
    return model


@pytest.mark.parametrize("opset", [13, 17, 21])
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize(
    ("form", "activations", "weights"),
    [(QDQ, I8, I8), (QDQ, U8, U8), (QDQ, U8, I8), (INTEGERS, I8, I8), (INTEGERS, U8, I8)],
)
def test_what_onnxruntime_quantises_is_read_as_its_original(
    tmp_path: Path, form: QuantFormat, activations: QuantType, weights: QuantType, per_channel: bool, opset: int
) -> None:
    """The weights are within half a step of their scale; with 7 bits no processor saturates sums."""
    before = original(tmp_path / "net.onnx", opset)
    path, x = tmp_path / "quantised.onnx", random(*SHAPE)
    kinds: dict[str, Any] = {"activation_type": activations, "weight_type": weights}
    quantize_static(tmp_path / "net.onnx", path, Samples(), form, per_channel=per_channel, reduce_range=True, **kinds)
    model = import_onnx(path, SHAPE[0])
    floats = import_onnx(tmp_path / "net.onnx", SHAPE[0])
    assert model.parameters.keys() == floats.parameters.keys()
    for name, value in floats.parameters.items():
        step = np.ptp(value) / 126 if name.endswith("weight") else 1e-3
        assert np.abs(model.parameters[name] - value).max() <= step
    assert count_of(model, ReluOp) == sum(each.op_type == "Relu" for each in before.graph.node)
    found, step = logits(model, x), np.ptp(logits(floats, x)) / 255
    assert np.abs(found - onnxruntime_output(path, x, optimised=False)).max() <= 4 * step
    assert np.abs(found - logits(floats, x)).max() <= 8 * step


@pytest.mark.parametrize("per_channel", [False, True])
def test_what_onnxruntime_quantises_dynamically(tmp_path: Path, per_channel: bool) -> None:
    """ConvInteger and MatMulInteger, and scales that each batch has anew."""
    original(tmp_path / "net.onnx")
    path, x = tmp_path / "quantised.onnx", random(*SHAPE)
    quantize_dynamic(tmp_path / "net.onnx", path, weight_type=U8, per_channel=per_channel)
    model, floats = import_onnx(path, SHAPE[0]), import_onnx(tmp_path / "net.onnx", SHAPE[0])
    names = [name.replace("fc.weight", "fc.weight_Transposed") for name in floats.parameters]
    assert list(model.parameters) == names
    step = np.ptp(logits(floats, x)) / 255
    assert np.abs(logits(model, x) - onnxruntime_output(path, x, optimised=False)).max() <= 4 * step
    assert np.abs(logits(model, x) - logits(floats, x)).max() <= 8 * step


def test_the_report_says_what_was_read(tmp_path: Path) -> None:
    original(tmp_path / "net.onnx")
    path = tmp_path / "quantised.onnx"
    quantize_static(tmp_path / "net.onnx", path, Samples(), INTEGERS, activation_type=U8)
    report = check_model(CompileOptions(path, batch_size=4))
    assert report.network
    assert not report.problems
    notes = "\n".join(report.network.notes)
    assert "15 quantised tensors are read as the floats that they stand for: 8 parameters, and 7 activations" in notes
    assert "3 quantised activations have no codes below 0" in notes
    assert not any(name.endswith("quantized") for name in (p.onnx for p in report.network.parameters))


@pytest.mark.parametrize("form", [QDQ, INTEGERS])
@pytest.mark.parametrize("activations", [I8, U8])
def test_ranges_of_a_file_are_those_that_prediction_begins_with(
    tmp_path: Path, form: QuantFormat, activations: QuantType
) -> None:
    """Every activation that the program rounds has a scale in the file."""
    original(tmp_path / "net.onnx")
    path = tmp_path / "quantised.onnx"
    quantize_static(tmp_path / "net.onnx", path, Samples(), form, activation_type=activations, weight_type=I8)
    program = build_program(CompileOptions(path, batch_size=SHAPE[0]))
    tops = {name.removesuffix(".top"): int(top) for name, top in program.state.items() if name.endswith(".top")}
    ranges = import_onnx(path, SHAPE[0]).ranges
    assert tops == {name: int(np.ceil(np.log2(ranges[name]))) * 256 for name in tops}
    drawn = build_program(CompileOptions(path, batch_size=SHAPE[0], init=Init.XAVIER))
    assert {int(top) for name, top in drawn.state.items() if name.endswith(".top")} == {NEVER}


@pytest.mark.parametrize("form", [QDQ, INTEGERS])
def test_the_trained_network_leaves_in_floats(tmp_path: Path, form: QuantFormat) -> None:
    original(tmp_path / "net.onnx")
    path, out = tmp_path / "quantised.onnx", tmp_path / "out.onnx"
    quantize_static(tmp_path / "net.onnx", path, Samples(), form)
    model, state = import_onnx(path, 2), moved_state(path)
    out.write_bytes(float_model(model, path, state, METADATA))
    onnx.checker.check_model(out, full_check=True)
    assert {tensor.data_type for tensor in onnx.load(out).graph.initializer} == {TensorProto.FLOAT}
    again, values = import_onnx(out, 2), trained_values(model, state)
    for name, value in values.items():
        np.testing.assert_array_equal(again.parameters[name], value.astype(np.float32), name)
    x = random(2, *SHAPE[1:])
    np.testing.assert_allclose(logits(again, x), onnxruntime_output(out, x), rtol=1e-4, atol=1e-3)
