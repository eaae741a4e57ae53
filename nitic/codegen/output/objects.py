"""Kernels to object files: TVM's LLVM back end without TVM's runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tvm
from tvm import tirx

from nitic.codegen.core.kernel import Kernel

# LLVM's level 3 takes twice as long as level 2 and wins nothing here.
OPTIMISATION = 2


@dataclass(frozen=True)
class Target:
    """A variant of a program: its name and what its kernels may use."""

    name: str
    cpu: str
    features: tuple[str, ...] = ()

    def tvm_target(self) -> Any:
        machine = {"mtriple": "x86_64-unknown-linux-gnu", "mcpu": self.cpu, "mattr": list(self.features)}
        target = tvm.target.Target({"kind": "llvm", "opt-level": OPTIMISATION, **machine})
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
