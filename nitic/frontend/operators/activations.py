"""Activation functions."""

from math import inf

from nitic.frontend.attributes import FLOAT_MAX, as_written
from nitic.frontend.builder import Builder
from nitic.frontend.nodes import Node
from nitic.frontend.operators.arithmetic import (
    add_constant,
    multiply_constant,
    negated,
    operands,
    plain,
    product_of,
    sum_of,
)
from nitic.frontend.operators.inputs import Handler, Inputs, activation, number_of, required
from nitic.frontend.values import Activation, NodeError, Value
from nitic.ops.activation import ActivationOp, ClipOp, LeakyReluOp
from nitic.ops.elementwise import ReluOp

# The ONNX operator, its name in nitic.arithmetic.activations, and its attributes.
FUNCTIONS: dict[str, tuple[str, ...]] = {
    "Elu": ("elu", "alpha"),
    "Erf": ("erf",),
    "Exp": ("exp",),
    "HardSigmoid": ("hard_sigmoid", "alpha", "beta"),
    "HardSwish": ("hard_swish",),
    "Mish": ("mish",),
    "Selu": ("selu", "alpha", "gamma"),
    "Sigmoid": ("sigmoid",),
    "Softplus": ("softplus",),
    "Softsign": ("softsign",),
    "Tanh": ("tanh",),
}


def function(builder: Builder, node: Node, inputs: Inputs) -> Value:
    name, *keys = FUNCTIONS[node.op]
    values = [as_written(node.number(key)) for key in keys]
    constants = dict(zip(("alpha", "beta"), values, strict=False))
    return apply(builder, activation(inputs), name, **constants)


def apply(builder: Builder, x: Activation, name: str, **constants: float) -> Activation:
    return x.with_value(builder.insert(ActivationOp.of(x.value, function=name, **constants)))


def celu(builder: Builder, node: Node, inputs: Inputs) -> Value:
    """alpha * elu(x / alpha), so that the table has the whole curve."""
    alpha = as_written(node.number("alpha"))
    curve = apply(builder, multiply_constant(builder, activation(inputs), 1 / alpha), "elu", alpha=1.0)
    return multiply_constant(builder, curve, alpha)


def gelu(builder: Builder, node: Node, inputs: Inputs) -> Value:
    names = {"none": "gelu", "tanh": "gelu_tanh"}
    return apply(builder, activation(inputs), names[node.word("approximate")])


def swish(builder: Builder, node: Node, inputs: Inputs) -> Value:
    if node.number("alpha") != 1:
        raise NodeError(f"only alpha=1 is supported, not {node.number('alpha')}")
    return apply(builder, activation(inputs), "swish")


def relu(builder: Builder, node: Node, inputs: Inputs) -> Value:
    del node
    return rectified(builder, activation(inputs))


def rectified(builder: Builder, x: Activation) -> Activation:
    return x.with_value(builder.insert(ReluOp.of(x.value)))


def leaky_relu(builder: Builder, node: Node, inputs: Inputs) -> Value:
    x = activation(inputs)
    return x.with_value(builder.insert(LeakyReluOp.of(x.value, alpha=as_written(node.number("alpha")))))


def prelu(builder: Builder, node: Node, inputs: Inputs) -> Value:
    """max(x, 0) + slope * min(x, 0): the slope is a parameter."""
    del node
    x, slope = activation(inputs), required(inputs, 1)
    return sum_of(builder, rectified(builder, x), product_of(builder, clipped(builder, x, high=0.0), slope))


def clip(builder: Builder, node: Node, inputs: Inputs) -> Value:
    """Bounds are attributes up to opset 6, then inputs; a bound beyond float32 is none."""
    low, high = (bound(node, inputs, i, key, none) for i, key, none in ((1, "min", -inf), (2, "max", inf)))
    if low > high:
        raise NodeError(f"the lower bound {low} is above the upper bound {high}")
    return between(builder, activation(inputs), low, high)


def bound(node: Node, inputs: Inputs, index: int, key: str, none: float) -> float:
    value = as_written(number_of(node, inputs, index, key))
    return value if abs(value) < FLOAT_MAX else none


def between(builder: Builder, x: Activation, low: float, high: float) -> Activation:
    """nn.clip has its bounds around 0: other ones are moved there and back."""
    off = max(low, 0.0) + min(high, 0.0)
    moved = clipped(builder, add_constant(builder, x, -off), low - off, high - off)
    return add_constant(builder, moved, off)


def absolute(builder: Builder, node: Node, inputs: Inputs) -> Value:
    del node
    return magnitude(builder, activation(inputs))


def magnitude(builder: Builder, x: Activation) -> Activation:
    return sum_of(builder, rectified(builder, x), rectified(builder, negated(builder, x)))


def limit(builder: Builder, node: Node, inputs: Inputs) -> Value:
    """Max and Min: of two activations by the rectified difference, of more from left to right."""
    *before, last = (value for value in inputs if value is not None)
    if not before:
        return activation(inputs)
    x, other = operands([limit(builder, node, before) if len(before) > 1 else before[0], last])
    if isinstance(other, Activation):
        above = rectified(builder, sum_of(builder, x, negated(builder, other)))
        return sum_of(builder, other, above) if node.op == "Max" else sum_of(builder, x, negated(builder, above))
    value = plain(other)
    if value is None:
        raise NodeError(f"only the {node.op} of an activation and a number or another activation is supported")
    return between(builder, x, value, inf) if node.op == "Max" else between(builder, x, -inf, value)


def clipped(builder: Builder, x: Activation, low: float = -inf, high: float = inf) -> Activation:
    bounds = {key: value for key, value in (("low", low), ("high", high)) if abs(value) < inf}
    if bounds == {"low": 0.0}:
        return rectified(builder, x)
    return x.with_value(builder.insert(ClipOp.of(x.value, **bounds))) if bounds else x


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(FUNCTIONS, function),
    "Abs": absolute,
    "Celu": celu,
    "Clip": clip,
    "Gelu": gelu,
    "LeakyRelu": leaky_relu,
    "Max": limit,
    "Min": limit,
    "PRelu": prelu,
    "Relu": relu,
    "Swish": swish,
}
