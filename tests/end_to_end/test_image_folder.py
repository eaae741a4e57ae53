"""From a folder of images to a trained network: pack, compile, train with augmentation, evaluate, resume."""

from pathlib import Path

import numpy as np
import pytest

from models.resnet8 import resnet8
from nitic.data.image_folder import PackOptions, pack, pillow
from nitic.driver.compile import compile_model
from nitic.options import CompileOptions
from tests.runtime.helpers import succeed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ResNet-8 for 16x16, and four classes of striped images, packed at 20x20."""
    base = tmp_path_factory.mktemp("images")
    for label in range(4):
        for split, count in (("train", 40), ("val", 10)):
            for i in range(count):
                paint(base / "in" / split / f"class{label}" / f"{i}.{'png' if i % 2 else 'jpg'}", label, i)
    pack(PackOptions(base / "in", base / "packed", size=20))
    resnet8().save(base / "resnet8.onnx")
    compile_model(CompileOptions(base / "resnet8.onnx", base / "resnet8", batch_size=16))
    return base


def paint(path: Path, label: int, seed: int) -> None:
    """Stripes of one of two widths in one of two directions, of any phase, in noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng((label, seed, len(path.parts[-3])))
    wave = 100 * np.sin(2 * np.pi * (2 + 4 * (label // 2)) * np.arange(40) / 40 + rng.uniform(0, 6))
    stripes = np.repeat(wave[:, None], 40, 1) if label % 2 else np.repeat(wave[None], 40, 0)
    pixels = 128 + stripes[..., None] + rng.normal(0, 5, (40, 40, 3))
    pillow().fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)


@pytest.mark.slow
def test_it_learns_and_resumes_to_the_same_bits(folder: Path) -> None:
    train = ["train", "--data", folder / "packed", "--augment", "resized-crop,flip", "--schedule", "constant"]
    whole, part = folder / "whole", folder / "part"
    succeed(folder / "resnet8", *train, "--epochs", "12", "--threads", "1", "--save", whole)
    succeed(folder / "resnet8", *train, "--epochs", "5", "--threads", "2", "--save", part)
    resumed = [*train[:3], "--epochs", "12", "--resume", part, "--save", part, "--threads", "3"]
    succeed(folder / "resnet8", *resumed)
    assert part.read_bytes() == whole.read_bytes()
    result = succeed(folder / "resnet8", "eval", "--data", folder / "packed", "--load", whole)
    assert result.startswith("samples 40 ")
    assert float(result.split()[-2]) >= 90
