"""How the operands of contractions lie for kernels with explicit vectors: padded pixels, panels of filters.

A dot product multiplies unsigned by signed bytes: an operand that may be negative is stored with 128 added ("biased").
"""

from nitic.ir.layout import PACK, VECTOR, GroupPanels, Padded, Panels, PixelPanels, Quads, ceildiv
from nitic.ir.op import NnOp
from nitic.ir.types import shape_of
from nitic.ops.conv import ConvDgradOp, ConvolutionOp, ConvWgradOp
from nitic.targets.base import Layouts

MANY_PIXELS = 1024  # from here on the packing of the weights does not matter
LARGE_FILTER = 4096  # bytes of a lane's weights: sixteen of them are packed on the stack
NO_PADS = (0, 0, 0, 0)


def depthwise(op: NnOp, _: bool) -> Layouts:
    """The pixels with their frame, for any of the three convolutions."""
    assert isinstance(op, ConvolutionOp)
    return dgrad_padding(op, False) if isinstance(op, ConvDgradOp) else Padded(op.window.pads, biased=False), None


def forward(op: NnOp, nonnegative: bool) -> Layouts:
    """nn.conv, nn.gemm"""
    biased = not nonnegative
    if not isinstance(op, ConvolutionOp):
        return Padded(biased=biased), Panels(biased=biased)
    return Padded(op.window.pads, biased=biased), filter_panels(op, False, biased, op.window.strides[1])


def dgrad(op: NnOp, nonnegative: bool) -> Layouts:
    """nn.conv_dgrad, nn.gemm_dgrad."""
    biased = not nonnegative
    if not isinstance(op, ConvDgradOp):
        return Padded(biased=biased), Panels(flipped=True, biased=biased)
    return dgrad_padding(op, biased), filter_panels(op, True, biased, 1)


def wgrad(op: NnOp, nonnegative: bool) -> Layouts:
    """nn.conv_wgrad, nn.gemm_wgrad"""
    pads = op.window.pads if isinstance(op, ConvWgradOp) else NO_PADS
    return Quads(pads, not nonnegative), Quads(biased=False)


def filter_panels(op: ConvolutionOp, flipped: bool, biased: bool, step: int) -> Panels:
    """The filters, for an operand whose windows are `step` columns apart."""
    if op.window.groups > 1:
        return GroupPanels(True, flipped, biased, op.window.groups)
    return several_pixels(op, Panels(op.has_taps, flipped, biased), step)


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


def dgrad_padding(op: ConvDgradOp, biased: bool = True) -> Padded:
    """The errors as a convolution with the rotated window sees them: strides apart, and a frame that it reaches."""
    (top, left), size, window = op.window.pads[:2], op.ints("size"), op.window
    before, after = [0, 0], [0, 0]
    for axis, pad in enumerate((top, left)):
        reach = (op.kernel_size[axis] - 1) * window.dilations[axis]
        spread = (shape_of(op.dy)[1 + axis] - 1) * window.strides[axis] + 1
        before[axis] = reach - pad
        after[axis] = size[axis] + reach - spread - before[axis]
    return Padded((before[0], before[1], after[0], after[1]), window.strides, biased)
