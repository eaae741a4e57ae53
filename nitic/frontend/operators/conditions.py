"""Comparisons, which are 1 or 0, and what chooses by them."""

from dataclasses import replace
from itertools import groupby
from math import prod

import numpy as np

from nitic.frontend.attributes import as_written
from nitic.frontend.builder import Builder
from nitic.frontend.folding import is_parameter
from nitic.frontend.nodes import Node
from nitic.frontend.operators.activations import clipped
from nitic.frontend.operators.arithmetic import (
    add_constant,
    broadcast_to,
    multiply_constant,
    negated,
    plain,
    product_of,
    sum_of,
)
from nitic.frontend.operators.cuts import MAX_SLICES, cut, joined
from nitic.frontend.operators.inputs import Handler, Inputs, activation
from nitic.frontend.values import Activation, Constant, NodeError, Scaled, Value
from nitic.ir.types import Shape
from nitic.ops.activation import StepOp


def above(builder: Builder, a: Value, b: Value) -> Activation:
    """1 where a > b, else 0."""
    if isinstance(a, Activation) and isinstance(b, Constant) and (threshold := plain(b)) is not None:
        return step(builder, a, threshold)
    if isinstance(a, Constant) and isinstance(b, Activation):
        return above(builder, negated(builder, b), a.step(Scaled(-1)))
    if isinstance(a, Constant):
        raise NodeError("a comparison of two constants, of which one is a parameter, is not supported")
    difference = sum_of(builder, a, b.step(Scaled(-1)) if isinstance(b, Constant) else negated(builder, b))
    return step(builder, difference, 0.0)


def step(builder: Builder, x: Activation, threshold: float) -> Activation:
    return condition(builder, x.with_value(builder.insert(StepOp.of(x.value, threshold=threshold))))


def condition(builder: Builder, x: Activation) -> Activation:
    """Remembers that x is 1 or 0 everywhere."""
    builder.conditions.add(x.value)
    return x


def inverted(builder: Builder, x: Activation) -> Activation:
    """1 - x of a condition."""
    return condition(builder, add_constant(builder, negated(builder, x), 1.0))


def compare(builder: Builder, node: Node, inputs: Inputs) -> Value:
    a, b = map(as_number, inputs)
    match node.op:
        case "Greater":
            return above(builder, a, b)
        case "Less":
            return above(builder, b, a)
        case "GreaterOrEqual":
            return inverted(builder, above(builder, b, a))
        case _:
            return inverted(builder, above(builder, a, b))


def not_(builder: Builder, node: Node, inputs: Inputs) -> Value:
    del node
    return inverted(builder, activation(inputs))


def and_(builder: Builder, node: Node, inputs: Inputs) -> Value:
    del node
    return condition(builder, product_of(builder, activation(inputs), activation(inputs, 1)))


def or_(builder: Builder, node: Node, inputs: Inputs) -> Value:
    """Unless neither holds."""
    del node
    a, b = (inverted(builder, activation(inputs, i)) for i in range(2))
    return inverted(builder, product_of(builder, a, b))


def sign(builder: Builder, node: Node, inputs: Inputs) -> Value:
    del node
    x = activation(inputs)
    below = step(builder, negated(builder, x), 0.0)
    return sum_of(builder, step(builder, x, 0.0), negated(builder, below))


def thresholded_relu(builder: Builder, node: Node, inputs: Inputs) -> Value:
    x = activation(inputs)
    return product_of(builder, step(builder, x, as_written(node.number("alpha"))), x)


def where(builder: Builder, node: Node, inputs: Inputs) -> Value:
    """The sum of both, each times 1 where it is chosen; by a constant condition the pieces of both that are."""
    del node
    chosen, *both = inputs
    yes, no = (as_number(x) for x in both)
    if isinstance(chosen, Constant):
        return pieces(builder, chosen, yes, no)
    given = activation(inputs)
    parts = [product_of(builder, given, yes)] if is_filled(yes) else []
    parts += [product_of(builder, inverted(builder, given), no)] if is_filled(no) else []
    if len(parts) == 2:
        return sum_of(builder, *parts)
    return parts[0] if parts else multiply_constant(builder, given, 0.0)


def as_number(x: Value | None) -> Value:
    """A constant that the graph repeats as the number that it is."""
    assert x is not None
    if not isinstance(x, Constant) or is_parameter(x) or x.array.size < 2:
        return x
    first = x.array.flat[0]
    return replace(x, array=np.asarray(first)) if (x.array == first).all() else x


def is_filled(x: Value) -> bool:
    """Whether x is more than zeros."""
    return isinstance(x, Activation) or bool(x.array.any())


def pieces(builder: Builder, chosen: Constant, yes: Value, no: Value) -> Activation:
    """The axes along which the condition varies, and those between them, become one, which is cut where it changes."""
    like = next((x for x in (yes, no) if isinstance(x, Activation)), None)
    if like is None:
        raise NodeError("a choice between two constants, of which one is a parameter, is not supported")
    shape: Shape = np.broadcast_shapes(chosen.shape, yes.shape, no.shape)
    mask = np.broadcast_to(chosen.array, shape)
    varying = [axis for axis in range(len(shape)) if (mask != mask.take([0], axis)).any()] or [len(shape) - 1]
    first, last = varying[0], varying[-1] + 1
    if first == 0:
        raise NodeError(f"a condition of the shape {list(chosen.shape)} differs from sample to sample of the batch")
    flat = mask[(0,) * first].reshape(prod(shape[first:last]), -1)[:, 0].tolist()
    runs = [list(run) for _, run in groupby(range(len(flat)), key=flat.__getitem__)]
    if len(runs) > MAX_SLICES:
        raise NodeError(f"a constant condition changes at most {MAX_SLICES - 1} times, not {len(runs) - 1}")
    like = broadcast_to(builder, like, shape)
    whole = (*shape[:first], len(flat), *shape[last:])
    sides = [filled(builder, x, like).reshape(whole) for x in (no, yes)]
    parts = [cut(builder, sides[flat[run[0]]], {first: range(run[0], run[-1] + 1)}) for run in runs]
    return joined(parts, builder, first).reshape(shape)


def filled(builder: Builder, x: Value, like: Activation) -> Activation:
    """An operand of a choice in the shape of `like`."""
    if isinstance(x, Activation):
        return broadcast_to(builder, x, like.shape)
    return sum_of(builder, clipped(builder, like, 0.0, 0.0), x)


HANDLERS: dict[str, Handler] = {
    "And": and_,
    "Greater": compare,
    "GreaterOrEqual": compare,
    "Less": compare,
    "LessOrEqual": compare,
    "Not": not_,
    "Or": or_,
    "Sign": sign,
    "ThresholdedRelu": thresholded_relu,
    "Where": where,
}
