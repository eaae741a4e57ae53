"""benchmarks/gpu, from build to table, on narrow networks and the emulated GPU: that it runs, not how fast."""

import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from benchmarks.gpu.build import Case, build
from benchmarks.gpu.table import curve
from nitic.codegen.output.cuda import compiler
from nitic.codegen.output.cuda.compiler import Image
from tests.emulator.binaries import emulated_image, environment
from tests.emulator.emulator import needs_compiler
from tests.emulator.test_warpgroups import TOGETHER
from tests.networks.stages import WRITERS
from tests.runtime.helpers import write_idx

pytestmark = needs_compiler
ROOT = Path(__file__).parents[2]
BATCH = 4


def image_of_sm_90a(text: str, _cache: object) -> Image:
    return emulated_image(TOGETHER + text)


@pytest.fixture
def carried(tmp_path: Path) -> Path:
    cases = [
        Case("lenet", WRITERS["lenet"], "niti16", BATCH, has_cpu=True),
        Case("vgg_small", WRITERS["vgg_narrow"], "niti", BATCH, has_kernels=True),
    ]
    with patch.object(compiler, "compile_image", image_of_sm_90a), patch.object(compiler, "compiler"):
        build(tmp_path / "carried", cases)
    return tmp_path / "carried"


def write_data(mnist: Path, cifar: Path) -> None:
    """Two batches and a half in the forms of MNIST and CIFAR-10."""
    random = np.random.default_rng(0)
    for split in ("train", "test"):
        write_idx(mnist, split, random.integers(0, 10, (10, 28, 28), np.uint8), random.integers(0, 10, 10, np.uint8))
    cifar.mkdir()
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        (cifar / f"{name}.bin").write_bytes(random.integers(0, 10, (2, 3073), np.uint8).tobytes())


def write_sanitizer(folder: Path) -> None:
    tool = folder / "compute-sanitizer"
    tool.write_text('#!/bin/sh\nshift 4\nexec "$@"\n')
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)


def gpu(folder: Path, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """The folder as it was carried, where nothing of nitic can be imported."""
    settings = environment({"PYTHONPATH": "", "PATH": f"{folder.parent}:/usr/bin:/bin"})
    command = [sys.executable, str(folder), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder.parent, env=settings)


def test_a_part_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    done = gpu(ROOT / "benchmarks" / "gpu", "run", "--parts", "step,kernel", "--work", tmp_path)
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
    assert "invalid parts value: 'step,kernel'" in done.stderr


@pytest.mark.parametrize(("line", "code"), [({"equal": False}, 1), ({"clean": False}, 1), ({"equal": True}, 0)])
def test_the_exit_code_tells_wrong_results(line: dict[str, Any], code: int, tmp_path: Path) -> None:
    script = (
        "import sys; from benchmarks.gpu import __main__ as gpu; "
        f"gpu.lines_of = lambda *_: [{line}]; sys.argv[1:] = ['run', '--parts', 'lenet']; gpu.main()"
    )
    settings = environment({"PYTHONPATH": str(ROOT)})
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=settings, check=False)
    assert done.returncode == code


HANGS = """
import pathlib, signal, sys
from benchmarks import turns
from benchmarks.gpu import parts
parts.LIMIT = 0.5
signal.signal(signal.SIGINT, signal.SIG_IGN)  # which a process inherits
try:
    parts.until(0.1, [sys.executable, "-c", "import signal; signal.pause()"])
except parts.subprocess.TimeoutExpired:
    print("until")
try:
    turns.ROOT = pathlib.Path(sys.argv[1])
    turns.Worker(sys.executable, "torch-graph", "vgg_small", 1, limit=0.5)
except RuntimeError as error:
    print(error)
"""


def test_what_hangs_is_ended(tmp_path: Path) -> None:
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "__init__.py").touch()
    (tmp_path / "benchmarks" / "step_worker.py").write_text("import signal; signal.pause()")
    settings = environment({"PYTHONPATH": str(ROOT)})
    command = [sys.executable, "-c", HANGS, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=settings)
    assert done.stdout == "until\ntorch-graph gave no answer within 0.5 seconds\n"


def curve_of(accuracy: list[float | None], epochs: int) -> str:
    return next(iter(curve([{"accuracy": accuracy, "best": 90.5, "epochs": epochs}], {})))


def test_the_last_epoch_is_called_last_where_it_was_tested() -> None:
    assert curve_of([90.5, None, 89.0], 3) == "3 of 3 epochs: best 90.5 %, last 89.0 %\n"
    assert curve_of([90.5, 89.0], 3) == "2 of 3 epochs: best 90.5 %\n"


@pytest.mark.slow
def test_every_part_runs(carried: Path, tmp_path: Path) -> None:
    write_data(tmp_path / "mnist", tmp_path / "cifar")
    write_sanitizer(tmp_path)
    options = ["--mnist", "mnist", "--cifar", "cifar", "--rounds", "1", "--epochs", "2", "--units", "1"]
    done = gpu(carried, "run", *options)
    lines: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert (tmp_path / "gpu-work" / "results.jsonl").read_text() == done.stdout
    of = {part: [line for line in lines if line["part"] == part] for part in ("lenet", "peak", "step", "kernels")}
    assert of["lenet"][-1]["equal"] is True
    assert [line["kernel"] for line in of["peak"] if "tops" in line] == ["nitic_peak_mma", "nitic_peak_wgmma"]
    assert {line["side"] for line in of["step"] if "error" not in line} == {"nitic"}  # no torch on this GPU
    assert {line["side"] for line in of["step"] if "error" in line} == {"torch-graph", "torch-compile"}
    assert done.returncode == 1
    table = json.loads((carried / "vgg_small" / "kernels.json").read_text())
    assert of["kernels"][-1]["kernels"] == len(table["functions"]["train_step"])
    assert sum("tops" in line for line in of["kernels"]) == 7 + 6 + 7  # forward, and the gradients of data and weights
    assert [line["clean"] for line in lines if line["part"] == "sanitizer"] == [True] * 4
    assert len(lines[-1]["accuracy"]) == 2
    told = gpu(carried, "table", tmp_path / "gpu-work" / "results.jsonl").stdout
    assert told.count("\n## ") == 5
    assert "torch-graph failed: " in told
