"""Point-wise operators: sums, activation functions, Dropout, and the softmax before the loss."""

from math import prod

from nitic.frontend.emitter import Emitter
from nitic.frontend.folding import is_parameter
from nitic.frontend.nodes import Node
from nitic.frontend.operators.inputs import Handler, Inputs, activation, as_written, constant
from nitic.frontend.values import Activation, Constant, NodeError, Value, inverse
from nitic.ir.types import Shape
from nitic.ops.elementwise import AddOp, BiasOp, DropoutOp, ReluOp


def bias(emitter: Emitter, x: Activation, b: Constant | None, axis: int) -> Activation:
    """x plus one value per index of an axis. A constant of zeros, as some exporters write it, is no bias."""
    if b is None or (not is_parameter(b) and not b.array.any()):
        return x
    if prod(b.shape) != x.shape[axis]:
        raise NodeError(f"a bias of the shape {list(b.shape)} does not fit {x.shape[axis]} channels")
    if x.shape == x.transposed and x.perm[axis] == len(x.shape) - 1:
        last = x
    else:
        order = (*(i for i in range(len(x.shape)) if i != axis), axis)
        last = Activation(emitter.arranged(x, order), inverse(order), x.shape)
    argument = emitter.parameter(b.reshape((x.shape[axis],)), "bias")
    return last.with_value(emitter.emit(BiasOp.of(last.value, argument)))


def add(emitter: Emitter, node: Node, inputs: Inputs) -> Value:
    del node
    values = [value for value in inputs if isinstance(value, Activation)]
    constants = [value for value in inputs if isinstance(value, Constant)]
    if len(values) == 2:
        return residual(emitter, values[0], values[1])
    if len(values) != 1 or len(constants) != 1:
        raise NodeError("a sum is of two activations, or of an activation and a constant bias")
    return bias(emitter, values[0], constants[0], channel_axis(constants[0].shape, values[0].shape))


def residual(emitter: Emitter, a: Activation, b: Activation) -> Activation:
    if a.shape != b.shape:
        raise NodeError(f"the sum of {list(a.shape)} and {list(b.shape)} would broadcast, which is not supported")
    if (a.perm, a.shape, a.physical) == (b.perm, b.shape, b.physical):
        return a.with_value(emitter.emit(AddOp.of(a.value, b.value)))
    if len(a.shape) == 4:
        return Activation.nhwc(emitter.emit(AddOp.of(emitter.nhwc(a), emitter.nhwc(b))))
    return Activation.of(emitter.emit(AddOp.of(emitter.in_onnx_order(a), emitter.in_onnx_order(b))))


def channel_axis(b: Shape, x: Shape) -> int:
    """The axis of x along which a broadcast b varies: a bias varies along one."""
    first = len(x) - len(b)
    axes = [first + i for i, size in enumerate(b) if size > 1]
    if first >= 0 and not axes:
        axes = [1 if len(x) == 4 else len(x) - 1]
    if first < 0 or len(axes) != 1:
        raise NodeError(f"a constant of the shape {list(b)} is not a bias of an activation of {list(x)}")
    return axes[0]


def relu(emitter: Emitter, node: Node, inputs: Inputs) -> Value:
    del node
    x = activation(inputs)
    return x.with_value(emitter.emit(ReluOp.of(x.value)))


def dropout(emitter: Emitter, node: Node, inputs: Inputs) -> Value:
    """Kept in inference form, too: whoever trains the network wants it."""
    x, ratio = activation(inputs), constant(inputs, 1)
    p = float(ratio.array.reshape(())) if ratio else node.get("ratio", 0.5)
    if p == 0:
        return x
    return x.with_value(emitter.emit(DropoutOp.of(x.value, p=as_written(p))))


def log_softmax(emitter: Emitter, node: Node, inputs: Inputs) -> Value:
    """Dropped: the importer checks that nothing follows it, and the loss takes logits."""
    x = activation(inputs)
    default = -1 if node.opset >= 13 else 1
    axis = node.get("axis", default)
    if len(x.shape) < 2 or axis % len(x.shape) != 1 or prod(x.shape[2:]) != 1:
        raise NodeError(f"only {node.op} over the classes of [N, classes] is supported, not of {list(x.shape)}")
    emitter.note(f"{node}: dropped, because the loss takes logits")
    return x


HANDLERS: dict[str, Handler] = {
    "Add": add,
    "Dropout": dropout,
    "LogSoftmax": log_softmax,
    "Relu": relu,
    "Softmax": log_softmax,
}
