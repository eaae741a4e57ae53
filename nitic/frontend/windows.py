"""How ONNX says where a kernel slides: kernel_shape, strides, dilations, pads, auto_pad, ceil_mode."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace

from nitic.frontend.nodes import Node
from nitic.frontend.values import NodeError
from nitic.ir.types import Shape
from nitic.ops.conv import Window


@dataclass(frozen=True)
class PoolWindow:
    """kernel, strides and dilations are (H, W), pads are (top, left, bottom, right).

    `beyond` are the rows and columns behind them that ceil_mode adds, which never count.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...] = (1, 1)
    pads: tuple[int, ...] = (0, 0, 0, 0)
    dilations: tuple[int, ...] = (1, 1)
    beyond: tuple[int, int] = (0, 0)

    def properties(self) -> dict[str, Sequence[int]]:
        top, left, bottom, right = self.pads
        pads = (top, left, bottom + self.beyond[0], right + self.beyond[1])
        dilated = {"dilations": self.dilations} if self.dilations != (1, 1) else {}
        return {"kernel": self.kernel, "strides": self.strides, "pads": pads, **dilated}

    def counting(self, count_pads: bool) -> dict[str, Sequence[int]]:
        """The properties for an average pool: with the pads that count as zeros, where not all of them do."""
        counted = self.pads if count_pads else (0, 0, 0, 0)
        properties = self.properties()
        return properties if properties["pads"] == counted else {**properties, "counted": counted}


def conv_window(node: Node, size: Shape, kernel: Shape) -> Window:
    if node.integers("kernel_shape", kernel) != kernel:
        raise NodeError(f"kernel_shape is {list(node.integers('kernel_shape'))} but the filter is {list(kernel)}")
    strides, dilations = _pair(node, "strides", 1), _pair(node, "dilations", 1)
    pads, groups = _pads(node, size, kernel, strides, dilations), node.integer("group")
    return Window((strides[0], strides[1]), (pads[0], pads[1], pads[2], pads[3]), (dilations[0], dilations[1]), groups)


def transposed_window(node: Node, size: Shape, kernel: Shape) -> tuple[Window, tuple[int, int]]:
    """Of ConvTranspose: the window of the convolution that it is the transpose of, and the (H, W) of its result.

    output_shape and the SAME modes of auto_pad leave the pads to ONNX, which splits them in halves.
    """
    strides, padding = _pair(node, "strides", 1), _pair(node, "output_padding", 0)
    if not all(extra < stride for extra, stride in zip(padding, strides, strict=True)):
        raise NodeError(f"output_padding {list(padding)} is not below the strides {list(strides)}")
    window = conv_window(node, size, kernel)
    spans = [d * (k - 1) + 1 for d, k in zip(window.dilations, kernel, strict=True)]
    full = [s * (n - 1) + span + extra for s, n, span, extra in zip(strides, size, spans, padding, strict=True)]
    mode = node.word("auto_pad")
    same = [s * n for s, n in zip(strides, size, strict=True)] if mode.startswith("SAME") else ()
    wanted = node.integers("output_shape", same)
    if len(wanted) not in {0, 2, 4}:
        raise NodeError(f"attribute 'output_shape' has {len(wanted)} values; two spatial dimensions need 2")
    wanted = wanted[-2:]
    if not wanted:
        top, left, bottom, right = window.pads
        return window, (full[0] - top - bottom, full[1] - left - right)
    total = [max(0, most - size) for most, size in zip(full, wanted, strict=True)]
    small, large = [t // 2 for t in total], [t - t // 2 for t in total]
    pads = (*small, *large) if mode == "SAME_UPPER" else (*large, *small)
    return replace(window, pads=(pads[0], pads[1], pads[2], pads[3])), (wanted[0], wanted[1])


def pool_window(node: Node, shape: Shape) -> PoolWindow:
    if len(shape) != 4:
        raise NodeError(f"only 1-D and 2-D pooling is supported, not of an input of {list(shape)}")
    kernel, strides, dilations = _pair(node, "kernel_shape"), _pair(node, "strides", 1), _pair(node, "dilations", 1)
    pads = _pads(node, shape[2:], kernel, strides, dilations)
    beyond = (0, 0)
    if node.integer("ceil_mode"):
        axes = zip(shape[2:], kernel, strides, dilations, pads[:2], pads[2:], strict=True)
        rows, columns = (_beyond(*axis) for axis in axes)
        beyond = (rows, columns)
    return PoolWindow(kernel, strides, pads, dilations, beyond)


def _beyond(size: int, kernel: int, stride: int, dilation: int, before: int, after: int) -> int:
    """How far the last window reaches beyond the padded input: there is one more where it begins before the padding."""
    span = dilation * (kernel - 1) + 1
    left = -(size + before + after - span) % stride
    begin = size + before + after - span + left
    return left if begin < size + before else 0


def _pair(node: Node, name: str, default: int | None = None) -> tuple[int, ...]:
    """A value per spatial axis."""
    return node.integers(name, None if default is None else (default, default), length=2)


def _pads(node: Node, size: Shape, kernel: Shape, strides: Shape, dilations: Shape) -> tuple[int, ...]:
    mode = node.word("auto_pad")
    if mode == "NOTSET":
        return node.integers("pads", (0, 0, 0, 0), length=4)
    if mode == "VALID":
        return (0, 0, 0, 0)
    total = [_same(*values) for values in zip(size, kernel, strides, dilations, strict=True)]
    small, large = [t // 2 for t in total], [t - t // 2 for t in total]
    return (*small, *large) if mode == "SAME_UPPER" else (*large, *small)


def _same(size: int, kernel: int, stride: int, dilation: int) -> int:
    """Padding of both sides with which an axis gives ceil(size / stride) results."""
    outputs = -(-size // stride)
    return max(0, (outputs - 1) * stride + dilation * (kernel - 1) + 1 - size)


_SPATIAL = {"kernel_shape": 1, "strides": 1, "dilations": 1, "output_padding": 0, "output_shape": 1, "pads": 0}
"""Attributes with a value per spatial axis, and what they are for an axis of one row."""


def one_row(node: Node) -> Node:
    """A node over sequences as one over images of one row."""
    lifted = copy(node)
    lifted.attributes = dict(node.attributes)
    for name, row in _SPATIAL.items():
        if name in node.attributes:
            values = node.integers(name)
            expected = 2 if name == "pads" else 1
            if len(values) != expected:
                raise NodeError(f"attribute {name!r} has {len(values)} values; one spatial dimension needs {expected}")
            lifted.attributes[name] = [number for value in values for number in (row, value)]
    return lifted
