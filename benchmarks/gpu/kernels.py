"""Kernels by themselves: the peak of the multipliers, and each kernel of a step.

benchmarks.gpu.kernels PART FOLDER CHECKPOINT UNITS writes a line of JSON for each result; parts.py starts it.
"""

import json
import random
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.gpu import driver
from benchmarks.gpu.driver import DriverError, Gpu, Timer

Line = dict[str, Any]
NET = "vgg_small"
SLACK = 64
THREADS = 256
PEAKS = {  # bytes of shared memory, and operations of a block in one unit: peak.cuh
    "nitic_peak_mma": (0, 8 * 8 * 2 * 16 * 8 * 32),
    "nitic_peak_wgmma": (4096 + 8192, 2 * 8 * 2 * 64 * 128 * 32),
}
HYPER = {"rate_m": 1, "rate_k": 6, "momentum": 230, "decay": 80, "gb": 5, "seed": 1}


@dataclass(frozen=True)
class Options:
    """folder: what build.py made; checkpoint: a state of NET; units: how long the loops of peak.cuh are."""

    folder: Path
    checkpoint: Path
    units: int


# ---- what the GPU can do


def peak(o: Options, repeats: int = 5) -> Iterator[Line]:
    """int8 operations per second with all operands at hand, and bytes per second of a copy, read and written."""
    with Gpu() as gpu:
        yield {"gpu": gpu.name, "driver": gpu.driver, "clock_khz": gpu.attribute(driver.CLOCK)}
        products = Products(gpu, o)
        timer = Timer(gpu, repeats, products.launcher("nitic_peak_mma"))
        for name, (_, operations) in PEAKS.items():
            if launch := products.find(name):
                seconds = median(timer.run([launch] * repeats))
                yield {"kernel": name, "tops": round(products.blocks * o.units * operations / seconds / 1e12, 1)}
        size = o.units << 13
        source, to = gpu.allocate(size), gpu.allocate(size)
        seconds = median(timer.run([lambda: gpu.copy(to, source, size)] * repeats))
        yield {"copy_gb_per_second": round(2 * size / seconds / 1e9, 1)}


class Products:
    """Kernels that do nothing but multiply."""

    def __init__(self, gpu: Gpu, o: Options, blocks_of_each: int = 4) -> None:
        self.gpu, self.units = gpu, o.units
        self.module, self.out = gpu.module((o.folder / "peak.cubin").read_bytes()), gpu.allocate(64)
        self.blocks = blocks_of_each * gpu.attribute(driver.PROCESSORS)

    def launcher(self, name: str) -> Callable[[], None]:
        shared, _ = PEAKS[name]
        function = self.gpu.function(self.module, name, shared)
        return self.gpu.launcher(function, self.blocks, THREADS, shared, [self.out], self.units)

    def find(self, name: str) -> Callable[[], None] | None:
        """None where the GPU has no such kernel: only sm_90a has both."""
        try:
            return self.launcher(name)
        except DriverError as error:
            if error.number == driver.NOT_FOUND:
                return None
            raise


# ---- a training step, kernel by kernel


@dataclass(frozen=True)
class Step:
    """The launches of a training step, one after another, and what each of them is."""

    table: dict[str, Any]
    pieces: list[Callable[[], None]] = field(default_factory=list)

    @property
    def launches(self) -> Sequence[dict[str, Any]]:
        return self.table["functions"]["train_step"]


def kernels(o: Options, repeats: int = 20) -> Iterator[Line]:
    """Medians over steps that follow one another, from the checkpoint on."""
    folder = o.folder / NET
    with Gpu() as gpu:
        step = prepare(gpu, folder, o.checkpoint)
        timer = Timer(gpu, len(step.pieces), Products(gpu, o).launcher("nitic_peak_mma"))
        runs = [timer.run(step.pieces) for _ in range(repeats + 3)][3:]
    times = [median(each) for each in zip(*runs, strict=True)][1:]  # the first piece makes the ranges zero
    for launch, seconds in zip(step.launches, times, strict=True):
        yield {"kernel": launch["kernel"], "group": launch["group"], "microseconds": round(1e6 * seconds, 2)}
    yield from rates(step, times, json.loads((folder / "case.json").read_text())["contractions"])
    yield {"step_milliseconds": round(1e3 * median(map(sum, runs)), 4), "kernels": len(times)}


def rates(step: Step, times: Sequence[float], contractions: Sequence[dict[str, Any]]) -> Iterator[Line]:
    """Of each contraction: operations per second of all the kernels of its group."""
    left = list(contractions)
    for begin, end in calls(step.launches):
        if left and left[0]["group"] == step.launches[begin]["group"]:
            found, seconds = left.pop(0), sum(times[begin:end])
            rate = 2 * found["products"] / seconds / 1e12
            yield {"node": found["node"], "microseconds": round(1e6 * seconds, 2), "tops": round(rate, 2)}
    if left:
        raise RuntimeError(f"no kernels are found of {left[0]['node']}")


def calls(launches: Sequence[dict[str, Any]]) -> Iterator[tuple[int, int]]:
    """(first, end) of the kernels of each group."""
    begins = [i for i, launch in enumerate(launches) if not launch["follows"]]
    return zip(begins, [*begins[1:], len(launches)], strict=True)


def prepare(gpu: Gpu, folder: Path, checkpoint: Path) -> Step:
    """The arena as before a step: the state of a checkpoint, a random batch, and some hyper-parameters."""
    step = Step(json.loads((folder / "kernels.json").read_text()))
    arena, module = gpu.allocate(step.table["arena"] + SLACK), gpu.module((folder / "kernels.cubin").read_bytes())
    state = read_checkpoint(checkpoint)
    for tensor in step.table["tensors"]:
        if content := state.get(tensor["name"]) or made_up(tensor):
            gpu.upload(arena + tensor["offset"], content)
    ranges = step.table["ranges"]
    step.pieces.append(lambda: gpu.clear(arena + ranges["offset"], ranges["bytes"]))
    step.pieces.extend(piece(gpu, module, arena, launch) for launch in step.launches)
    return step


def piece(gpu: Gpu, module: Any, arena: int, launch: dict[str, Any]) -> Callable[[], None]:
    """A kernel, and before it the zeros that it wants."""
    function = gpu.function(module, launch["kernel"], launch["shared"])
    size = launch["blocks"], launch["threads"], launch["shared"]
    start = gpu.launcher(function, *size, [arena + offset for offset in launch["buffers"]], launch["units"])

    def run() -> None:
        for offset, count in launch["zeroed"]:
            gpu.clear(arena + offset, count)
        start()

    return run


def made_up(tensor: dict[str, Any]) -> bytes:
    """What a step takes besides the state; nothing for what it writes."""
    match tensor["role"]:
        case "input":
            return random.randbytes(tensor["bytes"])
        case "label":
            return struct.pack(f"<{tensor['shape'][0]}i", *random.choices(range(10), k=tensor["shape"][0]))
        case "hyper":
            return HYPER.get(tensor["name"], 0).to_bytes(tensor["bytes"], "little")
        case _:
            return b""


def read_checkpoint(path: Path) -> dict[str, bytes]:
    """Tensors by name: a safetensors file is the length of a JSON header, the header, and the bytes."""
    content = path.read_bytes()
    begin = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:begin])
    header.pop("__metadata__")
    places = {name: entry["data_offsets"] for name, entry in header.items()}
    return {name: content[begin + first : begin + end] for name, (first, end) in places.items()}


def main() -> None:
    part, folder, checkpoint, units = sys.argv[1:]
    parts = {"peak": peak, "kernels": kernels}
    for line in parts[part](Options(Path(folder), Path(checkpoint), int(units))):
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
