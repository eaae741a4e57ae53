"""The parts of a run. Each gives lines of results, and needs what build.py made.

Whatever touches the GPU is a process of its own, which ends after LIMIT seconds even if the GPU does not.
"""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.gpu.data import cifar, mnist
from benchmarks.gpu.kernels import NET, Line
from benchmarks.turns import Worker, ratio, take_turns
from tests.gpu.check import LIMIT, SANITIZER, digest, ended, run, sanitized

TORCH = ("torch-graph", "torch-compile")
STEPS = 100  # of torch in a round
GRADIENT_BITS = "5@0,4@100,3@150"
AUGMENT = ("--augment", "crop:4,flip")


@dataclass(frozen=True)
class Options:
    """folder: what build.py made; work: where everything is written. Both are absolute.

    python: an interpreter that has torch. seconds: after so many the long run is saved, to go on another time.
    units: how long the loops of peak.cuh are.
    """

    folder: Path
    work: Path
    mnist: Path | None
    cifar: Path | None
    python: str
    seconds: float
    epochs: int
    rounds: int
    units: int


def lenet(o: Options) -> Iterator[Line]:
    """One epoch on the GPU and on the CPU: the same checkpoint?"""
    data, digests = mnist(o.mnist, o.work / "mnist"), list[str]()
    for program in ("gpu", "cpu"):
        checkpoint, start = o.work / f"lenet-{program}.ckpt", time.perf_counter()
        run(o.folder / "lenet", program, "train", "--data", data, "--epochs", 1, "--save", checkpoint)
        digests.append(digest(checkpoint))
        yield {"program": program, "seconds": round(time.perf_counter() - start, 2), "sha256": digests[-1]}
    yield {"equal": digests[0] == digests[1], "data": "MNIST" if o.mnist else "random"}


# ---- seconds per step


def step(o: Options) -> Iterator[Line]:
    """Seconds per step beside torch, by turns. A side of torch that fails is left out."""
    batch = json.loads((o.folder / NET / "case.json").read_text())["input"][0]
    with ExitStack() as processes:
        workers: dict[str, Worker] = {}
        for side in TORCH:
            try:
                worker = processes.enter_context(Worker(o.python, side, NET, batch, limit=LIMIT))
                worker.run(3)
                workers[side] = worker
            except RuntimeError as error:
                yield {"side": side, "error": str(error)}
        sides = {side: partial(worker_time, worker) for side, worker in workers.items()}
        times = take_turns({"nitic": partial(epoch_time, o), **sides}, o.rounds)
    for side, found in times.items():
        rounds = [round(1e3 * seconds, 4) for seconds in found]
        yield {"side": side, "milliseconds": median(rounds), "rounds": rounds}
    for side in workers:
        middle, least, most = (round(each, 3) for each in ratio(times[side], times["nitic"]))
        yield {"against": side, "speed_up": middle, "least": least, "most": most}


def epoch_time(o: Options) -> float:
    """Seconds per step of `train`, as it is: the second of two epochs, by the program's own log."""
    log, data = o.work / "step.jsonl", cifar(o.cifar, o.work / "cifar")
    log.unlink(missing_ok=True)
    options = ["--epochs", 2, *AUGMENT, "--log", log, "--log-every", 1 << 30, "--save", trained(o)]
    run(o.folder / NET, "gpu", "train", "--data", data, *options)
    events = [json.loads(line) for line in log.read_text().splitlines()]
    last = next(event for event in reversed(events) if event["event"] == "interval")
    return last["milliseconds"] / 1e3 / (last["samples"] / events[0]["batch"])


def trained(o: Options) -> Path:
    """The checkpoint of those epochs."""
    return o.work / f"{NET}.ckpt"


def worker_time(worker: Worker) -> float:
    """After some steps that do not count, since the GPU has had nothing to do."""
    worker.run(STEPS // 4)
    return worker.run(STEPS)


# ---- kernels by themselves


def peak(o: Options) -> Iterator[Line]:
    yield from by_itself("peak", o)


def kernels(o: Options) -> Iterator[Line]:
    """Of a network after some epochs."""
    if not trained(o).exists():
        epoch_time(o)
    yield from by_itself("kernels", o)


def by_itself(part: str, o: Options) -> Iterator[Line]:
    """A part of kernels.py. Raises CalledProcessError behind what it found, TimeoutExpired."""
    done = ended([o.python, "-m", "benchmarks.gpu.kernels", part, o.folder, trained(o), o.units], o.folder)
    yield from map(json.loads, done.stdout.splitlines())
    done.check_returncode()


# ---- the long run


def curve(o: Options) -> Iterator[Line]:
    """NITI's schedule to its end, or as far as the seconds go: then another call goes on."""
    if o.cifar is None:
        raise FileNotFoundError("accuracy needs CIFAR-10: --cifar")
    checkpoint, log = o.work / "curve.ckpt", o.work / "curve.jsonl"
    begins = ["--gb", GRADIENT_BITS, *AUGMENT, "--seed", 1]
    options = ["--data", o.cifar.resolve(), "--epochs", o.epochs, "--save", checkpoint, "--log", log]
    options += ["--resume", checkpoint] if checkpoint.exists() else begins
    code = until(o.seconds, [str(o.folder / NET / "gpu"), "train", *map(str, options)])
    if code not in (0, 130):
        raise RuntimeError(f"train ended with exit code {code}")
    events = [json.loads(line) for line in log.read_text().splitlines()]
    found = {event["epoch"]: round(100 * event["test_accuracy"], 2) for event in events if event["event"] == "epoch"}
    # The test of an epoch is missing where the signal came in the middle of it.
    accuracy = [found.get(epoch) for epoch in range(1, max(found, default=0) + 1)]
    yield {"accuracy": accuracy, "best": max(found.values(), default=None), "epochs": o.epochs}


def until(seconds: float, command: list[str]) -> int:
    """The exit code of a program that is interrupted after so many seconds. Raises TimeoutExpired where it goes on."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            return process.wait(LIMIT)
        finally:
            process.kill()


# ---- compute-sanitizer


def sanitizer(o: Options) -> Iterator[Line]:
    """On one step of each network."""
    if SANITIZER is None:
        raise FileNotFoundError("compute-sanitizer is not on the path")
    for case in ("lenet", NET):
        for tool in ("memcheck", "racecheck"):
            start = time.perf_counter()
            is_clean = sanitized(o.folder / case, tool, "one-batch")
            yield {"case": case, "tool": tool, "clean": is_clean, "seconds": round(time.perf_counter() - start, 1)}
