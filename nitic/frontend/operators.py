"""One function per ONNX operator, in one table: what each becomes in nitic's IR.

A function gets the inputs of its node (None for one left out) and returns the node's first result. It raises NodeError
where nitic cannot represent the node.
"""

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from nitic.frontend.emitter import Emitter, batch_flattened
from nitic.frontend.folding import integers, is_float_type, is_parameter
from nitic.frontend.nodes import Node
from nitic.frontend.values import NHWC, Activation, Constant, NodeError, Scaled, Value, inverse
from nitic.frontend.windows import PoolWindow, conv_window, pool_window
from nitic.ir.types import Shape
from nitic.ops.conv import ConvOp
from nitic.ops.elementwise import AddOp, BiasOp, DropoutOp, ReluOp
from nitic.ops.gemm import GemmOp
from nitic.ops.norm import BatchNormInverseOp, BatchNormRecallOp, BatchNormScaleOp, NormaliseOp
from nitic.ops.pool import AveragePoolOp, MaxPoolOp

Inputs = Sequence[Value | None]
Handler = Callable[[Emitter, Node, Inputs], Value]


def activation(inputs: Inputs, index: int = 0) -> Activation:
    value = inputs[index] if index < len(inputs) else None
    if isinstance(value, Activation):
        return value
    what = f"the constant {value.name!r}" if value else "missing"
    raise NodeError(f"input {index} is {what}, but must come from the network's input")


def constant(inputs: Inputs, index: int) -> Constant | None:
    """A constant input, or None where it is left out."""
    value = inputs[index] if index < len(inputs) else None
    if isinstance(value, Activation):
        raise NodeError(f"input {index} is computed by the network, but nitic needs it to be constant")
    return value


def required(inputs: Inputs, index: int) -> Constant:
    value = constant(inputs, index)
    if value is None:
        raise NodeError(f"input {index} is missing")
    return value


# Layers with parameters


def conv(emitter: Emitter, node: Node, inputs: Inputs) -> Value:
    x, w = activation(inputs), required(inputs, 1)
    if len(w.shape) != 4 or len(x.shape) != 4:
        raise NodeError(
            f"only 2-D convolution is supported, not an input of {list(x.shape)} by a filter of {list(w.shape)}"
        )
    window = conv_window(node, x.shape[2:], w.shape[2:])
    if node.is_folded_batch_norm or w.name.startswith("onnx::Conv_"):
        emitter.note(
            f"{node}: the exporter folded a batch normalisation into this convolution, so it is not trained as one; "
            "to keep it export with dynamo=True, optimize=False or with dynamo=False, training=TrainingMode.TRAINING"
        )
    weight = emitter.parameter(w.transpose(NHWC), "weight")
    result = Activation.nhwc(emitter.emit(ConvOp.over(emitter.nhwc(x), weight, window)))
    return bias(emitter, result, constant(inputs, 2), 1)


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


def gemm(emitter: Emitter, node: Node, inputs: Inputs) -> Value:
    x, w = activation(inputs), required(inputs, 1)
    if node.get("transA", 0):
        raise NodeError("transA=1 is not supported: the rows of the input must be the batch")
    if not node.get("transB", 0):
        w = emitter.transpose(w, (1, 0))
    result = product(emitter, x, scaled(w, node.get("alpha", 1.0)))
    b = constant(inputs, 2)
    beta = node.get("beta", 1.0)
    if b is None or beta == 0:
        return result
    if prod(b.shape[:-1]) != 1:
        raise NodeError(f"C has the shape {list(b.shape)}, but must hold one value per output")
    return bias(emitter, result, scaled(b, beta), 1)


def scaled(value: Value, factor: float) -> Constant:
    assert isinstance(value, Constant)
    return value if factor == 1 else value.step(Scaled(factor))


def product(emitter: Emitter, x: Activation, w: Constant) -> Activation:
    """x [M, K] times the transpose of w [N, K]."""
    if len(x.shape) != 2 or len(w.shape) != 2 or x.shape[1] != w.shape[1]:
        raise NodeError(f"cannot multiply an input of {list(x.shape)} by a weight of {list(w.shape[::-1])}")
    value, w = emitter.rows(x, w)
    return Activation.of(emitter.emit(GemmOp.of(value, emitter.parameter(w, "weight"))))


def matmul(emitter: Emitter, node: Node, inputs: Inputs) -> Value:
    del node
    x, w = activation(inputs), required(inputs, 1)
    if len(x.shape) < 2 or len(w.shape) != 2:
        raise NodeError(f"cannot multiply an input of {list(x.shape)} by a weight of {list(w.shape)}")
    rows, flat = batch_flattened(x)
    return product(emitter, flat, w.transpose((1, 0))).reshape((*rows, w.shape[1]))


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


def batch_norm(emitter: Emitter, node: Node, inputs: Inputs) -> Value:
    """Inference and training form are one: insert-loss makes a training step take the statistics of its batch."""
    x = activation(inputs)
    gamma, beta, mean, variance = (required(inputs, i) for i in range(1, 5))
    nhwc = emitter.nhwc(x) if len(x.shape) == 4 else emitter.in_onnx_order(x)
    statistics = ((mean, "running_mean"), (variance, "running_var"))
    running = [emitter.parameter(value, kind, "statistic") for value, kind in statistics]
    recall = BatchNormRecallOp.of(*running, nhwc, momentum=as_written(node.get("momentum", 0.9)))
    emitter.emit(recall)
    inverse = emitter.emit(
        BatchNormInverseOp.of(recall.recalled_variance, epsilon=as_written(node.get("epsilon", 1e-5)))
    )
    xhat = emitter.emit(NormaliseOp.of(nhwc, recall.recalled_mean, inverse))
    scale = emitter.parameter(gamma, "weight"), emitter.parameter(beta, "bias")
    y = emitter.emit(BatchNormScaleOp.of(xhat, *scale))
    return Activation.nhwc(y) if len(x.shape) == 4 else Activation.of(y)


# Point-wise operators and pools


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


def as_written(value: float) -> float:
    """0.1 as float32 is not the 0.1 that the user wrote."""
    return float(np.format_float_positional(np.float32(value)))


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


def pad(emitter: Emitter, node: Node, inputs: Inputs) -> Value:
    """Exporters write one without effect before an average pool."""
    del emitter
    pads = integers(required(inputs, 1).array) if "pads" not in node.attributes else node.ints("pads")
    if any(pads):
        raise NodeError(f"padding of {list(pads)} is not supported; give it to the convolution or pool")
    return activation(inputs)


def log_softmax(emitter: Emitter, node: Node, inputs: Inputs) -> Value:
    """Dropped: the importer checks that nothing follows it, and the loss takes logits."""
    x = activation(inputs)
    default = -1 if node.opset >= 13 else 1
    if len(x.shape) < 2 or node.get("axis", default) not in {1, -1} or prod(x.shape[2:]) != 1:
        raise NodeError(f"only {node.op} over the classes of [N, classes] is supported, not of {list(x.shape)}")
    emitter.note(f"{node}: dropped, because the loss takes logits")
    return x


# Layout


def identity(emitter: Emitter, node: Node, inputs: Inputs) -> Value:
    del emitter, node
    value = inputs[0]
    assert value is not None
    return value


def cast(emitter: Emitter, node: Node, inputs: Inputs) -> Value:
    if node.op == "Cast" and not is_float_type(node.get("to", 0)):
        raise NodeError("a cast to a type other than float is not supported")
    return identity(emitter, node, inputs)


def transpose(emitter: Emitter, node: Node, inputs: Inputs) -> Value:
    x = identity(emitter, node, inputs)
    return emitter.transpose(x, node.ints("perm", range(len(x.shape))[::-1]))


def flatten(emitter: Emitter, node: Node, inputs: Inputs) -> Value:
    x = identity(emitter, node, inputs)
    axis = node.get("axis", 1)
    axis += len(x.shape) if axis < 0 else 0
    return x.reshape((prod(x.shape[:axis]), prod(x.shape[axis:])))


def reshape(emitter: Emitter, node: Node, inputs: Inputs) -> Value:
    x = identity(emitter, node, inputs)
    target = integers(required(inputs, 1).array)
    if isinstance(x, Activation) and emitter.declared_batch and target[:1] == (emitter.declared_batch,):
        # The exporter wrote its batch into the graph; --batch-size may have changed it.
        target = (emitter.batch if x.shape[0] == emitter.batch else target[0], *target[1:])
    if not node.get("allowzero", 0):
        target = tuple(x.shape[i] if size == 0 and i < len(x.shape) else size for i, size in enumerate(target))
    return x.reshape(resolved(target, x.shape))


def resolved(target: Shape, shape: Shape) -> Shape:
    """A target shape with its -1 replaced."""
    known = prod(size for size in target if size != -1)
    total = prod(shape)
    result = tuple(total // known if size == -1 and known > 0 else size for size in target)
    if prod(result) != total or min(result, default=1) <= 0:
        raise NodeError(f"cannot reshape {list(shape)} to {list(target)}")
    return result


def squeeze(emitter: Emitter, node: Node, inputs: Inputs) -> Value:
    x = identity(emitter, node, inputs)
    axes = axes_of(node, inputs, len(x.shape)) or tuple(i for i, size in enumerate(x.shape) if size == 1)
    if any(x.shape[axis] != 1 for axis in axes):
        raise NodeError(f"cannot squeeze the axes {list(axes)} of {list(x.shape)}")
    return x.reshape(tuple(size for i, size in enumerate(x.shape) if i not in axes))


def unsqueeze(emitter: Emitter, node: Node, inputs: Inputs) -> Value:
    x = identity(emitter, node, inputs)
    count = len(x.shape) + len(axes_of(node, inputs, 64))
    axes, sizes = axes_of(node, inputs, count), iter(x.shape)
    return x.reshape(tuple(1 if i in axes else next(sizes) for i in range(count)))


def axes_of(node: Node, inputs: Inputs, rank: int) -> tuple[int, ...]:
    """Axes come as an attribute or, in newer opsets, as an input; counted from the front and sorted."""
    given = constant(inputs, 1)
    axes = node.ints("axes", ()) if given is None else integers(given.array)
    result = tuple(sorted(axis + rank if axis < 0 else axis for axis in axes))
    if len(set(result)) != len(result) or not all(0 <= axis < rank for axis in result):
        raise NodeError(f"the axes {list(axes)} are not axes of a tensor of rank {rank}")
    return result


HANDLERS: dict[str, Handler] = {
    "Add": add,
    "AveragePool": average_pool,
    "BatchNormalization": batch_norm,
    "Cast": cast,
    "CastLike": cast,
    "Conv": conv,
    "Dropout": dropout,
    "Flatten": flatten,
    "Gemm": gemm,
    "GlobalAveragePool": global_average_pool,
    "Identity": identity,
    "LogSoftmax": log_softmax,
    "MatMul": matmul,
    "MaxPool": max_pool,
    "Pad": pad,
    "ReduceMean": reduce_mean,
    "Relu": relu,
    "Reshape": reshape,
    "Softmax": log_softmax,
    "Squeeze": squeeze,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
LAST_ONLY = frozenset({"Softmax", "LogSoftmax"})
