"""Runs training binaries as child processes."""

import signal
import subprocess
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from nitic import driver
from nitic.options import CompileOptions


def compile_and_train(options: CompileOptions, arguments: Sequence[str]) -> int:
    """Compile, then `train` with the arguments, and return the exit code. Without an output the binary is not kept."""
    with tempfile.TemporaryDirectory(prefix="nitic-") as folder:
        output = options.output or Path(folder) / options.model.stem
        binary = driver.compile_model(replace(options, output=output))
        return run(binary, ["train", "--seed", str(options.seed), *arguments])


def run(binary: Path, arguments: Sequence[str]) -> int:
    """Run a binary on this terminal. Returns its exit code, 128 + the signal's number if a signal ended it."""
    with _interrupts_left_to_the_child():
        code = subprocess.call([str(binary.resolve()), *arguments])
    return code if code >= 0 else 128 - code


@contextmanager
def _interrupts_left_to_the_child() -> Generator[None]:
    """On Ctrl-C the binary saves its checkpoint: wait for it. (A handler, since the child would inherit SIG_IGN.)"""
    previous = signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
