"""What is taken to a machine with a GPU: programs, kernels, and the scripts. Needs no GPU."""

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.speed.kernels import contractions
from models.lenet import lenet
from models.vgg_small import vgg_small
from nitic.codegen.output.cache import Cache
from nitic.codegen.output.cuda import compiler
from nitic.driver.build import build_program
from nitic.driver.compile import compile_model
from nitic.frontend.writer import NetworkWriter
from nitic.options import CompileOptions, Emit
from nitic.paths import runtime_folder
from nitic.program import Program

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SCRIPTS = (
    *(f"benchmarks/gpu/{name}.py" for name in ("__init__", "data", "driver", "kernels", "parts", "table")),
    *(f"benchmarks/{name}.py" for name in ("__init__", "step_worker", "torch_nets", "turns")),
    *("benchmarks/accuracy/__init__.py", "benchmarks/accuracy/tables.py", "tests/__init__.py", "tests/gpu/check.py"),
)


@dataclass(frozen=True)
class Case:
    """A network, and what of it is wanted besides its program for GPUs: the twin for CPUs, or the kernels alone."""

    name: str
    network: Callable[[], NetworkWriter]
    recipe: str
    batch: int
    has_cpu: bool = False
    has_kernels: bool = False


CASES = (
    Case("lenet", lenet, "niti16", 64, has_cpu=True),
    Case("vgg_small", vgg_small, "niti", 256, has_kernels=True),
)


def build(folder: Path, cases: Sequence[Case] = CASES) -> None:
    """Fills the folder. Raises CompileError."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "__main__.py", folder)
    for script in SCRIPTS:
        (folder / script).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / script, folder / script)
    text = (runtime_folder() / "cuda/ptx/nitic_ptx.cuh").read_text() + (HERE / "peak.cuh").read_text()
    (folder / "peak.cubin").write_bytes(compiler.compile_image(text, Cache(None)).content)
    for case in cases:
        print(f"{case.name}: recipe {case.recipe}, batch {case.batch}", flush=True)
        build_case(folder / case.name, case)


def build_case(folder: Path, case: Case) -> None:
    """The programs, a description of them, and a data set of one batch."""
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        model = Path(name) / f"{case.name}.onnx"
        case.network().save(model)
        options = CompileOptions(model, folder / "gpu", case.recipe, batch_size=case.batch, target="cuda")
        compile_model(options)
        if case.has_cpu:
            compile_model(replace(options, output=folder / "cpu", target="x86-64-avx512vnni"))
        if case.has_kernels:
            compile_model(replace(options, output=folder / "kernels.cubin", emit=Emit.CUBIN))
        program = build_program(options)
    found = contractions(program, "cuda") if case.has_kernels else []
    described = [{"node": each.node, "group": each.kernel, "products": each.products} for each in found]
    (folder / "case.json").write_text(json.dumps({"input": program.input_shape, "contractions": described}))
    write_one_batch(folder / "one-batch", program)


def write_one_batch(folder: Path, program: Program) -> None:
    """Random samples: an epoch is one step."""
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    np.save(folder / "x_train.npy", random.integers(0, 256, program.input_shape, np.uint8))
    np.save(folder / "y_train.npy", random.integers(0, program.classes, program.batch, np.int32))
