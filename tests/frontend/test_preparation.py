"""What a network does to its samples before its first layer becomes the standardisation of the program's input."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from nitic.data import Augment, augment
from nitic.driver.build import build_program
from nitic.driver.check import Report, check_model
from nitic.errors import CompileError, ExitCode
from nitic.frontend.graph import Ports
from nitic.frontend.importer import ImportedModel, import_onnx
from nitic.frontend.preparation import PIXELS, UNIT
from nitic.interpret import run_function
from nitic.ir.function import argument_labels, function
from nitic.options import CompileOptions
from tests.support.onnx_models import Array, check_against_onnxruntime, onnxruntime_output, random, save_network

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
    "far": np.asarray(8371, np.float32),
    "tiny": np.asarray(1e-6, np.float32),
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


def test_a_mirror_keeps_the_colours(tmp_path: Path) -> None:
    """Of samples with their channels last, as the program of such a network takes them (`--augment flip`)."""
    report = check_model(CompileOptions(network(tmp_path, [node("Cast", "x", "t", to=1)], channels_last=True)))
    assert report.network
    _, height, width, channels = report.network.input
    image = np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)
    pad = np.zeros(channels, np.uint8)
    seen = [
        augment(image, (height, width), Augment(flip=True), pad, seed=1, epoch=0, index=i).tobytes() for i in range(32)
    ]
    assert {*seen} == {image.tobytes(), image[:, ::-1].tobytes()}


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


@pytest.mark.parametrize(
    "nodes", [[node("Sub", "x far", "t")], [node("Div", "x tiny", "u"), node("Div", "u tiny", "t")]]
)
def test_what_the_input_map_does_not_hold_stays(tmp_path: Path, nodes: list[onnx.NodeProto]) -> None:
    """It was refused as a --mean that nobody had given."""
    program = build_program(CompileOptions(network(tmp_path, nodes)))
    assert any(op.name in ("nn.add_const", "nn.scale_const") for op in program.train_step.walk())


def test_constants_that_the_network_computes(tmp_path: Path) -> None:
    """As jax2onnx writes Keras's Normalization: the root of the variance is at least epsilon."""
    nodes = [
        node("Sub", "x mean311", "u"),
        node("Sqrt", "std1311", "root"),
        node("Max", "root half", "deviation"),
        node("Div", "u deviation", "t"),
    ]
    model = check_against_onnxruntime(network(tmp_path, nodes), random(2, 3, 8, 8))
    assert model.standardisation
    np.testing.assert_allclose(model.standardisation.std, np.maximum(np.sqrt(STD), 0.5), rtol=1e-6)
    assert roles(model) == {"w": "weight"}
    assert model.prepared == ("t",)


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


def check(path: Path, **options: Any) -> Report:
    return check_model(CompileOptions(path, batch_size=2, **options))


def saved(folder: Path, nodes: list[onnx.NodeProto], shape: tuple[int | str, ...], **values: Array) -> Path:
    return save_network(folder / "m.onnx", nodes, shape, values)


CONV = [node("Conv", "t w", "c"), node("GlobalAveragePool", "c", "p"), node("Flatten", "p", "y")]
ONE_CHANNEL: dict[str, list[onnx.NodeProto]] = {
    "reshape": [node("Reshape", "x s", "t")],
    "same_batch": [node("Reshape", "x s0", "t")],
    "computed": [
        node("Shape", "x", "n"),
        node("Slice", "n begin end", "n1"),
        node("Concat", "n1 rest", "to", axis=0),
        node("Reshape", "x to", "t"),
    ],
    "behind_a_cast": [node("Cast", "x", "f", to=1), node("Mul", "f inverse", "g"), node("Reshape", "g s", "t")],
    "transpose": [node("Transpose", "x", "t", perm=[0, 3, 1, 2])],
}


@pytest.mark.parametrize("case", ONE_CHANNEL)
def test_one_channel_comes_last_whatever_moves_it(tmp_path: Path, case: str) -> None:
    values: dict[str, Array] = {"s": np.array([-1, 1, 8, 6]), "s0": np.array([0, 1, 8, 6]), "w": random(5, 1, 3, 3)}
    values |= {"begin": np.array([0]), "end": np.array([1]), "rest": np.array([1, 8, 6]), "inverse": VALUES["inverse"]}
    report = check(saved(tmp_path, [*ONE_CHANNEL[case], *CONV], ("N", 8, 6, 1), **values))
    assert report.network
    assert report.network.input == [2, 8, 6, 1]


FLAT = [node("Flatten", "x", "f"), node("MatMul", "f w", "y")]


@pytest.mark.parametrize(
    ("shape", "found"), [((28, 20, 3), (28, 20, 3)), ((28, 20, 1), (28, 20, 1)), ((3, 28, 20), (28, 20, 3))]
)
def test_colours_tell_the_layout_of_an_image_that_is_flattened(
    tmp_path: Path, shape: tuple[int, ...], found: tuple[int, ...]
) -> None:
    x = random(2, *shape)
    path = saved(tmp_path, FLAT, (2, *shape), w=random(int(np.prod(shape)), 3))
    model = import_onnx(path)
    argument_ = x if found == shape else x.transpose(0, 2, 3, 1)
    values = run_function(function(model.module, "predict"), {"input": argument_, **model.parameters})
    np.testing.assert_allclose(values["logits"], onnxruntime_output(path, x), atol=1e-4)
    assert not model.notes


@pytest.mark.parametrize(("layout", "found"), [(None, [2, 6, 5, 8]), ("nchw", [2, 6, 5, 8]), ("nhwc", [2, 8, 6, 5])])
def test_layout_says_what_the_file_does_not(tmp_path: Path, layout: str | None, found: list[int]) -> None:
    report = check(saved(tmp_path, FLAT, (2, 8, 6, 5), w=random(240, 3)), layout=layout)
    assert report.network
    assert report.network.input == found
    assert any("--layout" in note for note in report.network.notes) == (layout is None)


def test_layout_wins_over_what_the_first_nodes_tell(tmp_path: Path) -> None:
    nodes = [node("Transpose", "x", "t", perm=[0, 3, 1, 2]), *CONV]
    report = check(saved(tmp_path, nodes, (2, 8, 6, 3), w=random(5, 3, 3, 3)), layout="nchw")
    assert report.network
    assert report.network.input == [2, 6, 3, 8]


@pytest.mark.parametrize("shape", [("N", 3, "H", "W"), ("N", "C", "H", 6), ("N", 3, 8, 6)])
def test_input_shape_gives_what_is_open(tmp_path: Path, shape: tuple[int | str, ...]) -> None:
    path = saved(tmp_path, [node("Identity", "x", "t"), *CONV], shape, w=random(5, 3, 3, 3))
    report = check(path, input_shape=(3, 8, 6))
    assert report.network
    assert report.network.input == [2, 8, 6, 3]


def test_an_input_without_a_shape(tmp_path: Path) -> None:
    path = saved(tmp_path, [node("Identity", "x", "t"), *CONV], (1,), w=random(5, 3, 3, 3))
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.ClearField("shape")
    onnx.save(model, path)
    report = check(path, input_shape=(3, 8, 6))
    assert report.network
    assert report.network.input == [2, 8, 6, 3]
    assert "--input-shape" in check(path).problems[0].message


@pytest.mark.parametrize("given", [(3, 8), (3, 8, 7), (4, 8, 6)])
def test_an_input_shape_that_does_not_fit(tmp_path: Path, given: tuple[int, ...]) -> None:
    path = saved(tmp_path, [node("Identity", "x", "t"), *CONV], ("N", 3, "H", 6), w=random(5, 3, 3, 3))
    message = rf"samples of \[{', '.join(map(str, given))}\] do not fit input 'x', where they are \[3, 0, 6\]"
    with pytest.raises(CompileError, match=message):
        import_onnx(path, ports=Ports(input_shape=given))


def test_an_open_size_names_the_option(tmp_path: Path) -> None:
    path = saved(tmp_path, [node("Identity", "x", "t"), *CONV], ("N", 3, "H", "W"), w=random(5, 3, 3, 3))
    assert "--input-shape" in check(path).problems[0].message


@pytest.mark.parametrize("options", [{"layout": "chwn"}, {"input_shape": (3, 0, 2)}])
def test_options_of_the_input_are_checked(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(CompileError) as caught:
        CompileOptions(tmp_path, **options)
    assert caught.value.exit_code == ExitCode.USAGE
