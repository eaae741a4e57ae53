"""The example networks import, and are the networks that they say they are."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from nitic.frontend.demo import digits_cnn
from nitic.frontend.importer import import_onnx
from nitic.ops.elementwise import DropoutOp
from tests.support.onnx_models import check_against_onnxruntime, random

MODELS = Path(__file__).parents[2] / "models"
PARAMETERS = {
    "mlp": 64 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10,
    "lenet": 61706,
    "digits_cnn": 16 * 9 + 16 + 16 * 32 * 9 + 32 + 512 * 10 + 10,
    "resnet8": 9 * (3 * 16 + 2 * 16 * 16 + 16 * 32 + 32 * 32 + 32 * 64 + 64 * 64)
    + 16 * 32
    + 32 * 64
    + 4 * (3 * 16 + 3 * 32 + 3 * 64)
    + 64 * 10
    + 10,
    "resnet18": 11689512 + 2 * 4800,  # and the running statistics
    "alexnet": 61100840,
    "vit": 49 * 128 + 66 * 128 + 4 * (4 * 129 * 128 + 2 * 4 * 128 * 128 + 5 * 128 + 4 * 128) + 2 * 128 + 1290,
    "vgg_small": 9 * (3 * 128 + 128 * 128 + 128 * 256 + 256 * 256 + 256 * 512 + 512 * 512) + 8192 * 10,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_script_writes_the_network(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.onnx"
    subprocess.run(
        [sys.executable, MODELS / f"{name}.py", path], check=True, cwd=MODELS.parent, env={"PYTHONPATH": "."}
    )
    onnx.checker.check_model(path, full_check=True)
    model = import_onnx(path)
    assert sum(array.size for array in model.parameters.values()) == PARAMETERS[name]
    assert all(not array.any() for name, array in model.parameters.items() if name.endswith(".bias"))
    assert any(isinstance(op, DropoutOp) for op in model.module.walk()) == (name in ("alexnet", "vgg_small"))


def test_demo_network_computes_what_onnxruntime_does(tmp_path: Path) -> None:
    digits_cnn().save(tmp_path / "m.onnx")
    check_against_onnxruntime(tmp_path / "m.onnx", random(64, 1, 8, 8))


def test_seed_decides_the_weights() -> None:
    first, again, other = (digits_cnn(seed).model().SerializeToString() for seed in (1, 1, 2))
    assert first == again != other


def test_weights_are_xavier_uniform(tmp_path: Path) -> None:
    digits_cnn().save(tmp_path / "m.onnx")
    weight = import_onnx(tmp_path / "m.onnx").parameters["conv2.weight"]
    limit = np.sqrt(6 / (9 * (16 + 32)))
    assert 0.99 * limit < np.abs(weight).max() <= limit
