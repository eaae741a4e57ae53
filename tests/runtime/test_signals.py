"""What ends a run early, or takes its streams away: signals, terminals, closed and broken outputs."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

import numpy as np
import pytest

from tests.runtime.helpers import fail, read_checkpoint, read_terminal, run, start, succeed
from tests.runtime.toolchain import Toolchain

ENDING = [signal.SIGHUP, signal.SIGXCPU, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGQUIT]


# ---- signals


@pytest.mark.parametrize("number", ENDING)
def test_what_ends_a_job_saves(toolchain: Toolchain, data: Path, tmp_path: Path, number: signal.Signals) -> None:
    save = tmp_path / "a"
    process = start(
        toolchain.toy("slow"), "train", "--data", data, "--epochs", "50", "--log-every", "1", "--save", save
    )
    process.send_signal(number)
    stderr = process.communicate(timeout=20)[1]
    assert process.returncode == 130, stderr
    assert f"go on with --resume {save}" in stderr
    assert 0 < read_checkpoint(save)[0]["step"] < 500


def test_programs_may_send_it_twice(toolchain: Toolchain, data: Path, tmp_path: Path) -> None:
    """`timeout` sends SIGTERM to the process and to its group, the kernel sends SIGXCPU every second."""
    save = tmp_path / "a"
    process = start(
        toolchain.toy("slow"), "train", "--data", data, "--epochs", "50", "--log-every", "1", "--save", save
    )
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTERM, signal.SIGXCPU, signal.SIGXCPU):
        process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert save.exists()


def test_nohup_outlives_its_terminal(toolchain: Toolchain, data: Path) -> None:
    command = ["nohup", toolchain.toy("slow"), "train", "--data", data, "--epochs", "2", "--log-every", "1"]
    process = start(Path(command[0]), *command[1:])
    process.send_signal(signal.SIGHUP)
    assert "epoch 2:" in process.communicate(timeout=20)[0]
    assert process.returncode == 0


def test_an_interrupted_evaluation_keeps_the_line_of_its_epoch(
    toolchain: Toolchain, data: Path, tmp_path: Path
) -> None:
    np.save(data / "x_test.npy", np.zeros((400, 2, 3), np.uint8))
    np.save(data / "y_test.npy", np.zeros(400, np.int64))
    save, log = tmp_path / "a", tmp_path / "log"
    options = ["--data", data, "--epochs", "3", "--save", save, "--log", log]
    process = start(toolchain.toy("slow-eval"), "train", *options)
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == 130, stderr
    assert re.fullmatch(r"epoch 1: train loss [\d.]+ accuracy [\d.]+ %\n", stdout)
    event = [json.loads(line) for line in log.read_text().splitlines()][-1]
    assert (event["event"], event["epoch"], "test_loss" in event) == ("epoch", 1, False)
    assert read_checkpoint(save)[0]["epoch"] == 1


def test_no_signal_leaves_a_temporary_file(toolchain: Toolchain, data: Path, tmp_path: Path) -> None:
    """A second SIGINT ends a process at once, but not in the middle of a save."""
    for i in range(8):
        options = ["--epochs", "1000", "--save-every", "1", "--save", tmp_path / "a", "--log-every", "1"]
        process = start(toolchain.toy(), "train", "--data", data, *options)
        time.sleep(i / 1000)
        for _ in range(3):
            process.send_signal(signal.SIGINT)
            time.sleep(0.0003)
        process.communicate(timeout=20)
        assert process.returncode in (130, -signal.SIGINT)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "data"]
        read_checkpoint(tmp_path / "a")


# ---- streams


@pytest.mark.parametrize("closed", ["2>&-", "0<&- 2>&-", "0<&- 1>&- 2>&-"])
def test_a_closed_stream_is_nobody_elses(toy: Path, data: Path, tmp_path: Path, closed: str) -> None:
    """The log would get its descriptor, and hold what is said to people."""
    log, save = tmp_path / "log", tmp_path / "a"
    command = f"'{toy}' train --data '{data}' --epochs 2 --log '{log}' --save '{save}' {closed}"
    done = subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE, check=False)
    assert done.returncode == (1 if "1>&-" in closed else 0)  # results were lost
    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert events == ["start", "interval", "epoch", "interval", "epoch"]
    assert read_checkpoint(save)[0]["epoch"] == 2


def test_predictions_to_a_closed_stream_are_an_error(toy: Path, data: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", f"'{toy}' predict --data '{data}' >&-"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "cannot write to standard output: Bad file descriptor" in done.stderr) == (1, True)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_goes_away_ends_the_run_saved(
    toolchain: Toolchain, data: Path, tmp_path: Path, stream: str
) -> None:
    """As in `train | head`, or where `tee` is killed."""
    save = tmp_path / "a"
    command = [toolchain.toy(), "train", "--data", data, "--epochs", "2000", "--log-every", "1", "--save", save]
    stdout, stderr = (subprocess.PIPE if stream == each else subprocess.DEVNULL for each in ("stdout", "stderr"))
    process = subprocess.Popen(command, stdout=stdout, stderr=stderr)
    pipe = process.stdout or process.stderr
    assert pipe
    while b"epoch 1" not in pipe.readline():
        assert process.poll() is None
    pipe.close()
    assert process.wait(20) == 130
    assert 0 < read_checkpoint(save)[0]["step"] < 20000


def test_predictions_end_quietly_with_their_reader(toy: Path, data: Path) -> None:
    np.save(data / "x_test.npy", np.zeros((100_000, 2, 3), np.uint8))
    np.save(data / "y_test.npy", np.zeros(100_000, np.uint8))
    command = f"'{toy}' predict --data '{data}' | head -n 1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr.count("cannot write")) == ("0\n", 0)


# ---- terminals


@pytest.mark.parametrize("width", [0, 2, 10, 40, 60, 80, 81, 200])
def test_the_progress_bar_fits_its_terminal(toolchain: Toolchain, data: Path, width: int) -> None:
    """One that wraps would leave a line behind with every redraw. A terminal that does not know has 80 columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    command = [toolchain.toy("slow"), "train", "--data", data, "--epochs", "3"]
    with subprocess.Popen(command, stderr=theirs, stdout=subprocess.DEVNULL) as process:
        os.close(theirs)
        bars = [text for text in read_terminal(ours).split("\r\033[K")[1:] if not text.endswith("\n") and text]
        assert process.wait(20) == 0
    assert bars
    assert max(map(len, bars)) < (width or 80)
    if width in (0, 80, 81, 200):
        assert all(re.fullmatch(r"epoch \d/3 \[#*\.*\] \d+/10  loss .* left", bar) for bar in bars)
    if width == 200:
        assert all(bar.index("]") - bar.index("[") == 25 for bar in bars)


# ---- what was there before


def test_a_link_at_a_name_that_can_be_guessed_is_not_followed(toy: Path, data: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    for option in (f"predict --data '{data}' --output", f"train --data '{data}' --epochs 1 --save"):
        victim.write_text("precious")
        out = tmp_path / "out"
        command = f"ln -s victim '{out}.'$$.tmp && exec '{toy}' {option} '{out}'"
        subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, check=True)
        assert victim.read_text() == "precious"
        assert not out.is_symlink()
        out.unlink()


def test_a_link_stays_and_its_target_is_replaced(toy: Path, data: Path, tmp_path: Path) -> None:
    """Through several links, relative ones too, and where there is no target yet."""
    disk = tmp_path / "disk"
    disk.mkdir()
    (tmp_path / "latest").symlink_to("disk/second")
    (disk / "second").symlink_to(tmp_path / "disk" / "run")
    for epochs in (1, 2):
        succeed(toy, "train", "--data", data, "--epochs", str(epochs), "--save", tmp_path / "latest")
        assert read_checkpoint(disk / "run")[0]["epoch"] == epochs
    (tmp_path / "classes").symlink_to("disk/classes.npy")
    succeed(toy, "predict", "--data", data, "--output", tmp_path / "classes")
    assert len(np.load(disk / "classes.npy")) == 10
    assert all((tmp_path / name).is_symlink() for name in ("latest", "disk/second", "classes"))
    assert sorted(p.name for p in disk.iterdir()) == ["classes.npy", "run", "second"]


def test_a_circle_of_links_is_an_error(toy: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for option in ("train", "--save"), ("predict", "--output"):
        sentence = fail(1, toy, option[0], "--data", data, option[1], tmp_path / "a")
        assert "Too many levels of symbolic links" in sentence


def test_pipes_are_written_to(toy: Path, data: Path, tmp_path: Path) -> None:
    done = run(toy, "predict", "--data", data, "--output", "/dev/stdout", encoding="latin1")
    assert done.stdout.startswith("\x93NUMPY")
