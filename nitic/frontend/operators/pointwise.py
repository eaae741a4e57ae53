"""Bias, Dropout, and the softmax before the loss."""

from math import prod

from nitic.frontend.attributes import as_written
from nitic.frontend.builder import Builder
from nitic.frontend.nodes import Node
from nitic.frontend.operators.inputs import Handler, Inputs, activation, axis_of, number_of
from nitic.frontend.values import Activation, Constant, NodeError, Value, inverse
from nitic.ops.elementwise import BiasOp, DropoutOp


def bias(builder: Builder, x: Activation, b: Constant | None, axis: int) -> Activation:
    """x plus one value per index of an axis. Zeros that the graph repeats are none: so torch writes a layer without."""
    if b is None:
        return x
    if b.repeated and not b.array.any():
        assert builder.node
        builder.without_bias.append(builder.node)
        return x
    if prod(b.shape) != x.shape[axis]:
        raise NodeError(f"a bias of the shape {list(b.shape)} does not fit {x.shape[axis]} channels")
    if x.shape == x.transposed and x.perm[axis] == len(x.shape) - 1:
        last = x
    else:
        order = (*(i for i in range(len(x.shape)) if i != axis), axis)
        last = Activation(builder.arranged(x, order), inverse(order), x.shape)
    argument = builder.parameter(b.reshape((x.shape[axis],)), "bias", layer=x.value)
    return last.with_value(builder.insert(BiasOp.of(last.value, argument)))


def dropout(builder: Builder, node: Node, inputs: Inputs) -> Value:
    """Kept in inference form, too: whoever trains the network wants it."""
    x, p = activation(inputs), number_of(node, inputs, 1, "ratio")
    if p == 0:
        return x
    return x.with_value(builder.insert(DropoutOp.of(x.value, p=as_written(p))))


def log_softmax(builder: Builder, node: Node, inputs: Inputs) -> Value:
    """Dropped: the importer checks that nothing follows it, and the loss takes logits."""
    x = activation(inputs)
    axis = axis_of(node, x, default=-1 if node.opset >= 13 else 1)
    if len(x.shape) < 2 or axis != 1 or prod(x.shape[2:]) != 1:
        raise NodeError(f"only {node.op} over the classes of [N, classes] is supported, not of {list(x.shape)}")
    builder.note(f"{node}: dropped, because the loss takes logits")
    return x


HANDLERS: dict[str, Handler] = {
    "Dropout": dropout,
    "LogSoftmax": log_softmax,
    "Softmax": log_softmax,
}
