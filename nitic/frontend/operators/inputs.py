"""What a handler asks of the inputs of its node."""

from collections.abc import Callable, Sequence

from nitic.frontend.attributes import ATTRIBUTES, shown
from nitic.frontend.builder import Builder
from nitic.frontend.folding import integers
from nitic.frontend.nodes import Node
from nitic.frontend.values import Activation, Constant, NodeError, Value

Inputs = Sequence[Value | None]
"""The inputs of a node; None for one left out."""
Handler = Callable[[Builder, Node, Inputs], Value | Sequence[Value]]
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
    return tuple(sorted(from_front(node.integers("axes", ()) if given is None else integers(given.array), rank)))


def from_front(axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """Axes counted from the front. Raises NodeError where one does not exist or comes twice."""
    result = tuple(axis + rank if axis < 0 else axis for axis in axes)
    if len(set(result)) != len(result) or not all(0 <= axis < rank for axis in result):
        raise NodeError(f"the axes {shown(axes)} are not axes of a tensor of rank {rank}")
    return result


def axis_of(node: Node, x: Value, default: int | None = None, beyond: int = 0) -> int:
    """The attribute `axis`, counted from the front; up to `beyond` more than the last one."""
    axis, rank = node.integer("axis", default), len(x.shape)
    if not -rank <= axis < rank + beyond:
        allowed = f"from {-rank} to {rank + beyond - 1} for an input of {list(x.shape)}"
        raise NodeError(f"attribute 'axis' is {axis}, but must be {allowed}")
    return axis + rank if axis < 0 else axis


def integers_of(inputs: Inputs, index: int, otherwise: Sequence[int] = ()) -> tuple[int, ...]:
    """A list that is an input, or else `otherwise`: what older opsets have as an attribute."""
    given = constant(inputs, index)
    return tuple(otherwise) if given is None else integers(given.array)


def number_of(node: Node, inputs: Inputs, index: int, name: str) -> float:
    """A number that is an input in newer opsets and an attribute in older ones."""
    given = constant(inputs, index)
    if given is None:
        return node.number(name)
    if given.array.size != 1:
        raise NodeError(f"{name} has the shape {list(given.shape)}, but must be one number")
    value = float(given.array.flat[0])
    ATTRIBUTES[node.op][name].check(f"input {name!r}", value)
    return value
