"""Trained networks in every exported format, by onnxruntime beside `predict`: the table of docs/export.md.

    python -m benchmarks.accuracy.exports --mnist mnist/ --cifar cifar-10-batches-bin/

Each network is trained a little, in batches of 64, and exported. `integer` is compared with `predict` on the first
1,000 test samples, at every optimisation level and with 1 and 2 threads; the class of `qdq` and the accuracy of `float`
on all of them, of VGG-small on those 1,000. --networks takes some by name.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

import nitic
from benchmarks.accuracy import cifar, mnist
from models.lenet import lenet
from models.mlp import mlp
from models.resnet8 import resnet8
from models.vgg_small import vgg_small
from nitic.arithmetic.integers import Array
from nitic.frontend.writer import NetworkWriter
from tests.export.predictions import by_onnxruntime
from tests.networks.branches import tables
from tests.networks.mobile import mobile

BATCH, EXACT = 64, 1000
FORMATS = ("integer", "qdq", "float")
COLUMNS = (
    *("network", "`predict`", "`integer`: other bits", "`qdq`: same class", "without 16-bit sums", "`float`"),
    *("original, KB", "`integer`", "`qdq`", "`float`"),
)
Arrays = tuple[Array, Array, Array, Array]


@dataclass(frozen=True)
class Task:
    """A network, its data set, and its steps of training: two thirds at 2^-shift, a third at 2^-(shift+3)."""

    name: str
    network: Callable[[], NetworkWriter]
    data: str
    steps: int
    shift: int = 6
    tested: int = 10_000


TASKS = (
    Task("MLP", lambda: mlp((784, 256, 128, 10)), "mnist", 1500),
    Task("LeNet-5", lenet, "mnist", 1500),
    Task("VGG-small", vgg_small, "cifar", 450, 7, 1000),
    Task("ResNet-8", resnet8, "cifar16", 1500, 5),
    Task("MobileNet block", lambda: mobile(shape=(1, 28, 28)), "mnist", 600),
    Task("every table", lambda: tables((1, 28, 28)), "mnist", 1200, 7),
)


def load(data: str, folders: argparse.Namespace) -> Arrays:
    """x_train, y_train, x_test, y_test"""
    match data:
        case "mnist":
            return mnist.arrays(folders.mnist)
        case "cifar":
            return cifar.images(folders.cifar)
        case _:
            return cifar.arrays(cifar.average(folders.cifar, Path("build/cifar16")))


def trained(task: Task, path: Path, x: Array, y: Array) -> nitic.TrainingSession:
    """A session behind the steps."""
    task.network().save(path)
    session = nitic.TrainingSession(nitic.compile(path, batch_size=BATCH))
    session.configure(momentum="0.9", schedule="constant")
    session.set_statistics(x)
    rng = np.random.default_rng(0)
    for step in range(task.steps):
        session.configure(lr=f"2^-{task.shift + 3 * (3 * step >= 2 * task.steps)}")
        rows = rng.integers(0, len(x), BATCH)
        session.train_step(x[rows], y[rows])
    return session


def predicted(session: nitic.TrainingSession, x: Array) -> Array:
    """The mantissas of all logits."""
    return np.concatenate([session.predict(x[i : i + BATCH])[0] for i in range(0, len(x), BATCH)])


def standardised(model: Path, x: Array) -> Array:
    """Samples as `float` and `qdq` take them, by what their metadata says."""
    said = {each.key: each.value for each in onnx.load(model).metadata_props}
    mean, std = (np.array(said[f"nitic.input.{key}"].split(","), np.float64) for key in ("mean", "std"))
    return ((x / 255 - mean) / std).transpose(0, 3, 1, 2).astype(np.float32)


def classes(model: Path, x: Array, precise: bool = False) -> Array:
    """By onnxruntime as it is, or without sums of pairs in 16 bits, which saturate on processors without VNNI."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", str(int(precise)))
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (source,), (_, *axes) = session.get_inputs(), session.get_inputs()[0].shape
    parts = [x[i : i + 500].reshape(-1, *axes) for i in range(0, len(x), 500)]
    return np.concatenate([np.asarray(session.run(None, {source.name: part})[0]).argmax(1) for part in parts])


def measure(task: Task, arrays: Arrays, folder: Path) -> Iterator[str]:
    """The cells of its row."""
    x_train, y_train, x_test, y_test = arrays
    x_test, y_test = x_test[: task.tested], y_test[: task.tested]
    original = folder / "original.onnx"
    session = trained(task, original, x_train, y_train)
    files = {kind: folder / f"{kind}.onnx" for kind in FORMATS}
    for kind, path in files.items():
        session.export_model(path, kind)
    logits = predicted(session, x_test)
    own, floats = logits.argmax(1), standardised(files["float"], x_test)
    accuracy = 100 * (own == y_test).mean()
    yield task.name
    yield f"{accuracy:.2f} %"
    first = x_test[:EXACT].reshape(-1, *session.compiled.program.input_shape[1:])
    runs = list(by_onnxruntime(files["integer"].read_bytes(), first))
    yield f"{sum(int((found != logits[:EXACT]).sum()) for found in runs)} of {sum(found.size for found in runs):,}"
    for precise in (False, True):
        yield f"{100 * (classes(files['qdq'], floats, precise) == own).mean():.2f} %"
    yield f"{100 * (classes(files['float'], floats) == y_test).mean() - accuracy:+.2f}"
    for path in (original, *files.values()):
        yield f"{path.stat().st_size / 1000:,.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mnist", type=Path, help="folder with the four IDX files of MNIST, unpacked")
    parser.add_argument("--cifar", type=Path, help="folder with the six binary files of CIFAR-10")
    parser.add_argument("--networks", default=",".join(task.name for task in TASKS))
    options = parser.parse_args()
    for cells in (COLUMNS, ["---"] * len(COLUMNS)):
        print(f"| {' | '.join(cells)} |")
    for task in TASKS:
        if task.name in options.networks.split(","):
            with tempfile.TemporaryDirectory() as folder:
                cells = measure(task, load(task.data, options), Path(folder))
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
