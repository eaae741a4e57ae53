"""What a quantised file computes, and what is read of it."""

from pathlib import Path

import numpy as np
import onnxruntime

from nitic.frontend.importer import ImportedModel
from nitic.ir.function import function
from nitic.ops.elementwise import ReluOp
from tests.support.onnx_models import Array


def exact_output(path: Path, x: Array) -> Array:
    """By onnxruntime, as the file says: optimised, it adds pairs of products in 16 bits on some processors."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: x})[0])


def relus(model: ImportedModel) -> int:
    return sum(isinstance(op, ReluOp) for op in function(model.module, "predict").body.block.ops)
