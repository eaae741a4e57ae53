"""Layer, RMS, group and instance norm: what shares statistics becomes a row."""

from math import prod

from nitic.frontend.attributes import as_written
from nitic.frontend.builder import Builder
from nitic.frontend.nodes import Node
from nitic.frontend.operators.inputs import Handler, Inputs, activation, axis_of, constant, required
from nitic.frontend.values import Activation, Constant, NodeError, Value, inverse
from nitic.ops.row_norm import RowNormaliseOp, RowScaleOp, RowStatisticsOp


def normalised(builder: Builder, node: Node, rows: Activation, *, centred: bool) -> Activation:
    """An activation along its last axis."""
    epsilon = as_written(node.number("epsilon"))
    x = builder.in_onnx_order(rows)
    statistics = RowStatisticsOp.of(x, epsilon=epsilon, centred=int(centred))
    builder.insert(statistics)
    xhat = builder.insert(RowNormaliseOp.of(x, *statistics.results, centred=int(centred)))
    return Activation.of(xhat)


def scaled(builder: Builder, x: Activation, gamma: Constant | None, beta: Constant | None) -> Activation:
    """gamma * x + beta along the last axis."""
    size = x.shape[-1]
    for each in (gamma, beta):
        if each is not None and prod(each.shape) != size:
            raise NodeError(f"a factor or offset of the shape {list(each.shape)} does not fit {size} channels")
    if gamma is None:
        return x
    weight = builder.parameter(gamma.reshape((size,)), "weight")
    offset = [] if beta is None else [builder.parameter(beta.reshape((size,)), "bias")]
    return Activation.of(builder.insert(RowScaleOp.of(builder.in_onnx_order(x), weight, *offset)))


def layer_norm(builder: Builder, node: Node, inputs: Inputs) -> Value:
    return along_last_axes(builder, node, inputs, centred=True)


def rms_norm(builder: Builder, node: Node, inputs: Inputs) -> Value:
    return along_last_axes(builder, node, inputs, centred=False)


def along_last_axes(builder: Builder, node: Node, inputs: Inputs, *, centred: bool) -> Activation:
    x = activation(inputs)
    axis = axis_of(node, x)
    if axis == 0:
        raise NodeError("axis=0 is not supported: samples must not share statistics")
    rows = x.reshape((*x.shape[:axis], prod(x.shape[axis:])))
    xhat = normalised(builder, node, rows, centred=centred)
    return scaled(builder, xhat, constant(inputs, 1), constant(inputs, 2)).reshape(x.shape)


def group_norm(builder: Builder, node: Node, inputs: Inputs) -> Value:
    x, groups = activation(inputs), node.integer("num_groups")
    return by_groups(builder, node, x, groups, required(inputs, 1), required(inputs, 2))


def instance_norm(builder: Builder, node: Node, inputs: Inputs) -> Value:
    x = activation(inputs)
    if len(x.shape) < 3:
        raise NodeError(f"expected an input of [N, C, ...], found one of the shape {list(x.shape)}")
    return by_groups(builder, node, x, x.shape[1], required(inputs, 1), required(inputs, 2))


def by_groups(builder: Builder, node: Node, x: Activation, groups: int, gamma: Constant, beta: Constant) -> Activation:
    """x of [N, C, ...], whose channels in each of some groups share statistics; one factor a channel, or a group."""
    n, channels, *space = x.shape
    if channels % groups:
        raise NodeError(f"{channels} channels are not a multiple of {groups} groups")
    of_groups = prod(gamma.shape) == groups != channels
    inner = channels // groups
    last = builder.view(x, (0, *range(2, len(x.shape)), 1)).reshape((n, prod(space), groups, inner))
    rows = builder.view(last, (0, 2, 1, 3)).reshape((n, groups, prod(space) * inner))
    xhat = normalised(builder, node, rows, centred=True).reshape((n, groups, prod(space), inner))
    if of_groups:
        y = scaled(builder, builder.view(xhat, (0, 2, 3, 1)), gamma, beta)
        y = builder.view(y, (0, 1, 3, 2))
    else:
        y = scaled(builder, builder.view(xhat, (0, 2, 1, 3)).reshape((n, prod(space), channels)), gamma, beta)
    order = (0, *range(2, len(x.shape)), 1)
    value = builder.reshape(builder.in_onnx_order(y), tuple(x.shape[axis] for axis in order))
    return Activation(value, inverse(order), x.shape)


HANDLERS: dict[str, Handler] = {
    "GroupNormalization": group_norm,
    "InstanceNormalization": instance_norm,
    "LayerNormalization": layer_norm,
    "RMSNormalization": rms_norm,
}
