"""Powers with a constant exponent, quotients, and the logarithm."""

from fractions import Fraction

from nitic.arithmetic.powers import LARGEST, MOST_ROWS, SMALLEST
from nitic.frontend.attributes import shown
from nitic.frontend.builder import Builder
from nitic.frontend.nodes import Node
from nitic.frontend.operators.activations import apply
from nitic.frontend.operators.arithmetic import negated, product_of
from nitic.frontend.operators.inputs import Handler, Inputs, activation, required
from nitic.frontend.values import Activation, Constant, Inverted, NodeError, Value
from nitic.ops.activation import ActivationOp
from nitic.ops.power import LogOp, PowerOp

_NEAR = 1e-6
"""How near a float32 is to the fraction that it stands for, relatively."""


def power(builder: Builder, node: Node, inputs: Inputs) -> Value:
    del node
    x, exponent = activation(inputs), required(inputs, 1)
    if exponent.array.size != 1:
        raise NodeError(f"the exponent of a power is one number, not values of the shape {list(exponent.shape)}")
    number = float(exponent.array.flat[0])
    fraction = Fraction(number if abs(number) <= LARGEST else 0).limit_denominator(MOST_ROWS)
    if not fraction or abs(fraction - number) > _NEAR * abs(number):
        rule = f"a fraction from -{LARGEST} to {LARGEST} with a denominator up to {MOST_ROWS}, and not 0"
        raise NodeError(f"the exponent of a power is {rule}, not {shown(number)}")
    return raised(builder, x, fraction)


def raised(builder: Builder, x: Activation, to: Fraction) -> Activation:
    """x to a power: a square is a product, and one below -1 the reciprocal of another."""
    if to == 1:
        return x
    if to == 2:
        return product_of(builder, x, x)
    if to < SMALLEST:
        return reciprocal_of(builder, raised(builder, x, -to))
    whole = int(to.denominator == 1)
    table = PowerOp.of(x.value, numerator=to.numerator, denominator=to.denominator, signed=whole)
    return x.with_value(builder.insert(table))


def root(builder: Builder, node: Node, inputs: Inputs) -> Value:
    del node
    return root_of(builder, activation(inputs))


def root_of(builder: Builder, x: Activation) -> Activation:
    return raised(builder, x, Fraction(1, 2))


def reciprocal(builder: Builder, node: Node, inputs: Inputs) -> Value:
    del node
    return reciprocal_of(builder, activation(inputs))


def reciprocal_of(builder: Builder, x: Activation) -> Activation:
    return raised(builder, x, Fraction(-1))


def divide(builder: Builder, node: Node, inputs: Inputs) -> Value:
    del node
    a, b = inputs
    if isinstance(a, Constant) and isinstance(b, Constant):
        raise NodeError("the quotient of two constants, of which one is a parameter, is not supported")
    assert a is not None
    if isinstance(b, Activation):
        return product_of(builder, reciprocal_of(builder, b), a)
    return product_of(builder, activation(inputs), required(inputs, 1).step(Inverted()))


def log(builder: Builder, node: Node, inputs: Inputs) -> Value:
    """That of a sigmoid is -softplus(-x): an int8 probability would have no bits near 0."""
    del node
    x = activation(inputs)
    made = x.value.owner
    if isinstance(made, ActivationOp) and made.function.data == "sigmoid":
        return negated(builder, apply(builder, negated(builder, x.with_value(made.x)), "softplus"))
    return x.with_value(builder.insert(LogOp.of(x.value)))


HANDLERS: dict[str, Handler] = {
    "Div": divide,
    "Log": log,
    "Pow": power,
    "Reciprocal": reciprocal,
    "Sqrt": root,
}
