"""Pools and means."""

from nitic.frontend.emitter import Emitter
from nitic.frontend.nodes import Node
from nitic.frontend.operators.inputs import Handler, Inputs, activation, axes_of
from nitic.frontend.operators.sequences import sequences_too
from nitic.frontend.values import Activation, NodeError, Value
from nitic.frontend.windows import PoolWindow, pool_window
from nitic.ops.pool import AveragePoolOp, MaxPoolOp


def max_pool(emitter: Emitter, node: Node, inputs: Inputs) -> Value:
    x = activation(inputs)
    window = pool_window(node, x.shape)
    return Activation.nhwc(emitter.emit(MaxPoolOp.of(emitter.nhwc(x), **window.properties())))


def average_pool(emitter: Emitter, node: Node, inputs: Inputs) -> Value:
    x = activation(inputs)
    window = pool_window(node, x.shape)
    if any(window.pads) and not node.get("count_include_pad", 0):
        raise NodeError("average pooling that leaves padding out of the average (count_include_pad=0) is not supported")
    return average(emitter, x, window)


def average(emitter: Emitter, x: Activation, window: PoolWindow) -> Activation:
    return Activation.nhwc(emitter.emit(AveragePoolOp.of(emitter.nhwc(x), **window.properties())))


def global_average_pool(emitter: Emitter, node: Node, inputs: Inputs) -> Value:
    del node
    x = activation(inputs)
    if len(x.shape) != 4:
        raise NodeError(f"only 2-D pooling is supported, not of an input of {list(x.shape)}")
    return average(emitter, x, PoolWindow(kernel=(x.shape[2], x.shape[3])))


def reduce_mean(emitter: Emitter, node: Node, inputs: Inputs) -> Value:
    """The mean over H and W is a global average pool."""
    x = activation(inputs)
    axes = axes_of(node, inputs, len(x.shape))
    if len(x.shape) != 4 or axes != (2, 3):
        raise NodeError(f"only the mean over H and W is supported, not over the axes {list(axes)} of {list(x.shape)}")
    result = average(emitter, x, PoolWindow(kernel=(x.shape[2], x.shape[3])))
    return result if node.get("keepdims", 1) else result.reshape(x.shape[:2])


HANDLERS: dict[str, Handler] = {
    "AveragePool": sequences_too(average_pool),
    "GlobalAveragePool": sequences_too(global_average_pool),
    "MaxPool": sequences_too(max_pool),
    "ReduceMean": reduce_mean,
}
