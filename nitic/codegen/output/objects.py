"""Kernels to files: objects by TVM's LLVM back end without TVM's runtime, or the text of CUDA C++ or C99."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tvm
from tvm import tirx

from nitic.codegen.c99.text import c99_text
from nitic.codegen.core.kernel import Kernel
from nitic.codegen.cuda.text import cuda_text
from nitic.targets import VARIANTS
from nitic.targets.base import Code, Machine

# LLVM's level 3 takes twice as long as level 2 and wins nothing here.
OPTIMISATION = 2


def compile_module(kernels: Sequence[Kernel], machine: Machine) -> Any:
    """The LLVM module of some kernels, as TVM holds it. TVM simplifies nothing: LLVM does it better and faster."""
    described = {
        "mtriple": machine.triple,
        "mcpu": machine.cpu,
        "mattr": list(machine.features),
        "mabi": machine.abi,
        "vector-width": machine.vector_bits,
    }
    known = {name: value for name, value in described.items() if value}
    target = tvm.target.Target({"kind": "llvm", "opt-level": OPTIMISATION, **known})
    target = target.with_host(target)
    module = tirx.transform.BindTarget(target)(tvm.IRModule({kernel.name: kernel.function for kernel in kernels}))
    return tvm.get_global_func("target.build.llvm")(tirx.transform.LowerIntrin()(module), target)


def write_object(kernels: Sequence[Kernel], machine: Machine, path: Path) -> None:
    """One object file with every kernel as a global symbol; it needs nothing but, at most, memcpy and memset."""
    module = compile_module(kernels, machine)
    folder = os.open(path.parent, os.O_PATH)
    try:
        module.write_to_file(f"/proc/self/fd/{folder}/{path.name}", "o")  # TVM takes no name that is not UTF-8
    finally:
        os.close(folder)


def write_code(kernel: Kernel, variant: str, path: Path) -> None:
    """An object file, or a text in CUDA C++ or C99, without a prologue."""
    machine, code = VARIANTS[variant].machine, VARIANTS[variant].code
    if machine:
        write_object([kernel], machine, path)
    else:
        path.write_text(c99_text(kernel) if code == Code.C99 else cuda_text(kernel.stages), encoding="utf-8")
