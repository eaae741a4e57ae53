"""Which emitter each operator has, and from groups of operators to object files, or to text for a GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from xdsl.dialects.builtin import ModuleOp

from nitic.codegen.build import TARGETS, in_processes, processors, write_object
from nitic.codegen.cuda.function import CudaFunction
from nitic.codegen.cuda.text import cuda_text
from nitic.codegen.group import Emission, Group, Registry
from nitic.codegen.kernels import conv, elementwise, loss, mma_conv, move, norm, pool, reduce, scalars, update
from nitic.codegen.source import symbol
from nitic.codegen.tir import Function, Kernel
from nitic.ir.function import functions
from nitic.ops.fused import FusedOp
from nitic.program import Program

CUDA = "cuda"

REGISTRY = Registry(
    anchors={
        "pointwise": elementwise.pointwise,
        **conv.ANCHORS,
        **pool.ANCHORS,
        **reduce.ANCHORS,
        **loss.ANCHORS,
        **norm.ANCHORS,
        **move.ANCHORS,
    },
    pointwise={**elementwise.POINTWISE, **norm.POINTWISE, **update.POINTWISE},
    scalars=scalars.SCALARS,
)

REGISTRIES = {CUDA: replace(REGISTRY, anchors={**REGISTRY.anchors, **mma_conv.ANCHORS})}


def emit(group: FusedOp, name: str, variant: str = "portable") -> Kernel:
    """The kernel of a group. Its parameters are the operands, then the results that are not written in place of one."""
    view = Group(group)
    view.check_sizes(name)
    kind = CudaFunction if variant == CUDA else Function
    with kind(name, view.parameters()) as function:
        units = Emission(view, function, REGISTRIES.get(variant, REGISTRY)).emit()
    return function.kernel(units)


def write_kernels(kernels: Sequence[Kernel], variant: str, stem: Path) -> Path:
    """Some kernels of a variant as a file: an object file, or a text in CUDA C++ without a prologue."""
    if variant == CUDA:
        path = stem.with_suffix(".cu")
        path.write_text(cuda_text(kernels), encoding="utf-8")
    else:
        path = stem.with_suffix(".o")
        write_object(kernels, TARGETS[variant], path)
    return path


Groups = Mapping[str, Mapping[str, FusedOp]]
Kernels = Mapping[str, Mapping[str, Kernel]]
"""By variant, then by the name that select-kernels gave."""


def compile_kernels(program: Program, folder: Path) -> tuple[Kernels, list[Path]]:
    """Every kernel of a program, and the files that hold them."""
    return compile_groups({variant: _groups(module) for variant, module in program.variants.items()}, folder)


def _groups(module: ModuleOp) -> Mapping[str, FusedOp]:
    """One group for every name."""
    groups = [op for func in functions(module) for op in func.body.block.ops if isinstance(op, FusedOp)]
    return {group.kernel.data: group for group in groups if group.kernel is not None}


def compile_groups(groups: Groups, folder: Path, jobs: int | None = None) -> tuple[Kernels, list[Path]]:
    """The same for groups, shared out to processes by number: neighbours in the list are alike, and cost alike."""
    jobs = jobs or processors()
    made = in_processes(lambda job: _compile_share(groups, folder, job, jobs), jobs)
    by_name = {(variant, name): kernel for share, _ in made for variant, name, kernel in share}
    kernels = {variant: {name: by_name[variant, name] for name in named} for variant, named in groups.items()}
    return kernels, [path for _, paths in made for path in paths]


Share = tuple[list[tuple[str, str, Kernel]], list[Path]]


def _compile_share(groups: Groups, folder: Path, job: int, jobs: int) -> Share:
    """The kernels of one process; TVM's functions stay in it."""
    share: list[tuple[str, str, Kernel]] = []
    paths: list[Path] = []
    for variant, named in groups.items():
        kernels = {name: emit(named[name], symbol(variant, name), variant) for name in sorted(named)[job::jobs]}
        if kernels:
            paths.append(write_kernels(list(kernels.values()), variant, folder / f"{variant}_{job}"))
        share += [(variant, name, replace(kernel, function=None)) for name, kernel in kernels.items()]
    return share, paths
