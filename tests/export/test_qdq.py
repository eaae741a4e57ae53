"""`--format qdq`: int8 weights and the program's roundings in the file that was compiled, near to what it predicts."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from nitic.arithmetic.integers import Array
from nitic.arithmetic.requantisation import NEVER
from nitic.driver.build import build_program
from nitic.errors import CompileError
from nitic.export.qdq import OPSET, qdq_model
from nitic.frontend.importer import import_onnx
from nitic.frontend.nodes import opset
from nitic.ir.function import argument, function
from nitic.ir.types import shape_of
from nitic.options import CompileOptions
from tests.export.predictions import BATCH, LEVELS, Prediction, trained
from tests.networks.stages import WRITERS, Interpreted
from tests.support.bits import moves
from tests.support.onnx_models import FIXTURES, onnxruntime_output, random


def exported(name: str, prediction: Prediction, folder: Path, version: int | None = None) -> Path:
    path, out = folder / f"{name}.onnx", folder / "qdq.onnx"
    WRITERS[name]().save(path)
    net = prediction.net
    model, predict = import_onnx(path, BATCH), function(net.module, "predict")
    out.write_bytes(qdq_model(model, path, predict, net.state, {}, version))
    return out


def standardised(prediction: Prediction) -> Array:
    """Samples as the file takes them."""
    state = prediction.net.state
    mapped = prediction.x * state["input.multiplier"].astype(np.float64) + state["input.offset"]
    x = mapped * 2.0 ** (int(state["input.exponent"]) - 16)
    return (x.transpose(0, 3, 1, 2) if x.ndim == 4 else x).astype(np.float32)


FARTHEST = {"mlp": 0, "lenet": 0, "vgg_narrow": 0, "mobile": 0, "inception": 0, "resnet8": 1, "densenet": 2}
"""Mantissas between a logit of the file and that of the program, at most. Where there are any, a batch norm in floats
differs from 24 bits of its inverse deviation."""


@pytest.mark.parametrize("name", FARTHEST)
def test_logits_are_those_of_the_program(name: str, tmp_path: Path) -> None:
    """But where a batch norm, which computes in floats, gives another mantissa."""
    assert moved(name, tmp_path).max() <= FARTHEST[name]


def test_logits_behind_a_recurrent_layer_are_near_those_of_the_program(tmp_path: Path) -> None:
    """Inside, it rounds nothing."""
    away = moved("recurrent", tmp_path)
    assert np.median(away) <= 1
    assert away.max() <= 20


def moved(name: str, folder: Path) -> Array:
    """How many mantissas each logit is from that of the program."""
    prediction = trained(name)
    out = exported(name, prediction, folder)
    onnx.checker.check_model(out, full_check=True)
    parts = np.split(standardised(prediction), len(prediction.x) // BATCH)
    logits = np.concatenate([onnxruntime_output(out, x, optimised=False) for x in parts])
    away = np.abs(logits * 2.0**-prediction.exponent - prediction.logits)
    assert (away == np.rint(away)).all(), "logits are rounded as the program rounds them"
    return away


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


@pytest.mark.parametrize(("name", "version"), [("lenet", 13), ("lenet", 21), ("resnet8", 13), ("resnet8", 21)])
def test_opsets(name: str, version: int, tmp_path: Path) -> None:
    """At every level, also where onnxruntime makes weights unsigned for exact sums, numbers that are near."""
    prediction = trained(name, steps=1, batches=1)
    x = standardised(prediction)
    wanted = onnxruntime_output(exported(name, prediction, tmp_path), x, optimised=False)
    out = exported(name, prediction, tmp_path, version)
    model = onnx.load(out)
    onnx.checker.check_model(model, full_check=True)
    assert opset(model) == version
    assert model.ir_version <= {13: 7, 21: 10}[version], "older tools read no later one"
    for level in LEVELS:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = level
        options.add_session_config_entry("session.x64quantprecision", "1")
        session = onnxruntime.InferenceSession(out, options, providers=["CPUExecutionProvider"])
        found = np.asarray(session.run(None, {session.get_inputs()[0].name: x})[0])
        assert np.abs(found - wanted).max() <= 2 * 2.0**prediction.exponent


@pytest.mark.parametrize(
    "name", ["lenet-dynamo-eval", "residual-dynamo-eval", "batchnorm-legacy-train", "lenet-legacy-eval"]
)
@pytest.mark.parametrize("version", [13, 21])
def test_files_of_both_exporters_in_both_opsets(name: str, version: int, tmp_path: Path) -> None:
    """Down to 13 with axes and flags that only later operators have, up from 13 by onnx's converter."""
    path, out = FIXTURES / f"{name}.onnx", tmp_path / "out.onnx"
    net = Interpreted(path, 2)
    shape = shape_of(argument(function(net.module, "predict"), "input"))
    x = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    net.normalise(x)
    net.step(x, np.zeros(2, np.int32))
    model, predict = import_onnx(path, 2), function(net.module, "predict")
    found: list[Array] = []
    for each in (version, None):
        out.write_bytes(qdq_model(model, path, predict, net.state, {}, each))
        onnx.checker.check_model(out, full_check=True)
        source = onnx.load(out).graph.input[0].type.tensor_type.shape.dim
        found.append(onnxruntime_output(out, random(*(dim.dim_value or 2 for dim in source)), optimised=False))
    first, second = found
    np.testing.assert_array_equal(first, second)
    assert import_onnx(out, 2).parameters.keys() == model.parameters.keys()


@pytest.mark.parametrize("name", ["mlp", "lenet", "resnet8"])
def test_prediction_begins_at_the_exponents_that_the_file_has(name: str, tmp_path: Path) -> None:
    """Those of the program that wrote it: nothing has to be calibrated."""
    prediction = trained(name)
    again = build_program(CompileOptions(exported(name, prediction, tmp_path), batch_size=BATCH)).state
    tops = {key: value for key, value in prediction.net.state.items() if key.endswith(".top")}
    assert len(tops) > 2
    assert {key: -(-int(again[key]) // 256) for key in tops} == {key: -(-int(tops[key]) // 256) for key in tops}


def test_where_the_file_does_not_say_all_of_them_everything_is_calibrated(tmp_path: Path) -> None:
    prediction = trained("lenet")
    out = exported("lenet", prediction, tmp_path)
    model = onnx.load(out)
    first = next(node for node in model.graph.node if node.op_type == "Relu").output[0]
    readers = {node.op_type: node for node in model.graph.node if node.input[0] == first}
    (dequantise,) = (node for node in model.graph.node if node.input[0] == readers["QuantizeLinear"].output[0])
    for node in model.graph.node:
        node.input[:] = [first if each == dequantise.output[0] else each for each in node.input]
    onnx.save(model, out)
    state = build_program(CompileOptions(out, batch_size=BATCH)).state
    assert {int(value) for key, value in state.items() if key.endswith(".top")} == {NEVER}


@pytest.mark.parametrize("casts", [False, True])
def test_a_network_that_prepares_its_samples_rounds_what_it_makes_of_them(casts: bool, tmp_path: Path) -> None:
    """Not its samples, which are pixels, and may be integers."""
    prediction = trained("lenet", steps=1)
    out, prepared = exported("lenet", prediction, tmp_path), tmp_path / "prepared.onnx"
    model = onnx.load(tmp_path / "lenet.onnx")
    model.graph.node[0].input[0] = "unit"
    model.graph.node.insert(0, helper.make_node("Div", ["floats", "scale"], ["unit"], name="div"))
    cast = helper.make_node("Cast", ["input"], ["floats"], to=TensorProto.FLOAT)
    model.graph.node.insert(0, cast if casts else helper.make_node("Identity", ["input"], ["floats"]))
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(256, np.float32), "scale"))
    if casts:
        model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT32
    onnx.save(model, tmp_path / "pixels.onnx")
    read, predict = import_onnx(tmp_path / "pixels.onnx", BATCH), function(prediction.net.module, "predict")
    prepared.write_bytes(qdq_model(read, tmp_path / "pixels.onnx", predict, prediction.net.state, {}))
    onnx.checker.check_model(prepared, full_check=True)
    pixels = np.arange(BATCH * 784).reshape(BATCH, 1, 28, 28) * 7 % 256
    expected = onnxruntime_output(out, (pixels / 256).astype(np.float32), optimised=False)
    found = onnxruntime_output(prepared, pixels.astype(np.int32 if casts else np.float32), optimised=False)
    np.testing.assert_array_equal(found, expected)


def test_initializers_may_be_inputs(tmp_path: Path) -> None:
    """A weight is none any more: its name is that of what is made of its mantissas."""
    prediction, path = trained("lenet", steps=1), tmp_path / "named.onnx"
    out = exported("lenet", prediction, tmp_path)
    model = onnx.load(tmp_path / "lenet.onnx")
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    onnx.save(model, path)
    predict, x = function(prediction.net.module, "predict"), random(BATCH, 1, 28, 28)
    expected = onnxruntime_output(out, x)
    out.write_bytes(qdq_model(import_onnx(path, BATCH), path, predict, prediction.net.state, {}))
    onnx.checker.check_model(out, full_check=True)
    np.testing.assert_array_equal(onnxruntime_output(out, x), expected)


def small(nodes: list[onnx.NodeProto], folder: Path) -> Path:
    """Some nodes from x to z [N, 4] between a convolution to four channels and a linear layer, of opset 21."""
    rng = np.random.default_rng(0)
    values: dict[str, Array] = {
        "filter": rng.normal(size=(4, 1, 3, 3)).astype(np.float32) / 3,
        "weight": rng.normal(size=(4, 10)).astype(np.float32) / 2,
        "axes": np.array([2, 3]),
        "four": np.array([4]),
        "count": np.array(676, np.float32),
    }
    ends = [helper.make_node("Conv", ["input", "filter"], ["conv"]), helper.make_node("Relu", ["conv"], ["x"])]
    graph = helper.make_graph(
        [*ends, *nodes, helper.make_node("MatMul", ["z", "weight"], ["y"])],
        "small",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 1, 28, 28])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    path = folder / "small.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
    return path


@pytest.mark.parametrize(
    "nodes",
    [
        [
            helper.make_node("ReduceSum", ["x", "axes"], ["sum"], keepdims=0),
            helper.make_node("Div", ["sum", "count"], ["z"]),
        ],
        [
            helper.make_node("Cast", ["x"], ["cast"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["cast", "four"], ["longer"]),
            helper.make_node("ReduceMean", ["longer", "axes"], ["mean"], keepdims=0),
            helper.make_node("Flatten", ["mean"], ["z"]),
        ],
        [
            helper.make_node("Cast", ["x"], ["wide"], to=TensorProto.DOUBLE, saturate=1),
            helper.make_node("Cast", ["wide"], ["cast"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["cast", "axes"], ["z"], keepdims=0),
        ],
    ],
    ids=["a_mean_by_a_sum", "a_cast_of_floats", "a_cast_to_wider_ones"],
)
def test_nodes_of_whose_results_the_program_rounds_other_numbers(nodes: list[onnx.NodeProto], tmp_path: Path) -> None:
    """It rounds the mean, not the sum that it never has; and onnxruntime takes the cast away, and rounds behind it."""
    path, out = small(nodes, tmp_path), tmp_path / "qdq.onnx"
    prediction = trained(path)
    predict = function(prediction.net.module, "predict")
    out.write_bytes(qdq_model(import_onnx(path, BATCH), path, predict, prediction.net.state, {}))
    x = standardised(prediction)
    for optimised in (False, True):
        away = np.abs(onnxruntime_output(out, x, optimised=optimised) * 2.0**-prediction.exponent - prediction.logits)
        assert away.max() <= 4


def test_names_for_rounded_values(tmp_path: Path) -> None:
    """onnxruntime takes an Identity away, and then rounds behind the pool itself, wrongly in opset 21."""
    prediction = trained("lenet", steps=1)
    out, path = exported("lenet", prediction, tmp_path, 21), tmp_path / "named.onnx"
    model = onnx.load(tmp_path / "lenet.onnx")
    (at, pool), *_ = ((i, node) for i, node in enumerate(model.graph.node) if node.op_type == "MaxPool")
    model.graph.node.insert(at, helper.make_node("Identity", [pool.input[0]], ["same"], name="same"))
    model.graph.node[at + 1].input[0] = "same"
    onnx.save(model, path)
    predict, x = function(prediction.net.module, "predict"), random(BATCH, 1, 28, 28)
    expected = onnxruntime_output(out, x)
    out.write_bytes(qdq_model(import_onnx(path, BATCH), path, predict, prediction.net.state, {}, 21))
    np.testing.assert_array_equal(onnxruntime_output(out, x), expected)


def test_what_an_opset_lacks_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match=r"--opset: the network, of opset 17, .* opset 13: .*'HardSwish'"):
        exported("mobile", trained("mobile", steps=1), tmp_path, 13)


def test_training_goes_on_from_the_file(tmp_path: Path) -> None:
    out = exported("lenet", trained("lenet"), tmp_path)
    before, after = Interpreted(out, BATCH), trained(out).net
    assert all(moves(name, before.state, after.state) for name in after.weights())


def test_weights_are_int8_and_scales_powers_of_two(tmp_path: Path) -> None:
    """But for the divisors of what is rounded, one step below them."""
    model = onnx.load(exported("lenet", trained("lenet"), tmp_path))
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    read = [node for node in model.graph.node if node.op_type == "DequantizeLinear"]
    assert {stored[node.input[0]].dims[0] for node in read if node.input[0] in stored} == {6, 16, 120, 84, 10}
    for node in read:
        if node.input[0] in stored:
            assert stored[node.input[0]].data_type == TensorProto.INT8
        assert np.log2(onnx.numpy_helper.to_array(stored[node.input[1]])) % 1 == 0
    rounded = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    divisors = {float(onnx.numpy_helper.to_array(stored[node.input[1]])) for node in rounded}
    steps = {float(onnx.numpy_helper.to_array(stored[node.input[1]])) for node in read}
    assert {float(np.nextafter(np.float32(each), np.float32(np.inf))) for each in divisors - steps} <= steps
    assert divisors - steps
    assert opset(model) >= OPSET
