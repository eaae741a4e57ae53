"""Runs a model by onnxruntime and by the importer and interpreter."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from nitic.frontend.importer import ImportedModel, import_onnx
from nitic.interpret import run_function
from nitic.ir.function import function
from nitic.ir.op import NnOp

FIXTURES = Path(__file__).parent.parent / "fixtures"
Array = npt.NDArray[Any]


def onnxruntime_output(path: Path, x: Array, optimised: bool = True) -> Array:
    """Of integers, it adds pairs of products in 16 bits on some processors, where it optimises."""
    options = onnxruntime.SessionOptions()
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: x})[0])


def count_of(model: ImportedModel, kind: type[NnOp]) -> int:
    """How many operators of a kind @predict has."""
    return sum(isinstance(op, kind) for op in function(model.module, "predict").body.block.ops)


def logits(model: ImportedModel, x: Array) -> Array:
    """@predict of samples in ONNX's layout: NCHW goes in as NHWC, and standardised as the network wants it."""
    argument = x.transpose(0, 2, 3, 1) if x.ndim == 4 else x.reshape(len(x), -1)
    if own := model.standardisation:
        argument = ((argument - np.asarray(own.mean)) / own.std).astype(np.float32)
    return run_function(function(model.module, "predict"), {"input": argument, **model.parameters})["logits"]


def log_softmax(x: Array) -> Array:
    shifted = x - x.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def random(*shape: int, seed: int = 0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def save_network(
    path: Path,
    nodes: list[onnx.NodeProto],
    input_shape: tuple[int | str, ...],
    initializers: dict[str, Array],
    opset: int = 17,
) -> Path:
    """A model from the value `x` to the value `y`."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(input_shape))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", "columns"])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in initializers.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("my.ops", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def check_against_onnxruntime(path: Path, x: Array, standardises: bool = True) -> ImportedModel:
    model = import_onnx(path, standardises=standardises)
    np.testing.assert_allclose(logits(model, x), onnxruntime_output(path, x), atol=1e-4)
    return model
