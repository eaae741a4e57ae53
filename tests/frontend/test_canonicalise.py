"""canonicalise leaves what a module computes, with fewer operators."""

import numpy as np
import pytest

from nitic.interpret import run_function
from nitic.ir.function import function
from nitic.ir.text import parse_module
from nitic.ops import context
from nitic.passes.training.canonicalise import Canonicalise
from tests.support.onnx_models import random

HEAD = """
func.func @predict(%x: tensor<2x3x1x4xf32> {nn.name = "x", nn.role = "input"})
    -> (tensor<RESULTxf32> {nn.name = "y", nn.role = "output"}) {
"""
A, B, C = "tensor<2x3x1x4xf32>", "tensor<2x4x3x1xf32>", "tensor<2x12xf32>"
CASES: dict[str, tuple[list[str], str, list[str]]] = {
    "reshape_of_reshape": (
        [
            f"%a = nn.reshape %x shape = [24] : ({A}) -> tensor<24xf32>",
            f"%y = nn.reshape %a shape = [2, 12] : (tensor<24xf32>) -> {C}",
        ],
        "2x12",
        ["nn.reshape"],
    ),
    "reshape_to_the_same": ([f"%y = nn.reshape %x shape = [2, 3, 1, 4] : ({A}) -> {A}"], "2x3x1x4", []),
    "transposes_that_cancel": (
        [
            f"%a = nn.transpose %x perm = [0, 3, 1, 2] : ({A}) -> {B}",
            f"%y = nn.transpose %a perm = [0, 2, 3, 1] : ({B}) -> {A}",
        ],
        "2x3x1x4",
        [],
    ),
    "transposes_that_merge": (
        [
            f"%a = nn.transpose %x perm = [0, 3, 1, 2] : ({A}) -> {B}",
            f"%y = nn.transpose %a perm = [2, 3, 1, 0] : ({B}) -> tensor<3x1x4x2xf32>",
        ],
        "3x1x4x2",
        ["nn.transpose"],
    ),
    "transpose_of_ones": (
        [f"%y = nn.transpose %x perm = [2, 0, 1, 3] : ({A}) -> tensor<1x2x3x4xf32>"],
        "1x2x3x4",
        ["nn.reshape"],
    ),
    "transpose_that_matters": (
        [f"%y = nn.transpose %x perm = [0, 3, 1, 2] : ({A}) -> {B}"],
        "2x4x3x1",
        ["nn.transpose"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_canonicalise(case: str) -> None:
    body, result, expected = CASES[case]
    lines = "\n".join(body)
    text = f"{HEAD.replace('RESULT', result)}{lines}\nfunc.return %y : tensor<{result}xf32>\n}}"
    module = parse_module(text, context())
    x = random(2, 3, 1, 4)
    before = run_function(function(module, "predict"), {"x": x})["y"]
    Canonicalise().run(module)
    np.testing.assert_array_equal(run_function(function(module, "predict"), {"x": x})["y"], before)
    assert [op.name for op in module.walk() if op.name.startswith("nn.")] == expected
