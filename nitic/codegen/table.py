"""Which emitter each operator has."""

from __future__ import annotations

from nitic.codegen.group import Emission, Group, Registry
from nitic.codegen.kernel import Kernel
from nitic.codegen.kernels import conv, elementwise, loss, move, norm, pool, reduce, scalars, update
from nitic.codegen.tir import Function
from nitic.ops.fused import FusedOp

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


def emit(group: FusedOp, name: str, label: str = "") -> Kernel:
    """The kernel of a group: a function of this name, which an error calls `label`.

    Its parameters are the operands, then the results that are not written in place of one.
    """
    view = Group(group)
    view.check_sizes(label or name)
    with Function(name, view.parameters()) as function:
        units = Emission(view, function, REGISTRY).emit()
    return function.kernel(units)
