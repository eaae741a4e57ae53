"""Initial values."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from nitic.driver.build import build_program
from nitic.frontend.importer import import_onnx
from nitic.options import CompileOptions
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


SMALL = {
    "weight": (4, 3, 1, 1),
    "bias": (4,),
    "gamma": (4,),
    "beta": (4,),
    "mean": (4,),
    "variance": (4,),
    "head": (4,),
}


def state_of(folder: Path, recipe: str, **sizes: float) -> dict[str, np.ndarray]:
    """The initial state of a network whose parameters hold a half, or what is said."""
    nodes = [
        helper.make_node("Conv", ["x", "weight", "bias"], ["c"]),
        helper.make_node("BatchNormalization", ["c", "gamma", "beta", "mean", "variance"], ["n"]),
        helper.make_node("GlobalAveragePool", ["n"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("Add", ["f", "head"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(name, 1, shape) for name, shape in (("x", (2, 3, 5, 5)), ("y", (2, 4)))]
    values = [
        numpy_helper.from_array(np.full(shape, sizes.get(name, 0.5), np.float32), name) for name, shape in SMALL.items()
    ]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], values)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), folder / "net.onnx")
    return build_program(CompileOptions(folder / "net.onnx", recipe=recipe)).state


@pytest.mark.parametrize("recipe", ["niti16", "niti"])
@pytest.mark.parametrize("name", ["weight", "bias", "gamma", "beta", "head"])
@pytest.mark.parametrize("size", [1e-12, 1e-6, 1e6])
def test_a_parameter_keeps_its_value_whatever_the_others_are(
    tmp_path: Path, name: str, size: float, recipe: str
) -> None:
    state = state_of(tmp_path, recipe, **{name: size})
    found = state[name] * 2.0 ** int(state[f"{name}.exponent"])
    np.testing.assert_allclose(found, np.float32(size), rtol=2**-6)


def test_a_bias_of_zeros_begins_at_the_size_of_its_weight(tmp_path: Path) -> None:
    state = state_of(tmp_path, "niti16", bias=0, weight=1e3)
    assert state["bias.exponent"] == state["weight.exponent"] == 10 - 13


@pytest.mark.parametrize("size", [1e-6, 16_385, 1e6, 4e8])
def test_running_statistics_of_any_size_are_kept(tmp_path: Path, size: float) -> None:
    state = state_of(tmp_path, "niti16", mean=size, variance=size)
    for name in ("mean", "variance"):
        np.testing.assert_allclose(state[name] * 2.0**-32, np.float32(size), rtol=1e-4)
