"""What a handler asks of the inputs of its node."""

from collections.abc import Callable, Sequence

import numpy as np

from nitic.frontend.emitter import Emitter
from nitic.frontend.folding import integers
from nitic.frontend.nodes import Node
from nitic.frontend.values import Activation, Constant, NodeError, Value

Inputs = Sequence[Value | None]
"""The inputs of a node; None for one left out."""
Handler = Callable[[Emitter, Node, Inputs], Value | Sequence[Value]]
"""Gives the results of a node, or its only one. Raises NodeError where nitic cannot represent the node."""


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


def axes_of(node: Node, inputs: Inputs, rank: int) -> tuple[int, ...]:
    """Axes come as an attribute or, in newer opsets, as an input; counted from the front and sorted."""
    given = constant(inputs, 1)
    axes = node.ints("axes", ()) if given is None else integers(given.array)
    result = tuple(sorted(axis + rank if axis < 0 else axis for axis in axes))
    if len(set(result)) != len(result) or not all(0 <= axis < rank for axis in result):
        raise NodeError(f"the axes {list(axes)} are not axes of a tensor of rank {rank}")
    return result


def as_written(value: float) -> float:
    """0.1 as float32 is not the 0.1 that the user wrote."""
    return float(np.format_float_positional(np.float32(value)))
