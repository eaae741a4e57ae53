"""How ONNX says where a kernel slides: kernel_shape, strides, dilations, pads, auto_pad, ceil_mode."""

from collections.abc import Sequence
from dataclasses import dataclass

from nitic.frontend.nodes import Node
from nitic.frontend.values import NodeError
from nitic.ir.types import Shape
from nitic.ops.conv import Window


@dataclass(frozen=True)
class PoolWindow:
    """kernel and strides are (H, W), pads are (top, left, bottom, right)."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...] = (1, 1)
    pads: tuple[int, ...] = (0, 0, 0, 0)

    def properties(self) -> dict[str, Sequence[int]]:
        return {"kernel": self.kernel, "strides": self.strides, "pads": self.pads}


def conv_window(node: Node, size: Shape, kernel: Shape) -> Window:
    if node.ints("kernel_shape", kernel) != kernel:
        raise NodeError(f"kernel_shape is {list(node.ints('kernel_shape'))} but the filter is {list(kernel)}")
    strides, dilations = _positive(node, "strides"), _positive(node, "dilations")
    groups = node.get("group", 1)
    if groups < 1:
        raise NodeError(f"group is {groups}, but must be positive")
    pads = _pads(node, size, kernel, strides, dilations)
    return Window((strides[0], strides[1]), (pads[0], pads[1], pads[2], pads[3]), (dilations[0], dilations[1]), groups)


def pool_window(node: Node, shape: Shape) -> PoolWindow:
    if len(shape) != 4:
        raise NodeError(f"only 2-D pooling is supported, not of an input of {list(shape)}")
    kernel, strides = _positive(node, "kernel_shape", None), _positive(node, "strides")
    if _positive(node, "dilations") != (1, 1):
        raise NodeError("pooling with dilations is not supported")
    window = PoolWindow(kernel, strides, _pads(node, shape[2:], kernel, strides, (1, 1)))
    if node.get("ceil_mode", 0) and any(_remainder(window, shape[2:])):
        raise NodeError("ceil_mode=1 adds windows that reach beyond the padded input, which is not supported")
    return window


def _positive(node: Node, name: str, default: Sequence[int] | None = (1, 1)) -> tuple[int, ...]:
    values = node.ints(name, default, length=2)
    if min(values) < 1:
        raise NodeError(f"attribute {name!r} is {list(values)}, but must be positive")
    return values


def _remainder(window: PoolWindow, size: Shape) -> list[int]:
    """Rows and columns that no window covers because they are fewer than a stride."""
    padded = [size[i] + window.pads[i] + window.pads[i + 2] for i in range(2)]
    return [(padded[i] - window.kernel[i]) % window.strides[i] for i in range(2)]


def _pads(node: Node, size: Shape, kernel: Shape, strides: Shape, dilations: Shape) -> tuple[int, ...]:
    mode = node.get("auto_pad", "NOTSET")
    if mode == "NOTSET":
        pads = node.ints("pads", (0, 0, 0, 0), length=4)
        if min(pads) < 0:
            raise NodeError(f"negative pads {list(pads)} are not supported")
        return pads
    if mode == "VALID":
        return (0, 0, 0, 0)
    if mode not in {"SAME_UPPER", "SAME_LOWER"}:
        raise NodeError(f"auto_pad {mode!r} is unknown")
    total = [_same(*values) for values in zip(size, kernel, strides, dilations, strict=True)]
    small, large = [t // 2 for t in total], [t - t // 2 for t in total]
    return (*small, *large) if mode == "SAME_UPPER" else (*large, *small)


def _same(size: int, kernel: int, stride: int, dilation: int) -> int:
    """Padding of both sides with which an axis gives ceil(size / stride) results."""
    outputs = -(-size // stride)
    return max(0, (outputs - 1) * stride + dilation * (kernel - 1) + 1 - size)
