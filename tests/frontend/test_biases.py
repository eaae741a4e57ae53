"""Biases that an exporter left out: told of where it looks so, and put back by --restore biases."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from typer.testing import CliRunner

from nitic.cli import app
from nitic.driver.build import build_program, import_model
from nitic.driver.check import check_model
from nitic.errors import CompileError, ExitCode
from nitic.export.float import float_model
from nitic.frontend.importer import import_onnx
from nitic.options import CompileOptions
from tests.frontend.test_graph import node
from tests.support.onnx_models import Array, logits, random, save_network

BIAS, ONES, ROW = random(4), np.ones(4, np.float32), random(1, 4, 1, 1)
BEHIND: dict[str, tuple[list[onnx.NodeProto], bool]] = {
    "relu": ([node("Relu", "c", "y")], True),
    "batch_norm": ([node("BatchNormalization", "c one b b one", "y")], False),
    "batch_norm_behind_a_sum": (
        [node("Add", "c x", "s"), node("BatchNormalization", "s one b b one", "y")],
        False,
    ),
    "batch_norm_behind_a_concat": (
        [
            node("Concat", "c x", "s", axis=1),
            node("Slice", "s from to channels", "p"),
            node("BatchNormalization", "s one8 b8 b8 one8", "n"),
            node("Slice", "n from to channels", "y"),
        ],
        False,
    ),
    "batch_norm_behind_a_relu": (
        [node("Relu", "c", "r"), node("BatchNormalization", "r one b b one", "y")],
        True,
    ),
    "a_bias_that_is_added": ([node("Add", "c row", "y")], False),
    "a_bias_that_is_subtracted": ([node("Sub", "c row", "y")], False),
    "a_residual": ([node("Add", "c x", "y")], True),
}


def network(folder: Path, behind: list[onnx.NodeProto], count: int = 4, producer: str = "pytorch") -> Path:
    """Some blocks of a convolution without a bias and of nodes behind it, and a linear layer with one."""
    nodes: list[onnx.NodeProto] = []
    values: dict[str, Array] = {"one": ONES, "b": BIAS, "row": ROW, "one8": np.ones(8, np.float32)}
    values |= {"b8": random(8), "from": np.array([0]), "to": np.array([4]), "channels": np.array([1])}
    values |= {"fc.weight": random(4, 3), "fc.bias": random(3)}
    for i in range(count):
        names = {"x": f"block{i}", "y": f"block{i + 1}"} if i else {"y": "block1"}
        own = {each for made in behind for each in made.output} | {"c"}
        for made in [node("Conv", f"x {i}.weight", "c", kernel_shape=[3, 3], pads=[1] * 4), *behind]:
            copy = onnx.NodeProto()
            copy.CopyFrom(made)
            for field in (copy.input, copy.output):
                field[:] = [names.get(name, f"{name}.{i}" if name in own else name) for name in field]
            nodes.append(copy)
        values[f"{i}.weight"] = random(4, 4, 3, 3, seed=i)
    nodes += [node("GlobalAveragePool", f"block{count}", "g"), node("Flatten", "g", "f")]
    path = save_network(folder / "m.onnx", [*nodes, node("Gemm", "f fc.weight fc.bias", "y")], (2, 4, 6, 6), values)
    model = onnx.load(path)
    model.producer_name = producer
    onnx.save(model, path)
    return path


def is_told(path: Path, **options: Any) -> bool:
    report = check_model(CompileOptions(path, **options))
    assert report.network
    return sum("--restore biases puts" in note for note in report.network.notes) == 1


@pytest.mark.parametrize("case", BEHIND)
def test_what_is_behind_a_layer_tells_whether_its_bias_is_missing(tmp_path: Path, case: str) -> None:
    behind, is_missing = BEHIND[case]
    path = network(tmp_path, behind)
    assert is_told(path) == is_missing
    model = import_onnx(path, restores_biases=True)
    restored = [name for name in model.parameters if name.endswith(".bias") and name != "fc.bias"]
    assert restored == ([f"{i}.bias" for i in range(4)] if is_missing else [])
    assert not any(model.parameters[name].any() for name in restored)


def test_the_note_is_for_many_layers_that_torch_wrote(tmp_path: Path) -> None:
    relu = BEHIND["relu"][0]
    assert not is_told(network(tmp_path, relu, count=3))
    assert not is_told(network(tmp_path, relu, producer="tf2onnx"))
    path = network(tmp_path, relu, count=5)
    assert is_told(path)
    assert not is_told(path, restore="biases")
    (note,) = [note for note in import_onnx(path).notes if "--restore" in note]
    assert note.startswith("5 convolutions, the first node 'make_c' (Conv), have neither a bias nor")


def test_restored_biases_change_nothing_and_are_trained(tmp_path: Path) -> None:
    path, x = network(tmp_path, BEHIND["relu"][0]), random(2, 4, 6, 6)
    options = CompileOptions(path, restore="biases", target="x86-64-portable")  # pyright: ignore[reportArgumentType]
    model = import_model(options)
    np.testing.assert_array_equal(logits(model, x), logits(import_onnx(path), x))
    assert any("4 layers without a bias" in note for note in model.notes)
    assert {f"{i}.bias.velocity" for i in range(4)} <= build_program(options).state.keys()


def test_the_trained_file_has_them(tmp_path: Path) -> None:
    path, out = network(tmp_path, BEHIND["relu"][0]), tmp_path / "out.onnx"
    options = CompileOptions(path, restore="biases", target="x86-64-portable")  # pyright: ignore[reportArgumentType]
    state = build_program(options).state
    state["2.bias"] += 77
    out.write_bytes(float_model(import_model(options), path, state, {}))
    onnx.checker.check_model(out, full_check=True)
    expected = state["2.bias"] * 2.0 ** int(state["2.bias.exponent"])
    np.testing.assert_array_equal(import_onnx(out).parameters["2.bias"], expected.astype(np.float32))


LAYERS: dict[str, tuple[list[onnx.NodeProto], dict[str, Array], list[str]]] = {
    "transposed_in_groups": (
        [node("ConvTranspose", "x w", "c", group=2), node("GlobalAveragePool", "c", "p"), node("Flatten", "p", "y")],
        {"w": random(4, 3, 2, 2)},
        ["w.bias"],
    ),
    "gemm": ([node("Flatten", "x", "f"), node("Gemm", "f weight", "y")], {"weight": random(144, 5)}, ["bias"]),
    "gemm_transposed": (
        [node("Flatten", "x", "f"), node("Gemm", "f fc_weight", "y", transB=1)],
        {"fc_weight": random(5, 144)},
        ["fc_bias"],
    ),
    "constant_weight": (
        [
            node("Constant", "", "w", value=numpy_helper.from_array(random(144, 5))),
            node("Flatten", "x", "f"),
            node("Gemm", "f w", "y"),
        ],
        {},
        ["w.bias"],
    ),
    "one_weight_twice": (
        [
            node("Conv", "x c.weight", "c", pads=[1, 1, 1, 1]),
            node("Relu", "c", "r"),
            node("Conv", "r c.weight", "d"),
            node("GlobalAveragePool", "d", "p"),
            node("Flatten", "p", "y"),
        ],
        {"c.weight": random(4, 4, 3, 3)},
        ["c.bias"],
    ),
    "name_that_is_taken": (
        [node("Flatten", "x", "f"), node("Gemm", "f weight", "bias"), node("Relu", "bias", "y")],
        {"weight": random(144, 5)},
        ["bias_"],
    ),
    "half_precision": (
        [
            node("Cast", "x", "h", to=10),
            node("Conv", "h c.weight", "c"),
            node("GlobalAveragePool", "c", "p"),
            node("Flatten", "p", "y"),
        ],
        {"c.weight": random(5, 4, 3, 3).astype(np.float16)},
        ["c.bias"],
    ),
    "has_one": (
        [node("Flatten", "x", "f"), node("Gemm", "f weight b", "y")],
        {"weight": random(144, 5), "b": random(5)},
        [],
    ),
    "described_as_huge": (
        [
            node("ConstantOfShape", "shape", "w"),
            node("Conv", "x w", "c"),
            node("Conv", "x v b", "d"),
            node("GlobalAveragePool", "d", "p"),
            node("Flatten", "p", "y"),
        ],
        {"shape": np.array([2**40, 4, 1, 1]), "v": random(5, 4, 1, 1), "b": random(5)},
        [],
    ),
}


@pytest.mark.parametrize("case", LAYERS)
def test_layers_that_get_a_bias(tmp_path: Path, case: str) -> None:
    nodes, values, biases = LAYERS[case]
    path = save_network(tmp_path / "m.onnx", nodes, (2, 4, 6, 6), values)
    before, model = import_onnx(path), import_onnx(path, restores_biases=True)
    assert [name for name in model.parameters if name not in before.parameters] == biases
    x = random(2, 4, 6, 6)
    np.testing.assert_array_equal(logits(model, x), logits(before, x))


def test_layers_of_another_domain_are_let_alone(tmp_path: Path) -> None:
    other = helper.make_node("Conv", [], ["c"], domain="my.ops")
    path = save_network(tmp_path / "m.onnx", [other, node("Add", "x c", "y")], (2, 4), {})
    with pytest.raises(CompileError, match=r"my\.ops::Conv is not supported"):
        import_onnx(path, restores_biases=True)


def test_the_command_line_restores_biases(tmp_path: Path) -> None:
    path = network(tmp_path, BEHIND["relu"][0])
    result = CliRunner().invoke(app, ["check", str(path), "--restore", "biases"])
    assert result.exit_code == ExitCode.OK
    assert "4 layers without a bias, and without a norm behind them, have one of zeros" in result.output
    with pytest.raises(CompileError, match="unknown restore 'norms'; the choices are biases"):
        CompileOptions(path, restore="norms")  # pyright: ignore[reportArgumentType]
