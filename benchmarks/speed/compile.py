"""What compiling costs and what comes of it: seconds, size, start-up, and the calls and phases of a training step.

    python -m benchmarks.speed.compile [--nets lenet,vgg_small]

Seconds are those of a whole `nitic compile` process, first without the cache, then with everything in it; start-up is
that of `info`, which reads nothing but the binary. All are medians.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.speed.networks import BATCHES, WRITERS
from nitic.driver.build import build_program
from nitic.ir.function import function
from nitic.ops.fused import FusedOp, phase_of
from nitic.options import CompileOptions
from nitic.pipeline import run_passes, target_passes
from nitic.program import Program

COMPILATIONS, STARTS = 3, 50


def seconds(command: Sequence[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def measure(net: str, folder: Path) -> None:
    model, binary = folder / f"{net}.onnx", folder / net
    WRITERS[net]().save(model)
    options = ["--batch-size", str(BATCHES[net]), "-o", str(binary)]
    compile_it = [sys.executable, "-m", "nitic", "compile", str(model), *options]
    cold = median(seconds([*compile_it, "--no-cache"]) for _ in range(COMPILATIONS))
    seconds(compile_it)
    warm = median(seconds(compile_it) for _ in range(COMPILATIONS))
    starting = median(seconds([str(binary), "info"]) for _ in range(STARTS))
    program = build_program(CompileOptions(model=model, batch_size=BATCHES[net]))
    size, weights = binary.stat().st_size / 1e3, len(program.state_bytes()) / 1e3
    print(f"{net}, batch {BATCHES[net]}: compiled in {cold:.1f} s, from the cache in {warm:.1f} s")
    print(f"  ./{net} info takes {1e3 * starting:.1f} ms")
    print(f"  executable {size:.0f} kB, of which {weights:.0f} kB are the initial state")
    print(f"  a training step is {steps(program)}", flush=True)


def steps(program: Program) -> str:
    """Calls and phases of every variant."""
    texts: list[str] = []
    for name in program.variants:
        module = program.module.clone()
        run_passes(module, target_passes(name))
        groups = [op for op in function(module, "train_step").body.block.ops if isinstance(op, FusedOp)]
        texts.append(f"{len(groups)} calls in {len({phase_of(group) for group in groups})} phases ({name})")
    return ", ".join(texts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", default="lenet,vgg_small")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for net in options.nets.split(","):
            measure(net, Path(folder))


if __name__ == "__main__":
    main()
