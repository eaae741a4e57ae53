"""Work for several processes, which take the next piece whenever they are free."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import tempfile
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar, cast

from nitic.errors import CompileError, ExitCode
from nitic.signals import leave_to_parent

T = TypeVar("T")
Count = Callable[[int], None]
"""Called with the number of pieces that are done."""


def in_processes(work: Callable[[int], T], pieces: int, jobs: int | None = None, count: Count | None = None) -> list[T]:
    """[work(0), ..., work(pieces - 1)]: each process inherits everything, and what it makes is sent back.

    Raises what a process raised, with the traceback of that process as a note, unless it is a CompileError: that one is
    the user's. LLVM ends its process when it cannot write.
    """
    with _started(work, pieces, min(pieces, jobs or processors())) as pipes:
        answers = _collect(pipes, count or (lambda _: None))
    return [answers[i] for i in range(pieces)]


@contextmanager
def beside(work: Callable[[], T]) -> Generator[Callable[[], T]]:
    """A process that does the work while this one goes on; what is yielded waits for the result, as in_processes."""
    with _started(lambda _: work(), 1, 1) as pipes:
        yield lambda: _collect(pipes, lambda _: None)[0]


@contextmanager
def _started(work: Callable[[int], Any], pieces: int, jobs: int) -> Generator[list[Connection]]:
    """Processes at work, by the pipes that their answers come from; they end with the context."""
    context = multiprocessing.get_context("fork")
    turn = context.Value("q", 0)
    pipes = [context.Pipe(duplex=False) for _ in range(jobs)]
    children = [context.Process(target=_work, args=(work, pieces, turn, end), daemon=True) for _, end in pipes]
    for child, (_, end) in zip(children, pipes, strict=True):
        child.start()
        end.close()
    try:
        yield cast("list[Connection]", [end for end, _ in pipes])
    finally:
        for child in children:
            child.kill()
            child.join()


def _work(work: Callable[[int], T], pieces: int, turn: Any, end: Connection) -> None:
    """One process: an answer for each piece, then None."""
    gc.freeze()  # what is inherited is no garbage, and stays shared
    leave_to_parent()
    while True:
        with turn.get_lock():
            piece, turn.value = turn.value, turn.value + 1
        if piece >= pieces:
            end.send(None)
            return
        try:
            end.send((piece, work(piece)))
        except Exception as error:  # noqa: BLE001  it is raised again in the parent
            end.send(_sendable(error))
            return


def _sendable(error: Exception) -> Exception:
    """The error as the parent shall raise it. One that cannot be pickled becomes a RuntimeError."""
    if isinstance(error, CompileError):
        return error
    told = f"in a child process:\n{traceback.format_exc()}"
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  its own bytes
    except Exception:  # noqa: BLE001  a constructor may raise anything
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(told)
    return error


def _collect(pipes: list[Connection], count: Count) -> dict[int, T]:
    answers: dict[int, T] = {}
    while pipes:
        for pipe in cast("list[Connection]", wait(pipes)):
            answer = _receive(pipe)
            if answer is None:
                pipes.remove(pipe)
            else:
                answers[answer[0]] = answer[1]
                count(len(answers))
    return answers


def _receive(pipe: Connection) -> tuple[int, Any] | None:
    try:
        answer = pipe.recv()
    except EOFError:
        message = f"a process of the compiler stopped: the disk of {tempfile.gettempdir()} may be full"
        raise CompileError("", message, exit_code=ExitCode.RUN_TIME) from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def processors() -> int:
    """How many processes can work at the same time."""
    return len(os.sched_getaffinity(0))
