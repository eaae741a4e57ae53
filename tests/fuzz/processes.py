"""Runs each case in a process of its own, so that one that crashes or hangs is a result like another."""

import multiprocessing
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from typing import Any


@dataclass(frozen=True)
class _Running:
    item: Any
    process: ForkProcess
    pipe: Any  # multiprocessing's types for it differ between systems
    deadline: float

    def answer(self) -> str:
        """What the work said; what became of the process where it said nothing."""
        if time.monotonic() >= self.deadline and not self.pipe.poll():
            self.process.kill()
            return "it hangs"
        try:
            return self.pipe.recv()
        except EOFError:
            self.process.join()
            code = self.process.exitcode or 0
            return f"the process ended with {signal.Signals(-code).name if code < 0 else code}"


def in_own_processes(
    work: Callable[[Any], str], items: Iterable[Any], jobs: int, limit_s: float
) -> Iterator[tuple[Any, str]]:
    """(item, what work says of it), in the order in which they end, at most `jobs` at a time."""
    context, running, rest = multiprocessing.get_context("fork"), list[_Running](), iter(items)
    while True:
        while len(running) < jobs and (item := next(rest, None)) is not None:
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_work, args=(work, item, theirs))
            process.start()
            theirs.close()
            running.append(_Running(item, process, ours, time.monotonic() + limit_s))
        if not running:
            return
        wait([each.pipe for each in running], min(each.deadline for each in running) - time.monotonic())
        for each in [r for r in running if r.pipe.poll() or time.monotonic() >= r.deadline]:
            running.remove(each)
            yield each.item, each.answer()
            each.process.join()


def _work(work: Callable[[Any], str], item: Any, pipe: Any) -> None:
    pipe.send(work(item))
