"""Weights of LSTMs that the graph puts together, as torch's exporters write them for training."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nitic.errors import CompileError
from nitic.export.float import float_model
from nitic.frontend.importer import import_onnx
from tests.export.test_float import METADATA, moved_state
from tests.support.onnx_models import Array, logits, onnxruntime_output, random

BATCH, TIME, FEATURES, HIDDEN = 3, 4, 5, 2
X = random(BATCH, TIME, FEATURES)
N = helper.make_node
TENSORS: dict[str, Array] = {
    "weight_ih": random(4 * HIDDEN, FEATURES, seed=1),
    "weight_hh": random(4 * HIDDEN, HIDDEN, seed=2),
    "bias_ih": random(4 * HIDDEN, seed=3),
    "bias_hh": random(4 * HIDDEN, seed=4),
    "0": np.array([0]),
    "last": np.asarray(TIME - 1),
    "two": np.asarray(2, np.int64),
    "out": random(HIDDEN, 3, seed=5),
}


def network(path: Path, *others: onnx.NodeProto) -> Path:
    """torch's gates i, f, g, o become ONNX's i, o, f, g; bounds are computed from the shape of the state."""
    nodes = [
        N("Shape", ["x"], ["size"], start=0, end=1),
        N("Constant", [], ["one"], value_ints=[1]),
        N("Constant", [], ["width"], value_ints=[HIDDEN]),
        N("Concat", ["one", "size", "width"], ["h.shape"], axis=0),
        N("ConstantOfShape", ["h.shape"], ["h0"]),
        N("Shape", ["h0"], ["hidden"], start=2, end=3),
    ]
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        for gate in range(4):
            begin, end = f"{name}.begin{gate}", f"{name}.end{gate}"
            for bound, count in ((begin, gate), (end, gate + 1)):
                nodes += [
                    N("Constant", [], [f"{bound}.count"], value_ints=[count]),
                    N("Mul", ["hidden", f"{bound}.count"], [bound]),
                ]
            nodes.append(N("Slice", [name, begin, end, "0"], [f"{name}.{gate}"]))
        nodes.append(N("Concat", [f"{name}.{gate}" for gate in (0, 3, 1, 2)], [f"{name}.iofg"], axis=0))
    nodes += [
        N("Concat", ["bias_ih.iofg", "bias_hh.iofg"], ["biases"], axis=0),
        *(
            N("Unsqueeze", [a, "0"], [b])
            for a, b in (("weight_ih.iofg", "W"), ("weight_hh.iofg", "R"), ("biases", "B"))
        ),
        N("Transpose", ["x"], ["xt"], perm=[1, 0, 2]),
        N("LSTM", ["xt", "W", "R", "B", "", "h0", "h0"], ["", "end"], hidden_size=HIDDEN, name="lstm"),
        N("Squeeze", ["end", "0"], ["h"]),
        N("MatMul", ["h", "out"], ["y"]),
        *others,
    ]
    source = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", TIME, FEATURES])
    output = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, ["N", 3])
    tensors = [numpy_helper.from_array(array, name) for name, array in TENSORS.items()]
    graph = helper.make_graph(nodes, "net", [source], [output], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_a_weight_is_that_of_the_layer(tmp_path: Path) -> None:
    path = network(tmp_path / "m.onnx")
    model = import_onnx(path, BATCH)
    np.testing.assert_allclose(logits(model, X), onnxruntime_output(path, X), atol=1e-5)
    assert {conversion.source for conversion in model.conversions.values()} == {"W", "R", "B", "out"}
    assert any("put together of several tensors" in note for note in model.notes)


def test_the_file_keeps_none_of_the_others(tmp_path: Path) -> None:
    """They would hold what they held before the training."""
    path, out = network(tmp_path / "m.onnx"), tmp_path / "out.onnx"
    model = import_onnx(path, 2)
    out.write_bytes(float_model(model, path, moved_state(path), METADATA))
    floats = {tensor.name for tensor in onnx.load(out).graph.initializer if tensor.data_type == TensorProto.FLOAT}
    assert floats == {"W", "R", "B", "out"}
    np.testing.assert_allclose(logits(import_onnx(out, BATCH), X), onnxruntime_output(out, X), atol=1e-3)


def test_a_weight_that_something_else_reads_stays(tmp_path: Path) -> None:
    """It would be trained twice. So it is refused, as the layer has no constant."""
    tied = N("MatMul", ["y", "weight_hh.iofg"], ["z"])
    with pytest.raises(CompileError, match=r"node 'lstm' \(LSTM\): input 1"):
        import_onnx(network(tmp_path / "m.onnx", tied), BATCH)
