"""Sums, differences, products: of two activations that broadcast, of one and a parameter or a number."""

from dataclasses import replace
from math import prod

import numpy as np
from xdsl.ir import SSAValue

from nitic.arithmetic.activations import SIXTH
from nitic.frontend.attributes import as_written, check_values
from nitic.frontend.builder import Builder
from nitic.frontend.folding import integers, is_parameter
from nitic.frontend.nodes import Node
from nitic.frontend.operators.inputs import Handler, Inputs, activation, required
from nitic.frontend.operators.pointwise import bias
from nitic.frontend.values import NHWC, Activation, Constant, NodeError, Scaled, Value, inverse
from nitic.ir.op import Property, to_property
from nitic.ir.types import Shape, shape_of
from nitic.ops.activation import ActivationOp
from nitic.ops.elementwise import AddOp
from nitic.ops.product import AddConstOp, ExpandOp, MulOp, NegOp, ScaleConstOp

# Exporters write f(x) = x * g(x) as two operators: one table is faster and more exact.
GATES: dict[tuple[Property, ...], str] = {
    ("sigmoid",): "swish",
    ("hard_sigmoid", as_written(SIXTH), 0.5): "hard_swish",
}


def operands(inputs: Inputs) -> tuple[Activation, Value]:
    """The two operands of a commutative operator, an activation first."""
    given = [value for value in inputs if value is not None]
    if len(given) != 2:
        raise NodeError(f"only two operands are supported, not {len(given)}")
    a, b = given
    if isinstance(a, Constant):
        a, b = b, a
    if isinstance(a, Constant):
        raise NodeError(
            "both operands are constants, and one of them is a parameter: nitic does not compute with those"
        )
    return a, b


def add(builder: Builder, node: Node, inputs: Inputs) -> Value:
    del node
    zeros = [x for x in inputs if isinstance(x, Constant) and is_state(x)]
    shared = [x for x in inputs if isinstance(x, Constant) and is_parameter(x)]
    if zeros and shared:  # a bias that is added before there is a state
        parameter = builder.parameter(shared[0], "bias")
        shape = np.broadcast_shapes(zeros[0].shape, shared[0].shape)
        return Activation.of(broadcast(builder, parameter, shape))
    a, b = operands(inputs)
    return sum_of(builder, a, b)


def sum_of(builder: Builder, a: Activation, b: Value) -> Activation:
    if isinstance(b, Activation):
        return added(builder, *together(builder, a, b))
    if is_state(b):
        return broadcast_to(builder, a, np.broadcast_shapes(a.shape, b.shape))
    if (value := plain(b)) is not None:
        return add_constant(builder, a, value)
    if (spans := spans_batch(builder, a, b)) and not b.array.any():  # the state that an unrolled RNN begins with
        return a
    if (axis := channel_axis(b.shape, a.shape)) is not None and not spans:
        return bias(builder, a, b, axis)
    return added(builder, *with_parameter(builder, a, b, "bias"))


def added(builder: Builder, a: Activation, b: SSAValue) -> Activation:
    a, b = expanded(builder, a, b)
    return a.with_value(builder.insert(AddOp.of(a.value, broadcast(builder, b, a.physical))))


def subtract(builder: Builder, node: Node, inputs: Inputs) -> Value:
    del node
    a, b = inputs
    if isinstance(a, Activation) and isinstance(b, Constant):
        return sum_of(builder, a, b.step(Scaled(-1)))
    if isinstance(a, Constant) and isinstance(b, Constant):
        raise NodeError("the difference of two parameters is not supported")
    assert a is not None
    assert isinstance(b, Activation)
    return sum_of(builder, negated(builder, b), a)


def negate(builder: Builder, node: Node, inputs: Inputs) -> Value:
    del node
    (x,) = inputs
    assert x is not None
    return x.step(Scaled(-1)) if isinstance(x, Constant) else negated(builder, x)


def negated(builder: Builder, x: Activation) -> Activation:
    return x.with_value(builder.insert(NegOp.of(x.value)))


def sum_of_all(builder: Builder, node: Node, inputs: Inputs) -> Value:
    del node
    total, *others = (value for value in inputs if value is not None)
    for value in others:
        total = sum_of(builder, *operands((total, value)))
    return total


def mean_of_all(builder: Builder, node: Node, inputs: Inputs) -> Value:
    total = sum_of_all(builder, node, inputs)
    return multiply_constant(builder, total, 1 / len(inputs)) if isinstance(total, Activation) else total


def expand(builder: Builder, node: Node, inputs: Inputs) -> Value:
    """Of an activation, or of a parameter that all samples share, such as a class token."""
    del node
    given = required(inputs, 1)
    wanted = integers(given.array)
    if wanted and not given.measured and wanted[0] == builder.declared_batch:
        wanted = (builder.batch, *wanted[1:])
    x = inputs[0]
    if isinstance(x, Constant) and is_parameter(x):
        shape = np.broadcast_shapes(x.shape, wanted)
        return Activation.of(broadcast(builder, builder.parameter(x, "weight"), shape))
    x = activation(inputs)
    return broadcast_to(builder, x, np.broadcast_shapes(x.shape, wanted))


def multiply(builder: Builder, node: Node, inputs: Inputs) -> Value:
    a, b = operands(inputs)
    if isinstance(b, Constant) and is_state(b):
        return replace(b, array=np.zeros(np.broadcast_shapes(a.shape, b.shape), np.float32), name=node.proto.output[0])
    return product_of(builder, a, b)


def product_of(builder: Builder, a: Activation, b: Value) -> Activation:
    if isinstance(b, Activation):
        return gated(builder, a, b) or multiplied(builder, *together(builder, a, b))
    if (factor := plain(b)) is not None:
        return multiply_constant(builder, a, factor)
    return multiplied(builder, *with_parameter(builder, a, b, "weight"))


def multiplied(builder: Builder, a: Activation, b: SSAValue) -> Activation:
    a, b = expanded(builder, a, b)
    return a.with_value(builder.insert(MulOp.of(a.value, b)))


def gated(builder: Builder, a: Activation, b: Activation) -> Activation | None:
    """x * g(x) as one activation function, if it is one."""
    for x, gate in ((a, b), (b, a)):
        op = gate.value.owner
        if isinstance(op, ActivationOp) and op.x is x.value and replace(gate, value=x.value) == x:
            key = tuple(to_property(p) for p in (op.function, op.alpha, op.beta) if p)
            if key in GATES:
                return x.with_value(builder.insert(ActivationOp.of(x.value, function=GATES[key])))
    return None


# Constants of the program


def is_state(constant: Constant) -> bool:
    """Whether it is the state that an unrolled recurrent layer begins with: zeros that the graph makes."""
    return constant.repeated and not is_parameter(constant) and not constant.array.any()


def plain(constant: Constant) -> float | None:
    """The number that a constant is, unless it is a parameter."""
    value = constant.array.flat[0] if constant.array.size else None
    if value is None or is_parameter(constant) or constant.array.size > 1:
        return None
    check_values(f"constant {constant.name!r}", constant.array)
    return as_written(float(value))


def add_constant(builder: Builder, x: Activation, value: float) -> Activation:
    return x.with_value(builder.insert(AddConstOp.of(x.value, value=value))) if value else x


def multiply_constant(builder: Builder, x: Activation, factor: float) -> Activation:
    """Two factors in a row are one: a sum that is divided by the number of its elements is a mean."""
    if isinstance(before := x.value.owner, ScaleConstOp):
        x, factor = x.with_value(before.x), as_written(before.factor.value.data * factor)
    return x if factor == 1 else x.with_value(builder.insert(ScaleConstOp.of(x.value, factor=factor)))


# Broadcasting


def together(builder: Builder, a: Activation, b: Activation) -> tuple[Activation, SSAValue]:
    """a, and the value of b, with their axes in one order in memory; they have one rank."""
    if (a.perm, a.shape, a.physical) == (b.perm, b.shape, b.physical):
        return a, b.value
    rank = max(len(a.shape), len(b.shape))
    a, b = (with_rank(x, rank) for x in (a, b))
    if a.perm != b.perm or a.shape != a.transposed or b.shape != b.transposed:
        order = NHWC if rank == 4 else tuple(range(rank))
        a, b = (Activation(builder.arranged(x, order), inverse(order), x.shape) for x in (a, b))
    return a, b.value


def with_parameter(builder: Builder, x: Activation, c: Constant, kind: str) -> tuple[Activation, SSAValue]:
    """x, and a parameter whose axes have the order in memory of those of x, without axes of one before the others."""
    if spans_batch(builder, x, c):
        what = f"the constant {c.name!r} of {list(c.shape)} has values for each of the {c.shape[0]} samples of a batch"
        raise NodeError(f"{what}: what is trained must not depend on a sample's place; export it with a dynamic batch")
    x = with_rank(x, max(len(x.shape), len(c.shape)))
    if x.shape != x.transposed:
        x = Activation.of(builder.in_onnx_order(x))
    c = c.reshape((1,) * (len(x.shape) - len(c.shape)) + c.shape).transpose(inverse(x.perm))
    first = next((i for i, size in enumerate(c.shape) if size > 1), len(c.shape) - 1)
    return x, builder.parameter(c.reshape(c.shape[first:]), kind)


def spans_batch(builder: Builder, x: Activation, c: Constant) -> bool:
    """Whether a constant has an axis along that of the batch, whose size the file fixes or --batch-size asks for."""
    along = len(c.shape) == len(x.shape) and x.shape[0] == builder.batch
    return along and c.shape[0] > 1 and c.shape[0] in {builder.batch, builder.declared_batch}


def with_rank(x: Activation, rank: int) -> Activation:
    return x.reshape((1,) * (rank - len(x.shape)) + x.shape)


def expanded(builder: Builder, a: Activation, b: SSAValue) -> tuple[Activation, SSAValue]:
    """The operands of a product or sum, of which the second broadcasts to the first."""
    try:
        shape: Shape = np.broadcast_shapes(a.physical, shape_of(b))
    except ValueError:
        raise NodeError(f"{list(a.shape)} and {list(shape_of(b))} do not broadcast to each other") from None
    if a.physical == shape:
        return a, b
    wide = Activation(b, a.perm, tuple(shape[axis] for axis in a.perm))
    if shape_of(b) == shape:
        return wide, a.value
    return wide.with_value(broadcast(builder, a.value, shape)), b


def broadcast(builder: Builder, value: SSAValue, shape: Shape) -> SSAValue:
    return value if shape_of(value) == shape else builder.insert(ExpandOp.of(value, shape=shape))


def broadcast_to(builder: Builder, x: Activation, shape: Shape) -> Activation:
    """x in a shape, as ONNX sees it, to which it broadcasts."""
    x = with_rank(x, len(shape))
    return x if x.shape == shape else Activation.of(broadcast(builder, builder.in_onnx_order(x), shape))


def channel_axis(b: Shape, x: Shape) -> int | None:
    """The axis of x along which a bias varies, if it varies along one."""
    first = len(x) - len(b)
    axes = [first + i for i, size in enumerate(b) if size > 1]
    if first >= 0 and not axes:
        axes = [1 if len(x) == 4 else len(x) - 1]
    return axes[0] if first >= 0 and len(axes) == 1 and prod(b) == x[axes[0]] else None


HANDLERS: dict[str, Handler] = {
    "Add": add,
    "Expand": expand,
    "Mean": mean_of_all,
    "Mul": multiply,
    "Neg": negate,
    "Sub": subtract,
    "Sum": sum_of_all,
}
