"""Runs training binaries as child processes."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import NoReturn

from nitic import targets
from nitic.driver.compile import compile_model
from nitic.errors import CompileError, ExitCode
from nitic.options import CompileOptions
from nitic.signals import ENDING
from nitic.targets.base import HERE


def compile_and_train(options: CompileOptions, arguments: Sequence[str]) -> NoReturn:
    """Compile, then become `train` with the arguments. Without an output no binary is kept. Raises CompileError."""
    if targets.find(options.target).platform != HERE:
        message = f"{options.target} is for other machines, and 'nitic train' runs the program here"
        raise CompileError("--target", message, "use 'nitic compile'", ExitCode.USAGE)
    with tempfile.TemporaryDirectory(prefix="nitic-") as folder:
        output = options.output or Path(folder) / options.model.stem
        binary = compile_model(replace(options, output=output))
        program = os.open(binary, os.O_RDONLY)  # it needs no name any more
    resumes = any(word.split("=")[0] == "--resume" for word in arguments)  # a checkpoint brings its seed along
    seed = [] if resumes else ["--seed", str(options.seed)]
    become(program, [str(binary), "train", *seed, *arguments])


def become(program: int, words: Sequence[str]) -> NoReturn:
    """This process goes on as another program, an open file: what is sent to it reaches that one, and nobody is left.

    words: the name that the program goes by, and its arguments.
    """
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)  # Python ignores them, and that would be inherited
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(program, list(words), os.environ)  # noqa: S606  a binary that nitic has made


def run(binary: Path, arguments: Sequence[str]) -> int:
    """Run a binary on this terminal. Returns its exit code, 128 + the signal's number if a signal ended it."""
    return _run(binary, arguments)[0]


def run_for_result(binary: Path, arguments: Sequence[str]) -> tuple[int, str]:
    """As `run`, with what the binary writes to its standard output."""
    return _run(binary, arguments, stdout=subprocess.PIPE)


def _run(binary: Path, arguments: Sequence[str], stdout: int | None = None) -> tuple[int, str]:
    with subprocess.Popen([str(binary.resolve()), *arguments], stdout=stdout, text=True) as child, _passed_on(child):
        result, _ = child.communicate()
    return (child.returncode if child.returncode >= 0 else 128 - child.returncode), result or ""


@contextmanager
def _passed_on(child: "subprocess.Popen[str]") -> Generator[None]:
    """What ends a job ends the child, which saves its checkpoint: wait for it. Ctrl-C goes to both of them anyway."""

    def pass_on(number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGINT:
            child.send_signal(number)

    taken = [number for number in (signal.SIGINT, *ENDING) if signal.getsignal(number) != signal.SIG_IGN]
    previous = {number: signal.signal(number, pass_on) for number in taken}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
