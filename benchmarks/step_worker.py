"""One side of speed/step.py or gpu/parts.py, in a process of its own:

    python -m benchmarks.step_worker nitic|torch|torch-graph|torch-compile NET BATCH THREADS [LIBRARY]

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


Steps = Callable[[int], None]
"""Runs so many steps, to their end."""


def each(step: Callable[[], Any]) -> Steps:
    def steps(count: int) -> None:
        for _ in range(count):
            step()

    return steps


def torch_steps(task: Task) -> tuple[float, Steps]:
    """fp32; the input is normalised beforehand, so that torch is not charged for it."""
    import torch

    from benchmarks.torch_nets import NETS, Trainer

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

    return held, each(step)


def torch_gpu_steps(task: Task, is_graph: bool) -> tuple[float, Steps]:
    """bf16 by autocast, channels last and compiled; the batch lies on the GPU, normalised and in bf16.

    The whole step, update included, is captured as one CUDA graph and replayed; or graphs are left to torch.compile.
    """
    import torch

    from benchmarks.torch_nets import NETS, Trainer

    held = memory(os.getpid())
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    layout = torch.channels_last
    net: Any = NETS[task.net]().cuda()  # its `to` has no overload for a memory format alone
    compiled: Any = torch.compile(net.to(memory_format=layout), mode=None if is_graph else "reduce-overhead")
    trainer = Trainer(compiled, rate=2.0**-8)
    floats = torch.from_numpy((task.images.astype(np.float32) - 128) / 64).permute(0, 3, 1, 2)
    x = floats.to("cuda", torch.bfloat16).contiguous(memory_format=layout)
    labels = torch.from_numpy(task.labels.astype(np.int64)).cuda()

    def step() -> None:
        with torch.autocast("cuda", torch.bfloat16):
            trainer.step(x, labels)

    repeated = each(captured(step) if is_graph else step)

    def steps(count: int) -> None:
        repeated(count)
        torch.cuda.synchronize()

    return held, steps


def captured(step: Callable[[], None]) -> Callable[[], None]:
    """The step as one CUDA graph, after some on a stream of their own, as torch's documentation has it."""
    import torch

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(5):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def nitic_steps(task: Task, path: Path) -> tuple[float, Steps]:
    """The library that speed/step.py compiled, through the C interface of nitic.h: no compiler is in the process."""
    library = ctypes.CDLL(str(path))
    held = memory(os.getpid())
    program, session = ctypes.byref(ctypes.c_char.in_dll(library, "nitic_program_instance")), ctypes.c_void_p()
    images, labels = (ctypes.c_void_p(array.ctypes.data) for array in (task.images, task.labels))
    check(library.nitic_session_create(program, task.threads, None, ctypes.byref(session)))
    check(library.nitic_set_statistics(session, images, ctypes.c_int64(len(task.images))))

    return held, each(lambda: check(library.nitic_step(session, images, labels, None)))


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
    sides: dict[str, Callable[[], tuple[float, Steps]]] = {
        "nitic": lambda: nitic_steps(task, Path(sys.argv[5])),
        "torch": lambda: torch_steps(task),
        "torch-graph": lambda: torch_gpu_steps(task, is_graph=True),
        "torch-compile": lambda: torch_gpu_steps(task, is_graph=False),
    }
    held, steps = sides[side]()
    print(held, flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        steps(int(line))
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
