"""One side of step.py, in a process of its own: `step_worker.py nitic|torch NET BATCH THREADS [LIBRARY]`.

First writes how much memory it held once its libraries were loaded. Then answers each line, a number of training steps,
with the seconds that they took, until its input ends.
"""

import ctypes
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

SHAPES = {"lenet": (28, 28, 1), "vgg_small": (32, 32, 3)}
# The memory format of torch that is the faster one on CPUs, by measurement.
CHANNELS_LAST = {"lenet": False, "vgg_small": True}


@dataclass(frozen=True)
class Task:
    """A training step of `net` on `threads` threads, always with the same batch."""

    net: str
    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int32]
    threads: int


Step = Callable[[], Any]


def torch_step(task: Task) -> tuple[float, Step]:
    """fp32; the input is normalised beforehand, so that torch is not charged for it."""
    import torch
    from torch_nets import NETS, Trainer

    held = memory(os.getpid())
    torch.set_num_threads(task.threads)
    torch.manual_seed(0)
    layout = torch.channels_last if CHANNELS_LAST[task.net] else torch.contiguous_format
    net: Any = NETS[task.net]()  # its `to` has no overload for a memory format alone
    trainer = Trainer(net.to(memory_format=layout), rate=2.0**-8)
    x = (
        torch.from_numpy((task.images.astype(np.float32) - 128) / 64)
        .permute(0, 3, 1, 2)
        .contiguous(memory_format=layout)
    )
    labels = torch.from_numpy(task.labels.astype(np.int64))

    def step() -> None:
        trainer.step(x, labels)

    return held, step


def nitic_step(task: Task, path: Path) -> tuple[float, Step]:
    """The shared library that step.py compiled, through the C interface of nitic.h: no compiler is in the process."""
    library = ctypes.CDLL(str(path))
    held = memory(os.getpid())
    program, session = ctypes.byref(ctypes.c_char.in_dll(library, "nitic_program_instance")), ctypes.c_void_p()
    images, labels = (ctypes.c_void_p(array.ctypes.data) for array in (task.images, task.labels))
    check(library.nitic_session_create(program, task.threads, None, ctypes.byref(session)))
    check(library.nitic_set_statistics(session, images, ctypes.c_int64(len(task.images))))

    def step() -> None:
        check(library.nitic_step(session, images, labels, None))

    return held, step


def check(code: int) -> None:
    if code:
        raise RuntimeError(f"the runtime gave {code}")


def memory(process: int) -> float:
    """RssAnon + RssShmem in MiB."""
    status = Path(f"/proc/{process}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in status if line.startswith(("RssAnon", "RssShmem"))) / 1024


def main() -> None:
    side, net, batch, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (batch, *SHAPES[net]), np.uint8)
    task = Task(net, images, random.integers(0, 10, batch, np.int32), threads)
    held, step = torch_step(task) if side == "torch" else nitic_step(task, Path(sys.argv[5]))
    print(held, flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        for _ in range(int(line)):
            step()
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
