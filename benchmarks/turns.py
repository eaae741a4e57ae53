"""Sides that take turns in one run: processes of step_worker.py, and the rounds. No more than Python is needed here."""

import os
import select
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parents[1]


class Worker:
    """A step_worker.py process: `side`, a network, its batch size and threads, and what else the side takes.

    limit: seconds that any answer may take; the process ends where one takes longer.
    """

    def __init__(
        self,
        python: str,
        side: str,
        net: str,
        batch: int,
        threads: int = 1,
        *more: "str | Path",
        limit: float | None = None,
    ) -> None:
        command = [python, "-P", "-m", "benchmarks.step_worker", side, net, *map(str, (batch, threads, *more))]
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": path}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1, env=environment)
        self.side, self.limit = side, limit
        self.held = self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.terminate()
        self.process.wait()

    def run(self, steps: int) -> float:
        """Seconds per step."""
        assert self.process.stdin
        self.process.stdin.write(f"{steps}\n")
        return self._answer() / steps

    def _answer(self) -> float:
        assert self.process.stdout
        if not select.select([self.process.stdout], [], [], self.limit)[0]:
            self.process.kill()
            raise RuntimeError(f"{self.side} gave no answer within {self.limit:g} seconds")
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.side} ended with exit code {self.process.wait()}")
        return float(line)


def take_turns(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Seconds per step of each side in each round; the order is turned round from one to the next."""
    times: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(rounds):
        for side in list(sides) if number % 2 else reversed(list(sides)):
            times[side].append(sides[side]())
    return times


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> tuple[float, float, float]:
    """How many times as fast ours is: the median of the rounds' ratios, the least and the most."""
    ratios = sorted(theirs_ / mine for theirs_, mine in zip(theirs, ours, strict=True))
    return median(ratios), ratios[0], ratios[-1]
