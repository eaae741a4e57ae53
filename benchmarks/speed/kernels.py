"""Multiply-accumulates per second of every contraction of VGG-small-7's training step, on one thread.

    python -m benchmarks.speed.kernels [--batch 32] [--variants avx2,sse2,portable]

Each kernel runs alone, by ctypes, on memory of its own: int8 operands are random, all else is zero. That is as in a
step, but for the caches: there, other kernels have used them in between. The best of the rounds counts.
"""

import argparse
import ctypes
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from xdsl.ir import Attribute

from benchmarks.speed.networks import WRITERS
from nitic import targets
from nitic.arithmetic.integers import Array
from nitic.codegen.output.cache import KernelCache
from nitic.codegen.output.generate import generate
from nitic.codegen.output.link import compiler
from nitic.driver.build import build_program
from nitic.ir.buffers import buffer_bytes
from nitic.ir.function import function
from nitic.ir.types import element_of, i8, is_tensor, shape_of, u8
from nitic.ops.conv import ConvolutionOp
from nitic.ops.fused import FusedOp
from nitic.ops.gemm import ProductOp
from nitic.options import CompileOptions
from nitic.pipeline import run_passes, target_passes
from nitic.program import Program

ROUNDS = 7
RANDOM = np.random.default_rng(0)


@dataclass(frozen=True)
class Contraction:
    """A kernel call: the ONNX node that it belongs to, and its products."""

    node: str
    group: FusedOp
    products: int

    @property
    def kernel(self) -> str:
        assert self.group.kernel is not None
        return self.group.kernel.data


def contractions(program: Program, variant: str) -> Iterator[Contraction]:
    module = program.module.clone()
    run_passes(module, target_passes(variant))
    for group in function(module, "train_step").body.block.ops:
        members = group.members if isinstance(group, FusedOp) else []
        for op in members:
            if isinstance(group, FusedOp) and isinstance(op, ConvolutionOp | ProductOp):
                products = prod(shape_of(op.results[0])) * op.reduction_length()
                yield Contraction(f"{op.source} {op.name.removeprefix('nn.')}", group, products)


def memory(type_: Attribute) -> Array:
    """A buffer of a value. Scalars are zero: shifts and ranges of random bytes would not be any that a step has."""
    size = buffer_bytes(type_)
    narrow = is_tensor(type_) and shape_of(type_) and element_of(type_) in (i8, u8)
    return RANDOM.integers(-127, 128, size, np.int8) if narrow else np.zeros(size, np.int8)


def seconds(each: Contraction, call: Callable[..., int], units: int) -> float:
    """The best of some rounds, after one that warms up."""
    buffers = [memory(value.type) for value in each.group.parameters]
    pointers = [buffer.ctypes.data_as(ctypes.c_void_p) for buffer in buffers]
    times: list[float] = []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        if call(*pointers, 0, 0, units):
            raise RuntimeError(f"kernel {each.kernel} failed")
        times.append(time.perf_counter() - start)
    return min(times[1:])


def measure(program: Program, variant: str, folder: Path) -> None:
    found = list(contractions(program, variant))
    meanings = {variant: {each.kernel: each.group.meaning for each in found}}
    generated = generate(meanings, folder, KernelCache(None))
    library = folder / f"{variant}.so"
    subprocess.run([*compiler(), "-shared", "-nostdlib", "-o", str(library), *map(str, generated.objects)], check=True)
    loaded = ctypes.CDLL(str(library))
    for each in found:
        kernel = generated.kernels[variant][each.kernel]
        taken = seconds(each, getattr(loaded, kernel.name), kernel.units)
        rate = each.products / taken / 1e9
        print(f"{variant:10}  {each.node:24}  {rate:7.1f} GMAC/s  {1e3 * taken:9.3f} ms", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32)
    here = [name for name, variant in targets.VARIANTS.items() if targets.runs_here(variant)]
    native = ",".join(variant.name for variant in targets.native().variants)
    parser.add_argument("--variants", default=native, help="default: those of the native target")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        WRITERS["vgg_small"]().save(folder / "vgg_small.onnx")
        program = build_program(CompileOptions(model=folder / "vgg_small.onnx", batch_size=options.batch))
        for variant in options.variants.split(","):
            if variant not in here:
                parser.error(f"this machine runs no variant {variant!r}: it runs {', '.join(here)}")
            measure(program, variant, folder)


if __name__ == "__main__":
    main()
