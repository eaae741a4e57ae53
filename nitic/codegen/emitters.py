"""Which emitter each operator has, and how a kernel becomes code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from nitic.codegen.contractions import conv, mma_conv
from nitic.codegen.core.group import Emission, Group, Registry
from nitic.codegen.core.kernel import Kernel
from nitic.codegen.core.tir import Function
from nitic.codegen.cuda import stages
from nitic.codegen.cuda.text import cuda_text
from nitic.codegen.operators import (
    activation,
    concat,
    elementwise,
    loss,
    lrn,
    move,
    norm,
    pool,
    product,
    reduce,
    scalars,
    sums,
    update,
)
from nitic.codegen.output.objects import TARGETS, write_object
from nitic.ops.fused import FusedOp

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
        **concat.ANCHORS,
        **lrn.ANCHORS,
        **product.ANCHORS,
    },
    pointwise={
        **elementwise.POINTWISE,
        **activation.POINTWISE,
        **product.POINTWISE,
        **norm.POINTWISE,
        **update.POINTWISE,
    },
    scalars=scalars.SCALARS,
)

CUDA_REGISTRY = replace(
    REGISTRY,
    anchors={**REGISTRY.anchors, **mma_conv.ANCHORS},
    splits={**sums.SPLITS, **mma_conv.SPLITS},
)


def emit(group: FusedOp, name: str, variant: str = "portable", label: str = "") -> Kernel:
    """The kernel of a group: a function of this name, which an error calls `label`.

    Its parameters are the operands, then the results that are not written in place of one.
    """
    view = Group(group)
    view.check_sizes(label or name)
    if variant == CUDA:
        return stages.emit(view, name, CUDA_REGISTRY)
    with Function(name, view.parameters()) as function:
        units = Emission(view, function, REGISTRY).emit()
    return function.kernel(units)


def write_code(kernel: Kernel, variant: str, path: Path) -> None:
    """An object file, or for a GPU a text in CUDA C++ without a prologue."""
    if variant == CUDA:
        path.write_text(cuda_text(kernel.stages), encoding="utf-8")
    else:
        write_object([kernel], TARGETS[variant], path)
