"""Kernels to object files: TVM's LLVM back end without TVM's runtime."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tvm
from tvm import tirx

from nitic.codegen.tir import Kernel


@dataclass(frozen=True)
class Target:
    """A variant of a program: its name and what its kernels may use."""

    name: str
    cpu: str
    features: tuple[str, ...] = ()

    def tvm_target(self) -> Any:
        target = tvm.target.Target(
            {"kind": "llvm", "mtriple": "x86_64-unknown-linux-gnu", "mcpu": self.cpu, "mattr": list(self.features)}
        )
        return target.with_host(target)


PORTABLE = Target("portable", "x86-64")
# The common part of Cascade Lake and later, and Zen 4 and later. Without the tuning flag LLVM stops at 256 bits.
AVX512_VNNI = Target("avx512vnni", "x86-64-v4", ("+avx512vnni", "-prefer-256-bit"))
TARGETS = {target.name: target for target in (PORTABLE, AVX512_VNNI)}


def compile_module(kernels: Sequence[Kernel], target: Target) -> Any:
    """The LLVM module of some kernels, as TVM holds it. TVM simplifies nothing: LLVM does it better and faster."""
    tvm_target = target.tvm_target()
    module = tirx.transform.BindTarget(tvm_target)(tvm.IRModule({kernel.name: kernel.function for kernel in kernels}))
    return tvm.get_global_func("target.build.llvm")(tirx.transform.LowerIntrin()(module), tvm_target)


def write_object(kernels: Sequence[Kernel], target: Target, path: Path) -> None:
    """One object file with every kernel as a global symbol; it needs nothing but, at most, memcpy and memset."""
    compile_module(kernels, target).write_to_file(str(path), "o")


def write_objects(kernels: Sequence[Kernel], target: Target, folder: Path, jobs: int | None = None) -> list[Path]:
    """The kernels shared out to as many object files as there are processors, each made by a process of its own."""
    jobs = min(jobs or len(os.sched_getaffinity(0)), len(kernels)) or 1
    paths = [folder / f"{target.name}_{job}.o" for job in range(jobs)]
    shares = [kernels[job::jobs] for job in range(jobs)]
    if jobs == 1:
        write_object(shares[0], target, paths[0])
        return paths
    # The functions exist only in this process: the children inherit them.
    context = multiprocessing.get_context("fork")
    children = [
        context.Process(target=write_object, args=(share, target, path))
        for share, path in zip(shares[1:], paths[1:], strict=True)
    ]
    for child in children:
        child.start()
    write_object(shares[0], target, paths[0])
    for child in children:
        child.join()
        if child.exitcode:
            raise RuntimeError(f"a compiling process ended with status {child.exitcode}")
    return paths
