"""Small networks of every kind of convolution: both variants and the interpreter end in the same bits."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from nitic.arithmetic.integers import Array
from tests.end_to_end.test_exports import assert_same_bits
from tests.support.onnx_models import random, save_network

Nodes = list[onnx.NodeProto]


def node(op: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), [output], name=f"make_{output}", **attributes)


def norm(x: str, y: str, channels: int) -> tuple[Nodes, dict[str, Array]]:
    """Batch norm and relu from x to y."""
    ones, zeros = np.ones(channels, np.float32), np.zeros(channels, np.float32)
    values = {f"{y}.{name}": array for name, array in zip("gbmv", (ones, zeros, zeros, ones), strict=True)}
    return [node("BatchNormalization", " ".join((x, *values)), f"{y}.n"), node("Relu", f"{y}.n", y)], values


def head(x: str, channels: int) -> tuple[Nodes, dict[str, Array]]:
    nodes = [node("GlobalAveragePool", x, "pooled"), node("Flatten", "pooled", "flat")]
    return [*nodes, node("Gemm", "flat fc.w fc.b", "y", transB=1)], {"fc.w": random(5, channels), "fc.b": random(5)}


def decoder() -> tuple[Nodes, dict[str, Array]]:
    """Down and up again: a transposed convolution with bias and relu, and a grouped one with batch norm."""
    first = [
        node("Conv", "x down.w", "a", strides=[2, 2], pads=[1, 1, 1, 1]),
        node("ConvTranspose", "a up.w up.b", "b", strides=[2, 2], pads=[1, 0, 0, 1], output_padding=[1, 0]),
        node("Relu", "b", "c"),
        node("ConvTranspose", "c groups.w", "d", group=2, dilations=[1, 2]),
    ]
    weights = {"down.w": random(8, 3, 3, 3), "up.w": random(8, 6, 3, 2), "up.b": random(6)}
    last, values = norm("d", "e", 10)
    return [*first, *last], {**weights, "groups.w": random(6, 5, 2, 2), **values}


def sequences() -> tuple[Nodes, dict[str, Array]]:
    first = [node("Conv", "x in.w in.b", "a", strides=[2], pads=[2, 1], dilations=[2]), node("Relu", "a", "b")]
    middle = [
        node("MaxPool", "b", "c", kernel_shape=[2], strides=[2]),
        node("ConvTranspose", "c up.w", "d", strides=[2]),
    ]
    last, values = norm("d", "e", 10)
    return [*first, *middle, *last], {"in.w": random(8, 3, 3), "in.b": random(8), "up.w": random(8, 10, 3), **values}


def mobile() -> tuple[Nodes, dict[str, Array]]:
    """Depthwise and grouped convolutions, one transposed, with batch norm and a residual connection."""
    first, a = norm("in", "a", 24)
    second, b = norm("dw", "b", 24)
    last, c = norm("up", "e", 24)
    nodes = [
        node("Conv", "x in.w", "in", pads=[1, 1, 1, 1]),
        *first,
        node("Conv", "a dw.w", "dw", group=24, strides=[2, 2], pads=[1, 1, 1, 1]),
        *second,
        node("Conv", "b groups.w groups.b", "c", group=3, pads=[1, 1, 1, 1]),
        node("Add", "b c", "d"),
        node("ConvTranspose", "d up.w", "up", group=24, strides=[2, 2]),
        *last,
    ]
    weights = {"in.w": random(24, 3, 3, 3), "dw.w": random(24, 1, 3, 3), "groups.w": random(24, 8, 3, 3)}
    return nodes, {**weights, "groups.b": random(24), "up.w": random(24, 1, 2, 2), **a, **b, **c}


CASES = {
    "mobile": (mobile, (6, 3, 8, 9), "e", 24),
    "decoder": (decoder, (6, 3, 9, 10), "e", 10),
    "sequences": (sequences, (6, 3, 30), "e", 10),
}


@pytest.mark.parametrize("name", CASES)
def test_training_equals_the_interpreter(tmp_path: Path, name: str) -> None:
    body, shape, last, channels = CASES[name]
    (nodes, values), (ends, weights) = body(), head(last, channels)
    parameters: Mapping[str, Array] = {**values, **weights}
    assert_same_bits(save_network(tmp_path / f"{name}.onnx", [*nodes, *ends], shape, dict(parameters)))
