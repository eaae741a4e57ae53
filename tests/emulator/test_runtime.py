"""Binaries for GPUs, whole, on a driver whose GPU is the emulator: each command ends in the bytes of that of a CPU."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nitic.driver.compile import compile_model
from nitic.driver.inspect import describe
from nitic.options import CompileOptions, Emit
from tests.emulator.binaries import (
    BATCH,
    SETTINGS,
    STEPS,
    Pair,
    compile_emulated,
    compile_mutant,
    compiled,
    depthwise,
    environment,
    guessing_wrong,
    is_wrong,
    memory_for,
    run,
    succeed,
    training,
)
from tests.emulator.emulator import FOLDER, needs_compiler
from tests.runtime.helpers import read_checkpoint

pytestmark = needs_compiler


def case(name: str, recipe: str) -> Any:
    """One process has what is compiled for a network."""
    return pytest.param(name, recipe, marks=pytest.mark.xdist_group(f"emulated-{name}-{recipe}"))


OF_A_RUN = ("milliseconds", "variant", "threads", "device")
CASES = [case("lenet", "niti16"), case("lenet", "niti"), case("normalised", "niti16"), case("depthwise", "niti")]


@pytest.fixture
def pair() -> Pair:
    return compiled("depthwise", "niti")


@pytest.mark.parametrize(("name", "recipe"), CASES)
def test_checkpoints_equal_those_of_a_cpu(name: str, recipe: str, tmp_path: Path) -> None:
    pair = compiled(name, recipe)
    told = succeed(pair.cpu, *training(pair, tmp_path / "cpu"))
    for settings in SETTINGS:
        assert succeed(pair.gpu, *training(pair, tmp_path / "gpu"), **settings) == told
        assert (tmp_path / "gpu").read_bytes() == (tmp_path / "cpu").read_bytes()


@pytest.mark.parametrize(("name", "recipe"), [*CASES, case("vgg_narrow", "niti"), case("resnet8", "niti16")])
def test_no_guess_changes_a_checkpoint(name: str, recipe: str, tmp_path: Path) -> None:
    """Whether shifts are guessed from the step before, or every guess is forced to be wrong."""
    pair = compiled(name, recipe)
    told = succeed(pair.cpu, *training(pair, tmp_path / "cpu", "--epochs", "1"))
    for settings in (SETTINGS[0], {**SETTINGS[1], **guessing_wrong(pair)}):
        assert succeed(pair.gpu, *training(pair, tmp_path / "gpu", "--epochs", "1"), **settings) == told
        assert (tmp_path / "gpu").read_bytes() == (tmp_path / "cpu").read_bytes()


@pytest.mark.xdist_group("emulated-depthwise-niti")
@pytest.mark.parametrize("settings", SETTINGS)
def test_logs_equal_those_of_a_cpu(pair: Pair, settings: Mapping[str, str], tmp_path: Path) -> None:
    """With augmentation, and intervals that do not divide an epoch."""
    options = ("--augment", "crop:1,flip", "--log-every", "2", "--save-every", "3")
    logs: list[list[dict[str, Any]]] = []
    for program in (pair.cpu, pair.gpu):
        log = tmp_path / f"{program.name}.jsonl"
        succeed(program, *training(pair, tmp_path / program.name, *options, "--log", log), **settings)
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        assert lines[0].get("device") == ("Emulated GPU" if program == pair.gpu else None)
        logs.append([{key: value for key, value in line.items() if key not in OF_A_RUN} for line in lines])
    assert logs[0] == logs[1]
    assert (tmp_path / "gpu").read_bytes() == (tmp_path / "cpu").read_bytes()


@pytest.mark.xdist_group("emulated-depthwise-niti")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("goes_on", ["gpu", "cpu"])
def test_killed_and_resumed(pair: Pair, goes_on: str, number: signal.Signals, tmp_path: Path) -> None:
    """On whichever device."""
    checkpoint = tmp_path / "ckpt"
    command = [str(word) for word in (pair.gpu, *training(pair, checkpoint, "--save-every", "1"))]
    with subprocess.Popen(command, env=environment(SETTINGS[0]), stderr=subprocess.DEVNULL) as process:
        while not checkpoint.exists():
            assert process.poll() is None
            time.sleep(0.001)
        process.send_signal(number)
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    assert 0 < read_checkpoint(checkpoint)[0]["step"] < 2 * STEPS
    succeed(getattr(pair, goes_on), *training(pair, checkpoint, "--resume", checkpoint))
    succeed(pair.cpu, *training(pair, tmp_path / "unbroken"))
    assert checkpoint.read_bytes() == (tmp_path / "unbroken").read_bytes()


@pytest.mark.parametrize(("name", "recipe"), CASES[2:])
@pytest.mark.parametrize("is_trained", [False, True])
def test_eval_and_predict_equal_those_of_a_cpu(name: str, recipe: str, is_trained: bool, tmp_path: Path) -> None:
    """Also of weights that were never trained, which need calibration."""
    pair, load = compiled(name, recipe), list[str | Path]()
    if is_trained:
        succeed(pair.cpu, *training(pair, tmp_path / "ckpt"))
        load = ["--load", tmp_path / "ckpt"]
    told: list[list[str]] = []
    for program in (pair.cpu, pair.gpu):
        logits = tmp_path / f"{program.name}.npy"
        evaluated = succeed(program, "eval", "--data", pair.data, *load)
        predicted = succeed(program, "predict", "--data", pair.data / "x_test.npy", *load, "--logits", logits)
        told.append([evaluated, predicted])
    assert told[0] == told[1]
    assert (tmp_path / "cpu.npy").read_bytes() == (tmp_path / "gpu.npy").read_bytes()


@pytest.mark.xdist_group("emulated-depthwise-niti")
def test_info_needs_no_gpu(pair: Pair) -> None:
    assert "variant    cuda (runs here): arena " in succeed(pair.gpu, "info")
    told = succeed(pair.gpu, "info", NITIC_FAKE_DEVICES="0")
    assert "; it does not run here: the NVIDIA driver finds no GPU (" in told


@pytest.mark.xdist_group("emulated-depthwise-niti")
def test_inspect_tells_what_kernels_take(pair: Pair) -> None:
    told = describe(pair.gpu)
    assert "kernels, shared memory of a block, registers of a thread (+ bytes spilled): sm_80\n" in told
    assert re.search(r"^    gemm_bias_range_\d +9,\d+    46\+8$", told, re.MULTILINE)
    assert "kernels, " not in describe(pair.cpu)


FAILURES = {
    "CAPABILITY=75": (3, "the GPU Emulated GPU is too old: its compute capability is 7.5, at least 8.0 is needed"),
    "DEVICES=0": (3, "the NVIDIA driver finds no GPU (CUDA_VISIBLE_DEVICES may hide them)"),
    "MEMORY=5000": (1, " bytes of memory on the GPU Emulated GPU, where 5000 of 8589934592 are free"),
    "FAILURE=nitic_": (1, "the GPU could not finish a step: an error of the fake driver (error 719)"),
    "VERSION=12080": (1, "the GPU could not load its kernels (compute capability 8.0, driver of CUDA 12.8)"),
}


@pytest.mark.xdist_group("emulated-depthwise-niti")
@pytest.mark.parametrize("which", FAILURES)
def test_what_a_machine_lacks_is_said(pair: Pair, which: str, tmp_path: Path) -> None:
    code, sentence = FAILURES[which]
    name, _, value = which.partition("=")
    done = run(pair.gpu, *training(pair, tmp_path / "ckpt"), **{f"NITIC_FAKE_{name}": value})
    assert (done.returncode, sentence in done.stderr.splitlines()[-1]) == (code, True), done.stderr
    assert not (tmp_path / "ckpt").exists()


@pytest.mark.xdist_group("emulated-depthwise-niti")
def test_it_has_no_variants_of_a_cpu(pair: Pair) -> None:
    done = run(pair.gpu, "eval", "--data", pair.data, "--variant", "portable")
    assert done.returncode == 2
    assert "there is no variant 'portable' in this program: it has cuda" in done.stderr
    assert succeed(pair.gpu, "eval", "--data", pair.data, "--variant", "cuda", NITIC_VARIANT="portable")


@pytest.mark.xdist_group("emulated-depthwise-niti")
def test_no_driver(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "libcuda.so.1").write_text("no library")
    done = run(pair.gpu, "eval", "--data", pair.data, LD_LIBRARY_PATH=str(tmp_path))
    assert done.returncode == 3
    assert "this program needs an NVIDIA GPU, and the machine has no driver of one: " in done.stderr
    assert succeed(pair.cpu, "eval", "--data", pair.data, LD_LIBRARY_PATH=str(tmp_path))


@pytest.mark.xdist_group("emulated-depthwise-niti")
def test_what_make_test_gpu_does(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "case").symlink_to(pair.data)
    script = FOLDER.parent / "gpu" / "check.py"
    told = succeed(Path(sys.executable), script, tmp_path).splitlines()
    assert [line.split()[-1] for line in told[:5]] == ["ok"] * 5
    (tmp_path / "case").unlink()
    assert run(Path(sys.executable), script, tmp_path).returncode == 1  # nothing was compared


def test_make_test_gpu_goes_on_behind_a_program_that_dies_without_a_word(tmp_path: Path) -> None:
    for case in ("a", "b"):
        (tmp_path / case).mkdir()
        for program in ("cpu", "gpu"):
            (tmp_path / case / program).write_text("#!/bin/sh\nkill -SEGV $$\n")
            (tmp_path / case / program).chmod(0o755)
    done = run(Path(sys.executable), FOLDER.parent / "gpu" / "check.py", tmp_path)
    assert done.returncode == 1
    assert [line.split(maxsplit=1) for line in done.stdout.splitlines()] == [
        [case, "cpu train ended with -11"] for case in ("a", "b")
    ]


def test_make_test_gpu_ends_a_program_that_hangs(tmp_path: Path) -> None:
    """And what that has started."""
    (tmp_path / "case").mkdir()
    for program in ("cpu", "gpu"):
        (tmp_path / "case" / program).write_text("#!/bin/sh\nsleep 60\n")
        (tmp_path / "case" / program).chmod(0o755)
    script = f"import check, sys; check.LIMIT = 0.5; sys.argv[1:] = ['{tmp_path}']; check.main()"
    done = run(Path(sys.executable), "-c", script, PYTHONPATH=str(FOLDER.parent / "gpu"))
    assert done.returncode == 1
    assert done.stdout.split(maxsplit=1) == ["case", "cpu train did not end within 0.5 seconds\n"]


LIBRARY_SCRIPT = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import numpy as np
from tests.runtime.helpers import Session

x, y = np.load(Path(sys.argv[1]) / "x_train.npy")[:8], np.load(Path(sys.argv[1]) / "y_train.npy")[:8].astype(np.int32)
for library in map(Path, sys.argv[2:]):
    session = Session(library)
    session.set_statistics(x)
    session.begin_epoch(0)
    told = [session.metrics("step", x, y) for _ in range(2)]
    name = "fc.weight"
    session.tensor(name, np.int8, 10)[:5] = 3  # the next step takes it
    with ThreadPoolExecutor() as pool:  # a session may go to another thread
        told.append(pool.submit(session.metrics, "step", x, y).result())
    told.append(session.metrics("eval", x, y, 8))
    print(told, session.tensor(name, np.int8, 100).tolist())
    session.c.nitic_session_reset(session.handle)
    session.set_statistics(x)
    print(session.metrics("step", x, y) == told[0])
"""


@pytest.mark.xdist_group("emulated-depthwise-niti")
def test_library(tmp_path: Path) -> None:
    depthwise().save(tmp_path / "m.onnx")
    options = CompileOptions(
        tmp_path / "m.onnx", tmp_path / "cpu.so", "niti", batch_size=BATCH, emit=Emit.LIB, target="x86-64-portable"
    )
    made = [compile_model(options), compile_emulated(replace(options, output=tmp_path / "gpu.so"))]
    told = succeed(Path(sys.executable), "-c", LIBRARY_SCRIPT, compiled("depthwise", "niti").data, *made).splitlines()
    assert told[:2] == told[2:]
    assert told[1] == "True"


# What the runtime has for other reasons than to work in the simplest order of events.
MUTANTS = {
    "the copies are not waited for": ("cuda/device.c", "cu->stream_wait(d->computing, s->uploaded, 0)", "0"),
    "a batch is written before it is read": ("cuda/device.c", "return SLOTS;", "return SLOTS + 1;"),
    "a run is not waited for": ("cuda/device.c", "d->driver.event_finish(s->done)", "0"),
    "stages begin early": ("cuda/graph.c", "launch->follows && b->phase_count > 0", "false"),
    "the state is not brought back": ("cuda/device.c", "d->gpu_is_newer |= ", "d->gpu_is_newer = false && "),
    "the state is not waited for": ("cuda/device.c", "result = cu->stream_finish(d->computing)", "result = 0"),
    "a thread has no context": ("cuda/device.c", "d->driver.context_set(d->handles.context)", "0"),
    "memory is left behind": ("cuda/device.c", "cu->release(d->memory)", "(void)0"),
    "phases begin early": ("cuda/graph.c", "if (b->function->calls[i].starts_phase)", "if (false)"),
    "ranges keep the last step's": ("cuda/graph.c", "gpu->ranges, gpu->range_bytes)", "gpu->ranges, 1)"),
    "sums keep the last step's": ("cuda/graph.c", "i < launch->zeroed_count && status", "false && status"),
}


@pytest.mark.xdist_group("emulated-depthwise-niti")
@pytest.mark.parametrize("mutant", MUTANTS)
def test_mutants_are_found(pair: Pair, mutant: str, tmp_path: Path) -> None:
    """Whether the GPU has the data or they come from the host."""
    gpu = compile_mutant(pair, *MUTANTS[mutant], tmp_path)
    assert is_wrong(pair, gpu, tmp_path)
    assert is_wrong(pair, gpu, tmp_path, **memory_for(pair, 0))
