"""Networks trained a few steps by the interpreter, and what an exported file predicts beside @predict."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx.reference import ReferenceEvaluator

from nitic.arithmetic.integers import Array
from nitic.export.integer import integer_model
from nitic.frontend.writer import NetworkWriter
from nitic.ir.function import argument, function
from nitic.ir.types import shape_of
from tests.networks.stages import Interpreted, samples

BATCH = 4
LEVELS = [
    onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    onnxruntime.GraphOptimizationLevel.ORT_ENABLE_LAYOUT,
    onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
]


@dataclass(frozen=True)
class Prediction:
    """Samples, their logits by the interpreter, and the exponent of these."""

    net: Interpreted
    x: Array
    logits: Array
    exponent: int

    @property
    def model(self) -> bytes:
        return integer_model("net", function(self.net.module, "predict"), self.net.state, {"nitic.recipe": "niti16"})


def trained(
    network: str | NetworkWriter | Path, steps: int = 3, recipe: str = "niti16", batches: int = 3
) -> Prediction:
    """A network after some steps on digits, and its logits of digits, of noise and of one plain sample."""
    net = Interpreted(network, BATCH, recipe)
    shape = shape_of(argument(function(net.module, "predict"), "input"))[1:]
    x, y = samples(shape, BATCH * (steps + 1))
    net.normalise(x)
    for i in range(0, BATCH * steps, BATCH):
        net.step(x[i : i + BATCH], y[i : i + BATCH])
    noise = np.random.default_rng(0).integers(0, 256, (BATCH * (batches - 1), *shape), np.uint8)
    x = np.concatenate([x[-BATCH:], noise])
    x[-1] = 255
    found = [net.run("predict", x[i : i + BATCH], y[:BATCH]) for i in range(0, len(x), BATCH)]
    return Prediction(net, x, np.concatenate([each["logits"] for each in found]), int(found[0]["logits.exponent"]))


def by_onnxruntime(model: bytes, x: Array) -> Iterator[Array]:
    """The logits at every optimisation level, by 1 and by 2 threads."""
    for level in LEVELS:
        for threads in (1, 2):
            options = onnxruntime.SessionOptions()
            options.graph_optimization_level = level
            options.intra_op_num_threads = threads
            options.log_severity_level = 3
            session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            yield np.asarray(session.run(None, {"input": x})[0])


def by_reference(model: bytes, x: Array) -> Array:
    """The logits by onnx's own reference implementation."""
    (found,) = ReferenceEvaluator(onnx.load_from_string(model)).run(None, {"input": x})
    return np.asarray(found)


def check(prediction: Prediction) -> onnx.ModelProto:
    """The exported file is valid and predicts the same bits everywhere; gives it for more questions."""
    model = prediction.model
    proto = onnx.load_from_string(model)
    onnx.checker.check_model(proto, full_check=True)
    for found in by_onnxruntime(model, prediction.x):
        np.testing.assert_array_equal(found, prediction.logits)
    np.testing.assert_array_equal(by_reference(model, prediction.x[:BATCH]), prediction.logits[:BATCH])
    return proto
