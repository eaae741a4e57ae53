"""Which layout each operand of an operator must have for a variant's kernel. This module does not import TVM."""

from __future__ import annotations

from nitic.codegen.layout import Layout, Padded, Panels, Quads
from nitic.ir.op import NnOp
from nitic.ir.types import shape_of
from nitic.ops.conv import ConvDgradOp, ConvolutionOp, ConvOp, ConvWgradOp
from nitic.ops.gemm import GemmDgradOp, GemmOp, GemmWgradOp

Layouts = tuple[Layout | None, ...]
NO_PADS = (0, 0, 0, 0)


def operand_layouts(op: NnOp, variant: str, nonnegative: bool) -> Layouts:
    """One entry per operand, None for row-major. `nonnegative`: operand 0 is known to hold no negative value."""
    row_major: Layouts = (None,) * len(op.operands)
    if variant != "avx512vnni" or (isinstance(op, ConvolutionOp) and op.window.groups > 1):
        return row_major
    return _vnni_layouts(op, not nonnegative) or row_major


def _vnni_layouts(op: NnOp, biased: bool) -> Layouts | None:
    match op:
        case GemmOp() | ConvOp():
            taps, pads = (has_taps(op), op.window.pads) if isinstance(op, ConvOp) else (False, NO_PADS)
            return Padded(pads, biased=biased), Panels(taps=taps, biased=biased)
        case GemmDgradOp():
            return Padded(), Panels(flipped=True)
        case ConvDgradOp():
            return dgrad_padding(op), Panels(taps=has_taps(op), flipped=True)
        case GemmWgradOp() | ConvWgradOp():
            pads = op.window.pads if isinstance(op, ConvWgradOp) else NO_PADS
            return Quads(pads, biased), Quads(biased=False)
        case _:
            return None


def has_taps(op: ConvolutionOp) -> bool:
    """Whether the columns of a window lie apart, so that a run is one pixel."""
    return op.window.dilations[1] > 1 and kernel_size(op)[1] > 1


def kernel_size(op: ConvolutionOp) -> tuple[int, int]:
    """(KH, KW)"""
    kh, kw = op.ints("kernel") if isinstance(op, ConvWgradOp) else shape_of(op.operands[1])[1:3]
    return kh, kw


def dgrad_padding(op: ConvDgradOp) -> Padded:
    """The errors as a convolution with the rotated window sees them: strides apart, and a frame that it reaches."""
    (top, left), size, window = op.window.pads[:2], op.ints("size"), op.window
    before, after = [0, 0], [0, 0]
    for axis, pad in enumerate((top, left)):
        reach = (kernel_size(op)[axis] - 1) * window.dilations[axis]
        spread = (shape_of(op.dy)[1 + axis] - 1) * window.strides[axis] + 1
        before[axis] = reach - pad
        after[axis] = size[axis] + reach - spread - before[axis]
    return Padded((before[0], before[1], after[0], after[1]), window.strides)
