"""Windows over all axes of a tensor, as jax2onnx writes reduce_window: batch and channels are spatial axes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from nitic.errors import CompileError
from nitic.frontend.importer import import_onnx
from nitic.ops.pool import AveragePoolOp
from tests.support.onnx_models import Array, count_of, logits, random, save_network

N = helper.make_node
SHAPE = (2, 6, 8, 3)
BEFORE = [N("Relu", ["x"], ["r"]), N("Unsqueeze", ["r", "01"], ["all"])]
WINDOW: dict[str, Any] = {"strides": [1, 2, 2, 1], "pads": [0, 1, 0, 0, 0, 1, 0, 0]}


def save(path: Path, *nodes: Any, **values: Array) -> Path:
    after = [
        N("Squeeze", ["pooled", "01"], ["nhwc"]),
        N("Flatten", ["nhwc"], ["flat"]),
        N("MatMul", ["flat", "w"], ["y"]),
    ]
    tensors = {"01": np.array([0, 1]), "w": random(4 * 4 * 3, 5, seed=1), **values}
    return save_network(path, [*BEFORE, *nodes, *after], SHAPE, tensors)


def windows(x: Array) -> Array:
    """[N, 4, 4, 3, 4]: the elements of each window, with zeros around."""
    padded = np.pad(np.maximum(x, 0), ((0, 0), (1, 1), (0, 0), (0, 0)))
    return np.stack([padded[:, i:8:2, j::2][:, :4, :4] for i in (0, 1) for j in (0, 1)], -1)


def test_a_maximum(tmp_path: Path) -> None:
    """onnxruntime has none over four axes, nor has onnx's reference."""
    path, x = (
        save(tmp_path / "m.onnx", N("MaxPool", ["all"], ["pooled"], kernel_shape=[1, 2, 2, 1], **WINDOW)),
        random(*SHAPE),
    )
    model = import_onnx(path)
    expected = windows(x).max(-1).reshape(2, -1) @ random(4 * 4 * 3, 5, seed=1)
    np.testing.assert_allclose(logits(model, x), expected, atol=1e-5)


def test_a_sum_is_a_convolution_by_ones(tmp_path: Path) -> None:
    """Ones that are not trained."""
    node = N("Conv", ["all", "ones"], ["pooled"], name="sum", **WINDOW)
    path, x = save(tmp_path / "m.onnx", node, ones=np.ones((1, 1, 1, 2, 2, 1), np.float32)), random(*SHAPE)
    model = import_onnx(path)
    expected = windows(x).sum(-1).reshape(2, -1) @ random(4 * 4 * 3, 5, seed=1)
    np.testing.assert_allclose(logits(model, x), expected, atol=1e-5)
    assert list(model.parameters) == ["w"]
    assert count_of(model, AveragePoolOp) == 1


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"kernel_shape": [1, 2, 2, 2]}, "windows that slide along 3 axes are not supported"),
        ({"kernel_shape": [1, 2, 2, 1], "pads": [0, 1]}, "attribute 'pads' has 2 values; 4 spatial dimensions need 8"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path: Path, attributes: dict[str, Any], message: str) -> None:
    path = save(tmp_path / "m.onnx", N("MaxPool", ["all"], ["pooled"], name="pool", **attributes))
    with pytest.raises(CompileError, match=message):
        import_onnx(path)
