"""Seconds per training step and peak memory, beside torch fp32 on the same number of threads.

    python benchmarks/step.py [--threads 1] [--nets lenet,vgg_small]

Both sides stay warm in processes of their own and take turns in short rounds, so that a change of the machine's speed
meets both; the speed-up is the median of the rounds' ratios. Memory is the highest RssAnon + RssShmem during training
steps, of the whole process and without what it held after loading its libraries.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Self

from networks import BATCHES, WRITERS
from step_worker import memory

from nitic import driver
from nitic.options import CompileOptions, Emit

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Case:
    """A network, how many steps a round has and how many rounds there are."""

    net: str
    steps: int
    rounds: int

    @property
    def batch(self) -> int:
        return BATCHES[self.net]


CASES = (Case("lenet", steps=20, rounds=15), Case("vgg_small", steps=1, rounds=7))


class Worker:
    """A step_worker.py process."""

    def __init__(self, python: str, side: str, case: Case, threads: int, library: Path | None = None) -> None:
        command = [python, str(HERE / "step_worker.py"), side, case.net, str(case.batch), str(threads)]
        command += [str(library)] if library else []
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1, env=environment)
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

    def peak_memory(self, steps: int) -> float:
        """MiB while the steps run, by polling: the kernel keeps no high-water mark without file-backed pages."""
        peak, done = 0.0, threading.Event()

        def poll() -> None:
            nonlocal peak
            while not done.is_set():
                peak = max(peak, memory(self.process.pid))
                time.sleep(0.001)

        watcher = threading.Thread(target=poll)
        watcher.start()
        try:
            self.run(steps)
        finally:
            done.set()
            watcher.join()
        return peak

    def _answer(self) -> float:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the worker ended with exit code {self.process.wait()}")
        return float(line)


def compile_library(case: Case, folder: Path) -> Path:
    model, library = folder / f"{case.net}.onnx", folder / f"{case.net}.so"
    WRITERS[case.net]().save(model)
    start = time.perf_counter()
    driver.compile_model(CompileOptions(model=model, output=library, batch_size=case.batch, emit=Emit.LIB))
    print(f"{case.net}: compiled in {time.perf_counter() - start:.1f} s", flush=True)
    return library


def compare(case: Case, ours: Worker, torch: Worker) -> None:
    """Warm up, take turns (each goes first in every other round), then measure memory."""
    for worker in (ours, torch):
        worker.run(max(2, case.steps))
    times: dict[Worker, list[float]] = {ours: [], torch: []}
    for number in range(case.rounds):
        for worker in (ours, torch) if number % 2 else (torch, ours):
            times[worker].append(worker.run(case.steps))
    ratios = sorted(theirs / mine for mine, theirs in zip(times[ours], times[torch], strict=True))
    print(
        f"{case.net}, batch {case.batch}: {median(ratios):.2f} times as fast as torch fp32"
        f" (rounds {ratios[0]:.2f} to {ratios[-1]:.2f})"
    )
    for name, worker in (("nitic", ours), ("torch", torch)):
        milliseconds, peak = 1e3 * median(times[worker]), worker.peak_memory(max(5, case.steps))
        print(
            f"  {name}  {milliseconds:9.3f} ms per step   {peak:7.1f} MiB, {peak - worker.held:7.1f} without libraries"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--nets", default="lenet,vgg_small")
    parser.add_argument("--torch-python", default=sys.executable, help="an interpreter that has torch, if not this one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for case in (case for case in CASES if case.net in options.nets.split(",")):
            library = compile_library(case, Path(folder))
            with (
                Worker(sys.executable, "nitic", case, options.threads, library) as ours,
                Worker(options.torch_python, "torch", case, options.threads) as torch,
            ):
                compare(case, ours, torch)


if __name__ == "__main__":
    main()
