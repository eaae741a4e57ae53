"""What cannot be imported says so: which node, which rule, and which line of the user's program."""

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from nitic.errors import CompileError, ExitCode
from nitic.frontend.importer import import_onnx
from tests.support.onnx_models import FIXTURES, Array, random, save_network

I64 = np.int64


def node(op: str, inputs: str, output: str, name: str = "n", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), output.split(), name=name, **attributes)


def number(value: float) -> Array:
    return np.asarray(value, np.float32)


def failure(path: Path, batch_size: int | None = None) -> CompileError:
    with pytest.raises(CompileError) as caught:
        import_onnx(path, batch_size)
    return caught.value


def network_failure(
    tmp_path: Path, nodes: list[onnx.NodeProto], shape: tuple[int | str, ...], values: dict[str, Array]
) -> str:
    return str(failure(save_network(tmp_path / "net.onnx", nodes, shape, values)))


def test_all_unsupported_operators_are_listed_at_once(tmp_path: Path) -> None:
    nodes = [
        node("Hardmax", "x", "a", "s1"),
        node("Gemm", "a w", "b", "fc"),
        node("Hardmax", "b", "c", "s2"),
        node("Det", "c", "d", "e"),
        node("Tile", "d r", "y", "tile"),
    ]
    values = {"w": random(6, 6), "r": np.array([1, 2], I64)}
    error = failure(save_network(tmp_path / "net.onnx", nodes, (2, 6), values))
    assert error.exit_code == ExitCode.UNSUPPORTED_MODEL
    assert str(error).splitlines() == [
        "net.onnx: 4 nodes cannot be imported",
        "  note: operator Hardmax is not supported: 2 nodes: 's1', 's2'",
        "  note: node 'e' (Det): operator Det is not supported",
        "  note: node 'tile' (Tile): operator Tile is not supported over activations or parameters",
    ]


def test_user_line_is_shown(tmp_path: Path) -> None:
    model = onnx.load(FIXTURES / "batchnorm-dynamo-train.onnx")
    for proto in model.graph.node:
        if proto.op_type == "BatchNormalization":
            proto.op_type = "MeanVarianceNormalization"
            del proto.input[1:], proto.output[1:], proto.attribute[:]
    onnx.save(model, tmp_path / "net.onnx")
    error = failure(tmp_path / "net.onnx")
    assert "MeanVarianceNormalization is not supported" in error.message
    assert "make_exports.py:" in error.note
    assert "self.bn(self.conv(x))" in error.note


CONV_INPUT = (2, 4, 7, 6)
CASES: dict[str, tuple[list[onnx.NodeProto], tuple[int | str, ...], dict[str, Array], str]] = {
    "channels": (
        [node("Conv", "x w", "y")],
        (2, 3, 7, 6),
        {"w": random(4, 2, 3, 3)},
        "net.onnx: node 'n' (Conv): input has 3 channels but the filter expects 2",
    ),
    "conv_3d": (
        [node("Conv", "x w", "y")],
        (2, 3, 7, 6, 5),
        {"w": random(4, 3, 3, 3, 3)},
        "only 1-D and 2-D convolution",
    ),
    "window": ([node("Conv", "x w", "y")], (2, 3, 2, 2), {"w": random(4, 3, 3, 3)}, "does not fit"),
    "bias": ([node("Conv", "x w b", "y")], CONV_INPUT, {"w": random(4, 4, 3, 3), "b": random(3)}, "bias of the shape"),
    "pool_3d": (
        [node("MaxPool", "x", "y", kernel_shape=[2, 2, 2])],
        (2, 3, 4, 4, 4),
        {},
        "windows that slide along 3 axes are not supported, only along 1 or 2",
    ),
    "trans_a": ([node("Gemm", "x w", "y", transA=1)], (6, 6), {"w": random(6, 6)}, "transA=1"),
    "two_shapes": (
        [node("Flatten", "x", "a"), node("Mul", "x a", "y")],
        (2, 3, 4),
        {},
        "[2, 3, 4] and [1, 2, 12] do not broadcast to each other",
    ),
    "maximum": (
        [node("Max", "x b", "y")],
        (2, 6),
        {"b": random(6)},
        "only the Max of an activation and a number",
    ),
    "quotient": (
        [node("Relu", "x", "r"), node("Div", "w v", "a"), node("Mul", "r a", "y")],
        (2, 6),
        {"w": random(6), "v": random(6)},
        "the quotient of two constants, of which one is a parameter, is not supported",
    ),
    "comparison": (
        [node("Greater", "w v", "a"), node("Where", "a x x", "y")],
        (2, 6),
        {"w": random(6), "v": random(6)},
        "a comparison of two constants, of which one is a parameter, is not supported",
    ),
    "choice_of_samples": (
        [node("Where", "c x h", "y")],
        (2, 6),
        {"c": np.array([[True], [False]]), "h": number(0.5)},
        "a condition of the shape [2, 1] differs from sample to sample of the batch",
    ),
    "choice_of_constants": (
        [node("Relu", "x", "r"), node("Where", "c w h", "a"), node("Mul", "r a", "y")],
        (2, 6),
        {"c": np.array([True, False, True, True, False, False]), "w": random(6), "h": number(0.5)},
        "a choice between two constants, of which one is a parameter, is not supported",
    ),
    "choice_that_changes_often": (
        [node("Where", "c x h", "y")],
        (2, 80),
        {"c": np.arange(80) % 2 == 0, "h": number(0.5)},
        "a constant condition changes at most 63 times, not 79",
    ),
    "cast_to_a_condition": (
        [node("Cast", "x", "c", to=9), node("Where", "c x x", "y")],
        (2, 6),
        {},
        "a cast to a type other than float is not supported",
    ),
    "infinite_factor": (
        [node("Mul", "x c", "y")],
        (2, 6),
        {"c": number(np.inf)},
        "constant 'c' holds inf at [], but must be finite",
    ),
    "bounds": (
        [node("Clip", "x six one", "y")],
        (2, 6),
        {"six": number(6), "one": number(1)},
        "6.0 is above the upper bound 1.0",
    ),
    "wide_hard_sigmoid": ([node("HardSigmoid", "x", "y", alpha=0.01)], (2, 6), {}, "saturates within +-8"),
    "steep_elu": ([node("Elu", "x", "y", alpha=1000.0)], (2, 6), {}, "the slope of elu is at most 128"),
    "steep_leaky_relu": ([node("LeakyRelu", "x", "y", alpha=-200.0)], (2, 6), {}, "a slope is at most 128, not -200.0"),
    **{
        name: (
            [node("Pow", "x p", "y")],
            (2, 6),
            {"p": np.asarray(value, np.float32)},
            f"the exponent of a power is {given}",
        )
        for name, value, given in (
            ("power_of_zero", 0.0, "a fraction from -16 to 16 with a denominator up to 10, and not 0, not 0.0"),
            ("power_of_pi", 3.1416, "a fraction from -16 to 16 with a denominator up to 10, and not 0, not 3.1416"),
            ("power_of_17", 17.0, "a fraction from -16 to 16 with a denominator up to 10, and not 0, not 17.0"),
            ("power_of_nan", np.nan, "a fraction from -16 to 16 with a denominator up to 10, and not 0, not nan"),
            ("power_of_each", [2.0, 3.0, 2.0, 3.0, 2.0, 3.0], "one number, not values of the shape [6]"),
        )
    },
    "weight_over_the_batch": (
        [node("MatMul", "w x", "y")],
        (2, 6),
        {"w": random(3, 2)},
        "cannot multiply a weight of [3, 2] by an input of [2, 6]",
    ),
    "stacked_weight": (
        [node("MatMul", "w x", "a"), node("Flatten", "a", "y")],
        (2, 3, 6),
        {"w": random(2, 5, 3)},
        "cannot multiply a weight of [2, 5, 3] by an input of [2, 3, 6]",
    ),
    "weight_that_does_not_fit": (
        [node("MatMul", "w x", "a"), node("Flatten", "a", "y")],
        (2, 3, 6),
        {"w": random(5, 4)},
        "cannot multiply a weight of [5, 4] by an input of [2, 3, 6]",
    ),
    "two_activations": ([node("MatMul", "x x", "y")], (6, 6), {}, "is supported only in attention"),
    "mean": ([node("ReduceMean", "x", "y", axes=[0, 2])], CONV_INPUT, {}, "it would mix the samples of a batch"),
    "reshape": ([node("Reshape", "x s", "y")], (2, 6), {"s": np.array([2, 5], I64)}, "cannot reshape [2, 6] to [2, 5]"),
    **{
        f"pad_{mode}_{low}_{high}": (
            [node("Pad", "x p", "y", mode=mode)],
            (2, 6),
            {"p": np.array([0, low, 0, high], I64)},
            f"pads of mode '{mode}' are from 0 to {most} for an axis of 6, not {low} and {high}",
        )
        for mode, low, high, most in (
            ("reflect", 6, 0, 5),
            ("reflect", 0, 6, 5),
            ("reflect", -1, 1, 5),
            ("wrap", 7, 0, 6),
            ("edge", 0, -1, 64),
            ("edge", 65, 0, 64),
        )
    },
    "pad_of_many_slices": (
        [node("Pad", "x p", "y", mode="edge")],
        (2, 6),
        {"p": np.array([0, 40, 0, 40], I64)},
        "they must be at most 64 runs",
    ),
    "pad_value": (
        [node("Pad", "x p v", "y")],
        (2, 6),
        {"p": np.array([0, 1, 0, 0], I64), "v": np.array(2, np.float32)},
        "padding with 2.0 is not supported, only with zeros",
    ),
    "concat": ([node("Concat", "x w", "y", axis=1)], (2, 6), {"w": random(2, 6)}, "input 1 is the constant 'w'"),
    "slice": (
        [node("Slice", "x s e a t", "y")],
        (2, 6),
        {key: np.array([v], I64) for key, v in (("s", 5), ("e", 0), ("a", 1), ("t", 0))},
        "steps [0] are not supported: none may be 0",
    ),
    "empty_slice": (
        [node("Slice", "x s s a", "y")],
        (2, 6),
        {"s": np.array([2], I64), "a": np.array([1], I64)},
        "nothing is left of an input of [2, 6]",
    ),
    "split": (
        [node("Split", "x s", "y z", axis=1)],
        (2, 6),
        {"s": np.array([2, 3], I64)},
        "cannot split an axis of 6 into 2 parts of [2, 3]",
    ),
    "gather": (
        [node("Gather", "x i", "y", axis=1)],
        (2, 6),
        {"i": np.arange(132) * 5 % 6},
        "gathering the 132 indices [0, 5, 4, 3, 2, 1, 0, 5, 4, 3, 2, 1, 0, 5, 4, 3, ...] is not supported",
    ),
    "gather_nothing": (
        [node("Gather", "x i", "y", axis=1)],
        (2, 6),
        {"i": np.array([], I64)},
        "gathering the 0 indices [] is not supported",
    ),
    "embedding": (
        [node("Gather", "w x", "y", axis=0)],
        (2, 6),
        {"w": random(6, 6)},
        "an embedding, a table indexed by the network's input of the type FLOAT, is not supported",
    ),
    "computed_embedding": (
        [node("Relu", "x", "r", name="r"), node("Gather", "w r", "y", axis=0)],
        (2, 6),
        {"w": random(6, 6)},
        "an embedding, a table indexed by what the network computes, is not supported",
    ),
    "parameter_arithmetic": (
        [node("Mul", "w w", "ww"), node("Gemm", "x ww", "y")],
        (2, 6),
        {"w": random(6, 6)},
        "both operands are constants, and one of them is a parameter",
    ),
    "softmax_inside": ([node("Softmax", "x", "a"), node("Relu", "a", "y")], (2, 6), {}, "only as the last operator"),
    "mask": ([node("Dropout", "x", "a mask"), node("Cast", "mask", "y", to=1)], (2, 6), {}, "'mask' is a result that"),
    "nan": ([node("Gemm", "x w", "y")], (2, 6), {"w": np.full((6, 5), np.nan, np.float32)}, "holds nan at [0, 0]"),
    "two_scales": (
        [node("Gemm", "x w", "a"), node("Gemm", "a w", "y", alpha=2.0)],
        (2, 6),
        {"w": random(6, 6)},
        "parameter 'w' is used by several nodes, which scale it by unequal factors",
    ),
    "no_parameters": ([node("Relu", "x", "y")], (2, 6), {}, "no parameters to train"),
    "open_dimension": ([node("Relu", "x", "y")], ("N", "T"), {}, "dimension 1 of input 'x' is 'T'"),
    "output_shape": ([node("Relu", "x", "y")], CONV_INPUT, {}, "expected [2, classes]"),
    "constant_output": ([node("Identity", "w", "y")], (2, 6), {"w": random(6)}, "does not depend on the input"),
    "domain": ([node("Relu", "x", "a"), node("Foo", "a", "y", domain="my.ops")], (2, 6), {}, "my.ops::Foo"),
    "no_such_operator": ([node("Foo", "x", "y")], (2, 6), {}, "not a valid ONNX model"),
    "large_input": ([node("Relu", "x", "y")], ("N", 2**40), {}, "too large"),
    "large_tensor": (
        [node("Conv", "x w", "y", pads=[2**20] * 4)],
        CONV_INPUT,
        {"w": random(4, 4, 1, 1)},
        "has more than 2147483647 elements",
    ),
    "large_constant": (
        [node("ConstantOfShape", "s", "w"), node("Gemm", "x w", "y")],
        (2, 6),
        {"s": np.array([6, 2**40], I64)},
        "makes a constant of",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_message(tmp_path: Path, case: str) -> None:
    nodes, shape, values, expected = CASES[case]
    assert expected in network_failure(tmp_path, nodes, shape, values)


def test_missing_file(tmp_path: Path) -> None:
    error = failure(tmp_path / "none.onnx")
    assert "cannot be read: No such file" in error.message
    assert error.exit_code == ExitCode.RUN_TIME


def test_missing_external_data(tmp_path: Path) -> None:
    path = Path(shutil.copy(FIXTURES / "lenet-dynamo-eval-external.onnx", tmp_path))
    error = failure(path)
    assert "'lenet-dynamo-eval-external.onnx.data'" in error.message
    assert "is missing" in error.message


def test_truncated_external_data(tmp_path: Path) -> None:
    path = Path(shutil.copy(FIXTURES / "lenet-dynamo-eval-external.onnx", tmp_path))
    data = (FIXTURES / "lenet-dynamo-eval-external.onnx.data").read_bytes()
    path.with_suffix(".onnx.data").write_bytes(data[: len(data) // 2])
    assert f"but the file has {len(data) // 2}" in str(failure(path))


EXTERNAL = FIXTURES / "lenet-dynamo-eval-external.onnx"


def model_with_data_at(path: Path, location: str) -> Path:
    """The fixture in a file, its weights said to be at that location."""
    model = onnx.load(EXTERNAL, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


def weights_in(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(EXTERNAL.with_suffix(".onnx.data"), path))


@pytest.mark.parametrize(
    "location", ["../weights", "{}/weights", "{}/model/inside", "deeper/../../weights", "link", "up/weights"]
)
def test_external_data_outside_the_folder(tmp_path: Path, location: str) -> None:
    path = model_with_data_at(tmp_path / "model" / "m.onnx", location.format(tmp_path))
    weights_in(tmp_path / "weights")
    weights_in(tmp_path / "model" / "inside")
    (tmp_path / "model" / "deeper").mkdir()
    (tmp_path / "model" / "link").symlink_to("../weights")
    (tmp_path / "model" / "up").symlink_to("..")
    assert "lies outside of the model's folder" in str(failure(path))


@pytest.mark.parametrize("location", ["circle", "no\0name"])
def test_external_data_that_cannot_be_found(tmp_path: Path, location: str) -> None:
    path = model_with_data_at(tmp_path / "m.onnx", location)
    (tmp_path / "circle").symlink_to("circle")
    assert re.search("the external data file .* (cannot be found|is missing)", str(failure(path)))


def test_external_data_behind_links(tmp_path: Path) -> None:
    """As the hub's cache stores it, at two depths; a link to the whole folder; and a link within the folder."""
    expected = import_onnx(EXTERNAL).parameters
    blob = model_with_data_at(tmp_path / "blobs" / "aa", "w.data")
    data = weights_in(tmp_path / "blobs" / "bb")
    places = [tmp_path / "snapshots" / "1", tmp_path / "snapshots" / "1" / "onnx"]
    for place in places:
        place.mkdir(parents=True)
        (place / "m.onnx").symlink_to(os.path.relpath(blob, place))
        (place / "w.data").symlink_to(os.path.relpath(data, place))
    (tmp_path / "main").symlink_to(places[0])
    inside = model_with_data_at(tmp_path / "own" / "m.onnx", "w.data")
    weights_in(tmp_path / "own" / "deep" / "weights")
    (tmp_path / "own" / "w.data").symlink_to("deep/weights")
    for path in (*(place / "m.onnx" for place in places), tmp_path / "main" / "m.onnx", inside):
        found = import_onnx(path).parameters
        assert all(np.array_equal(found[name], value) for name, value in expected.items())
    data.unlink()
    assert "is missing" in str(failure(places[0] / "m.onnx"))


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x0a" * 100], ids=["empty", "text", "varints"])
def test_not_onnx(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    assert str(failure(path)).startswith("m.onnx: ")


def test_truncated_model(tmp_path: Path) -> None:
    data = (FIXTURES / "lenet-legacy-eval.onnx").read_bytes()
    (tmp_path / "m.onnx").write_bytes(data[:4000])
    assert "truncated" in str(failure(tmp_path / "m.onnx"))


@pytest.mark.parametrize("name", ["lenet-legacy-eval-dynamic", "poolnet-dynamo-train", "mlp_nobias-legacy-train"])
def test_damaged_files_end_in_one_sentence(tmp_path: Path, name: str) -> None:
    """Whatever bytes a file holds, the importer succeeds or raises CompileError."""
    original = (FIXTURES / f"{name}.onnx").read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / "m.onnx"
    for _ in range(200):
        data = bytearray(original[: rng.integers(1, len(original))] if rng.random() < 0.2 else original)
        for position in rng.integers(0, len(data), rng.integers(0, 4)):
            data[position] = rng.integers(256)
        path.write_bytes(data)
        with suppress(CompileError):
            import_onnx(path)
