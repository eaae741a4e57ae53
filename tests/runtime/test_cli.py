"""The command line, variants, predictions, and what the sources promise."""

import os
import re
import resource
import subprocess
from pathlib import Path

import numpy as np
import pytest

from nitic import targets
from nitic.codegen.output.link import STEP_SOURCES
from nitic.data import shuffle
from nitic.paths import runtime_folder, runtime_sources
from tests.runtime.conftest import toy_samples
from tests.runtime.helpers import Session, fail, run, succeed, write_npy
from tests.runtime.toolchain import FLAGS, Toolchain


def test_help(toy: Path) -> None:
    for arguments in (["--help"], ["train", "--help"], ["help"], ["-h"]):
        text = succeed(toy, *arguments).replace(str(toy), "toy")
        assert "train --data DIR" in text
        assert all(f"--{name} " in text for name in ("epochs", "seed", "save", "resume", "gb", "variant", "threads"))
        assert max(map(len, text.splitlines())) <= 120


def test_without_arguments_the_help_goes_to_standard_error(toy: Path) -> None:
    done = run(toy)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", succeed(toy, "--help"))


USAGE = [
    (["teach"], "not teach"),
    (["train"], "train needs --data"),
    (["train", "--data"], "--data needs a value"),
    (["train", "--data", ".", "--epochs", "five"], "--epochs takes a whole number from 1 to 1000000, not 'five'"),
    (["train", "--data", ".", "--epochs=0"], "--epochs takes a whole number from 1 to 1000000, not '0'"),
    (["train", "--data", ".", "--seed", "99999999999999999999"], "--seed takes a whole number from 0"),
    (["train", "--data", ".", "--threads", "65"], "--threads takes a whole number from 1 to 64"),
    (["train", "--data", ".", "--speed", "9"], "'--speed' is no option"),
    (["train", "--data", ".", "file"], "'file' is no option"),
    (["train", "--data", ".", "--save-every", "9"], "--save-every needs --save"),
    (["eval", "--data", ".", "--save", "a"], "eval does not take --save"),
    (["eval", "--data", ".", "--split", "valid"], "--split takes test or train, not 'valid'"),
    (["info", "--variant", "sse9"], "there is no variant 'sse9' in this program: it has avx512vnni, portable"),
]


@pytest.mark.parametrize(("arguments", "expected"), USAGE)
def test_usage(toy: Path, arguments: list[str], expected: str) -> None:
    assert expected in fail(2, toy, *arguments)


def test_info(toy: Path) -> None:
    text = succeed(toy, "info")
    for line in ("model      toy.onnx", "recipe     niti16 with momentum", "batch      4 ", "parameters 6", "portable"):
        assert line in text
    assert "exponent  i32 [] w.exponent = -12" in text
    assert "y.top = never set" in text


def test_variants(toolchain: Toolchain, toy: Path) -> None:
    assert "portable (runs here)" in succeed(toy, "info", "--variant", "portable")
    assert "portable (runs here)" in succeed(toy, "info", env=os.environ | {"NITIC_VARIANT": "portable"})
    supported = targets.runs_here(targets.VARIANTS["avx512vnni"])
    best = "avx512vnni (runs here)" if supported else "avx512vnni (not on this CPU)"
    assert best in succeed(toy, "info", env={})
    done = run(toy, "info", "--variant", "avx512vnni")
    assert done.returncode == (0 if supported else 3)
    assert "has portable" in fail(2, toolchain.toy("portable"), "info", "--variant", "avx512vnni")


def test_predict(toy: Path, data: Path, tmp_path: Path) -> None:
    x, _ = toy_samples(10, 2)
    expected = (x[:, 0, 0] % 3).astype(np.int32)
    assert succeed(toy, "predict", "--data", data) == "".join(f"{c}\n" for c in expected)
    assert succeed(toy, "predict", "--data", data / "x_test.npy").split() == [str(c) for c in expected]
    options = ["--output", tmp_path / "classes.npy", "--logits", tmp_path / "logits.npy"]
    assert succeed(toy, "predict", "--data", data, *options) == "exponent -4\n"
    np.testing.assert_array_equal(np.load(tmp_path / "classes.npy"), expected)
    logits = np.load(tmp_path / "logits.npy")
    assert (logits.shape, logits.dtype) == ((10, 3), np.int8)
    np.testing.assert_array_equal(logits.argmax(1), expected)


def test_predictions_do_not_depend_on_their_batch(toy: Path, data: Path) -> None:
    x, _ = toy_samples(10, 2)
    together = succeed(toy, "predict", "--data", data).split()
    for i in (0, 9):
        np.save(data / "one.npy", x[i : i + 1])
        assert succeed(toy, "predict", "--data", data / "one.npy").split() == [together[i]]


def test_outputs_that_cannot_be_written(toy: Path, data: Path, tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [toy, "predict", "--data", data], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert "cannot write to standard output: No space left on device" in done.stderr
    missing, old = tmp_path / "no" / "file", tmp_path / "old.npy"
    old.write_text("before")
    limit = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))}
    assert "cannot write: File too large" in fail(1, toy, "predict", "--data", data, "--output", old, **limit)
    assert old.read_text() == "before"
    assert list(tmp_path.glob("*.tmp")) == []
    assert "cannot write" in fail(1, toy, "predict", "--data", data, "--output", missing)
    assert "cannot write" in fail(1, toy, "predict", "--data", data, "--logits", "/dev/full")
    assert "cannot write the log" in fail(1, toy, "train", "--data", data, "--log", missing)
    assert "cannot write the log: No space left" in fail(1, toy, "train", "--data", data, "--log", "/dev/full")


@pytest.mark.parametrize(
    ("count", "seed", "epoch"), [(1, 0, 0), (2, 1, 1), (1000, 1, 0), (1000, 1, 1), (999, 2**40 + 5, 3)]
)
def test_shuffle_mirror(toolchain: Toolchain, count: int, seed: int, epoch: int) -> None:
    order = Session(toolchain.library()).shuffle(count, seed, epoch)
    np.testing.assert_array_equal(order, shuffle(count, seed, epoch))
    np.testing.assert_array_equal(np.sort(order), np.arange(count))


def test_the_order_of_a_run_is_the_shuffle(toolchain: Toolchain, data: Path, tmp_path: Path) -> None:
    """The binary's epoch is the session's steps on shuffled batches."""
    x, y = toy_samples(42, 1)
    write_npy(data, "train", x, y)
    succeed(toolchain.toy(), "train", "--data", data, "--epochs", "1", "--seed", "9", "--save", tmp_path / "a")
    whole, steps = Session(toolchain.library()), Session(toolchain.library())
    whole.call("checkpoint_load", tmp_path / "a")
    steps.set_statistics(x)
    steps.progress.seed = 9
    order = shuffle(42, 9, 0)
    for i in range(10):
        batch = order[4 * i : 4 * i + 4]
        steps.call("step", np.ascontiguousarray(x[batch]), y[batch].astype(np.int32), None)
    np.testing.assert_array_equal(steps.tensor("w", np.int16, 6), whole.tensor("w", np.int16, 6))


def test_eval_takes_part_of_a_batch(toolchain: Toolchain) -> None:
    s, x = Session(toolchain.library()), np.array([[1, 0, 0, 0, 9, 9]] * 3, np.uint8)
    s.set_statistics(np.arange(24, dtype=np.uint8).reshape(4, 6))
    s.call("calibrate", x, 3)
    assert s.metrics("eval", x, np.array([1, 2, 1], np.int32), 3) == (256, 2, 3)


def test_no_float_in_the_runtime() -> None:
    sources = sorted(runtime_folder().rglob("*.[ch]"))
    assert set(runtime_sources()) < set(sources)
    for source in sources:
        code = re.sub(r'/\*.*?\*/|"(?:\\.|[^"\\])*"', "", source.read_text(), flags=re.DOTALL)
        assert not re.search(r"\b(float|double)\b|\d\.\d", code), source


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the flag is for x86-64")
@pytest.mark.parametrize("name", STEP_SOURCES)
def test_the_step_loop_needs_no_float_registers(toolchain: Toolchain, tmp_path: Path, name: str) -> None:
    toolchain.cc([*FLAGS, "-mgeneral-regs-only", "-c", str(runtime_folder() / name), "-o", str(tmp_path / "o")])
