"""Binaries for GPUs and their twins for CPUs, made and run on a driver whose GPU is the emulator."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from unittest.mock import patch

from models.mlp import mlp
from nitic.codegen.output import link
from nitic.codegen.output.cache import Cache
from nitic.codegen.output.cuda import compiler
from nitic.codegen.output.cuda.compiler import Image, Resources
from nitic.driver.compile import compile_model
from nitic.frontend.writer import NetworkWriter
from nitic.options import CompileOptions, Emit
from nitic.paths import runtime_folder, runtime_sources
from tests.emulator.emulator import SIGNATURE, driver, kernel_library
from tests.networks.mobile import BlockWriter
from tests.networks.stages import WRITERS, samples
from tests.runtime.helpers import write_npy

BATCH, STEPS, TEST = 8, 5, 11
SAMPLES = BATCH * STEPS + 3
SETTINGS: list[Mapping[str, str]] = [  # which streams do at once what they are told (computing 1, copying 2)
    {"NITIC_FAKE_EARLY": "0", "NITIC_EMULATOR_ORDER": "forward"},
    {"NITIC_FAKE_EARLY": "2", "NITIC_EMULATOR_ORDER": "backward"},
]


def normalised() -> NetworkWriter:
    net = NetworkWriter("normalised", (1, 8, 8), 0)
    net.conv_norm("stem", 8, 3)
    net.relu()
    net.residual("block", 8, stride=2)
    net.global_average_pool()
    net.linear("fc", 10)
    return net


def depthwise() -> NetworkWriter:
    net = BlockWriter("depthwise", (1, 8, 8), 0)
    net.conv("stem", 8, 3, pad=1)
    net.relu()
    net.depthwise("depthwise")
    net.relu()
    net.max_pool()
    net.linear("fc", 10)
    return net


def coloured() -> NetworkWriter:
    net = NetworkWriter("coloured", (2, 8, 4), 0)
    net.conv("stem", 8, 3, pad=1)
    net.relu()
    net.linear("fc", 10)
    return net


NETWORKS = {
    "lenet": WRITERS["lenet"],
    "normalised": normalised,
    "depthwise": depthwise,
    "coloured": coloured,
    "vectors": lambda: mlp((64, 16, 10)),
    "vgg_narrow": WRITERS["vgg_narrow"],
    "resnet8": WRITERS["resnet8"],
}


@dataclass(frozen=True)
class Pair:
    """One program for each device, and its data."""

    gpu: Path
    cpu: Path
    data: Path
    options: CompileOptions


@cache
def library_of(text: str) -> Path:
    return kernel_library(text, Path(mkdtemp(prefix="nitic-emulator-")))


def emulated_image(text: str, _cache: Cache | None = None) -> Image:
    """In place of a fat binary the name of a library."""
    resources = {name: Resources(46, 8, 256) for name, _ in SIGNATURE.findall(text)}
    return Image(f"emulated kernels: {library_of(text)}\0".encode(), {"sm_80": resources})


def compile_emulated(options: CompileOptions) -> Path:
    with patch.object(compiler, "compile_image", emulated_image), patch.object(compiler, "compiler"):
        return compile_model(replace(options, target="cuda"))


@cache
def compiled(name: str, recipe: str) -> Pair:
    folder = Path(mkdtemp(prefix="nitic-emulator-"))
    net = NETWORKS[name]()
    net.save(folder / "model.onnx")
    options = CompileOptions(folder / "model.onnx", folder / "cpu", recipe, batch_size=BATCH, target="x86-64-portable")
    shape = (*net.input_shape[1:], net.input_shape[0])
    for split, count, seed in (("train", SAMPLES, 1), ("test", TEST, 2)):
        write_npy(folder, split, *samples(shape, count, seed))
    return Pair(compile_emulated(replace(options, output=folder / "gpu")), compile_model(options), folder, options)


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, "LD_LIBRARY_PATH": str(driver()), **settings}


def run(program: Path, *arguments: str | Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    command = [str(program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment(settings))


def succeed(program: Path, *arguments: str | Path, **settings: str) -> str:
    done = run(program, *arguments, **settings)
    assert done.returncode == 0, done.stderr
    return done.stdout


def training(pair: Pair, checkpoint: Path, *options: str | Path) -> list[str | Path]:
    return ["train", "--data", pair.data, "--epochs", "2", "--save", checkpoint, *options]


def memory_for(pair: Pair, count: int) -> Mapping[str, str]:
    """Of a GPU: what the program needs, and room to keep so many samples of 64 bytes, with a quarter of it free."""
    told = run(pair.gpu, "eval", "--data", pair.data, NITIC_FAKE_MEMORY="1").stderr
    needed = re.search(r"the program needs (\d+) bytes", told)
    assert needed
    room = (count * 64 + 64) * 4 // 3 + 8 if count else 0
    return {"NITIC_FAKE_MEMORY": str(int(needed[1]) + room)}


def guessing_wrong(pair: Pair) -> Mapping[str, str]:
    """Of a GPU that loses every shift that kernels keep for the next step to guess from."""
    text = compile_model(replace(pair.options, output=pair.data / "kernels.cu", target="cuda", emit=Emit.CUDA))
    kept = json.loads(text.with_suffix(".json").read_text())["kept"]
    return {"NITIC_FAKE_KEPT": str(kept["offset"]), "NITIC_FAKE_SPOILT": str(kept["bytes"])}


def compile_mutant(pair: Pair, file: str, old: str, new: str, folder: Path) -> Path:
    """The program for GPUs with another text in one file of the runtime."""
    runtime = folder / "runtime"
    shutil.copytree(runtime_folder(), runtime)
    changed = runtime / file
    assert old in changed.read_text()
    changed.write_text(changed.read_text().replace(old, new))
    sources = [runtime / path.relative_to(runtime_folder()) for path in runtime_sources("cuda")]
    with patch.object(link, "runtime_sources", lambda *_: sources):
        return compile_emulated(replace(pair.options, output=folder / "gpu"))


def is_wrong(pair: Pair, gpu: Path, folder: Path, **settings: str) -> bool:
    """Whether this program fails, or ends in other bytes than that for CPUs, in one order of events or the other."""
    succeed(pair.cpu, *training(pair, folder / "expected"))
    for each in SETTINGS:
        done = run(gpu, *training(pair, folder / "found"), **each, **settings)
        if done.returncode or (folder / "found").read_bytes() != (folder / "expected").read_bytes():
            return True
    return False
