"""What real files do: opsets 9 to 25, local functions, shape arithmetic, generated weights, old and external forms."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data

from nitic.errors import CompileError, ExitCode
from nitic.frontend import folding, model_file
from nitic.frontend.importer import import_onnx, survey
from nitic.frontend.operators import HANDLERS
from tests.support.onnx_models import Array, check_against_onnxruntime, log_softmax, logits, onnxruntime_output, random

LIGHT = sorted((Path(onnx.__file__).parent / "backend/test/data/light").glob("*.onnx"))
I64 = np.int64


def node(op: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), [output], name=f"make_{output}", **attributes)


def save(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    shape: Sequence[int | str],
    values: dict[str, Array],
    opset: int = 17,
    **options: Any,
) -> Path:
    """A model from `x` to `y`."""
    extra = options.pop("inputs", [])
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape)), *extra],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, options.pop("output", ["rows", "columns"]))],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("local", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, **{"ir_version": 10, **options}), path)
    return path


@pytest.mark.parametrize("opset", range(9, 26))
def test_operators_as_each_opset_writes_them(tmp_path: Path, opset: int) -> None:
    """Axes, ratios and pads were attributes before they were inputs."""
    axes = {"two": np.array([2], I64), "plane": np.array([2, 3], I64), "none": np.zeros(8, I64)}
    values: dict[str, Array] = {"w": random(4, 3, 3, 3), "fc": random(5, 4), "c": random(5)}
    values["ratio"] = np.array(0.25, np.float32)
    values |= {name: np.abs(random(4, seed=i)) for i, name in enumerate(("gamma", "beta", "mean", "var"))}
    nodes = [
        node("Pad", "x none", "p0") if opset >= 11 else node("Pad", "x", "p0", pads=[0] * 8),
        node("Conv", "p0 w", "c0", pads=[1, 1, 1, 1]),
        node("BatchNormalization", "c0 gamma beta mean var", "b0"),
        node("Relu", "b0", "r0"),
        node("Dropout", "r0 ratio", "d0") if opset >= 12 else node("Dropout", "r0", "d0", ratio=0.25),
        node("Unsqueeze", "d0 two", "u0") if opset >= 13 else node("Unsqueeze", "d0", "u0", axes=[2]),
        node("Squeeze", "u0 two", "s0") if opset >= 13 else node("Squeeze", "u0", "s0", axes=[2]),
        node("MaxPool", "s0", "m0", kernel_shape=[2, 2], strides=[2, 2]),
        node("ReduceMean", "m0 plane", "a0", keepdims=0)
        if opset >= 18
        else node("ReduceMean", "m0", "a0", axes=[2, 3], keepdims=0),
        node("Gemm", "a0 fc c", "g0", transB=1),
        node("LogSoftmax", "g0", "y", axis=1),
    ]
    used = {name for each in nodes for name in each.input}
    values = {name: value for name, value in (values | axes).items() if name in used}
    path = save(tmp_path / "m.onnx", nodes, ("N", 3, 8, 8), values, opset)
    x = random(2, 3, 8, 8)
    found = log_softmax(logits(import_onnx(path, 2), x))
    np.testing.assert_allclose(found, onnxruntime_output(path, x), atol=1e-4)


def test_opsets_beyond_those(tmp_path: Path) -> None:
    gemm, values = [node("Gemm", "x w c", "y")], {"w": random(6, 5), "c": random(5)}
    with pytest.raises(CompileError) as caught:
        import_onnx(save(tmp_path / "old.onnx", gemm, (2, 6), values, 6))
    assert str(caught.value).splitlines() == [
        "old.onnx: is of opset 6, but 7 to 25 are supported",
        "  note: export the model anew",
    ]
    newest = onnx.defs.onnx_opset_version()
    if newest > 25:
        notes = import_onnx(save(tmp_path / "new.onnx", gemm, (2, 6), values, newest)).notes
        assert f"opset {newest} is newer than 25, by whose rules it is read" in notes


@pytest.mark.parametrize("ir_version", [3, 8])
@pytest.mark.parametrize("opset", [7, 8])
def test_opsets_7_and_8_are_converted(tmp_path: Path, opset: int, ir_version: int) -> None:
    """In the oldest IR, initializers are among the inputs."""
    values = {"w": random(4, 3, 3, 3), "fc": random(4, 5), "one": np.ones(4, np.float32), "var": random(4) ** 2}
    nodes = [
        node("Conv", "x w", "c"),
        node("BatchNormalization", "c one one one var", "n"),
        node("Dropout", "n", "d", ratio=0.25),
        node("MaxPool", "d", "m", kernel_shape=[2, 2]),
        node("GlobalAveragePool", "m", "g"),
        node("Flatten", "g", "f"),
        node("MatMul", "f fc", "y"),
    ]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape) for name, value in values.items()]
    options = {"ir_version": ir_version, "inputs": inputs if ir_version == 3 else []}
    path = save(tmp_path / "m.onnx", nodes, (2, 3, 8, 6), values, opset, **options)
    model = check_against_onnxruntime(path, random(2, 3, 8, 6))
    assert {"w", "fc"} <= model.parameters.keys()


SHAPES: dict[str, list[onnx.NodeProto]] = {
    "gather_unsqueeze_concat": [
        node("Shape", "x", "s"),
        node("Gather", "s zero", "n", axis=0),
        node("Unsqueeze", "n axis0", "n1"),
        node("Concat", "n1 minus", "to", axis=0),
    ],
    "slice_cast_mul": [
        node("Shape", "x", "s"),
        node("Slice", "s one four", "rest"),
        node("Cast", "rest", "f", to=TensorProto.FLOAT),
        node("ReduceProd", "f", "product", keepdims=1),
        node("Mul", "product half", "doubled"),
        node("Mul", "doubled two", "again"),
        node("Cast", "again", "i", to=TensorProto.INT64),
        node("Slice", "s zero1 one", "n"),
        node("Concat", "n i", "to", axis=0),
    ],
    "size_div": [
        node("Size", "x", "all"),
        node("Shape", "x", "n", start=0, end=1),
        node("Div", "all n", "each"),
        node("Concat", "n each", "to", axis=0),
    ],
    "where_equal": [
        node("Shape", "x", "n", start=0, end=1),
        node("ConstantOfShape", "one", "ones", value=helper.make_tensor("v", TensorProto.INT64, [1], [1])),
        node("Equal", "n ones", "single"),
        node("Where", "single n n", "batch"),
        node("Concat", "batch minus", "to", axis=0),
    ],
}


@pytest.mark.parametrize("batch", ["N", 2])
@pytest.mark.parametrize("case", SHAPES)
def test_shape_arithmetic(tmp_path: Path, case: str, batch: int | str) -> None:
    constants = {
        "zero": np.array(0, I64),
        "zero1": np.array([0], I64),
        "one": np.array([1], I64),
        "four": np.array([4], I64),
        "axis0": np.array([0], I64),
        "minus": np.array([-1], I64),
        "half": np.array([0.5], np.float32),
        "two": np.array([2.0], np.float32),
    }
    used = {name for each in SHAPES[case] for name in each.input}
    values = {name: value for name, value in constants.items() if name in used}
    floats = [
        node("Constant", "", name, value=numpy_helper.from_array(values.pop(name)))
        for name in ("half", "two")
        if name in values
    ]
    rest = [node("Reshape", "x to", "flat"), node("Gemm", "flat w", "y")]
    path = save(tmp_path / "m.onnx", [*floats, *SHAPES[case], *rest], (batch, 3, 4, 4), {**values, "w": random(48, 5)})
    x = random(2, 3, 4, 4)
    np.testing.assert_allclose(logits(import_onnx(path, 2), x), onnxruntime_output(path, x), atol=1e-4)


def function(name: str, inputs: list[str], outputs: list[str], nodes: list[onnx.NodeProto], *attributes: str) -> Any:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    return helper.make_function("local", name, inputs, outputs, nodes, opsets, list(attributes))


def reference(name: str) -> onnx.AttributeProto:
    """The attribute that takes its value from the function's `padding`."""
    return onnx.AttributeProto(name=name, ref_attr_name="padding", type=onnx.AttributeProto.INTS)


def test_nested_local_functions_with_attributes(tmp_path: Path) -> None:
    conv = node("Conv", "X W", "C", group=1)
    conv.attribute.append(reference("pads"))
    block = function("Block", ["X", "W"], ["Y"], [conv, node("Relu", "C", "Y")], "padding")
    inner = [node("Block", f"X {w}", f"Y{i}", domain="local") for i, w in enumerate("VW")]
    inner[1].input[0] = "Y0"
    for each in inner:
        each.attribute.append(reference("padding"))
    stack = function("Stack", ["X", "V", "W"], ["Y1"], inner, "padding")
    nodes = [
        node("Stack", "x v w", "s", domain="local", padding=[1, 1, 1, 1]),
        node("GlobalAveragePool", "s", "g"),
        node("Flatten", "g", "y"),
    ]
    values = {"v": random(4, 3, 3, 3), "w": random(5, 4, 3, 3)}
    path = save(tmp_path / "m.onnx", nodes, (2, 3, 6, 6), values, functions=[block, stack])
    model = check_against_onnxruntime(path, random(2, 3, 6, 6))
    assert list(model.parameters) == ["v", "w"]
    assert survey(path).operators == {"Conv": 2, "Flatten": 1, "GlobalAveragePool": 1, "Relu": 2}


def test_the_nodes_of_a_function_come_from_the_line_of_its_call(tmp_path: Path) -> None:
    inner = function("Inner", ["X"], ["Y"], [node("Hardmax", "X", "Y")])
    outer = function("Outer", ["X"], ["Y"], [node("Inner", "X", "Y", domain="local")])
    calls = [node("Outer", "x", "a", domain="local"), node("Outer", "a", "b", domain="local")]
    for line, call in enumerate(calls, 7):
        trace = f'File "/home/user/net.py", line {line}, in forward\n    x = hardmax(x)'
        call.metadata_props.add(key="pkg.torch.onnx.stack_trace", value=trace)
    path = save(
        tmp_path / "m.onnx", [*calls, node("Gemm", "b w", "y")], (2, 6), {"w": random(6, 5)}, functions=[inner, outer]
    )
    with pytest.raises(CompileError) as caught:
        import_onnx(path)
    assert "operator Hardmax is not supported: 2 nodes" in caught.value.note
    for line in (7, 8):
        assert f"from /home/user/net.py:{line} in forward: x = hardmax(x)" in caught.value.note


def test_functions_that_call_each_other_without_end(tmp_path: Path) -> None:
    first = function("First", ["X"], ["Y"], [node("Second", "X", "Y", domain="local")])
    second = function("Second", ["X"], ["Y"], [node("First", "X", "Y", domain="local")])
    nodes, values = [node("First", "x", "a", domain="local"), node("Gemm", "a w", "y")], {"w": random(6, 5)}
    path = save(tmp_path / "m.onnx", nodes, (2, 6), values, functions=[first, second])
    with pytest.raises(CompileError, match="is not a valid ONNX model"):
        import_onnx(path)


def test_initializers_among_the_inputs(tmp_path: Path) -> None:
    """As before IR version 4. An input that no node reads is no input."""
    others = {"w": [6, 5], "c": [5], "queue": [1, 1]}
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in others.items()]
    values = {"w": random(6, 5), "c": random(5)}
    path = save(tmp_path / "m.onnx", [node("Gemm", "x w c", "y")], (2, 6), values, 9, ir_version=3, inputs=inputs)
    model = import_onnx(path)
    assert list(model.parameters) == ["w", "c"]
    np.testing.assert_allclose(logits(model, x := random(2, 6)), x @ values["w"] + values["c"], atol=1e-5)


def test_external_data_of_constants(tmp_path: Path) -> None:
    weight = random(6, 5)
    tensor = numpy_helper.from_array(weight, "weight")
    (tmp_path / "weights.bin").write_bytes(b"....." + tensor.raw_data)
    set_external_data(tensor, "weights.bin", offset=5, length=len(tensor.raw_data))
    tensor.ClearField("raw_data")
    path = save(tmp_path / "m.onnx", [node("Constant", "", "w", value=tensor), node("Gemm", "x w", "y")], (2, 6), {})
    np.testing.assert_array_equal(import_onnx(path).parameters["w"], weight.T)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(CompileError, match="the external data file") as caught:
        import_onnx(path)
    assert caught.value.exit_code == ExitCode.RUN_TIME


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"offset": "-1"}, "begins at '-1' and has '120' bytes: expected integers from 0 on"),
        ({"offset": "5.0"}, "begins at '5.0'"),
        ({"offset": "9" * 30}, "expected integers from 0 on"),
        ({"offset": "6"}, "ends at byte 126, but the file has 125"),
        ({"length": "119"}, "has 119 bytes, but its shape [6, 5] asks for 120"),
        ({"length": "many"}, "has 'many' bytes"),
        ({"dims": [1 << 20, 1 << 20]}, "has 120 bytes, but its shape [1048576, 1048576] asks for 4398046511104"),
        ({"dims": [6, -5]}, "has no known type and shape"),
    ],
)
def test_external_data_that_does_not_fit(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    """Nothing of it is read."""
    tensor = numpy_helper.from_array(random(6, 5), "w")
    (tmp_path / "weights.bin").write_bytes(b"....." + tensor.raw_data)
    set_external_data(tensor, "weights.bin", offset=5, length=120)
    tensor.ClearField("raw_data")
    tensor.dims[:] = changes.get("dims", [6, 5])
    for entry in tensor.external_data:
        entry.value = changes.get(entry.key, entry.value)
    path = save(tmp_path / "m.onnx", [node("Gemm", "x w", "y")], (2, 6), {})
    model = onnx.load(path)
    model.graph.initializer.append(tensor)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(CompileError, match=re.escape(message)) as caught:
        import_onnx(path)
    assert caught.value.exit_code == ExitCode.RUN_TIME


LARGE: dict[str, list[onnx.NodeProto]] = {
    "concat": [node("Concat", f"s{i} s{i}", f"s{i + 1}", axis=0) for i in range(30)],
    "broadcast": [node("Reshape", "many column", "c"), node("Mul", "many c", "s30")],
    "tile": [node("Tile", "s0 s0", "s30")],
    "expand": [node("Expand", "zero s0", "s30")],
    "gather": [node("Expand", "zero thousands", "g"), node("Gather", "square g", "s30")],
}


@pytest.mark.parametrize("case", LARGE)
def test_a_small_file_makes_no_huge_constants(tmp_path: Path, case: str) -> None:
    """Refused before anything is computed."""
    values: dict[str, Array] = {
        "s0": np.array([1 << 30] if case == "tile" else [1 << 20, 1 << 20], I64),
        "many": np.arange(20000, dtype=I64),
        "column": np.array([-1, 1], I64),
        "zero": np.array([0], I64),
        "thousands": np.array([100000], I64),
        "square": np.zeros((2, 100), I64),
        "w": random(6, 5),
    }
    nodes = [*LARGE[case], node("Reshape", "x s30", "r"), node("Gemm", "r w", "y")]
    with pytest.raises(CompileError) as caught:
        import_onnx(save(tmp_path / "m.onnx", nodes, (2, 6), values))
    assert "but a file of this size may make" in str(caught.value)


def test_copies_of_functions_become_no_huge_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function is copied for each of its calls, with all constants in it."""
    monkeypatch.setattr(model_file, "MAX_INLINED", 10000)
    constant = node("Constant", "", "c", value=numpy_helper.from_array(random(6)))
    body, opsets = [constant, node("Add", "a c", "b")], [helper.make_opsetid("", 17)]
    function = helper.make_function("local", "Shifted", ["a"], ["b"], body, opsets)
    calls = [node("Shifted", f"{f't{i}' if i else 'x'}", f"t{i + 1}", domain="local") for i in range(100)]
    nodes = [*calls, node("Gemm", "t100 w", "y")]
    path = save(tmp_path / "m.onnx", nodes, (2, 6), {"w": random(6, 5)}, functions=[function])
    with pytest.raises(CompileError, match="local functions have more than 10000 bytes where they are called"):
        import_onnx(path)


def test_a_pipe_is_no_model(tmp_path: Path) -> None:
    """To open it would wait for somebody who writes."""
    os.mkfifo(tmp_path / "m.onnx")
    with pytest.raises(CompileError, match="is a pipe or a device"):
        import_onnx(tmp_path / "m.onnx")


def test_generated_weights_are_parameters(tmp_path: Path) -> None:
    value = helper.make_tensor("v", TensorProto.FLOAT, [1], [0.02])
    nodes = [
        node("ConstantOfShape", "shape", "w", value=value),
        node("ConstantOfShape", "five", "zeros"),
        node("RandomNormal", "", "v", shape=[5, 4], scale=0.5, seed=3.0),
        node("RandomUniformLike", "template", "b", low=1.0, high=2.0),
        node("Gemm", "x w zeros", "h"),
        node("Gemm", "h v b", "y"),
    ]
    values = {"shape": np.array([6, 5], I64), "five": np.array([5], I64), "template": random(4)}
    path = save(tmp_path / "m.onnx", nodes, (2, 6), values)
    model = import_onnx(path)
    assert list(model.parameters) == ["w", "zeros", "v", "b"]
    assert np.unique(model.parameters["w"]).tolist() == [np.float32(0.02)]
    assert 0.2 < model.parameters["v"].std() < 0.8
    assert (model.parameters["b"] >= 1).all()
    assert (model.parameters["b"] <= 2).all()
    again = import_onnx(path).parameters
    assert all(np.array_equal(again[name], value) for name, value in model.parameters.items())


def test_logits_of_one_pixel(tmp_path: Path) -> None:
    """[N, classes, 1, 1], with a softmax over the classes; one over the single column is another thing."""
    nodes = [node("Conv", "x w", "c"), node("GlobalAveragePool", "c", "g"), node("Softmax", "g", "y", axis=1)]
    values, pixel = {"w": random(5, 3, 3, 3)}, [2, 5, 1, 1]
    path = save(tmp_path / "m.onnx", nodes, (2, 3, 6, 6), values, output=pixel)
    x = random(2, 3, 6, 6)
    found = np.exp(log_softmax(logits(import_onnx(path), x)))
    np.testing.assert_allclose(found, onnxruntime_output(path, x)[:, :, 0, 0], atol=1e-5)
    nodes[2] = node("Softmax", "g", "y", axis=-1)
    with pytest.raises(CompileError, match="only Softmax over the classes"):
        import_onnx(save(tmp_path / "m.onnx", nodes, (2, 3, 6, 6), values, output=pixel))


def known(path: Path) -> bool:
    """Whether nitic has every operator of a light model."""
    return set(survey(path).operators) <= {*HANDLERS, *folding.GENERATORS}


def test_the_light_models_of_the_wheel_are_nine() -> None:
    assert len(LIGHT) == 9


@pytest.mark.parametrize("path", [path for path in LIGHT if known(path)], ids=lambda path: path.stem)
def test_light_model(path: Path) -> None:
    """Their weights are ConstantOfShape, each of which trains."""
    model = import_onnx(path)
    batch, classes = onnx.load(path).graph.output[0].type.tensor_type.shape.dim[:2]
    made = [node for node in onnx.load(path).graph.node if node.op_type == "ConstantOfShape"]
    read = {name for node in onnx.load(path).graph.node for name in node.input}
    assert (batch.dim_value, classes.dim_value) == (1, 1000)
    assert {conversion.source for conversion in model.conversions.values()} >= {
        n.output[0] for n in made if n.output[0] in read
    }


def without_type(model: onnx.ModelProto) -> None:
    """As skl2onnx's select_model_inputs_outputs writes it."""
    model.graph.output[0].ClearField("type")


def without_shape(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.ClearField("shape")


def by_name(model: onnx.ModelProto) -> None:
    """ONNX's own domain, as nodes call it."""
    for each in model.graph.node:
        each.domain = "ai.onnx"


def imported_by_name(model: onnx.ModelProto) -> None:
    by_name(model)
    model.opset_import[0].domain = "ai.onnx"


def imported_twice(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("ai.onnx", 17))


def described_wrongly(model: onnx.ModelProto) -> None:
    model.graph.value_info.append(helper.make_tensor_value_info("h", TensorProto.FLOAT, None))


LOOSE = [without_type, without_shape, by_name, imported_by_name, imported_twice, described_wrongly]


@pytest.mark.parametrize("loosen", LOOSE)
def test_what_onnxruntime_runs_and_the_checker_refuses(
    tmp_path: Path, loosen: Callable[[onnx.ModelProto], None]
) -> None:
    nodes = [node("MatMul", "x w", "h"), node("Relu", "h", "y")]
    path = save(tmp_path / "m.onnx", nodes, (2, 6), {"w": random(6, 3)})
    model = onnx.load(path)
    loosen(model)
    onnx.save(model, path)
    check_against_onnxruntime(path, random(2, 6))
    assert survey(path).opset == 17
