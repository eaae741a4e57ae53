"""Windows that slide over all axes of a tensor, batch and channels among them, as JAX's reduce_window has them.

Along most of these a window has one element. So it is a pool of images, with the other axes as batch and channels.
"""

from collections.abc import Sequence
from copy import copy
from math import prod

from onnx import helper

from nitic.frontend.builder import Builder
from nitic.frontend.nodes import Node
from nitic.frontend.operators.arithmetic import multiply_constant
from nitic.frontend.operators.inputs import Handler, Inputs, activation
from nitic.frontend.values import Activation, Constant, NodeError, Value, inverse

_SPATIAL = {"strides": 1, "dilations": 1, "pads": 0}
_MOST = 4
"""Axes of an image, with batch and channels."""


def over_all_axes_too(handler: Handler) -> Handler:
    """A handler of pools that takes tensors of more axes, of which windows slide along two."""

    def handle(builder: Builder, node: Node, inputs: Inputs) -> Value | Sequence[Value]:
        x = activation(inputs)
        if len(x.shape) <= _MOST:
            return handler(builder, node, inputs)
        return pooled(handler, builder, node, x, node.integers("kernel_shape", length=len(x.shape) - 2))

    return handle


def sums_too(conv: Handler, average: Handler) -> Handler:
    """A handler of convolutions that takes those over all axes by ones, which are averages times their elements."""

    def handle(builder: Builder, node: Node, inputs: Inputs) -> Value | Sequence[Value]:
        x, w = activation(inputs), inputs[1] if len(inputs) > 1 else None
        if len(x.shape) <= _MOST or not isinstance(w, Constant) or len(inputs) > 2 or not _sums(x, w):
            return conv(builder, node, inputs)
        counting = Node(helper.make_node("AveragePool", node.proto.input[:1], node.proto.output), node.opset, node.name)
        counting.attributes = {key: value for key, value in node.attributes.items() if key != "group"}
        counting.attributes["count_include_pad"] = 1
        mean = pooled(average, builder, counting, x, w.shape[2:])
        return multiply_constant(builder, mean, float(prod(w.shape)))

    return handle


def _sums(x: Activation, w: Constant) -> bool:
    return len(w.shape) == len(x.shape) and x.shape[1] == 1 and w.shape[:2] == (1, 1) and bool((w.array == 1).all())


def pooled(handler: Handler, builder: Builder, node: Node, x: Activation, kernel: Sequence[int]) -> Activation:
    """Raises NodeError where windows slide along more than two axes."""
    rank = len(x.shape) - 2
    given = {"kernel_shape": [*kernel]}
    for key, least in _SPATIAL.items():
        count = 2 * rank if key == "pads" else rank
        given[key] = [*node.integers(key, [least] * count)]
        if len(given[key]) != count:
            raise NodeError(f"attribute {key!r} has {len(given[key])} values; {rank} spatial dimensions need {count}")
    pads = [*zip(given["pads"][:rank], given["pads"][rank:], strict=True)]
    moves = [i for i in range(rank) if (kernel[i], given["strides"][i], *pads[i]) != (1, 1, 0, 0)] or [rank - 1]
    if len(moves) > 2:
        raise NodeError(f"windows that slide along {len(moves)} axes are not supported, only along 1 or 2")
    slid = moves if len(moves) == 2 else [None, *moves]  # None is an axis of one row
    image = copy(node)
    image.attributes = dict(node.attributes)
    for key in ("kernel_shape", "strides", "dilations"):
        image.attributes[key] = [1 if i is None else given[key][i] for i in slid]
    image.attributes["pads"] = [0 if i is None else pads[i][side] for side in (0, 1) for i in slid]
    axes = [i + 2 for i in moves]
    others = [i for i in range(rank + 2) if i not in axes]
    *outer, channels = (x.shape[i] for i in others)
    order = (*others, *axes)
    sizes = [1 if i is None else x.shape[i + 2] for i in slid]
    y = handler(builder, image, [builder.view(x, order).reshape((prod(outer), channels, *sizes))])
    assert isinstance(y, Activation)
    return builder.view(y.reshape((*outer, channels, *y.shape[-len(axes) :])), inverse(order))
