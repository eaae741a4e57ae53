"""What `nitic train` passes on to the binary."""

import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from nitic.driver import launch
from nitic.options import CompileOptions


@pytest.mark.parametrize(
    ("arguments", "passed"),
    [
        (["--data", "d"], ["train", "--seed", "5", "--data", "d"]),
        (["--resume", "a.ckpt"], ["train", "--resume", "a.ckpt"]),
        (["--resume=a.ckpt"], ["train", "--resume=a.ckpt"]),
    ],
)
def test_a_checkpoint_brings_its_seed(monkeypatch: pytest.MonkeyPatch, arguments: list[str], passed: list[str]) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr(launch, "compile_model", lambda _options: Path("/dev/null"))
    monkeypatch.setattr(launch, "become", lambda _program, words: calls.append(words))
    launch.compile_and_train(CompileOptions(model=Path("net.onnx"), seed=5), arguments)
    assert calls == [["/dev/null", *passed]]


# ---- what ends a job reaches the binary


def start(command: str, **options: Any) -> "subprocess.Popen[str]":
    """A process that runs this Python, once it has said that it is ready."""
    words = [sys.executable, "-c", f"from nitic.driver import launch; from pathlib import Path; {command}"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, **options)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A program that says its process, and by which signal it was ended. Bash is wordy to traps: it is no binary."""
    path = tmp_path / "trap"
    lines = ["import os, signal", "def end(number, _): print('got', number); raise SystemExit(130)"]
    lines += ["for n in (1, 2, 10, 12, 15, 24): signal.signal(n, end)", "print('ready', flush=True); signal.pause()"]
    path.write_text(f"#!{sys.executable}\n" + "\n".join(lines) + "\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU])
def test_a_binary_that_is_waited_for_gets_the_signals(trap: Path, number: signal.Signals) -> None:
    process = start(f"raise SystemExit(launch.run(Path('{trap}'), []))")
    process.send_signal(number)
    assert process.communicate(timeout=20)[0] == f"got {number.value}\n"
    assert process.returncode == 130


def test_a_process_becomes_the_binary(tmp_path: Path) -> None:
    """It keeps the process, not what Python ignores, and needs no file any more."""
    copy = tmp_path / "copy"
    shutil.copy("/bin/sleep", copy)
    opened = f"p = os.open('{copy}', os.O_RDONLY); Path('{copy}').unlink()"
    process = start(f"import os; {opened}; print('ready'); launch.become(p, ['sleep', '60'])")
    words = Path(f"/proc/{process.pid}/cmdline")
    deadline = time.monotonic() + 20
    while words.read_bytes() != b"sleep\x0060\x00" and time.monotonic() < deadline:
        time.sleep(0.01)
    ignored = re.search(r"^SigIgn:\t(\w+)$", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
    assert ignored  # whoever runs the tests may ignore others: nohup, a shell's background
    assert not any(int(ignored[1], 16) >> (number - 1) & 1 for number in (signal.SIGPIPE, signal.SIGXFSZ))
    process.terminate()
    assert process.wait(20) == -signal.SIGTERM
