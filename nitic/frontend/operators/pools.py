"""Pools, means, and the normalisation over a window of channels."""

from copy import copy
from math import prod

from nitic.frontend.emitter import Emitter
from nitic.frontend.nodes import Node
from nitic.frontend.operators.inputs import Handler, Inputs, activation, as_written, axes_of
from nitic.frontend.values import NHWC, Activation, NodeError, Value, inverse
from nitic.frontend.windows import PoolWindow, pool_window
from nitic.ops.lrn import LrnOp
from nitic.ops.pool import AveragePoolOp, MaxPoolOp

IN_FRONT = {"kernel_shape": [1], "strides": [1], "dilations": [1], "pads": [0]}


def as_image(node: Node, x: Activation) -> tuple[Node, Activation]:
    """A row of samples as an image one row high, and the node with the attributes for it; other inputs as they are."""
    if len(x.shape) != 3:
        return node, x
    flat, (n, c, length) = copy(node), x.shape
    flat.attributes = dict(node.attributes)
    for name, one in IN_FRONT.items():
        if name in node.attributes:
            values = list(node.ints(name, length=2 if name == "pads" else 1))
            flat.attributes[name] = [*one, values[0], *one, values[1]] if name == "pads" else [*one, *values]
    return flat, x.reshape((n, c, 1, length))


def like_input(y: Activation, x: Activation) -> Activation:
    """The result of a pool, with as many axes as its input had."""
    return y if len(x.shape) == 4 else y.reshape((*y.shape[:2], y.shape[3]))


def max_pool(emitter: Emitter, node: Node, inputs: Inputs) -> Value:
    x = activation(inputs)
    node, image = as_image(node, x)
    return like_input(largest(emitter, image, pool_window(node, image.shape)), x)


def average_pool(emitter: Emitter, node: Node, inputs: Inputs) -> Value:
    x = activation(inputs)
    node, image = as_image(node, x)
    window = pool_window(node, image.shape)
    return like_input(average(emitter, image, window, count_pads=bool(node.get("count_include_pad", 0))), x)


def largest(emitter: Emitter, x: Activation, window: PoolWindow) -> Activation:
    return Activation.nhwc(emitter.emit(MaxPoolOp.of(emitter.nhwc(x), **window.properties())))


def average(emitter: Emitter, x: Activation, window: PoolWindow, *, count_pads: bool = True) -> Activation:
    return Activation.nhwc(emitter.emit(AveragePoolOp.of(emitter.nhwc(x), **window.counting(count_pads))))


def global_pool(emitter: Emitter, node: Node, inputs: Inputs) -> Value:
    """Over all axes but batch and channels."""
    x = activation(inputs)
    return reduced(emitter, node, x, tuple(range(2, len(x.shape))))


def reduce_(emitter: Emitter, node: Node, inputs: Inputs) -> Value:
    x = activation(inputs)
    axes = axes_of(node, inputs, len(x.shape))
    y = reduced(emitter, node, x, axes)
    kept = tuple(size for axis, size in enumerate(x.shape) if axis not in axes)
    return y if node.get("keepdims", 1) else y.reshape(kept)


def reduced(emitter: Emitter, node: Node, x: Activation, axes: tuple[int, ...]) -> Activation:
    """The mean or maximum over some axes is a pool of an image that has these as its rows."""
    if not axes or axes[0] == 0:
        raise NodeError(f"over the axes {list(axes)} of {list(x.shape)} it would mix the samples of a batch")
    pool = largest if node.op in {"GlobalMaxPool", "ReduceMax"} else average
    if len(x.shape) == 4 and axes == (2, 3):
        return pool(emitter, x, PoolWindow(kernel=x.shape[2:]))
    order = NHWC if len(x.shape) == 4 else tuple(range(len(x.shape)))
    first = min(order.index(axis) for axis in axes)
    before, after = order[:first], [axis for axis in order[first:] if axis not in axes]
    perm = (*before, *axes, *after)
    outer, rows, inner = (prod(x.shape[axis] for axis in group) for group in (before, axes, after))
    image = Activation.nhwc(emitter.reshape(emitter.arranged(x, perm), (outer, rows, 1, inner)))
    y = pool(emitter, image, PoolWindow(kernel=(rows, 1)))
    shape = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
    return Activation(emitter.reshape(y.value, tuple(shape[axis] for axis in perm)), inverse(perm), shape)


def lrn(emitter: Emitter, node: Node, inputs: Inputs) -> Value:
    x, size = activation(inputs), node.get("size", 0)
    if len(x.shape) < 2:
        raise NodeError(f"expected an input with channels, found one of the shape {list(x.shape)}")
    defaults = {"alpha": 1e-4, "beta": 0.75, "bias": 1.0}
    constants = {key: as_written(node.get(key, value)) for key, value in defaults.items()}
    order = (0, *range(2, len(x.shape)), 1)
    y = emitter.emit(LrnOp.of(emitter.arranged(x, order), size=size, **constants))
    return Activation(y, inverse(order), x.shape)


HANDLERS: dict[str, Handler] = {
    "AveragePool": average_pool,
    "GlobalAveragePool": global_pool,
    "GlobalMaxPool": global_pool,
    "LRN": lrn,
    "MaxPool": max_pool,
    "ReduceMax": reduce_,
    "ReduceMean": reduce_,
}
