"""Seconds per training step and peak memory, beside torch fp32 on the same number of threads.

    python -m benchmarks.speed.step [--threads 1] [--nets lenet,vgg_small]

Both sides stay warm in processes of their own and take turns in short rounds, so that a change of the machine's speed
meets both; the speed-up is the median of the rounds' ratios. Memory is the highest RssAnon + RssShmem during training
steps, of the whole process and without what it held after loading its libraries.
"""

import argparse
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.speed.networks import BATCHES, WRITERS
from benchmarks.step_worker import memory
from benchmarks.turns import Worker, ratio, take_turns
from nitic.driver.compile import compile_model
from nitic.options import CompileOptions, Emit


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


def peak_memory(worker: Worker, steps: int) -> float:
    """MiB while the steps run, by polling: the kernel keeps no high-water mark without file-backed pages."""
    peak, done = 0.0, threading.Event()

    def poll() -> None:
        nonlocal peak
        while not done.is_set():
            peak = max(peak, memory(worker.process.pid))
            time.sleep(0.001)

    watcher = threading.Thread(target=poll)
    watcher.start()
    try:
        worker.run(steps)
    finally:
        done.set()
        watcher.join()
    return peak


def compile_library(case: Case, folder: Path) -> Path:
    model, library = folder / f"{case.net}.onnx", folder / f"{case.net}.so"
    WRITERS[case.net]().save(model)
    start = time.perf_counter()
    compile_model(CompileOptions(model=model, output=library, batch_size=case.batch, emit=Emit.LIB))
    print(f"{case.net}: compiled in {time.perf_counter() - start:.1f} s", flush=True)
    return library


def compare(case: Case, ours: Worker, torch: Worker) -> None:
    """Warm up, take turns (each goes first in every other round), then measure memory."""
    workers = {"nitic": ours, "torch": torch}
    for worker in workers.values():
        worker.run(max(2, case.steps))
    times = take_turns({name: partial(worker.run, case.steps) for name, worker in workers.items()}, case.rounds)
    middle, least, most = ratio(times["torch"], times["nitic"])
    print(
        f"{case.net}, batch {case.batch}: {middle:.2f} times as fast as torch fp32 (rounds {least:.2f} to {most:.2f})"
    )
    for name, worker in workers.items():
        milliseconds, peak = 1e3 * median(times[name]), peak_memory(worker, max(5, case.steps))
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
                Worker(sys.executable, "nitic", case.net, case.batch, options.threads, library) as ours,
                Worker(options.torch_python, "torch", case.net, case.batch, options.threads) as torch,
            ):
                compare(case, ours, torch)


if __name__ == "__main__":
    main()
