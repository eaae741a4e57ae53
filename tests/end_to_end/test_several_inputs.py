"""Networks of several inputs: an image and a vector beside it, from named files, arrays and exported files."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import nitic
from nitic.arithmetic.inputs import fitted, statistics_of_parts
from nitic.arithmetic.integers import Array
from nitic.driver.check import check_model
from nitic.driver.compile import compile_model
from nitic.driver.export import export_checkpoint
from nitic.errors import CompileError
from nitic.frontend.importer import import_onnx
from nitic.interpret import run_function
from nitic.ir.function import function
from nitic.options import CompileOptions, ExportFormat, ExportOptions
from nitic.session import CompiledProgram
from tests.support.bits import Run, differing

pytestmark = pytest.mark.xdist_group("several inputs")  # one process makes what all of them read
BATCH, CLASSES, STEPS = 20, 4, 10
IMAGE, VECTOR = (3, 8, 8), (5,)
TARGET = "x86-64-portable"


def model(path: Path, image: str = "image", vector: str = "meta") -> Path:
    """A convolution of the image and a layer of the vector, side by side."""
    rng = np.random.default_rng(0)
    shapes = {"cw": (6, 3, 3, 3), "cb": (6,), "w1": (16, 96), "b1": (16,), "w2": (8, 5), "b2": (8,)}
    shapes |= {"w3": (CLASSES, 24), "b3": (CLASSES,)}
    values = [numpy_helper.from_array((0.2 * rng.normal(size=s)).astype(np.float32), n) for n, s in shapes.items()]
    nodes = [
        helper.make_node("Conv", [image, "cw", "cb"], ["c"], name="conv", pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "w1", "b1"], ["h1"], name="fc1", transB=1),
        helper.make_node("Gemm", [vector, "w2", "b2"], ["h2"], name="fc2", transB=1),
        helper.make_node("Concat", ["h1", "h2"], ["h"], axis=1),
        helper.make_node("Relu", ["h"], ["hr"]),
        helper.make_node("Gemm", ["hr", "w3", "b3"], ["logits"], name="out", transB=1),
    ]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])
        for name, shape in ((image, IMAGE), (vector, VECTOR))
    ]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", CLASSES])]
    graph = helper.make_graph(nodes, "two", inputs, outputs, values)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def samples(count: int) -> tuple[dict[str, Array], Array]:
    """A class is what two bits say: one is a square in the image, the other a number of the vector."""
    rng = np.random.default_rng(1)
    y = rng.integers(0, CLASSES, count).astype(np.int32)
    image, vector = (rng.integers(0, 256, (count, *shape), np.uint8) for shape in (IMAGE, VECTOR))
    image[:, 0] //= 4
    image[y % 2 == 1, 1, 2:5, 2:5] = 255
    vector[:, 1] = y // 2 * 180 + rng.integers(0, 70, count)
    return {"image": image, "meta": vector}, y


def side_by_side(x: Mapping[str, Array]) -> Array:
    """As the program takes them: images channels last, then the vector."""
    image = x["image"].transpose(0, 2, 3, 1)
    return np.concatenate([image.reshape(len(image), -1), x["meta"]], axis=1)


def save(folder: Path, split: str, x: Mapping[str, Array], y: Array) -> None:
    for name, array in x.items():
        np.save(folder / f"x_{split}.{name}.npy", array)
    np.save(folder / f"y_{split}.npy", y)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, its binary, and a data set."""
    folder = tmp_path_factory.mktemp("several")
    compile_model(CompileOptions(model(folder / "two.onnx"), folder / "two", batch_size=BATCH, target=TARGET))
    x, y = samples(BATCH * (STEPS + 2))
    for split, rows in (("train", slice(0, BATCH * STEPS)), ("test", slice(BATCH * STEPS, None))):
        save(folder, split, {name: array[rows] for name, array in x.items()}, y[rows])
    return folder


@pytest.fixture(scope="module")
def compiled(folder: Path) -> CompiledProgram:
    return nitic.compile(folder / "two.onnx", batch_size=BATCH, target=TARGET)


def run(folder: Path, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([folder / "two", *arguments], capture_output=True, text=True, check=False)


def test_the_floats_are_those_of_the_file(folder: Path) -> None:
    imported = import_onnx(folder / "two.onnx", BATCH)
    x, _ = samples(BATCH)
    real = {name: array.astype(np.float32) / 64 for name, array in x.items()}
    found = run_function(function(imported.module, "predict"), {**imported.parameters, "input": side_by_side(real)})
    (expected,) = onnxruntime.InferenceSession(folder / "two.onnx").run(None, real)
    np.testing.assert_allclose(found["logits"], np.asarray(expected), rtol=1e-4, atol=1e-4)


def test_steps_are_those_of_the_interpreter(compiled: CompiledProgram) -> None:
    """Statistics, of each input by itself, included."""
    x, y = samples(BATCH * 3)
    packed, program = side_by_side(x), compiled.program
    reference = Run(program, 6)
    maps = fitted(*statistics_of_parts(packed, [part.shape for part in program.inputs]))
    for each, value in zip(("multiplier", "offset", "exponent"), maps, strict=True):
        reference.state[f"input.{each}"] = np.asarray(value, np.int32)
    session = nitic.TrainingSession(compiled, threads=2)
    session.configure(lr="2^-6", schedule="constant", momentum="0.9")
    session.set_statistics(x)
    session.begin_epoch(0)
    for begin in range(0, len(y), BATCH):
        rows = slice(begin, begin + BATCH)
        reference.step(packed[rows], y[rows])
        session.train_step({name: array[rows] for name, array in x.items()}, y[rows])
        assert not differing(session.state_dict(), reference.state)


def test_a_binary_learns_from_named_files(folder: Path, compiled: CompiledProgram, tmp_path: Path) -> None:
    """And predicts what the library does by its checkpoint."""
    assert "inputs     image 8x8x3, meta 5\n" in run(folder, "info").stdout
    trained = run(folder, "train", "--data", folder, "--epochs", "12", "--save", tmp_path / "two.ckpt")
    assert trained.returncode == 0, trained.stderr
    assert float(trained.stdout.rstrip().splitlines()[-1].rpartition("accuracy ")[2].split()[0]) > 90
    done = run(folder, "predict", "--data", folder, "--load", tmp_path / "two.ckpt", "--output", tmp_path / "p.npy")
    assert done.returncode == 0, done.stderr
    session = nitic.TrainingSession(compiled)
    session.load_checkpoint(tmp_path / "two.ckpt")
    x = {name: np.load(folder / f"x_test.{name}.npy") for name in ("image", "meta")}
    logits = np.concatenate(
        [session.predict({name: array[i : i + BATCH] for name, array in x.items()})[0] for i in (0, BATCH)]
    )
    assert np.load(tmp_path / "p.npy").tolist() == logits.argmax(1).tolist()


def test_exported_files_take_the_inputs_by_name(folder: Path, compiled: CompiledProgram, tmp_path: Path) -> None:
    checkpoint = tmp_path / "two.ckpt"
    assert run(folder, "train", "--data", folder, "--epochs", "2", "--save", checkpoint).returncode == 0
    x, _ = samples(BATCH)
    session = nitic.TrainingSession(compiled)
    session.load_checkpoint(checkpoint)
    logits, _ = session.predict(x)
    options = CompileOptions(folder / "two", target=TARGET)
    exact = export_checkpoint(ExportOptions(options, checkpoint, tmp_path / "i.onnx", ExportFormat.INTEGER))
    found = onnxruntime.InferenceSession(exact).run(None, {**x, "image": x["image"].transpose(0, 2, 3, 1)})[0]
    assert np.array_equal(np.asarray(found), logits)
    options = CompileOptions(folder / "two.onnx", target=TARGET)
    for kind in (ExportFormat.FLOAT, ExportFormat.QDQ):
        made = export_checkpoint(ExportOptions(options, checkpoint, tmp_path / f"{kind}.onnx", kind))
        reader = onnxruntime.InferenceSession(made)
        assert {each.name for each in reader.get_inputs()} == {"image", "meta"}
        described = reader.get_modelmeta().custom_metadata_map
        mean, deviation = (
            {name: np.array(described[f"nitic.input.{name}.{kind}"].split(","), float) for name in ("image", "meta")}
            for kind in ("mean", "std")
        )
        assert len(mean["image"]) == 3
        scaled = {"image": (x["image"] / 255 - mean["image"][:, None, None]) / deviation["image"][:, None, None]}
        scaled["meta"] = (x["meta"] / 255 - mean["meta"]) / deviation["meta"]
        floats = np.asarray(reader.run(None, {name: array.astype(np.float32) for name, array in scaled.items()})[0])
        assert (floats.argmax(1) == logits.argmax(1)).mean() > 0.9


def test_names_that_no_file_can_have(tmp_path: Path) -> None:
    path = model(tmp_path / "two.onnx", "a/x:0", "a:x/0")
    assert [part.name for part in nitic.compile(path, target=TARGET).program.inputs] == ["a_x_0_0", "a_x_0_1"]


def test_check_says_what_a_sample_consists_of(folder: Path) -> None:
    report = check_model(CompileOptions(folder / "two.onnx", batch_size=BATCH)).text()
    assert f"input      image [{BATCH}, 8, 8, 3], meta [{BATCH}, 5], output" in report


def test_refusals_of_files(folder: Path, tmp_path: Path) -> None:
    x, y = samples(BATCH)
    alone = run(folder, "predict", "--data", folder / "x_test.meta.npy", "--output", tmp_path / "p.npy")
    assert alone.returncode == 2
    assert "the program has 2 inputs: give a folder with a file for each" in alone.stderr
    for made, code, sentence in (
        (
            {},
            4,
            "expected y_train.npy and a file for each of the program's 2 inputs, the first of them x_train.image.npy",
        ),
        ({"image": x["image"]}, 1, "x_train.meta.npy: cannot open"),
        ({**x, "meta": x["meta"][1:]}, 4, f"{BATCH - 1} samples of input meta, but {BATCH} of image"),
        ({**x, "meta": x["meta"][:, 1:]}, 4, "x_train.meta.npy: its samples are 4, the program expects 5"),
    ):
        for file in tmp_path.glob("*.npy"):
            file.unlink()
        if made:
            save(tmp_path, "train", made, y)
        done = run(folder, "train", "--data", tmp_path)
        assert done.returncode == code, done.stderr
        assert sentence in done.stderr
    augmented = run(folder, "train", "--data", folder, "--augment", "flip")
    assert "needs a program whose input is an image" in augmented.stderr


def test_refusals_of_arrays(compiled: CompiledProgram) -> None:
    session, (x, y) = nitic.TrainingSession(compiled), samples(BATCH)
    for made, sentence in (
        (x["image"], "the program has the inputs image, meta"),
        ({"image": x["image"]}, "the program has the inputs image, meta"),
        ({"image": x["image"], "other": x["meta"]}, "there are no samples of the inputs meta"),
        ({**x, "meta": x["image"]}, "do not fit the program's meta"),
    ):
        with pytest.raises(CompileError, match=sentence):
            session.train_step(made, y)
    with pytest.raises(CompileError, match="different numbers of samples"):
        session.predict({**x, "meta": x["meta"][1:]})


def test_a_shape_is_of_one_input(folder: Path) -> None:
    with pytest.raises(CompileError, match="a shape for one input, but there are several: 'image', 'meta'"):
        nitic.compile(folder / "two.onnx", input_shape=(3, 8, 8))
