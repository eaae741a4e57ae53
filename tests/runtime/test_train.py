"""Whole runs of the toy: results, resuming, threads, signals."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nitic import abi
from nitic.arithmetic.integers import Array
from nitic.data import shuffle
from tests.runtime.conftest import toy_samples
from tests.runtime.helpers import Session, fail, read_checkpoint, read_terminal, run, start, succeed, write_npy
from tests.runtime.toolchain import Toolchain


def test_results_progress_and_log(toy: Path, data: Path, tmp_path: Path) -> None:
    log = tmp_path / "run.jsonl"
    done = run(toy, "train", "--data", data, "--epochs", "2", "--log", log, "--log-every", "4")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("epoch 2: train loss 0.1")
    assert lines[1].endswith(", test loss 0.1386 accuracy 80.00 %")  # 2 of 10 wrong: one bit each
    assert "10 batches of 4, 2 epochs, seed 1" in done.stderr
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert [e["event"] for e in events] == ["start", *["interval"] * 3, "epoch", *["interval"] * 3, "epoch"]
    assert [e["epoch_step"] for e in events if e["event"] == "interval"] == [4, 8, 10] * 2
    assert events[-1]["test_accuracy"] == 0.8
    assert events[-1]["step"] == 20


def test_evaluation_after_an_epoch_is_that_of_eval(toy: Path, data: Path, tmp_path: Path) -> None:
    lines = succeed(toy, "train", "--data", data, "--epochs", "1", "--save", tmp_path / "a").splitlines()
    result = succeed(toy, "eval", "--data", data, "--load", tmp_path / "a")
    assert result == "samples 10 loss 0.1386 accuracy 80.00 %\n"
    assert lines[-1].endswith(result.removeprefix("samples 10 ").strip())


def test_numbers_at_a_limit_are_counted(toy: Path, session: Callable[..., Session], data: Path, tmp_path: Path) -> None:
    stuck, saved, log = session(), tmp_path / "a", tmp_path / "run.jsonl"
    stuck.tensor("w", np.int16, 6)[:] = [32767, 5, -32767, 0, 32766, 1]
    stuck.call("checkpoint_save", saved)
    assert "[6] w, 2 of 6 at the limit\n" in succeed(toy, "info", "--load", saved)
    succeed(toy, "train", "--data", data, "--epochs", "1", "--log", log)
    assert json.loads(log.read_text().splitlines()[-1])["clipped"] == {}


def test_a_data_set_without_test_split(toy: Path, data: Path) -> None:
    (data / "x_test.npy").unlink()
    (data / "y_test.npy").unlink()
    assert "test" not in succeed(toy, "train", "--data", data, "--epochs", "1")
    assert "no samples to test on" in fail(4, toy, "eval", "--data", data)
    assert succeed(toy, "eval", "--data", data, "--split", "train").startswith("samples 42 ")


def test_the_last_partial_batch_is_not_trained_on(toy: Path, data: Path, tmp_path: Path) -> None:
    succeed(toy, "train", "--data", data, "--epochs", "1", "--save", tmp_path / "a")
    assert read_checkpoint(tmp_path / "a")[0]["step"] == 42 // 4


def test_a_batch_that_cannot_be_filled_is_refused(toy: Path, data: Path) -> None:
    write_npy(data, "train", np.zeros((3, 2, 3), np.uint8), np.zeros(3, np.int64))
    assert "3 training samples, expected at least one batch of 4" in fail(4, toy, "train", "--data", data)


def test_a_program_never_trained_calibrates_and_says_so(toy: Path, data: Path) -> None:
    done = run(toy, "eval", "--data", data)
    assert done.returncode == 0
    assert "never trained: calibrating the exponents on the first 4 samples" in done.stderr


@pytest.mark.parametrize("threads", [2, 5, 64])
def test_threads_do_not_change_the_run(toy: Path, data: Path, tmp_path: Path, threads: int) -> None:
    for count in (1, threads):
        succeed(toy, "train", "--data", data, "--epochs", "2", "--save", tmp_path / str(count), "--threads", str(count))
    assert (tmp_path / "1").read_bytes() == (tmp_path / str(threads)).read_bytes()


@pytest.mark.parametrize("sanitizer", ["", "thread"])
def test_measuring_threads_does_not_change_the_run(
    toolchain: Toolchain, toy: Path, data: Path, tmp_path: Path, sanitizer: str
) -> None:
    measuring = toolchain.toy(sanitizer=sanitizer)
    succeed(toy, "train", "--data", data, "--epochs", "3", "--save", tmp_path / "a", "--threads", "1")
    succeed(measuring, "train", "--data", data, "--epochs", "3", "--save", tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("threads", [1, 3, 7])
def test_every_unit_is_done_once(session: Callable[..., Session], threads: int) -> None:
    s = session(threads=threads)
    x, y = np.ones((4, 6), np.uint8), np.zeros(4, np.int32)
    s.set_statistics(np.arange(24, dtype=np.uint8).reshape(4, 6))
    for _ in range(20):
        s.call("step", x, y, None)
    assert (s.tensor("visits", np.int32, 1000) == 20).all()


def test_no_data_race(toolchain: Toolchain, data: Path) -> None:
    succeed(toolchain.toy(sanitizer="thread"), "train", "--data", data, "--epochs", "2", "--threads", "3")


def test_no_memory_error_and_no_leak(toolchain: Toolchain, data: Path, tmp_path: Path) -> None:
    toy, checkpoint = toolchain.toy(sanitizer="memory"), tmp_path / "a"
    succeed(toy, "train", "--data", data, "--epochs", "2", "--save", checkpoint, "--log", tmp_path / "log")
    succeed(toy, "train", "--data", data, "--epochs", "3", "--resume", checkpoint)
    succeed(toy, "predict", "--data", data, "--load", checkpoint, "--logits", tmp_path / "o.npy")
    succeed(toy, "info", "--load", checkpoint)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_in_the_same_bits(
    toolchain: Toolchain, data: Path, tmp_path: Path, number: int
) -> None:
    whole, parts, options = tmp_path / "whole", tmp_path / "parts", ["--data", data, "--epochs", "30", "--seed", "5"]
    succeed(toolchain.toy(), "train", *options, "--lr", "0.3", "--weight-decay", "1e-3", "--save", whole)
    process = start(
        toolchain.toy("slow"),
        "train",
        *options,
        "--lr",
        "0.3",
        "--weight-decay",
        "1e-3",
        "--save",
        parts,
        "--log-every",
        "3",
    )
    process.send_signal(number)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130, stderr
    assert "interrupted after step" in stderr
    assert f"go on with --resume {parts}" in stderr
    between = read_checkpoint(parts)[0]
    assert 0 < between["step"] < 300
    succeed(toolchain.toy(), "train", "--data", data, "--resume", parts, "--save", parts)
    assert parts.read_bytes() == whole.read_bytes()


def test_interrupted_without_save_says_that_nothing_is_saved(toolchain: Toolchain, data: Path) -> None:
    process = start(toolchain.toy("slow"), "train", "--data", data, "--epochs", "100", "--log-every", "1")
    process.send_signal(signal.SIGINT)
    assert "nothing is saved" in process.communicate(timeout=20)[1]
    assert process.returncode == 130


@pytest.mark.parametrize("stop", [0, 1, 9, 10, 13])
def test_resuming_at_any_step_gives_the_same_bits(toolchain: Toolchain, data: Path, tmp_path: Path, stop: int) -> None:
    """The first steps by a session, which knows only its batches, and the rest by the binary."""
    whole, part = tmp_path / "whole", tmp_path / "part"
    train = ["train", "--data", data, "--epochs", "2"]
    succeed(toolchain.toy(), *train, "--save", whole)
    take_steps(Session(toolchain.library()), stop, part)
    succeed(toolchain.toy(), *train, "--resume", part, "--save", part)
    assert part.read_bytes() == whole.read_bytes()


def take_steps(session: Session, steps: int, path: Path) -> None:
    x, y = toy_samples(42, 1)
    session.set_statistics(x)
    progress = session.progress
    progress.seed, progress.epochs, progress.samples = 1, 2, 42
    for step in range(steps):
        if step % 10 == 0:
            progress.epoch, progress.epoch_step = step // 10, 0
            progress.running = abi.Metrics()
            session.begin_epoch(step // 10)
        batch = shuffle(42, 1, step // 10)[step % 10 * 4 :][:4]
        session.call("step", np.ascontiguousarray(x[batch]), y[batch].astype(np.int32), None)
    session.call("checkpoint_save", path)


@pytest.mark.parametrize("stop", [11, 25])
def test_an_epoch_that_is_longer_than_the_binarys_counts_as_finished(
    toolchain: Toolchain, data: Path, tmp_path: Path, stop: int
) -> None:
    """A session in Python decides how long its epochs are."""
    session, part, x = Session(toolchain.library()), tmp_path / "part", np.zeros((4, 2, 3), np.uint8)
    session.set_statistics(toy_samples(42, 1)[0])
    session.progress.epochs = 3
    for _ in range(stop):
        session.call("step", x, np.zeros(4, np.int32), None)
    session.call("checkpoint_save", part)
    done = run(toolchain.toy(), "train", "--data", data, "--resume", part, "--save", part)
    assert done.returncode == 0
    assert f"epoch 1 had {stop} steps already and has 10 here: it counts as finished" in done.stderr
    assert [line[:7] for line in done.stdout.splitlines()] == ["epoch 1", "epoch 2", "epoch 3"]
    assert read_checkpoint(part)[0]["step"] == stop + 20


def test_a_session_works_after_fork(toolchain: Toolchain, data: Path) -> None:
    """fork() copies no threads: the child starts its own, and ends without those of its parent."""
    code = (
        "import os, signal, sys, numpy as np\n"
        "from tests.runtime.helpers import Session\n"
        f"s = Session({str(toolchain.library())!r}, threads=3)\n"
        "x, y = np.arange(24, dtype=np.uint8).reshape(4, 6), np.zeros(4, np.int32)\n"
        "s.set_statistics(x); s.call('step', x, y, None)\n"
        "def child(work):\n"
        "    if os.fork() == 0:\n"
        "        signal.alarm(20); work(); print(s.tensor('w', np.int16, 6).tolist(), flush=True); sys.exit()\n"
        "    assert os.wait()[1] == 0\n"
        "step = lambda: s.call('step', x, y, None)\n"
        "child(step)\n"  # works
        "child(lambda: None)\n"  # ends
        "child(lambda: child(step))\n"  # in the child of a child
        "step(); child(lambda: None)\n"  # and the parent goes on
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, unchanged, deep, outer, last = done.stdout.splitlines()
    assert first == deep == last != unchanged == outer


def test_a_finished_run_has_nothing_to_do_until_it_gets_more_epochs(toy: Path, data: Path, tmp_path: Path) -> None:
    save = tmp_path / "a"
    succeed(toy, "train", "--data", data, "--epochs", "2", "--save", save)
    before = save.read_bytes()
    done = run(toy, "train", "--data", data, "--resume", save, "--save", save)
    assert (done.returncode, done.stdout) == (0, "")
    assert "nothing to do: 2 of 2 epochs are done" in done.stderr
    assert save.read_bytes() == before
    succeed(toy, "train", "--data", data, "--resume", save, "--save", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == before
    assert succeed(toy, "train", "--data", data, "--resume", save, "--epochs", "3").startswith("epoch 3:")


def test_resuming_with_other_seed_or_data_is_refused(toy: Path, data: Path, tmp_path: Path) -> None:
    save = tmp_path / "a"
    succeed(toy, "train", "--data", data, "--epochs", "1", "--save", save)
    resume = ["train", "--data", data, "--resume", save]
    assert "--seed 2 cannot go on with it" in fail(2, toy, *resume, "--seed", "2")
    write_npy(data, "train", np.zeros((8, 2, 3), np.uint8), np.zeros(8, np.int64))
    assert "the run has 42 training samples" in fail(4, toy, *resume)


def test_progress_bar_on_a_terminal(toolchain: Toolchain, data: Path) -> None:
    ours, theirs = pty.openpty()
    command = [toolchain.toy("slow"), "train", "--data", data, "--epochs", "4"]
    with subprocess.Popen(command, stderr=theirs, stdout=subprocess.DEVNULL) as process:
        os.close(theirs)
        text = read_terminal(ours)
        assert process.wait(20) == 0
    assert "\r\033[Kepoch " in text
    assert "/10  loss " in text
    assert "step 10/10:" not in text  # the plain lines are for files and pipes


def test_a_failing_kernel_is_an_error(toolchain: Toolchain, data: Path) -> None:
    assert "kernel visit (call 5) failed" in fail(
        1, toolchain.toy("failing"), "train", "--data", data, "--threads", "3"
    )


def test_input_statistics(session: Callable[..., Session]) -> None:
    from nitic.arithmetic.inputs import input_statistics

    s = session("rgb")
    x = np.random.default_rng(0).integers(0, 200, (50, 2, 3, 3), dtype=np.uint8)
    s.set_statistics(x)
    multiplier, offset = input_statistics(x)
    np.testing.assert_array_equal(s.tensor("input.multiplier", np.int32, 3), multiplier)
    np.testing.assert_array_equal(s.tensor("input.offset", np.int32, 3), offset)


@pytest.mark.parametrize("bright", [40, 2])
def test_input_statistics_cut_off_no_sample(session: Callable[..., Session], bright: int) -> None:
    """Nearly all is black: a bright pixel is many deviations from the mean."""
    from nitic.arithmetic.inputs import fitted, input_map, input_statistics

    s = session("rgb")
    x = np.zeros((50, 2, 3, 3), np.uint8)
    x.reshape(-1, 3)[:bright] = (255, 128, 3)
    s.set_statistics(x)
    multiplier, offset, exponent = fitted(*input_statistics(x))
    np.testing.assert_array_equal(s.tensor("input.multiplier", np.int32, 3), multiplier)
    np.testing.assert_array_equal(s.tensor("input.offset", np.int32, 3), offset)
    assert s.tensor("input.exponent", np.int32, 1)[0] == exponent > -5
    ends = input_map(np.array([[0] * 3, [255] * 3]), multiplier, offset)
    mean, deviation = x.reshape(-1, 3).mean(0), x.reshape(-1, 3).std(0)
    exact = (np.array([[0] * 3, [255] * 3]) - mean) / np.maximum(deviation, np.maximum(mean, 255 - mean) / 7)
    assert np.abs(ends * 2.0**exponent - exact).max() <= 2.0**exponent


@pytest.mark.parametrize("channel", [np.zeros, np.ones, lambda n: np.full(n, 255), lambda n: np.arange(n) == 7])
def test_a_channel_that_hardly_varies_leaves_the_others_their_bits(
    session: Callable[..., Session], channel: Callable[[int], Array]
) -> None:
    s = session("rgb")
    x = np.random.default_rng(0).integers(0, 256, (300, 3)).astype(np.uint8)
    x[:, 1] = channel(300)
    s.set_statistics(x.reshape(50, 2, 3, 3))
    assert s.tensor("input.exponent", np.int32, 1)[0] == -4
    assert (np.abs(127 * s.tensor("input.multiplier", np.int32, 3)[[0, 2]] >> 16) >= 25).all()


def test_equal_samples_become_zero(session: Callable[..., Session]) -> None:
    s = session()
    s.set_statistics(np.full((8, 2, 3), 200, np.uint8))
    multiplier, offset = (s.tensor(f"input.{each}", np.int32, 1)[0] for each in ("multiplier", "offset"))
    assert (200 * multiplier + offset + 2**15) >> 16 == 0 < multiplier
