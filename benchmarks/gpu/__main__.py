"""Everything that is to be measured on a GPU, in one command, on a machine that need not have nitic or TVM:

    python -m benchmarks.gpu build build/gpu-bench                       where nitic is
    python gpu-bench run --mnist mnist/ --cifar cifar-10-batches-bin/    on the machine with the GPU
    python gpu-bench table gpu-work/results.jsonl                        the results as Markdown

This file lies at the top of the folder that `build` makes, and the modules that it needs lie below it as they do here.

Parts (--parts): `lenet` (an epoch on the GPU and on the CPU: one checkpoint?), `peak` (int8 operations per second of a
loop of products), `step` (VGG-small-7, batch 256: seconds per step beside torch in bf16, compiled, as CUDA graphs, by
turns), `kernels` (each kernel of a step), `sanitizer` (compute-sanitizer on one step) and `curve` (NITI's 200 epochs;
what --seconds does not suffice for goes on when it is called again). Without data folders all but `curve` take random
data. Results are written as they come, and a part that fails or hangs leaves the others alone. `step` alone needs torch
and NumPy, the others nothing but Python.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Line = dict[str, Any]
PARTS = ("lenet", "peak", "step", "kernels", "sanitizer", "curve")


def measure(given: argparse.Namespace) -> bool:
    """Whether every part came to its end, with the CPU's checkpoint and without a find of compute-sanitizer."""
    from benchmarks.gpu.parts import Options

    work, here = given.work.resolve(), Path(__file__).resolve().parent
    work.mkdir(parents=True, exist_ok=True)
    numbers = given.seconds, given.epochs, given.rounds, given.units
    options = Options(here, work, given.mnist, given.cifar, sys.executable, *numbers)
    started, is_whole = round(time.time()), True
    for part in given.parts:
        for line in lines_of(part, options):
            text = json.dumps({"part": part, "run": started, **line})
            print(text, flush=True)
            with (work / "results.jsonl").open("a") as file:
                file.write(text + "\n")
            is_whole &= "error" not in line and line.get("equal", True) and line.get("clean", True)
    return is_whole


def lines_of(part: str, options: Any) -> Iterator[Line]:
    """The results of a part, and at the end what went wrong."""
    from benchmarks.gpu import parts as measurements
    from tests.gpu.check import FAILURES, reason

    try:
        yield from getattr(measurements, part)(options)
    except FAILURES as error:
        yield {"error": reason(error)}
    except (OSError, RuntimeError, LookupError, ValueError, ArithmeticError) as error:
        yield {"error": f"{type(error).__name__}: {error}"}


def parts(text: str) -> list[str]:
    """The names between commas. Raises ValueError, which argparse tells, where one is no part."""
    names = text.split(",")
    if not set(names) <= set(PARTS):
        raise ValueError(text)
    return names


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build").add_argument("folder", type=Path)
    table = commands.add_parser("table")
    table.add_argument("results", type=Path)
    table.add_argument("--plot", type=Path, help="the accuracy by epoch, as SVG")
    run = commands.add_parser("run")
    run.add_argument("--parts", type=parts, default=list(PARTS))
    run.add_argument("--mnist", type=Path, help="folder with the four IDX files of MNIST, unpacked")
    run.add_argument("--cifar", type=Path, help="folder with the six binary files of CIFAR-10")
    run.add_argument("--work", type=Path, default=Path("gpu-work"), help="for checkpoints, logs and results")
    run.add_argument("--seconds", type=float, default=540, help="of the part `curve`, in this call")
    run.add_argument("--epochs", type=int, default=200, help="of the part `curve`")
    run.add_argument("--rounds", type=int, default=7, help="of the part `step`")
    run.add_argument("--units", type=int, default=1 << 16, help="length of the loops of products")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    if given.command == "build":
        from benchmarks.gpu.build import build

        build(given.folder)
    elif given.command == "table":
        from benchmarks.gpu.table import markdown, plot_curve

        lines = [json.loads(line) for line in given.results.read_text().splitlines()]
        print(markdown(lines))
        if given.plot:
            plot_curve(lines, given.plot)
    else:
        sys.exit(0 if measure(given) else 1)


if __name__ == "__main__":
    main()
