"""Adaptive average pools as PyTorch 2.13 writes them, against onnxruntime."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from nitic.errors import CompileError
from nitic.frontend.importer import import_onnx
from nitic.ops.pool import AveragePoolOp
from tests.support.onnx_models import Array, check_against_onnxruntime, count_of, random, save_network

Sizes = tuple[int, int]


def node(op: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), [output], name=f"make_{output}", **attributes)


def windows(size: int, count: int) -> tuple[Array, Array]:
    """The pixels of each window, as many as the largest has, and how many of them count."""
    steps = np.arange(count)
    begin, end = steps * size // count, -(-(steps + 1) * size // count)
    most = (end - begin).max()
    return np.minimum(begin[:, None] + np.arange(most), size - 1), end - begin


def pool(image: Sizes, to: Sizes) -> tuple[list[onnx.NodeProto], dict[str, Array]]:
    """From c to p: means where all windows are alike, else sums of what is not masked, by their counts."""
    (rows, heights), (columns, widths) = (windows(n, m) for n, m in zip(image, to, strict=True))
    grid = np.stack(np.broadcast_arrays(rows[:, :, None, None], columns), -1)
    values: dict[str, Array] = {"grid": grid}
    nodes = [
        node("Transpose", "c", "first", perm=[2, 3, 0, 1]),
        node("GatherND", "first grid", "pixels"),
        node("Transpose", "pixels", "index", perm=[4, 5, 0, 1, 2, 3]),
    ]
    if len({*heights.tolist()}) == len({*widths.tolist()}) == 1:
        return [*nodes, node("ReduceMean", "index axes", "p", keepdims=0)], {**values, "axes": np.array([-3, -1])}
    values["zero"] = np.zeros((), np.float32)
    values["rows"] = (np.arange(rows.shape[1]) >= heights[:, None])[:, :, None, None]
    values["columns"] = np.arange(columns.shape[1]) >= widths[:, None]
    nodes += [node("Where", "rows zero index", "some"), node("Where", "columns zero some", "counted")]
    values |= {f"at{i}": np.asarray(i) for i in range(max(rows.shape[1], columns.shape[1]))}
    total = ""
    for i in range(rows.shape[1]):
        nodes.append(node("Gather", f"counted at{i}", f"row{i}", axis=3))
        for j in range(columns.shape[1]):
            nodes.append(node("Gather", f"row{i} at{j}", f"pixel{i}.{j}", axis=4))
            nodes += [node("Add", f"{total} pixel{i}.{j}", f"sum{i}.{j}")] if total else []
            total = f"sum{i}.{j}" if total else f"pixel{i}.{j}"
    values["count"] = (heights[:, None] * widths).astype(np.float32)
    return [*nodes, node("Div", f"{total} count", "p")], values


def save(path: Path, image: Sizes, made: list[onnx.NodeProto], values: dict[str, Array], elements: int) -> Path:
    last = [node("Flatten", "p", "f"), node("MatMul", "f w", "y")]
    values = {"k": random(3, 2, 2, 2), "w": random(elements, 4), **values}
    return save_network(
        path, [node("Conv", "x k", "c"), *made, *last], ("N", 2, image[0] + 1, image[1] + 1), values, opset=18
    )


@pytest.mark.parametrize(
    ("image", "to", "pools"),
    [
        ((7, 7), (3, 3), 1),
        ((6, 8), (3, 2), 1),
        ((5, 7), (3, 2), 5),
        ((7, 7), (9, 9), 18),
        ((7, 5), (4, 5), 9),
        ((1, 7), (1, 3), 1),
        ((1, 8), (1, 3), 4),
        ((6, 4), (1, 1), 1),
    ],
)
def test_adaptive_average_pool(tmp_path: Path, image: Sizes, to: Sizes, pools: int) -> None:
    made, values = pool(image, to)
    path = save(tmp_path / "m.onnx", image, made, values, 3 * to[0] * to[1])
    model = check_against_onnxruntime(path, random(64, 2, image[0] + 1, image[1] + 1))
    assert count_of(model, AveragePoolOp) == pools
    assert list(model.parameters) == ["k", "w"]


def wrong_pixel(values: dict[str, Array]) -> None:
    values["grid"][0, 0, 0, 0] = 2, 2


def wrong_count(values: dict[str, Array]) -> None:
    values["count"][1, 1] += 1


def wrong_mask(values: dict[str, Array]) -> None:
    values["rows"] = ~values["rows"]


@pytest.mark.parametrize("change", [wrong_pixel, wrong_count, wrong_mask])
def test_what_computes_anything_else_is_no_pool(tmp_path: Path, change: Any) -> None:
    made, values = pool((5, 7), (3, 2))
    values["grid"] = values["grid"].copy()
    change(values)
    path = save(tmp_path / "m.onnx", (5, 7), made, values, 18)
    with pytest.raises(CompileError, match="operator GatherND is not supported"):
        import_onnx(path)
