"""`--format float`: the file that was compiled, with the trained values, for any ONNX tool and for nitic again."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from nitic.arithmetic.integers import Array
from nitic.driver.build import build_program, import_model
from nitic.export.float import float_model, trained_values
from nitic.frontend.importer import import_onnx
from nitic.ir.function import argument_labels, function
from nitic.options import CompileOptions
from tests.networks.stages import WRITERS
from tests.support.onnx_models import FIXTURES, onnxruntime_output, random, save_network

FILES = (
    *("lenet-legacy-eval", "lenet-dynamo-eval-external", "residual-dynamo-eval", "excite-legacy-eval"),
    *("batchnorm-legacy-train", "batchnorm-dynamo-eval", "functions-dynamo-eval", "matmul-legacy-eval"),
    *("keras_like-helper-opset13", "mlp_nobias-dynamo-train", "dropnet-dynamo-train"),
)
METADATA = {"nitic.recipe": "niti16"}


def moved_state(path: Path, freeze: tuple[str, ...] = ()) -> dict[str, Array]:
    """A state in which every parameter and every statistic has another value than in the file."""
    rng = np.random.default_rng(0)
    program = build_program(CompileOptions(path, batch_size=2, target="x86-64-portable", freeze=freeze))
    labels = argument_labels(function(program.module, "predict"))
    state = program.state
    for name in [label.name for label in labels if label.role == "master"]:
        state[name] = rng.integers(-9000, 9000, state[name].shape).astype(np.int16)
    for name in [name for name in state if name.endswith((".running_mean", ".running_var"))]:
        state[name] = rng.integers(2**30, 2**34, state[name].shape)
    return state


@pytest.mark.parametrize("name", FILES)
def test_what_is_exported_is_imported_again_with_the_same_values(name: str, tmp_path: Path) -> None:
    path, out = FIXTURES / f"{name}.onnx", tmp_path / "out.onnx"
    state, model = moved_state(path), import_onnx(path, 2)
    out.write_bytes(float_model(model, path, state, METADATA))
    onnx.checker.check_model(out, full_check=True)
    again, values = import_onnx(out, 2), trained_values(model, state)
    assert values.keys() == again.parameters.keys()
    for parameter, value in values.items():
        np.testing.assert_array_equal(again.parameters[parameter], value.astype(np.float32), parameter)


def test_everything_but_the_values_stays(tmp_path: Path) -> None:
    path, out = FIXTURES / "excite-legacy-eval.onnx", tmp_path / "out.onnx"
    before = onnx.load(path)
    helper.set_model_props(before, {"author": "somebody"})
    onnx.save(before, tmp_path / "in.onnx")
    out.write_bytes(float_model(import_onnx(path, 2), tmp_path / "in.onnx", moved_state(path), METADATA))
    after = onnx.load(out)
    assert [(t.name, t.dims, t.data_type) for t in after.graph.initializer] == [
        (t.name, t.dims, t.data_type) for t in before.graph.initializer
    ]
    assert after.graph.node == before.graph.node
    properties = {each.key: each.value for each in after.metadata_props}
    assert properties["author"] == "somebody"
    assert properties["nitic.format"] == "float"


@pytest.mark.parametrize("name", ["batchnorm-legacy-train", "dropnet-legacy-train", "poolnet-dynamo-train"])
def test_training_forms_become_those_of_inference(name: str, tmp_path: Path) -> None:
    """By onnx.reference, which obeys them: no sample counts for another's prediction, and nothing is left to chance."""
    path, out = FIXTURES / f"{name}.onnx", tmp_path / "out.onnx"
    model = import_onnx(path, 2)
    out.write_bytes(float_model(model, path, moved_state(path), METADATA))
    onnx.checker.check_model(out, full_check=True)
    after = onnx.load(out)
    source = after.graph.input[0]
    x = random(*(dim.dim_value for dim in source.type.tensor_type.shape.dim))
    inputs = (x, x, np.broadcast_to(x[:1], x.shape))
    found = [ReferenceEvaluator(after).run(None, {source.name: each}) for each in inputs]
    first, again, alone = (np.asarray(next(iter(outputs))) for outputs in found)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(first[0], alone[0], rtol=1e-5, atol=1e-4)
    read = {name for node in after.graph.node for name in node.input}
    assert read >= {tensor.name for tensor in after.graph.initializer}, "a flag is left"
    assert import_onnx(out, 2).parameters.keys() == model.parameters.keys()


def test_frozen_parameters_keep_the_floats_of_the_file(tmp_path: Path) -> None:
    path, out = tmp_path / "lenet.onnx", tmp_path / "out.onnx"
    WRITERS["lenet"]().save(path)
    state = moved_state(path, freeze=("conv1.*",))
    model = import_model(CompileOptions(path, batch_size=2, freeze=("conv1.*",)))
    out.write_bytes(float_model(model, path, state, METADATA))
    before, after = (
        {t.name: numpy_helper.to_array(t) for t in onnx.load(each).graph.initializer} for each in (path, out)
    )
    np.testing.assert_array_equal(after["conv1.weight"], before["conv1.weight"])
    assert (after["conv2.weight"] != before["conv2.weight"]).any()


def test_layers_that_share_a_tensor_of_the_file_leave_with_one_each(tmp_path: Path) -> None:
    """Exporters merge equal initial values; nitic trains them apart."""
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "zeros"], ["h"], name="first", transB=1),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Identity", ["zeros"], ["same"]),
        helper.make_node("Gemm", ["r", "w2", "same"], ["y"], name="second", transB=1),
    ]
    weights = {"w1": random(4, 4), "w2": random(4, 4, seed=1), "zeros": np.zeros(4, np.float32)}
    path, out = save_network(tmp_path / "in.onnx", nodes, (2, 4), weights), tmp_path / "out.onnx"
    state, model = moved_state(path), import_onnx(path, 2)
    values = trained_values(model, state)
    assert len(values) == 4
    out.write_bytes(float_model(model, path, state, METADATA))
    x = random(2, 4, seed=2)
    w1, w2 = values["w1"], values["w2"]
    b1, b2 = (values[name] for name in values if name not in ("w1", "w2"))
    want = np.maximum(x @ w1.T + b1, 0) @ w2.T + b2
    np.testing.assert_allclose(onnxruntime_output(out, x), want, rtol=1e-5)
