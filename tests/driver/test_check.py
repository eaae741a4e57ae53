"""`nitic check`: reports, in text and JSON, and exit codes."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nitic import cli
from nitic.driver.check import check_model
from nitic.errors import CompileError, ExitCode
from nitic.frontend.writer import NetworkWriter
from nitic.options import CompileOptions

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"


def report(name: str, **options: Any) -> dict[str, Any]:
    return json.loads(check_model(CompileOptions(FIXTURES / f"{name}.onnx", **options)).json())


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["nitic", "check", *arguments])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return int(end.value.code or 0)


def refused(folder: Path) -> Path:
    """A fixture with two nodes that nitic does not know, from a known line."""
    model = onnx.load(FIXTURES / "batchnorm-dynamo-train.onnx")
    for proto in model.graph.node:
        if proto.op_type in {"BatchNormalization", "Relu"}:
            proto.op_type = {"Relu": "Hardmax"}.get(proto.op_type, "LpNormalization")
            del proto.input[1:], proto.output[1:], proto.attribute[:]
    onnx.save(model, folder / "refused.onnx")
    return folder / "refused.onnx"


def test_what_is_supported() -> None:
    found = report("batchnorm-dynamo-train", batch_size=8, freeze=("conv.*",))
    network = found.pop("network")
    assert found == {
        "schema": 1,
        "compiler": "nitic 0.1.0",
        "model": "batchnorm-dynamo-train.onnx",
        "supported": True,
        "producer": "pytorch 2.13.0+cpu",
        "opset": 20,
        "operators": [
            {"operator": name, "count": count, "supported": True}
            for name, count in [
                ("BatchNormalization", 1),
                ("Concat", 1),
                ("Constant", 2),
                ("Conv", 1),
                ("Gemm", 1),
                ("Relu", 1),
                ("Reshape", 1),
            ]
        ],
        "problems": [],
    }
    assert network["batch"] == 8
    assert (network["input"], network["output"]) == ([8, 4, 4, 1], [8, 3])
    assert network["parameters"][:1] == [
        {"name": "conv.weight", "onnx": "conv.weight", "shape": [2, 3, 3, 1], "frozen": True}
    ]
    assert [p["name"] for p in network["parameters"] if not p["frozen"]] == [
        "bn.weight",
        "bn.bias",
        "fc.weight",
        "fc.bias",
    ]
    assert (network["batch_norms"], network["folded_batch_norms"]) == (1, 0)
    assert any("batches of 2" in note for note in network["notes"])


@pytest.mark.parametrize("mode", ["legacy-eval", "dynamo-eval"])
def test_folded_batch_norms_are_counted(mode: str) -> None:
    assert report(f"batchnorm-{mode}")["network"]["folded_batch_norms"] == 1


def test_everything_that_is_missing_is_listed_with_its_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(monkeypatch, str(refused(tmp_path)), "--json") == ExitCode.UNSUPPORTED_MODEL
    found = json.loads(capsys.readouterr().out)
    assert not found["supported"]
    assert found["network"] is None
    assert [p["operator"] for p in found["problems"]] == ["LpNormalization", "Hardmax"]
    assert all("make_exports.py:" in p["source"] and "self.bn(self.conv(x))" in p["source"] for p in found["problems"])
    missing = [each["operator"] for each in found["operators"] if not each["supported"]]
    assert missing == ["Hardmax", "LpNormalization"]
    assert run(monkeypatch, str(refused(tmp_path))) == ExitCode.UNSUPPORTED_MODEL
    text = capsys.readouterr().out
    assert text.startswith("refused.onnx: 2 problems\n")
    assert "(Hardmax): operator Hardmax is not supported\n           from " in text


def test_text(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, str(FIXTURES / "batchnorm-legacy-eval.onnx"), "--freeze", "fc.*") == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "batchnorm-legacy-eval.onnx: everything is supported"
    assert lines[2:5] == [
        "input      [2, 4, 4, 1], output [2, 3]",
        "parameters 20 in 2 tensors, frozen 99 in 2",
        "batch norm 0 to train, 1 folded by the exporter",
    ]
    assert lines[5].startswith("note       ")


def test_what_the_passes_refuse(tmp_path: Path) -> None:
    """The importer takes a branch of which only the shape is read; that its parameters change nothing a pass finds."""
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["z"]),
        helper.make_node("Gemm", ["x", "idle", "idler"], ["unused"]),
        helper.make_node("Shape", ["unused"], ["shape"]),
        helper.make_node("Reshape", ["z", "shape"], ["y"]),
    ]
    values = {"w": (4, 3), "idle": (4, 3), "idler": (3,)}
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3])],
        [numpy_helper.from_array(np.ones(shape, np.float32), name) for name, shape in values.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    found = check_model(CompileOptions(tmp_path / "m.onnx"))
    assert found.exit_code == ExitCode.UNSUPPORTED_MODEL
    assert found.network is not None
    assert [p.message for p in found.problems] == ["parameters 'idle', 'idler' have no influence on the loss"]


@pytest.mark.parametrize(
    ("content", "arguments", "code", "sentence"),
    [
        (b"no model", [], ExitCode.RUN_TIME, "not an ONNX file"),
        (None, [], ExitCode.RUN_TIME, "No such file"),
        (None, ["--recipe", "adam"], ExitCode.USAGE, "unknown recipe 'adam'"),
    ],
)
def test_broken_files_and_wrong_usage_have_other_codes(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    content: bytes | None,
    arguments: list[str],
    code: ExitCode,
    sentence: str,
) -> None:
    if content:
        (tmp_path / "m.onnx").write_bytes(content)
    assert run(monkeypatch, str(tmp_path / "m.onnx"), *arguments, "--json") == code
    output = capsys.readouterr()
    assert output.out == ""
    assert sentence in output.err


def test_a_glob_without_a_match_is_wrong_usage() -> None:
    with pytest.raises(CompileError) as caught:
        report("lenet-legacy-eval", freeze=("convolution*",))
    assert caught.value.exit_code == ExitCode.USAGE


def test_control_characters_of_a_model_do_not_reach_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    net = NetworkWriter("m", (16,), 0)
    net.linear("fc", 4)
    model = net.model()
    model.producer_name = "\x1b[2Jcleared\x9b"
    model.graph.node[0].name = "\x1b]0;title\x07"
    model.graph.node[0].op_type = "Cosh"
    del model.graph.node[0].input[1:], model.graph.node[0].attribute[:]
    onnx.save(model, tmp_path / "m.onnx")
    assert run(monkeypatch, str(tmp_path / "m.onnx")) == ExitCode.UNSUPPORTED_MODEL
    text = capsys.readouterr().out
    assert "\\x1b[2Jcleared\\x9b" in text
    assert "\\x1b]0;title\\x07" in text
    assert "\x1b" not in text
