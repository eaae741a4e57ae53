"""Initial values."""

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from nitic.frontend.importer import import_onnx
from nitic.state import xavier


def test_new_factors_and_variances_are_one(tmp_path: Path) -> None:
    """At zero they would make a network that no error gets through."""
    shapes = {"w": (4, 3, 1, 1), "gamma": (4,), "beta": (4,), "mean": (4,), "variance": (4,), "factor": (4, 1, 1)}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("BatchNormalization", ["c", "gamma", "beta", "mean", "variance"], ["n"]),
        helper.make_node("Mul", ["n", "factor"], ["f"]),
        helper.make_node("GlobalAveragePool", ["f"], ["g"]),
        helper.make_node("Flatten", ["g"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(name, 1, shape) for name, shape in (("x", (2, 3, 5, 5)), ("y", (2, 4)))]
    values = [numpy_helper.from_array(np.full(shape, 0.5, np.float32), name) for name, shape in shapes.items()]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], values)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "net.onnx")
    model = import_onnx(tmp_path / "net.onnx")
    made = xavier(model.module, model.parameters, 0)
    found = {name: set(value.ravel().tolist()) for name, value in made.items() if name != "w"}
    assert found == {"gamma": {1}, "variance": {1}, "factor": {1}, "beta": {0}, "mean": {0}}
