"""Which layout each operand of an operator must have for a variant's kernel."""

from __future__ import annotations

from nitic.ir.layout import (
    CHUNK,
    PACK,
    VECTOR,
    BatchLast,
    GroupPanels,
    Layout,
    Padded,
    Panels,
    PixelPanels,
    Quads,
    Runs,
    ceildiv,
)
from nitic.ir.op import NnOp
from nitic.ir.types import element_of, i64, shape_of
from nitic.ops.conv import ConvDgradOp, ConvolutionOp, ConvOp, ConvWgradOp
from nitic.ops.gemm import GemmDgradOp, GemmOp, GemmWgradOp, ProductOp

Layouts = tuple[Layout | None, ...]
MANY_PIXELS = 1024  # from here on the packing of the weights does not matter
LARGE_FILTER = 4096  # bytes of a lane's weights: sixteen of them are packed on the stack
NO_PADS = (0, 0, 0, 0)
MOST_JOINED = 64  # inputs


def operand_layouts(op: NnOp, variant: str, nonnegative: bool) -> Layouts:
    """One entry per operand, None for row-major. `nonnegative`: operand 0 is known to hold no negative value."""
    row_major: Layouts = (None,) * len(op.operands)
    if variant == "cuda":
        return _cuda_layouts(op) if on_tensor_cores(op) else row_major
    if isinstance(op, ConvolutionOp) and is_depthwise(op):
        slides = dgrad_padding(op, False) if isinstance(op, ConvDgradOp) else Padded(op.window.pads, biased=False)
        return slides, None
    if variant != "avx512vnni":
        return row_major
    if element_of(op.results[0]) == i64 and not isinstance(op, GemmWgradOp | ConvWgradOp):
        return row_major  # a sum beyond int32 that is no weight gradient is rare: the portable kernel does it
    return _vnni_layouts(op, not nonnegative) or row_major


def on_tensor_cores(op: NnOp) -> bool:
    """Whether the GPU's template for contractions serves an operator: not depthwise, and sums in int32 or merged."""
    if not isinstance(op, ConvolutionOp | ProductOp) or (isinstance(op, ConvolutionOp) and is_depthwise(op)):
        return False
    return isinstance(op, ConvWgradOp | GemmWgradOp) or element_of(op.results[0]) != i64


def _cuda_layouts(op: NnOp) -> Layouts:
    """Sixteen neighbours in memory are sixteen neighbours of the sum."""
    if isinstance(op, ConvWgradOp | GemmWgradOp):
        return BatchLast(), BatchLast()
    runs = cuda_runs(op)
    whole = runs.shape(shape_of(op.operands[1]))[2] % CHUNK == 0 and not runs.flipped and runs.joined == 1
    return None, None if whole else runs


def writes_too(op: NnOp, layout: Layout) -> bool:
    """Whether the kernel of an operator can write what becomes of its result in a second layout too."""
    if not isinstance(layout, BatchLast) or isinstance(op, ConvWgradOp | GemmWgradOp):
        return False
    return on_tensor_cores(op) and shape_of(op.results[0])[0] % CHUNK == 0


def cuda_runs(op: NnOp) -> Runs:
    """How the weights of a contraction lie for the tensor cores; row-major weights may already."""
    flipped = isinstance(op, ConvDgradOp | GemmDgradOp)
    if isinstance(op, ConvolutionOp) and op.window.groups > 1:
        groups = op.window.groups
        return Runs(True, flipped, groups, joined_groups(groups, shape_of(op.operands[0])[3] // groups))
    spread = isinstance(op, ConvDgradOp) and op.window.strides[1] > 1 and kernel_size(op)[1] > 1
    return Runs(spread or (isinstance(op, ConvolutionOp) and has_taps(op)), flipped)


def joined_groups(groups: int, inputs: int) -> int:
    """How many groups a tensor core takes as one, so that their inputs of a pixel are whole chunks, but few of them."""
    fitting = [n for n in range(1, groups + 1) if groups % n == 0 and n * inputs % CHUNK == 0]
    return fitting[0] if fitting and fitting[0] * inputs <= MOST_JOINED else 1


def _vnni_layouts(op: NnOp, biased: bool) -> Layouts | None:
    match op:
        case GemmOp():
            return Padded(biased=biased), Panels(biased=biased)
        case GemmDgradOp():
            return Padded(), Panels(flipped=True)
        case ConvOp():
            panels = filter_panels(op, False, biased, op.window.strides[1])
            return Padded(op.window.pads, biased=biased), panels
        case ConvDgradOp():
            return dgrad_padding(op), filter_panels(op, True, True, 1)
        case GemmWgradOp() | ConvWgradOp():
            pads = op.window.pads if isinstance(op, ConvWgradOp) else NO_PADS
            return Quads(pads, biased), Quads(biased=False)
        case _:
            return None


def filter_panels(op: ConvolutionOp, flipped: bool, biased: bool, step: int) -> Panels:
    """The filters, for an operand whose windows are `step` columns apart."""
    if op.window.groups > 1:
        return GroupPanels(True, flipped, biased, op.window.groups)
    return several_pixels(op, Panels(has_taps(op), flipped, biased), step)


def several_pixels(op: ConvolutionOp, panels: Panels, step: int) -> Panels:
    """Where output channels are few: panels that fill a vector with those of neighbouring pixels, if that is faster."""
    n, oh, ow, _ = shape_of(op.results[0])
    outputs, kh, kw, c = panels.filters(shape_of(op.operands[1]))
    if panels.taps or n * oh * ow < MANY_PIXELS:
        return panels
    fitting = [pixels for pixels in range(2, VECTOR // outputs + 1) if ow % pixels == 0]
    if kh * (kw + VECTOR * step) * c > LARGE_FILTER:
        return panels
    cost = {pixels: ceildiv((kw + (pixels - 1) * step) * c, PACK) / pixels for pixels in (1, *fitting)}
    best = min(cost, key=cost.__getitem__)
    return PixelPanels(False, panels.flipped, panels.biased, best, step) if best > 1 else panels


def is_depthwise(op: ConvolutionOp) -> bool:
    """Whether every channel is a group, with one filter."""
    other = op.operands[1] if isinstance(op, ConvWgradOp) else op.results[0]
    channels = {shape_of(value)[3] for value in (op.operands[0], other)}
    return op.window.groups > 1 and channels == {op.window.groups}


def has_taps(op: ConvolutionOp) -> bool:
    """Whether the columns of a window lie apart, so that a run is one pixel."""
    return op.window.dilations[1] > 1 and kernel_size(op)[1] > 1


def kernel_size(op: ConvolutionOp) -> tuple[int, int]:
    """(KH, KW)"""
    kh, kw = op.ints("kernel") if isinstance(op, ConvWgradOp) else shape_of(op.operands[1])[1:3]
    return kh, kw


def dgrad_padding(op: ConvDgradOp, biased: bool = True) -> Padded:
    """The errors as a convolution with the rotated window sees them: strides apart, and a frame that it reaches."""
    (top, left), size, window = op.window.pads[:2], op.ints("size"), op.window
    before, after = [0, 0], [0, 0]
    for axis, pad in enumerate((top, left)):
        reach = (kernel_size(op)[axis] - 1) * window.dilations[axis]
        spread = (shape_of(op.dy)[1 + axis] - 1) * window.strides[axis] + 1
        before[axis] = reach - pad
        after[axis] = size[axis] + reach - spread - before[axis]
    return Padded((before[0], before[1], after[0], after[1]), window.strides, biased)
