"""One side of step.py, in a process of its own: `step_worker.py nitic|torch NET BATCH THREADS [LIBRARY]`.

Reads `run N` lines and answers each with the seconds that N training steps took; ends with its input.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
SHAPES = {"lenet": (28, 28, 1), "vgg_small": (32, 32, 3)}
# The memory format of torch that is the faster one on CPUs, by measurement.
CHANNELS_LAST = {"lenet": False, "vgg_small": True}


def torch_step(net_name: str, x: Array, labels: Array, threads: int) -> Callable[[], None]:
    """fp32; the input is normalised beforehand, so that torch is not charged for it."""
    import torch
    from torch_nets import NETS, Trainer

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    layout = torch.channels_last if CHANNELS_LAST[net_name] else torch.contiguous_format
    net = NETS[net_name]().to(memory_format=layout)
    trainer = Trainer(net, rate=2.0**-8)
    inputs = torch.from_numpy((x.astype(np.float32) - 128) / 64).permute(0, 3, 1, 2)
    inputs = inputs.contiguous(memory_format=layout)
    targets = torch.from_numpy(labels.astype(np.int64))
    return lambda: trainer.step(inputs, targets) and None


def nitic_step(library: str, x: Array, labels: Array, threads: int) -> Callable[[], None]:
    """The shared library that step.py compiled, through nitic's Python interface."""
    import nitic

    session = nitic.TrainingSession(nitic.load(library), threads=threads)
    return lambda: session.train_step(x, labels) and None


def main() -> None:
    side, net_name, batch, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (batch, *SHAPES[net_name]), np.uint8)
    labels = random.integers(0, 10, batch, np.int32)
    if side == "torch":
        step = torch_step(net_name, x, labels, threads)
    else:
        step = nitic_step(sys.argv[5], x, labels, threads)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    for line in sys.stdin:
        start = time.perf_counter()
        for _ in range(int(line.split()[1])):
            step()
        answers.write(f"{time.perf_counter() - start}\n")


if __name__ == "__main__":
    main()
