"""Layers with parameters: Conv, ConvTranspose, Gemm, MatMul, BatchNormalization."""

from math import prod

from nitic.frontend.attributes import as_written
from nitic.frontend.builder import Builder, batch_flattened
from nitic.frontend.nodes import Node
from nitic.frontend.operators.all_axes import sums_too
from nitic.frontend.operators.attention import matmul as scores
from nitic.frontend.operators.inputs import Handler, Inputs, activation, constant, required
from nitic.frontend.operators.pointwise import bias
from nitic.frontend.operators.pools import average_pool
from nitic.frontend.operators.sequences import sequences_too
from nitic.frontend.values import NHWC, Activation, Constant, NodeError, Scaled, Value
from nitic.frontend.windows import conv_window, transposed_window
from nitic.ir.types import shape_of
from nitic.ops.conv import ConvDgradOp, ConvOp
from nitic.ops.gemm import GemmOp
from nitic.ops.norm import BatchNormScaleOp, NormaliseOp
from nitic.ops.statistics import BatchNormInverseOp, BatchNormRecallOp


def conv(builder: Builder, node: Node, inputs: Inputs) -> Value:
    x, w = activation(inputs), required(inputs, 1)
    _check_rank(x, w)
    window = conv_window(node, x.shape[2:], w.shape[2:])
    b = constant(inputs, 2)
    note_folded(builder, node, w, b)
    weight = builder.parameter(w.transpose(NHWC), "weight")
    result = Activation.nhwc(builder.insert(ConvOp.over(builder.nhwc(x), weight, window)))
    return bias(builder, result, b, 1)


def note_folded(builder: Builder, node: Node, w: Constant, b: Constant | None) -> None:
    """Where an exporter folded a batch normalisation into a layer, it made the bias up, and the weight with it."""
    made_up = b and (b.name.endswith("weight_bias") or all(c.name.startswith("onnx::Conv") for c in (w, b)))
    if node.is_folded_batch_norm or made_up:
        builder.folded.append(node)


def _check_rank(x: Activation, w: Constant) -> None:
    if len(w.shape) != 4 or len(x.shape) != 4:
        what = f"an input of {list(x.shape)} by a filter of {list(w.shape)}"
        raise NodeError(f"only 1-D and 2-D convolution is supported, not {what}")


def conv_transpose(builder: Builder, node: Node, inputs: Inputs) -> Value:
    """The data gradient of a convolution with the filter w, whose outputs are x."""
    x, w = activation(inputs), required(inputs, 1)
    _check_rank(x, w)
    if x.shape[1] != w.shape[0]:
        raise NodeError(f"input has {x.shape[1]} channels but the filter expects {w.shape[0]}")
    window, size = transposed_window(node, x.shape[2:], w.shape[2:])
    note_folded(builder, node, w, constant(inputs, 2))
    weight = builder.parameter(w.transpose(NHWC), "weight")
    result = ConvDgradOp.of(builder.nhwc(x), weight, size=size, **window.properties())
    return bias(builder, Activation.nhwc(builder.insert(result)), constant(inputs, 2), 1)


def gemm(builder: Builder, node: Node, inputs: Inputs) -> Value:
    x, w, b, beta = activation(inputs), required(inputs, 1), constant(inputs, 2), node.number("beta")
    if node.integer("transA"):
        raise NodeError("transA=1 is not supported: the rows of the input must be the batch")
    note_folded(builder, node, w, b)
    if not node.integer("transB"):
        w = w.transpose((1, 0))
    if (alpha := node.number("alpha")) == 0:
        raise NodeError("alpha=0 is not supported: the weight would have no part in the result")
    result = product(builder, x, scaled(w, alpha))
    if b is None or beta == 0:
        return result
    if prod(b.shape[:-1]) != 1:
        raise NodeError(f"C has the shape {list(b.shape)}, but must hold one value per output")
    return bias(builder, result, scaled(b, beta), 1)


def scaled(value: Value, factor: float) -> Constant:
    assert isinstance(value, Constant)
    return value if factor == 1 else value.step(Scaled(factor))


def product(builder: Builder, x: Activation, w: Constant) -> Activation:
    """x [M, K] times the transpose of w [N, K]."""
    if len(x.shape) != 2 or len(w.shape) != 2 or x.shape[1] != w.shape[1]:
        raise NodeError(f"cannot multiply an input of {list(x.shape)} by a weight of {list(w.shape[::-1])}")
    value, w = builder.rows(x, w)
    return Activation.of(builder.insert(GemmOp.of(value, builder.parameter(w, "weight"))))


def matmul(builder: Builder, node: Node, inputs: Inputs) -> Value:
    """With the weight on the left, the columns of x are multiplied: of an x that is transposed there and back."""
    if isinstance(left := inputs[0], Constant):
        x = activation(inputs, 1)
        if len(x.shape) < 3 or len(left.shape) != 2 or left.shape[1] != x.shape[-2]:
            raise NodeError(f"cannot multiply a weight of {list(left.shape)} by an input of {list(x.shape)}")
        return last_swapped(builder, times(builder, last_swapped(builder, x), left))
    x = activation(inputs)
    if isinstance(inputs[1], Activation):
        return scores(builder, node, inputs)
    w = required(inputs, 1)
    if len(x.shape) < 2 or len(w.shape) != 2:
        raise NodeError(f"cannot multiply an input of {list(x.shape)} by a weight of {list(w.shape)}")
    return times(builder, x, w.transpose((1, 0)))


def times(builder: Builder, x: Activation, w: Constant) -> Activation:
    """The last axis of x [..., K] times the transpose of w [N, K]."""
    rows, flat = batch_flattened(x)
    return product(builder, flat, w).reshape((*rows, w.shape[0]))


def last_swapped(builder: Builder, x: Activation) -> Activation:
    *first, rows, columns = range(len(x.shape))
    return builder.view(x, (*first, columns, rows))


def batch_norm(builder: Builder, node: Node, inputs: Inputs) -> Value:
    """Inference and training form are one: insert-loss makes a training step take the statistics of its batch."""
    x = activation(inputs)
    gamma, beta, mean, variance = (required(inputs, i) for i in range(1, 5))
    nhwc = builder.nhwc(x) if len(x.shape) == 4 else builder.in_onnx_order(x)
    running = (
        builder.parameter(mean, "running_mean", "statistic"),
        builder.parameter(variance, "running_var", "statistic", at_least=0.0),
    )
    momentum, epsilon = (as_written(node.number(name)) for name in ("momentum", "epsilon"))
    recall = BatchNormRecallOp.of(*running, nhwc, momentum=momentum, epsilon=epsilon)
    builder.insert(recall)
    inverse = builder.insert(BatchNormInverseOp.of(recall.recalled_variance, epsilon=epsilon))
    if prod(shape_of(nhwc)[:-1]) == 1:
        builder.note(
            f"{node}: one value per channel is its own mean, so that the statistics of a batch erase it and nothing "
            "before it learns: use a larger --batch-size, or --batch-norm freeze"
        )
    xhat = builder.insert(NormaliseOp.of(nhwc, recall.recalled_mean, inverse))
    scale = builder.parameter(gamma, "weight"), builder.parameter(beta, "bias")
    y = builder.insert(BatchNormScaleOp.of(xhat, *scale))
    return Activation.nhwc(y) if len(x.shape) == 4 else Activation.of(y)


HANDLERS: dict[str, Handler] = {
    "BatchNormalization": sequences_too(batch_norm),
    "Conv": sums_too(sequences_too(conv), average_pool),
    "ConvTranspose": sequences_too(conv_transpose),
    "Gemm": gemm,
    "MatMul": matmul,
}
