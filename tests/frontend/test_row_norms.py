"""Layer and RMS norms as arithmetic: each spelling becomes one norm, and computes what onnxruntime does."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from nitic.errors import CompileError
from nitic.frontend.importer import import_onnx
from nitic.ops.row_norm import RowScaleOp, RowStatisticsOp
from tests.support.onnx_models import Array, check_against_onnxruntime, count_of, random, save_network

NUMBERS = {"two": 2.0, "epsilon": 1e-5, "half": 0.5, "minus": -0.5, "one": 1.0}
CENTRED = "m=ReduceMean x axes; d=Sub x m; "
MEAN = "v=ReduceMean s axes; a=Add v epsilon; "
SPELLINGS = {
    "torch before opset 17": CENTRED + "s=Pow d two; " + MEAN + "r=Sqrt a; n=Div d r; g=Mul n gamma; b=Add g beta",
    "a product as the square": CENTRED + "s=Mul d d; " + MEAN + "r=Sqrt a; n=Div d r; g=Mul gamma n; b=Add beta g",
    "the difference twice": CENTRED + "e=Sub x m; s=Mul e e; " + MEAN + "r=Pow a half; i=Reciprocal r; n=Mul d i; "
    "g=Mul n gamma; b=Add g beta",
    "an inverse power": CENTRED + "s=Pow d two; " + MEAN + "i=Pow a minus; n=Mul i d; g=Mul n gamma; b=Add g beta",
    "rms": "s=Pow x two; " + MEAN + "r=Sqrt a; i=Reciprocal r; n=Mul x i; b=Mul n gamma",
    "rms of one over": "s=Mul x x; " + MEAN + "r=Sqrt a; i=Div one r; n=Mul x i; b=Mul gamma n",
}


def save(path: Path, spelling: str) -> Path:
    """The arithmetic behind a view as (N, 3, 8), and a linear layer."""
    nodes = [helper.make_node("Reshape", ["x", "tokens"], ["in"])]
    for step in spelling.split(";"):
        name, right = step.strip().split("=")
        op, *inputs = right.split()
        nodes.append(helper.make_node(op, ["in" if each == "x" else each for each in inputs], [name]))
    nodes.append(helper.make_node("Reshape", ["b", "flat"], ["rows"]))
    nodes.append(helper.make_node("MatMul", ["rows", "w"], ["y"]))
    values: dict[str, Array] = {name: np.asarray(value, np.float32) for name, value in NUMBERS.items()}
    values |= {"gamma": random(8, seed=1), "beta": random(8, seed=2), "w": random(24, 5, seed=3)}
    values |= {name: np.asarray(v, np.int64) for name, v in (("axes", [-1]), ("tokens", [0, 3, 8]), ("flat", [0, 24]))}
    return save_network(path, nodes, ("N", 24), values, opset=18)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_norm_in_parts_is_one(tmp_path: Path, spelling: str) -> None:
    path = save(tmp_path / "net.onnx", SPELLINGS[spelling])
    model = check_against_onnxruntime(path, random(64, 24, seed=4))
    assert count_of(model, RowStatisticsOp) == count_of(model, RowScaleOp) == 1
    assert {"gamma", "w"} <= set(model.parameters) <= {"gamma", "beta", "w"}


def test_a_factor_of_another_size_stays_a_product(tmp_path: Path) -> None:
    spelling = CENTRED + "s=Pow d two; " + MEAN + "r=Sqrt a; n=Div d r; b=Mul n two"
    model = check_against_onnxruntime(save(tmp_path / "net.onnx", spelling), random(64, 24, seed=4))
    assert (count_of(model, RowStatisticsOp), count_of(model, RowScaleOp)) == (1, 0)


def test_a_simplified_layer_norm_is_an_rms_norm(tmp_path: Path) -> None:
    path = save(tmp_path / "net.onnx", "b=SimplifiedLayerNormalization x gamma")
    model = onnx.load(path)
    model.graph.node[1].domain = "com.microsoft"
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, path)
    assert count_of(import_onnx(path), RowStatisticsOp) == 1


def test_a_variance_over_the_batch_is_none(tmp_path: Path) -> None:
    """Samples must not share statistics: this is arithmetic, which reduces over no batch."""
    text = SPELLINGS["rms"]
    path = save(tmp_path / "net.onnx", text)
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if tensor.name == "axes":
            tensor.CopyFrom(numpy_helper.from_array(np.array([0]), "axes"))
    onnx.save(model, path)
    with pytest.raises(CompileError, match="batch"):
        import_onnx(path)
