"""Runs training binaries as child processes."""

import signal
import subprocess
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from nitic.driver.compile import compile_model
from nitic.options import CompileOptions


def compile_and_train(options: CompileOptions, arguments: Sequence[str]) -> int:
    """Compile, then `train` with the arguments, and return the exit code. Without an output the binary is not kept."""
    with tempfile.TemporaryDirectory(prefix="nitic-") as folder:
        output = options.output or Path(folder) / options.model.stem
        binary = compile_model(replace(options, output=output))
        resumes = any(word.split("=")[0] == "--resume" for word in arguments)  # a checkpoint brings its seed along
        seed = [] if resumes else ["--seed", str(options.seed)]
        return run(binary, ["train", *seed, *arguments])


def run(binary: Path, arguments: Sequence[str]) -> int:
    """Run a binary on this terminal. Returns its exit code, 128 + the signal's number if a signal ended it."""
    return _run(binary, arguments)[0]


def run_for_result(binary: Path, arguments: Sequence[str]) -> tuple[int, str]:
    """As `run`, with what the binary writes to its standard output."""
    return _run(binary, arguments, stdout=subprocess.PIPE)


def _run(binary: Path, arguments: Sequence[str], stdout: int | None = None) -> tuple[int, str]:
    with _interrupts_left_to_the_child():
        done = subprocess.run([str(binary.resolve()), *arguments], stdout=stdout, text=True, check=False)
    return (done.returncode if done.returncode >= 0 else 128 - done.returncode), done.stdout or ""


@contextmanager
def _interrupts_left_to_the_child() -> Generator[None]:
    """On Ctrl-C the binary saves its checkpoint: wait for it. (A handler, since the child would inherit SIG_IGN.)"""
    previous = signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
