"""Signals that end a job, and standard streams that are closed: what is asked of every command."""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

Handler = Callable[[int, FrameType | None], None]

ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGXCPU, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)
"""What terminals and batch systems send besides SIGINT."""


def end_as_interrupted() -> None:
    """These signals end the process as Ctrl-C does: temporary files are removed, and child processes end.

    What is ignored stays so: nohup has asked for it.
    """
    for number in ENDING:
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    for number in (signal.SIGINT, *ENDING):
        signal.signal(number, signal.SIG_IGN)  # a second one must not interrupt the cleaning
    raise KeyboardInterrupt


def leave_to_parent() -> None:
    """For a child that may get the same signals as its parent, who then ends it."""
    for number in (signal.SIGINT, *ENDING):
        signal.signal(number, signal.SIG_IGN)


def open_standard_streams() -> None:
    """Where a standard stream is closed, the next file that is opened would take its place, and what is said, too."""
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != descriptor:
                os.dup2(null, descriptor)
                os.close(null)
            os.set_inheritable(descriptor, True)
            setattr(sys, name, os.fdopen(descriptor, mode, closefd=False))
