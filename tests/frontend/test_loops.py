"""Recurrent layers without operators of their own: loops as JAX and Keras write them, and steps that torch unrolled."""

from pathlib import Path
from typing import Any

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
TENSORS: dict[str, Array] = {
    "w": random(FEATURES, HIDDEN, seed=1),
    "r": random(HIDDEN, HIDDEN, seed=2),
    "b": random(2, HIDDEN, seed=3),
    "out": random(HIDDEN, 3, seed=4),
    "trips": np.asarray(TIME, np.int64),
    "zero": np.asarray(0, np.float32),
    "true": np.asarray(True),
    "0": np.asarray([0], np.int64),
    "1": np.asarray([1], np.int64),
    "first": np.asarray(0, np.int64),
    "second": np.asarray(1, np.int64),
    "last": np.asarray(TIME - 1, np.int64),
    "hidden": np.asarray([HIDDEN], np.int64),
    "steps": np.asarray([TIME], np.int64),
    "batch": np.asarray([BATCH], np.int64),
}
N = helper.make_node


def step(x: str, h: str, y: str) -> list[onnx.NodeProto]:
    """h' = tanh(x w + h r + b[0] + b[1])"""
    return [
        N("MatMul", [x, "w"], [f"{y}.x"]),
        N("MatMul", [h, "r"], [f"{y}.h"]),
        N("Split", ["b"], [f"{y}.b0", f"{y}.b1"], axis=0, num_outputs=2),
        N("Squeeze", [f"{y}.b0", "0"], [f"{y}.b2"]),
        N("Squeeze", [f"{y}.b1", "0"], [f"{y}.b3"]),
        N("Add", [f"{y}.x", f"{y}.b2"], [f"{y}.xb"]),
        N("Add", [f"{y}.h", f"{y}.b3"], [f"{y}.hb"]),
        N("Add", [f"{y}.xb", f"{y}.hb"], [f"{y}.sum"]),
        N("Tanh", [f"{y}.sum"], [y]),
    ]


STATE = [
    N("Shape", ["x"], ["size"], start=0, end=1),
    N("Concat", ["size", "hidden"], ["h.shape"], axis=0),
    N("ConstantOfShape", ["h.shape"], ["h0"]),
    N("Transpose", ["x"], ["xt"], perm=[1, 0, 2]),
]


def loop(condition: list[onnx.NodeProto], going: str = "true", trips: str = "trips") -> onnx.NodeProto:
    values = [("i", TensorProto.INT64, []), ("c", TensorProto.BOOL, []), ("h", TensorProto.FLOAT, None)]
    sources = [helper.make_tensor_value_info(*value) for value in values]
    ends = [("c2", TensorProto.BOOL, []), ("h2", TensorProto.FLOAT, None), ("y", TensorProto.FLOAT, None)]
    results = [helper.make_tensor_value_info(*value) for value in ends]
    nodes = [N("Gather", ["xt", "i"], ["xi"], axis=0), *step("xi", "h", "h2"), N("Identity", ["h2"], ["y"]), *condition]
    body = helper.make_graph(
        nodes, "body", sources, results, [numpy_helper.from_array(np.asarray(TIME - 1, np.float32), "most")]
    )
    return N("Loop", [trips, going, "h0"], ["h.last", "all"], body=body, name="loop")


def save(path: Path, nodes: list[onnx.NodeProto]) -> Path:
    source = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", TIME, FEATURES])
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3])
    tensors = [numpy_helper.from_array(array, name) for name, array in TENSORS.items()]
    graph = helper.make_graph([*nodes, N("MatMul", ["y.out", "out"], ["logits"])], "net", [source], [output], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    return path


SAME = [N("Identity", ["c"], ["c2"])]
COUNTS = [
    N("Cast", ["i"], ["i.float"], to=TensorProto.FLOAT),
    N("Less", ["i.float", "most"], ["c2"]),
]
"""As TensorFlow's loops go on, whose counter is below a number."""
ENDS: dict[str, list[onnx.NodeProto]] = {
    "state": [N("Identity", ["h.last"], ["y.out"])],
    "row": [N("Gather", ["all", "last"], ["y.out"], axis=0)],
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(("condition", "trips"), [(SAME, "trips"), (COUNTS, "trips"), (COUNTS, "")])
def test_a_loop_is_its_steps(tmp_path: Path, condition: Any, trips: str, end: str) -> None:
    path = save(tmp_path / "m.onnx", [*STATE, loop(condition, trips=trips), *ENDS[end]])
    model = import_onnx(path, BATCH)
    np.testing.assert_allclose(logits(model, X), onnxruntime_output(path, X), atol=1e-5)
    assert set(model.parameters) == {"w", "r", "b", "out"}


def test_an_end_that_depends_on_samples_is_refused(tmp_path: Path) -> None:
    grows = [N("ReduceMax", ["h2"], ["top"], keepdims=0), N("Less", ["top", "most"], ["c2"])]
    path = save(tmp_path / "m.onnx", [*STATE, loop(grows), *ENDS["state"]])
    with pytest.raises(CompileError, match=r"node 'loop' \(Loop\): operator Loop is not supported"):
        import_onnx(path, BATCH)


def test_a_loop_leaves_as_its_steps(tmp_path: Path) -> None:
    path, out = save(tmp_path / "m.onnx", [*STATE, loop(SAME), *ENDS["state"]]), tmp_path / "out.onnx"
    model = import_onnx(path, 2)
    out.write_bytes(float_model(model, path, moved_state(path), METADATA))
    np.testing.assert_allclose(logits(import_onnx(out, BATCH), X), onnxruntime_output(out, X), atol=1e-3)


@pytest.mark.parametrize("product", ["Gemm", "MatMul"])
def test_steps_that_begin_with_zeros(tmp_path: Path, product: str) -> None:
    """As torch writes Keras's layers: a state in the shape of the samples, of which products and sums are taken."""
    steps = [
        N("Mul", ["xh", "h0"], ["none"]),
        N(product, ["h0", "r", *(["zero"] if product == "Gemm" else [])], ["nothing"]),
        N("Add", ["nothing", "none"], ["nothings"]),
        N("Add", ["nothings", "h0"], ["h1"]),
    ]
    first = [N("Gather", ["xt", "first"], ["x0"], axis=0), N("MatMul", ["x0", "w"], ["xh"])]
    second = [N("Gather", ["xt", "second"], ["x1"], axis=0), *step("x1", "h1", "h2"), N("Identity", ["h2"], ["y.out"])]
    path = save(tmp_path / "m.onnx", [*STATE, *first, *steps, *second])
    np.testing.assert_allclose(logits(import_onnx(path, BATCH), X), onnxruntime_output(path, X), atol=1e-5)


def test_sequences_from_the_last_step_on(tmp_path: Path) -> None:
    reverse = [
        N("Expand", ["steps", "batch"], ["lengths"]),
        N("ReverseSequence", ["x", "lengths"], ["reversed"], batch_axis=0, time_axis=1),
        N("Gather", ["reversed", "first"], ["x0"], axis=1),
        N("MatMul", ["x0", "w"], ["y.out"]),
    ]
    path = save(tmp_path / "m.onnx", reverse)
    np.testing.assert_allclose(logits(import_onnx(path, BATCH), X), onnxruntime_output(path, X), atol=1e-5)


def test_indices_that_the_graph_counts(tmp_path: Path) -> None:
    """Range, as torch writes a permutation of axes."""
    order = [
        N("Range", ["first", "last", "second"], ["three"]),
        N("Gather", ["x", "three"], ["rows"], axis=1),
        N("ReduceSum", ["rows", "1"], ["sums"], keepdims=0),
        N("MatMul", ["sums", "w"], ["y.out"]),
    ]
    path = save(tmp_path / "m.onnx", order)
    np.testing.assert_allclose(logits(import_onnx(path, BATCH), X), onnxruntime_output(path, X), atol=1e-5)
