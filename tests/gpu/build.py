"""Makes what check.py takes to a machine with a GPU: python tests/gpu/build.py FOLDER"""

import sys
from dataclasses import replace
from pathlib import Path

from nitic.driver.compile import compile_model
from nitic.ir.function import argument, function
from nitic.ir.types import shape_of
from nitic.options import CompileOptions
from tests.networks.stages import WRITERS, imported, samples
from tests.runtime.helpers import write_npy

CASES = [
    ("lenet", "niti16", 64),
    ("lenet", "niti", 64),
    ("vgg_narrow", "niti", 32),
    ("resnet8", "niti16", 32),
    ("mobile", "niti16", 16),
]
STEPS, TEST = 50, 203


def build(folder: Path, name: str, recipe: str, batch: int) -> None:
    """A binary for each device, and data for both."""
    folder.mkdir(parents=True, exist_ok=True)
    WRITERS[name]().save(folder / "model.onnx")
    options = CompileOptions(folder / "model.onnx", folder / "gpu", recipe, batch_size=batch, target="cuda")
    compile_model(options)
    compile_model(replace(options, output=folder / "cpu", target="x86-64-avx512vnni"))
    shape = shape_of(argument(function(imported(name, batch).module, "predict"), "input"))[1:]
    for split, count, seed in (("train", batch * STEPS + 5, 1), ("test", TEST, 2)):
        write_npy(folder, split, *samples(shape, count, seed))


if __name__ == "__main__":
    for name, recipe, batch in CASES:
        print(name, recipe, flush=True)
        build(Path(sys.argv[1]) / f"{name}-{recipe}", name, recipe, batch)
