"""Attention: softmax(scale * q . k^T + mask) . v, as arithmetic or as one node.

A product of two activations is Scores until the product with v makes an attention of it: no tensor of them exists.
"""

from dataclasses import dataclass, replace
from math import inf, sqrt

import numpy as np
from xdsl.ir import SSAValue

from nitic.arithmetic.integers import Array
from nitic.frontend.attributes import as_written
from nitic.frontend.builder import Builder
from nitic.frontend.folding import is_parameter
from nitic.frontend.nodes import Node
from nitic.frontend.operators.inputs import Handler, Inputs, activation, axis_of, constant
from nitic.frontend.values import Activation, Constant, NodeError, Value
from nitic.ir.types import Shape, shape_of
from nitic.ops.attention import AttentionOp
from nitic.ops.product import ScaleConstOp

HIDES = -1e4
"""What is added to a score, or stands in its place, hides it from here on."""
_ELSEWHERE = "a product of two activations is supported only in attention, softmax(q . k^T) . v"


@dataclass(frozen=True)
class Scores(Activation):
    """scale * left . right with a mask, before the softmax or behind it: the value is that of `left`, and nobody's."""

    left: Activation
    right: Activation
    scale: float = 1.0
    causal: bool = False
    is_softmax: bool = False


def matmul(builder: Builder, node: Node, inputs: Inputs) -> Value:
    """The product of two activations; behind a softmax, it is the attention."""
    del node
    a, b = activation(inputs), activation(inputs, 1)
    if isinstance(a, Scores):
        if not a.is_softmax or isinstance(b, Scores):
            raise NodeError(f"{_ELSEWHERE}: here, the softmax is missing")
        return attention(builder, a, b)
    if len(a.shape) not in (3, 4) or len(b.shape) != len(a.shape) or a.shape[-1] != b.shape[-2]:
        raise NodeError(f"{_ELSEWHERE}, of 3 or 4 axes, not of {list(a.shape)} by {list(b.shape)}")
    shape = (*a.shape[:-1], b.shape[-1])
    return Scores(a.value, a.perm, shape, a, b)


def attention(builder: Builder, scores: Scores, v: Activation) -> Activation:
    """The heads and the samples lie as linear layers leave them: (samples, time, heads, features)."""
    *axes, rows, columns = range(len(scores.shape))
    k = builder.view(scores.right, (*axes, columns, rows))
    q, first = unscaled(scores.left)
    k, second = unscaled(k)
    return attended(builder, q, k, v, scores.scale * first * second, causal=scores.causal)


def attended(
    builder: Builder, q: Activation, k: Activation, v: Activation, scale: float, *, causal: bool
) -> Activation:
    """Attention of (N, heads, time, features), or (N, time, features)."""
    if k.shape[:-1] != v.shape[:-1]:
        raise NodeError(f"keys of {list(k.shape)} do not fit values of {list(v.shape)}")
    if not 0 < scale < inf:
        raise NodeError(f"a scale of scores of {scale} is not supported: it must be positive and finite")
    values = [in_heads(builder, x) for x in (q, k, v)]
    op = AttentionOp.of(*values, scale=as_written(scale), causal=int(causal))
    o = builder.insert(op)
    if len(q.shape) == 3:
        return Activation.of(o).reshape((*q.shape[:-1], v.shape[-1]))
    n, t, h, d = shape_of(o)
    return Activation(o, (0, 2, 1, 3), (n, h, t, d))


def in_heads(builder: Builder, x: Activation) -> SSAValue:
    """(N, heads, time, features), or (N, time, features), as (N, time, heads, features)."""
    if len(x.shape) == 3:
        n, t, d = x.shape
        return builder.reshape(builder.in_onnx_order(x), (n, t, 1, d))
    return builder.arranged(x, (0, 2, 1, 3))


def unscaled(x: Activation) -> tuple[Activation, float]:
    """An operand before it is multiplied by a number, and the number: that joins the scale of the scores."""
    factor = 1.0
    while isinstance(op := x.value.owner, ScaleConstOp):
        x, factor = x.with_value(op.x), factor * op.factor.value.data
    return x, factor


# What happens to scores between the two products


def scaled(builder: Builder, node: Node, inputs: Inputs) -> Value:
    """A product with a number, or the quotient by one."""
    del builder
    a, b = inputs
    x, other = (a, b) if isinstance(a, Scores) else (b, a)
    if not isinstance(x, Scores) or not isinstance(other, Constant) or other.array.size != 1 or x.is_softmax:
        raise NodeError(_ELSEWHERE)
    number = float(other.array.reshape(-1)[0])
    if node.op == "Div" and (x is b or number == 0):
        raise NodeError(_ELSEWHERE)
    return replace(x, scale=x.scale / number if node.op == "Div" else x.scale * number)


def added(builder: Builder, node: Node, inputs: Inputs) -> Value:
    """A sum with a constant that is 0, or so far below that it hides a score."""
    del builder, node
    x = next(value for value in inputs if isinstance(value, Scores))
    other = next((value for value in inputs if isinstance(value, Constant)), None)
    if other is None or x.is_softmax:
        raise NodeError(f"{_ELSEWHERE}, and what is added to its scores must be a constant")
    return masked(x, kept_by(other))


def kept_by(mask: Constant) -> Array:
    """Where a mask that is added hides nothing. Raises NodeError for a bias, and for zeros that training would move."""
    kept = mask.array > HIDES
    if mask.array[kept].any() or (is_parameter(mask) and kept.all()):
        raise NodeError(f"a bias of scores, such as {mask.name!r}, is not supported: only 0, or {HIDES:g} and below")
    return kept


def chosen(builder: Builder, node: Node, inputs: Inputs) -> Value:
    """A choice, by a constant condition, between scores and what hides them."""
    del builder, node
    condition, yes, no = inputs
    x, other = (yes, no) if isinstance(yes, Scores) else (no, yes)
    if not isinstance(condition, Constant) or not isinstance(x, Scores) or x.is_softmax:
        raise NodeError(f"{_ELSEWHERE}, with constant masks")
    if not isinstance(other, Constant) or (other.array > HIDES).any():
        raise NodeError(f"only numbers of {HIDES:g} and below may stand in the place of a score")
    return masked(x, condition.array.astype(bool) == (x is yes))


def masked(x: Scores, kept: Array) -> Scores:
    """Raises NodeError for a mask other than none and the causal one."""
    rows, columns = x.shape[-2:]
    try:
        whole = np.broadcast_to(kept, (*x.shape[:-2], rows, columns)).reshape(-1, rows, columns)
    except ValueError:
        raise NodeError(f"a mask of {list(kept.shape)} does not fit scores of {list(x.shape)}") from None
    if whole.all():
        return x
    if rows > columns or (whole != np.tri(rows, columns, dtype=bool)).any():
        raise NodeError("of masks only the causal one is supported, which hides all that comes later")
    return replace(x, causal=True)


def softmax(builder: Builder, node: Node, inputs: Inputs) -> Value:
    del builder
    x = inputs[0]
    assert isinstance(x, Scores)
    if x.is_softmax or axis_of(node, x, default=-1 if node.opset >= 13 else 1) != len(x.shape) - 1:
        raise NodeError(f"{_ELSEWHERE}, over the last axis")
    return replace(x, is_softmax=True)


def same(builder: Builder, node: Node, inputs: Inputs) -> Value:
    del builder, node
    assert inputs[0] is not None
    return inputs[0]


OF_SCORES: dict[str, Handler] = {
    "Add": added,
    "Cast": same,
    "CastLike": same,
    "Div": scaled,
    "Identity": same,
    "MatMul": matmul,
    "Mul": scaled,
    "Softmax": softmax,
    "Where": chosen,
}


def handler_of_scores(node: Node, inputs: Inputs) -> Handler | None:
    """What reads scores; None where the node reads none. Raises NodeError where it must not."""
    if not any(isinstance(value, Scores) for value in inputs):
        return None
    if node.op not in OF_SCORES:
        raise NodeError(f"{_ELSEWHERE}: {node.op} of its scores is not")
    return OF_SCORES[node.op]


# The node that ONNX has since opset 23


def attention_node(builder: Builder, node: Node, inputs: Inputs) -> Value:
    q, k, v = (activation(inputs, i) for i in range(3))
    mask = constant(inputs, 3)
    if any(value is not None for value in inputs[4:]):
        raise NodeError("a cache of keys and values is not supported")
    if len([name for name in node.proto.output if name]) > 1:
        raise NodeError("only the first output of Attention is supported")
    if node.number("softcap"):
        raise NodeError(f"softcap={node.number('softcap')} is not supported")
    left, right = node.integer("left_window_size"), node.integer("right_window_size")
    if left != -1 or right > 0:
        raise NodeError(f"windows of {left} and {right} are not supported: only -1, and 0 to the right")
    of_q, of_k = (node.attributes.get(name, 0) for name in ("q_num_heads", "kv_num_heads"))
    parts = [split_heads(builder, x, count) for x, count in ((q, of_q), (k, of_k), (v, of_k))]
    scale = node.attributes.get("scale", 1 / sqrt(parts[0].shape[-1]))
    shape: Shape = (*parts[0].shape[:-1], parts[1].shape[-2])
    causal = bool(node.integer("is_causal")) or right == 0
    if causal and shape[-1] != shape[-2]:
        raise NodeError(f"a causal attention of {shape[-2]} rows over {shape[-1]} keys is not supported")
    scores = Scores(q.value, q.perm, shape, parts[0], parts[1], causal=causal)
    if mask is not None:
        scores = masked(scores, mask.array if mask.array.dtype == bool else kept_by(mask))
    of_heads, keys, values = parts
    y = attended(builder, of_heads, keys, values, scale, causal=scores.causal)
    if len(q.shape) == 4:
        return y
    n, h, t, d = y.shape
    return builder.view(y, (0, 2, 1, 3)).reshape((n, t, h * d))


def split_heads(builder: Builder, x: Activation, heads: int) -> Activation:
    """(N, heads, time, features) of (N, time, heads * features)."""
    if len(x.shape) == 4:
        return x
    if len(x.shape) != 3 or heads < 1 or x.shape[2] % heads:
        raise NodeError(f"{heads} heads do not fit an input of {list(x.shape)}")
    n, t, d = x.shape
    return builder.view(x.reshape((n, t, heads, d // heads)), (0, 2, 1, 3))


HANDLERS: dict[str, Handler] = {"Attention": attention_node}
