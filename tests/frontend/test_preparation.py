"""What a network does to its samples before its first layer becomes the standardisation of the program's input."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from nitic.driver.build import build_program
from nitic.driver.check import check_model
from nitic.frontend.importer import ImportedModel
from nitic.frontend.preparation import PIXELS, UNIT
from nitic.ir.function import argument_labels, function
from nitic.options import CompileOptions
from tests.support.onnx_models import Array, check_against_onnxruntime, random, save_network

MEAN, STD = np.asarray([0.49, 0.48, 0.45], np.float32), np.asarray([0.25, 0.24, 0.26], np.float32)
VALUES: dict[str, Array] = {
    "mean": MEAN,
    "std": STD,
    "mean311": MEAN.reshape(3, 1, 1),
    "std1311": STD.reshape(1, 3, 1, 1),
    "plane": random(3, 8, 8),
    "255": np.asarray(255, np.float32),
    "inverse": np.asarray(1 / 255, np.float32),
    "127": np.asarray([127.5], np.float32),
    "one": np.asarray(1, np.float32),
    "half": np.asarray(0.5, np.float32),
    "minus": np.asarray(-2, np.float32),
    "zero": np.asarray(0, np.float32),
}


def node(op: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), [output], name=output, **attributes)


def network(folder: Path, nodes: list[onnx.NodeProto], channels_last: bool = False) -> Path:
    """From the samples `x`, prepared as `t`, to three classes."""
    to_nchw = [node("Transpose", "t", "nchw", perm=[0, 3, 1, 2])] if channels_last else [node("Identity", "t", "nchw")]
    layers = [node("Conv", "nchw w", "conv"), node("Relu", "conv", "relu"), node("GlobalAveragePool", "relu", "pool")]
    used = {name for each in nodes for name in each.input}
    values = {name: array for name, array in VALUES.items() if name in used} | {"w": random(5, 3, 3, 3, seed=1)}
    shape = (2, 8, 8, 3) if channels_last else (2, 3, 8, 8)
    return save_network(folder / "m.onnx", [*nodes, *to_nchw, *layers, node("Flatten", "pool", "y")], shape, values)


def roles(model: ImportedModel) -> dict[str, str]:
    labels = argument_labels(function(model.module, "predict"))
    return {label.name: label.role for label in labels if label.name != "input"}


MEANS, STDS = tuple(MEAN.tolist()), tuple(STD.tolist())
FOLDED: dict[str, tuple[list[onnx.NodeProto], tuple[float, ...], tuple[float, ...], int]] = {
    "buffers": ([node("Sub", "x mean311", "u"), node("Div", "u std1311", "t")], MEANS, STDS, UNIT),
    "rescaling": ([node("Mul", "x inverse", "t")], (0,), (255,), PIXELS),
    "divided": ([node("Cast", "x", "f", to=1), node("Div", "f 255", "t")], (0,), (255,), PIXELS),
    "around_0": ([node("Div", "x 127", "u"), node("Sub", "u one", "t")], (127.5,), (127.5,), PIXELS),
    "all": (
        [
            node("Identity", "x", "i"),
            node("Mul", "inverse i", "u"),
            node("Sub", "u mean311", "v"),
            node("Div", "v std1311", "t"),
        ],
        tuple((MEAN * 255.0).tolist()),
        tuple((STD * 255.0).tolist()),
        PIXELS,
    ),
    "half": ([node("Add", "half x", "t")], (-0.5,), (1,), UNIT),
    "shape_beside": (
        [node("Shape", "x", "s"), node("Div", "x half", "u"), node("Reshape", "u s", "t")],
        (0,),
        (0.5,),
        UNIT,
    ),
}


@pytest.mark.parametrize("case", FOLDED)
def test_a_scale_and_an_offset_become_the_standardisation(tmp_path: Path, case: str) -> None:
    nodes, mean, std, largest = FOLDED[case]
    model = check_against_onnxruntime(network(tmp_path, nodes), random(2, 3, 8, 8))
    assert model.standardisation
    assert model.standardisation.largest == largest
    np.testing.assert_allclose(model.standardisation.mean, mean, rtol=1e-6)
    np.testing.assert_allclose(model.standardisation.std, std, rtol=1e-6)
    assert roles(model) == {"w": "weight"}
    assert any("standardises its samples itself" in note for note in model.notes)


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Identity", "x", "t")],
        [node("Mul", "x inverse", "t")],
        [node("Sub", "x mean", "u"), node("Div", "u std", "t")],
        [node("Cast", "x", "c", to=1), node("Div", "c 255", "u"), node("Identity", "u", "t")],
    ],
)
def test_channels_last_behind_a_preparation(tmp_path: Path, nodes: list[onnx.NodeProto]) -> None:
    report = check_model(CompileOptions(network(tmp_path, nodes, channels_last=True), batch_size=2))
    assert report.network
    assert report.network.input == [2, 8, 8, 3]


def test_one_channel_last_goes_through_a_reshape(tmp_path: Path) -> None:
    """As tf2onnx writes the transpose of one channel."""
    nodes = [node("Reshape", "x s", "t"), node("Conv", "t w", "c"), node("GlobalAveragePool", "c", "p")]
    values = {"s": np.array([-1, 1, 8, 6]), "w": random(5, 1, 3, 3)}
    path = save_network(tmp_path / "m.onnx", [*nodes, node("Flatten", "p", "y")], (2, 8, 6, 1), values)
    report = check_model(CompileOptions(path))
    assert report.network
    assert report.network.input == [2, 8, 6, 1]


KEPT: dict[str, list[onnx.NodeProto]] = {
    "inverted": [node("Sub", "one x", "t")],
    "mirrored": [node("Mul", "x minus", "t")],
    "nothing": [node("Mul", "x zero", "t")],
    "mean_image": [node("Sub", "x plane", "u"), node("Div", "u std1311", "t")],
}


@pytest.mark.parametrize("case", KEPT)
def test_what_is_no_standardisation_stays_and_is_not_trained(tmp_path: Path, case: str) -> None:
    model = check_against_onnxruntime(network(tmp_path, KEPT[case]), random(2, 3, 8, 8))
    assert model.standardisation is None
    assert any("by constants that are not trained" in note for note in model.notes)
    assert {name for name, role in roles(model).items() if role == "weight"} == {"w"}
    assert len(roles(model)) == (3 if case == "mean_image" else 1)


def test_samples_that_several_nodes_read_are_not_prepared(tmp_path: Path) -> None:
    """The sum is a residual connection, whose other part would be scaled, too."""
    nodes = [node("Mul", "x half", "u"), node("Add", "u x", "t")]
    model = check_against_onnxruntime(network(tmp_path, nodes), random(2, 3, 8, 8))
    assert model.standardisation is None


def test_arithmetic_behind_a_layer_is_trained(tmp_path: Path) -> None:
    nodes = [node("Relu", "x", "r"), node("Mul", "r std1311", "t")]
    model = check_against_onnxruntime(network(tmp_path, nodes), random(2, 3, 8, 8))
    assert roles(model) == {"std1311": "weight", "w": "weight"}


def test_the_program_begins_with_the_standardisation(tmp_path: Path) -> None:
    path = network(tmp_path, FOLDED["all"][0])
    program = build_program(CompileOptions(path))
    given = build_program(CompileOptions(network(tmp_path, [node("Identity", "x", "t")]), mean=MEANS, std=STDS))
    assert program.normalised
    for name in ("input.multiplier", "input.offset"):
        np.testing.assert_allclose(program.state[name], given.state[name], rtol=1e-5)


def test_mean_says_how_samples_reach_the_network(tmp_path: Path) -> None:
    """Then its own standardisation stays a part of it."""
    options = CompileOptions(network(tmp_path, FOLDED["buffers"][0]), mean=(0.0,), std=(1.0,))
    program = build_program(options)
    np.testing.assert_array_equal(program.state["input.multiplier"], np.rint(2**21 / 255))
    assert {"mean311", "std1311"} <= program.state.keys()
    assert not {"mean311.velocity", "std1311.velocity"} & program.state.keys()


def test_integers_are_pixels(tmp_path: Path) -> None:
    path = network(tmp_path, [node("Cast", "x", "f", to=1), node("Mul", "f half", "t")])
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    onnx.save(model, path)
    found = check_against_onnxruntime(path, np.arange(2 * 3 * 8 * 8, dtype=np.uint8).reshape(2, 3, 8, 8) % 7)
    assert found.standardisation
    assert found.standardisation.largest == PIXELS


@pytest.mark.parametrize("operator", ["Identity", "Sigmoid"])
@pytest.mark.parametrize("loss", ["cross-entropy", "mse"])
def test_one_class_is_refused(tmp_path: Path, operator: str, loss: str) -> None:
    """Its loss is 0 whatever the network computes."""
    nodes = [node("Gemm", "x w", "z"), node(operator, "z", "y")]
    path = save_network(tmp_path / "m.onnx", nodes, (2, 6), {"w": random(6, 1)})
    report = check_model(CompileOptions(path, loss=loss))  # pyright: ignore[reportArgumentType]
    assert "one class cannot be told from another" in report.problems[0].message
