"""Resize by whole factors, against onnxruntime, and what else is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from nitic.errors import CompileError
from nitic.frontend.importer import import_onnx
from tests.end_to_end.test_exports import assert_same_bits
from tests.support.onnx_models import Array, check_against_onnxruntime, random, save_network

X = (2, 3, 4, 5)
HALF = {"coordinate_transformation_mode": "half_pixel"}
TORCH = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
Case = tuple[dict[str, Any], dict[str, Array], int]


def scales(*values: float) -> dict[str, Array]:
    return {"scales": np.array(values, np.float32)}


def sizes(*values: int) -> dict[str, Array]:
    return {"sizes": np.array(values, np.int64)}


def resize(tmp_path: Path, case: Case, shape: tuple[int, ...] = X, out: tuple[int, ...] = (), first: str = "") -> Path:
    """A Resize, behind a convolution if asked for, and a product."""
    attributes, given, opset = case
    inputs = ["x" if not first else "c", *[""] * (opset > 10), *([""] if "sizes" in given else []), *given]
    values: dict[str, Array] = {
        **given,
        "w": random(int(np.prod(out)), 3),
        **({"k": random(3, 3, 1, 1)} if first else {}),
    }
    nodes: list[onnx.NodeProto] = [
        *([helper.make_node("Conv", ["x", "k"], ["c"])] if first else []),
        helper.make_node("Resize", inputs, ["r"], name="n", **attributes),
        helper.make_node("Flatten", ["r"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["y"]),
    ]
    return save_network(tmp_path / "m.onnx", nodes, shape, values, opset)


CASES: dict[str, tuple[Case, tuple[int, ...]]] = {
    "torch": ((TORCH, scales(1, 1, 2, 2), 18), (3, 8, 10)),
    "half_pixel": ((HALF, scales(1, 1, 3, 2), 13), (3, 12, 10)),
    "prefer_ceil": (({**HALF, "nearest_mode": "round_prefer_ceil"}, scales(1, 1, 2, 3), 13), (3, 8, 15)),
    "pytorch_half_pixel": (
        ({"coordinate_transformation_mode": "pytorch_half_pixel"}, scales(1, 1, 1, 4), 13),
        (3, 4, 20),
    ),
    "channels": ((TORCH, scales(1, 2, 1, 1), 13), (6, 4, 5)),
    "sizes": ((TORCH, sizes(2, 3, 8, 15), 13), (3, 8, 15)),
    "axes": (({**TORCH, "axes": [-1, 2]}, scales(3, 2), 18), (3, 8, 15)),
    "sizes_of_axes": (({**TORCH, "axes": [2, 3]}, sizes(8, 5), 18), (3, 8, 5)),
    "opset_10": (({}, scales(1, 1, 2, 2), 10), (3, 8, 10)),
    "nothing": ((TORCH, scales(1, 1, 1, 1), 13), (3, 4, 5)),
}


@pytest.mark.parametrize("first", ["", "conv"])
@pytest.mark.parametrize("case", CASES)
def test_whole_factors(tmp_path: Path, case: str, first: str) -> None:
    made, out = CASES[case]
    check_against_onnxruntime(resize(tmp_path, made, X, out, first), random(*X))


def test_a_sequence(tmp_path: Path) -> None:
    check_against_onnxruntime(resize(tmp_path, (TORCH, scales(1, 1, 2), 13), (2, 3, 5), (3, 10)), random(2, 3, 5))


def test_the_batch_of_the_file_in_sizes(tmp_path: Path) -> None:
    path = resize(tmp_path, (TORCH, sizes(2, 3, 8, 10), 13), X, (3, 8, 10))
    assert import_onnx(path, batch_size=4).parameters["w"].shape == (3, 240)


REFUSED: dict[str, tuple[Case, str]] = {
    "linear": (({**HALF, "mode": "linear"}, scales(1, 1, 2, 2), 13), "with mode 'linear' is not supported"),
    "half": ((TORCH, scales(1, 1, 1.5, 1), 13), r"by \[1.0, 1.0, 1.5, 1.0\] is not supported: factors are whole"),
    "smaller": ((TORCH, scales(1, 1, 0.5, 1), 13), "factors are whole"),
    "odd_size": ((TORCH, sizes(2, 3, 6, 5), 13), "factors are whole"),
    "batch": ((TORCH, scales(2, 1, 1, 1), 13), "along the axis of the batch"),
    "shifted": (({**HALF, "nearest_mode": "floor"}, scales(1, 1, 2, 2), 13), "with 'half_pixel' and 'floor'"),
    "corners": (({"coordinate_transformation_mode": "align_corners"}, scales(1, 1, 2, 2), 13), "with 'align_corners'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(tmp_path: Path, case: str) -> None:
    made, message = REFUSED[case]
    with pytest.raises(CompileError, match=message):
        import_onnx(resize(tmp_path, made, X, (1,)))


def test_training_equals_the_interpreter(tmp_path: Path) -> None:
    """Forward a broadcast, backward the sums over the elements that were one."""
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"], pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("Resize", ["d", "", "scales"], ["r"], **TORCH),
        helper.make_node("Conv", ["r", "l"], ["e"], strides=[2, 2]),
        helper.make_node("Flatten", ["e"], ["f"]),
        helper.make_node("Gemm", ["f", "w"], ["y"]),
    ]
    values = {"k": random(5, 1, 3, 3), "l": random(4, 5, 3, 3), "w": random(4 * 11 * 7, 10), **scales(1, 1, 3, 2)}
    assert_same_bits(save_network(tmp_path / "m.onnx", nodes, (4, 1, 8, 8), values, 13))
