"""ResNet-18 and AlexNet as ImageNet trains them, by the recipe niti16: pack an image folder, compile, train, evaluate.

    python -m benchmarks.accuracy.imagenet --data imagenet/    both networks, 90 epochs
    python -m benchmarks.accuracy.imagenet --generate          200 steps on 1,000 classes of images made here

The folder holds train/CLASS/*.JPEG and val/CLASS/*.JPEG. A packing that is there already is taken as it is.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.alexnet import alexnet
from models.resnet18 import resnet18
from nitic.data.image_folder import PackOptions, pack, pillow
from nitic.frontend.writer import NetworkWriter

CLASSES = 1000
# The usual statistics of ImageNet, per channel, of samples scaled to 0..1.
MEAN, STD = "0.485,0.456,0.406", "0.229,0.224,0.225"


@dataclass(frozen=True)
class Network:
    """A network and the learning rate that batches of 256 train it with; smaller ones get less in proportion."""

    name: str
    write: Callable[[], NetworkWriter]
    rate: float


NETWORKS = (Network("resnet18", resnet18, 0.1), Network("alexnet", alexnet, 0.01))


def generate(folder: Path) -> None:
    """An image folder of 1,000 classes, each a pattern of waves, and each image of it in noise of its own.

    Two images are of each class and sixty more of each of the first twenty: 3,200, or 200 batches of 16, in which there
    is something to learn.
    """
    for label in range(CLASSES):
        rng = np.random.default_rng(label)
        pattern = waves(rng)
        images = 62 if label < 20 else 2
        for i in range(images):
            save(folder / "train" / f"n{label:04d}" / f"{i}.{'png' if i % 2 else 'jpeg'}", pattern, rng)
        if label % 10 == 0:
            save(folder / "val" / f"n{label:04d}" / "0.jpeg", pattern, rng)


def waves(rng: np.random.Generator) -> NDArray[np.float64]:
    """A plane wave for each channel, 64x64x3, in -1 to 1."""
    y, x = np.mgrid[0:64, 0:64] / 64
    frequencies, phases = rng.integers(1, 7, (3, 2)), rng.uniform(0, 2 * np.pi, 3)
    channels = [np.sin(2 * np.pi * (fy * y + fx * x) + p) for (fy, fx), p in zip(frequencies, phases, strict=True)]
    return np.stack(channels, -1)


def save(path: Path, pattern: NDArray[np.float64], rng: np.random.Generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.clip(128 + 90 * pattern + rng.normal(0, 10, pattern.shape), 0, 255).astype(np.uint8)
    pillow().fromarray(pixels).save(path)


def prepare(folder: Path, packed: Path) -> None:
    """Packs the folder, unless that is done."""
    if not packed.exists():
        print(pack(PackOptions(folder, packed, size=256)), flush=True)


def compile_network(network: Network, work: Path, batch: int) -> Path:
    """Writes the ONNX file and its binary."""
    model, binary = work / f"{network.name}.onnx", work / network.name
    network.write().save(model)
    options = ["--recipe", "niti16", "--batch-size", str(batch), "--mean", MEAN, "--std", STD]
    subprocess.run([sys.executable, "-m", "nitic", "compile", str(model), "-o", str(binary), *options], check=True)
    return binary


def train(network: Network, binary: Path, packed: Path, options: argparse.Namespace) -> Path:
    """Trains, and returns the log. A checkpoint that is there is gone on from."""
    checkpoint, log = Path(f"{binary}.ckpt"), Path(f"{binary}.jsonl")
    rate = options.lr or network.rate * options.batch / 256
    command = [str(binary), "train", "--data", str(packed), "--augment", "resized-crop,flip", "--log", str(log)]
    command += ["--epochs", str(options.epochs), "--lr", f"{rate:.6f}", "--weight-decay", "1e-4", "--log-every", "20"]
    resume = ["--resume", str(checkpoint)] if checkpoint.exists() else []
    subprocess.run([*command, *resume, "--save", str(checkpoint), "--save-every", "1000"], check=True)
    return log


def losses(log: Path) -> list[float]:
    """Mean training loss of each interval."""
    events = map(json.loads, log.read_text().splitlines())
    return [event["loss"] for event in events if event["event"] == "interval"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="image folder with train/ and val/")
    parser.add_argument(
        "--generate", action="store_true", help="make an image folder of 1,000 classes, train 200 steps"
    )
    parser.add_argument(
        "--work", type=Path, default=Path("build/imagenet"), help="for binaries, checkpoints, packed images"
    )
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=90)
    parser.add_argument("--lr", type=float, help="instead of the network's own")
    parser.add_argument("--network", action="append", choices=[n.name for n in NETWORKS], help="default: both")
    options = parser.parse_args()
    if options.generate:
        options.batch, options.epochs, options.lr = 16, 1, options.lr or 0.008
    if bool(options.data) == options.generate:
        parser.error("give --data FOLDER or --generate")
    options.work.mkdir(parents=True, exist_ok=True)
    folder = options.data or options.work / "generated"
    if options.generate and not folder.exists():
        generate(folder)
    packed = options.work / "packed"
    prepare(folder, packed)
    for network in NETWORKS:
        if options.network and network.name not in options.network:
            continue
        binary = compile_network(network, options.work, options.batch)
        log = train(network, binary, packed, options)
        print(network.name, "training loss by interval:", *losses(log), flush=True)
        load = ["--load", f"{binary}.ckpt"] if Path(f"{binary}.ckpt").exists() else []
        subprocess.run([str(binary), "eval", "--data", str(packed), *load], check=True)


if __name__ == "__main__":
    main()
