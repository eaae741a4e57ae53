"""Pools, means, and the normalisation over a window of channels."""

from collections.abc import Callable
from math import prod

from nitic.frontend.attributes import as_written
from nitic.frontend.builder import Builder
from nitic.frontend.nodes import Node
from nitic.frontend.operators.activations import magnitude
from nitic.frontend.operators.all_axes import over_all_axes_too
from nitic.frontend.operators.arithmetic import multiply_constant, negated, product_of
from nitic.frontend.operators.inputs import Handler, Inputs, activation, axes_of
from nitic.frontend.operators.powers import root_of
from nitic.frontend.operators.sequences import sequences_too
from nitic.frontend.values import Activation, NodeError, Value, inverse
from nitic.frontend.windows import PoolWindow, pool_window
from nitic.ops.lrn import LrnOp
from nitic.ops.pool import AveragePoolOp, MaxPoolOp


def max_pool(builder: Builder, node: Node, inputs: Inputs) -> Value:
    x = activation(inputs)
    return largest(builder, x, pool_window(node, x.shape))


def average_pool(builder: Builder, node: Node, inputs: Inputs) -> Value:
    x = activation(inputs)
    return average(builder, x, pool_window(node, x.shape), count_pads=bool(node.integer("count_include_pad")))


def largest(builder: Builder, x: Activation, window: PoolWindow) -> Activation:
    return Activation.nhwc(builder.insert(MaxPoolOp.of(builder.nhwc(x), **window.properties())))


def average(builder: Builder, x: Activation, window: PoolWindow, *, count_pads: bool = True) -> Activation:
    return Activation.nhwc(builder.insert(AveragePoolOp.of(builder.nhwc(x), **window.counting(count_pads))))


def global_pool(builder: Builder, node: Node, inputs: Inputs) -> Value:
    """A pool over all axes but batch and channels."""
    x = activation(inputs)
    return reduced(builder, node, x, tuple(range(2, len(x.shape))))


def reduce_(builder: Builder, node: Node, inputs: Inputs) -> Value:
    x = activation(inputs)
    axes = axes_of(node, inputs, len(x.shape))
    before, after = AROUND.get(node.op, (None, None))
    y = reduced(builder, node, before(builder, x) if before else x, axes)
    if node.op in SUMS:
        y = multiply_constant(builder, y, float(prod(x.shape[axis] for axis in axes)))
    y = after(builder, y) if after else y
    kept = tuple(size for axis, size in enumerate(x.shape) if axis not in axes)
    return y if node.integer("keepdims") else y.reshape(kept)


def reduced(builder: Builder, node: Node, x: Activation, axes: tuple[int, ...]) -> Activation:
    """The mean or maximum over some axes is a pool of an image that has these as its rows."""
    if not axes or builder.batch_axis(node.proto.input[0], x) in axes:
        raise NodeError(f"over the axes {list(axes)} of {list(x.shape)} it would mix the samples of a batch")
    pool = largest if node.op in {"GlobalMaxPool", "ReduceMax", "ReduceMin"} else average
    if len(x.shape) == 4 and axes == (2, 3):
        return pool(builder, x, PoolWindow(kernel=x.shape[2:]))
    x = builder.with_axes(x)
    order = inverse(x.perm)
    first = min(order.index(axis) for axis in axes)
    before, after = order[:first], [axis for axis in order[first:] if axis not in axes]
    perm = (*before, *axes, *after)
    outer, rows, inner = (prod(x.shape[axis] for axis in group) for group in (before, axes, after))
    image = Activation.nhwc(builder.reshape(builder.arranged(x, perm), (outer, rows, 1, inner)))
    y = pool(builder, image, PoolWindow(kernel=(rows, 1)))
    shape = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
    return Activation(builder.reshape(y.value, tuple(shape[axis] for axis in perm)), inverse(perm), shape)


def lrn(builder: Builder, node: Node, inputs: Inputs) -> Value:
    x, size = activation(inputs), node.integer("size")
    if len(x.shape) < 2:
        raise NodeError(f"expected an input with channels, found one of the shape {list(x.shape)}")
    constants = {key: as_written(node.number(key)) for key in ("alpha", "beta", "bias")}
    order = (0, *range(2, len(x.shape)), 1)
    y = builder.insert(LrnOp.of(builder.arranged(x, order), size=size, **constants))
    return Activation(y, inverse(order), x.shape)


def squared(builder: Builder, x: Activation) -> Activation:
    return product_of(builder, x, x)


Part = Callable[[Builder, Activation], Activation]
AROUND: dict[str, tuple[Part | None, Part | None]] = {
    "ReduceL1": (magnitude, None),
    "ReduceL2": (squared, root_of),
    "ReduceMin": (negated, negated),
    "ReduceSumSquare": (squared, None),
}
"""What a reduction does before its sum or maximum, and after it."""
SUMS = frozenset({"ReduceL1", "ReduceL2", "ReduceSum", "ReduceSumSquare"})
HANDLERS: dict[str, Handler] = {
    "AveragePool": over_all_axes_too(sequences_too(average_pool)),
    "GlobalAveragePool": global_pool,
    "GlobalMaxPool": global_pool,
    "LRN": lrn,
    "MaxPool": over_all_axes_too(sequences_too(max_pool)),
    **dict.fromkeys(("ReduceMax", "ReduceMean", *AROUND, "ReduceSum"), reduce_),
}
