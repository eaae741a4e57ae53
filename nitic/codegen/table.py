"""Which emitter each operator has, and from groups of operators to object files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nitic.codegen.build import TARGETS, write_objects
from nitic.codegen.group import Emission, Group, Registry
from nitic.codegen.kernels import conv, elementwise, loss, move, pool, reduce, scalars, update
from nitic.codegen.source import symbol
from nitic.codegen.tir import Function, Kernel
from nitic.ir.function import functions
from nitic.ops.fused import FusedOp
from nitic.program import Program

REGISTRY = Registry(
    anchors={
        "pointwise": elementwise.pointwise,
        **conv.ANCHORS,
        **pool.ANCHORS,
        **reduce.ANCHORS,
        **loss.ANCHORS,
        **move.ANCHORS,
    },
    pointwise={**elementwise.POINTWISE, **update.POINTWISE},
    scalars=scalars.SCALARS,
)


def emit(group: FusedOp, name: str) -> Kernel:
    """The kernel of a group. Its parameters are the group's operands, then the results that are not written in place."""
    view = Group(group)
    with Function(name, view.parameters()) as function:
        units = Emission(view, function, REGISTRY).emit()
    return function.kernel(units)


def compile_kernels(program: Program, folder: Path) -> tuple[Mapping[str, Mapping[str, Kernel]], list[Path]]:
    """Every kernel of a program, by variant and name, and the object files that hold them."""
    kernels: dict[str, dict[str, Kernel]] = {}
    objects: list[Path] = []
    for variant, module in program.variants.items():
        groups = [op for func in functions(module) for op in func.body.block.ops if isinstance(op, FusedOp)]
        named = {group.kernel.data: group for group in groups if group.kernel is not None}
        kernels[variant] = {name: emit(group, symbol(variant, name)) for name, group in named.items()}
        objects += write_objects(list(kernels[variant].values()), TARGETS[variant], folder)
    return kernels, objects
