"""Operators on sequences (N, C, L), as operators on images of one row."""

from nitic.frontend.builder import Builder
from nitic.frontend.nodes import Node
from nitic.frontend.operators.inputs import Handler, Inputs, activation
from nitic.frontend.values import Activation, Value
from nitic.frontend.windows import one_row


def sequences_too(handler: Handler) -> Handler:
    """A handler of images that takes sequences, and filters of as many axes, as images of one row."""

    def handle(builder: Builder, node: Node, inputs: Inputs) -> Value:
        images = len(activation(inputs).shape) != 3
        result = handler(builder, node, inputs) if images else handler(builder, one_row(node), lifted(inputs))
        assert isinstance(result, Activation)
        return result if images else sequence(result)

    return handle


def lifted(inputs: Inputs) -> Inputs:
    """The inputs with a row put in where there are three axes."""
    return [x.reshape((*x.shape[:2], 1, *x.shape[2:])) if x and len(x.shape) == 3 else x for x in inputs]


def sequence(x: Activation) -> Activation:
    """An image of one row as a sequence."""
    n, c, _, length = x.shape
    return x.reshape((n, c, length))
