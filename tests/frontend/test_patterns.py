"""Batch normalisations that are written as arithmetic, in the spellings of several exporters and others."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from nitic.ops.statistics import BatchNormRecallOp
from tests.support.onnx_models import Array, check_against_onnxruntime, count_of, random, save_network

NUMBERS = {"eps": 1e-3, "one": 1, "half": -0.5, "two": 2}
VECTORS = {"mean": random(4), "var": random(4, seed=1) ** 2 + 1, "gamma": random(4, seed=2), "beta": random(4, seed=3)}
SCALARS = {name: np.asarray(value, np.float32) for name, value in NUMBERS.items()}


def nodes(text: str) -> list[onnx.NodeProto]:
    """`b = Add a c` in each line, with `Transpose:0231 a` for an attribute perm."""
    made: list[onnx.NodeProto] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        output, call = line.split(" = ")
        operator, *inputs = call.split()
        operator, _, perm = operator.partition(":")
        attributes: dict[str, Any] = {"perm": [*map(int, perm)]} if perm else {}
        made.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
    return made


FACTOR = """
    a = Add var eps
    q = Sqrt a
"""
NORMALISED = f"""{FACTOR}
    c = Sub x mean
    d = Div c q
"""
SPELLINGS = {
    "keras_jax": f"""{FACTOR}
        i = Div one q
        k = Mul i gamma
        m = Neg mean
        o = Mul m k
        b = Add o beta
        z = Mul x k
        n = Add z b""",
    "tensorflow": f"""{FACTOR}
        i = Reciprocal q
        k = Mul gamma i
        o = Mul mean k
        b = Sub beta o
        z = Mul x k
        n = Add b z""",
    "as_in_the_paper": f"""{NORMALISED}
        e = Mul gamma d
        n = Add e beta""",
    "power": """
        a = Add eps var
        q = Pow a half
        c = Sub x mean
        d = Mul c q
        e = Mul d gamma
        n = Add e beta""",
    "without_gamma": f"""{NORMALISED}
        n = Add d beta""",
    "without_beta": f"""{NORMALISED}
        n = Mul d gamma""",
    "mean_only": f"""{FACTOR}
        c = Sub x mean
        n = Div c q""",
}


def save(folder: Path, text: str, axes: tuple[int, ...], last: bool = False, **others: Array) -> Path:
    """A network with the arithmetic of `text` on images, whose vectors have the shape `axes`."""
    values: dict[str, Array] = {name: value.reshape(axes) for name, value in (VECTORS | others).items()}
    values |= {"w": random(4, 3, 3, 3), "v": random(5, 4, 1, 1), **SCALARS}
    to, back = ("0231", "0312") if last else ("0123", "0123")
    chain = [
        helper.make_node("Conv", ["s", "w"], ["c0"]),
        *nodes(f"x0 = Transpose:{to} c0"),
        *nodes(text.replace(" x ", " x0 ")),
        *nodes(f"u = Transpose:{back} n\nr = Relu u"),
        helper.make_node("Conv", ["r", "v"], ["f"]),
        *nodes("g = GlobalAveragePool f\ny = Flatten g"),
    ]
    for node in chain:  # the samples are called x
        node.input[:] = ["x" if name == "s" else name for name in node.input]
    used = {name for node in chain for name in node.input}
    initializers = {name: value for name, value in values.items() if name in used}
    return save_network(folder / "m.onnx", chain, (2, 3, 8, 6), initializers)


@pytest.mark.parametrize(
    ("axes", "last"), [((4, 1, 1), False), ((1, 4, 1, 1), False), ((4,), True), ((1, 1, 1, 4), True)]
)
@pytest.mark.parametrize("case", SPELLINGS)
def test_arithmetic_of_a_batch_norm_is_one(tmp_path: Path, case: str, axes: tuple[int, ...], last: bool) -> None:
    model = check_against_onnxruntime(save(tmp_path, SPELLINGS[case], axes, last), random(2, 3, 8, 6))
    assert count_of(model, BatchNormRecallOp) == 1
    for name in VECTORS.keys() & model.parameters.keys():
        np.testing.assert_array_equal(model.parameters[name], VECTORS[name])
    assert any("arithmetic of a batch normalisation" in note for note in model.notes)


def test_a_bias_before_it_stays_a_bias(tmp_path: Path) -> None:
    text = f"b0 = Add x bias\n{SPELLINGS['as_in_the_paper']}".replace("Sub x mean", "Sub b0 mean")
    model = check_against_onnxruntime(save(tmp_path, text, (4, 1, 1), bias=random(4, seed=5)), random(2, 3, 8, 6))
    assert count_of(model, BatchNormRecallOp) == 1
    assert {"bias", "mean", "gamma"} <= model.parameters.keys()


def test_a_factor_and_an_offset_are_none(tmp_path: Path) -> None:
    path = save(tmp_path, "z = Mul x gamma\nn = Add z beta", (4, 1, 1))
    model = check_against_onnxruntime(path, random(2, 3, 8, 6))
    assert count_of(model, BatchNormRecallOp) == 0
    assert not any("batch normalisation" in note for note in model.notes)


@pytest.mark.parametrize("operators", [("Sub", "Mul", "Add"), ("Sub", "Div", "Add"), ("Add", "Mul", "Sub")])
def test_constants_that_the_exporter_computed_are_told(tmp_path: Path, operators: tuple[str, ...]) -> None:
    a, b, c = operators
    text = f"c = {a} x mean\nd = {b} c gamma\nn = {c} d beta"
    model = check_against_onnxruntime(save(tmp_path, text, (4, 1, 1)), random(2, 3, 8, 6))
    assert {"mean", "gamma", "beta"} <= model.parameters.keys()
    assert any("looks like a batch normalisation" in note for note in model.notes)


def test_parameters_may_lie_in_constants(tmp_path: Path) -> None:
    path = save(tmp_path, SPELLINGS["keras_jax"], (1, 1, 1, 4), last=True)
    model = onnx.load(path)
    held = [tensor for tensor in model.graph.initializer if tensor.name in {*VECTORS, "eps"}]
    for tensor in held:
        value = numpy_helper.from_array(numpy_helper.to_array(tensor))
        model.graph.node.insert(0, helper.make_node("Constant", [], [tensor.name], value=value))
        model.graph.initializer.remove(tensor)
    onnx.save(model, path)
    assert count_of(check_against_onnxruntime(path, random(2, 3, 8, 6)), BatchNormRecallOp) == 1
