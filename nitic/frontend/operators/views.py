"""What only moves values: Transpose, Reshape and their like. Most of it makes no operator."""

from dataclasses import replace
from math import prod

from nitic.frontend.builder import Builder
from nitic.frontend.folding import integers, is_float_type
from nitic.frontend.nodes import Node
from nitic.frontend.operators.inputs import Handler, Inputs, axes_of, axis_of, required
from nitic.frontend.values import Activation, Constant, NodeError, Value
from nitic.ir.types import Shape


def identity(builder: Builder, node: Node, inputs: Inputs) -> Value:
    """The same value. A constant has the name of the result: torch calls a merged parameter by its own name there."""
    del builder
    value = inputs[0]
    assert value is not None
    named = node.op == "Identity" and isinstance(value, Constant)
    return replace(value, name=node.proto.output[0]) if named else value


def cast(builder: Builder, node: Node, inputs: Inputs) -> Value:
    if node.op == "Cast" and not is_float_type(node.integer("to")):
        raise NodeError("a cast to a type other than float is not supported")
    return identity(builder, node, inputs)


def transpose(builder: Builder, node: Node, inputs: Inputs) -> Value:
    x = identity(builder, node, inputs)
    return builder.transpose(x, node.integers("perm", range(len(x.shape))[::-1]))


def flatten(builder: Builder, node: Node, inputs: Inputs) -> Value:
    x = identity(builder, node, inputs)
    axis = axis_of(node, x, beyond=1)
    return x.reshape((prod(x.shape[:axis]), prod(x.shape[axis:])))


def reshape(builder: Builder, node: Node, inputs: Inputs) -> Value:
    x = identity(builder, node, inputs)
    target = integers(required(inputs, 1).array)
    if not node.integer("allowzero"):
        target = tuple(x.shape[i] if size == 0 and i < len(x.shape) else size for i, size in enumerate(target))
    if isinstance(x, Activation):
        target = for_batch(builder, target, x.shape)
    try:
        return x.reshape(resolved(target, x.shape))
    except NodeError as error:
        if not isinstance(x, Activation) or builder.declared_batch in {0, builder.batch}:
            raise
        fixed = f"the file fixes a batch of {builder.declared_batch}, not {builder.batch}"
        raise NodeError(f"{error}: {fixed}; export it with a dynamic batch") from None


def for_batch(builder: Builder, target: Shape, shape: Shape) -> Shape:
    """A target that the exporter wrote for its batch, alone or times other axes, for the batch that is compiled."""
    declared = builder.declared_batch
    if not declared or not target or target[0] < 1 or target[0] % declared or shape[0] % builder.batch:
        return target
    scaled = (target[0] // declared * builder.batch, *target[1:])
    fits = -1 in target or prod(scaled) == prod(shape)
    return scaled if fits else target


def resolved(target: Shape, shape: Shape) -> Shape:
    """A target shape with its -1 replaced."""
    known = prod(size for size in target if size != -1)
    total = prod(shape)
    result = tuple(total // known if size == -1 and known > 0 else size for size in target)
    if prod(result) != total or min(result, default=1) <= 0:
        raise NodeError(f"cannot reshape {list(shape)} to {list(target)}")
    return result


def squeeze(builder: Builder, node: Node, inputs: Inputs) -> Value:
    x = identity(builder, node, inputs)
    axes = axes_of(node, inputs, len(x.shape)) or tuple(i for i, size in enumerate(x.shape) if size == 1)
    if any(x.shape[axis] != 1 for axis in axes):
        raise NodeError(f"cannot squeeze the axes {list(axes)} of {list(x.shape)}")
    return x.reshape(tuple(size for i, size in enumerate(x.shape) if i not in axes))


def unsqueeze(builder: Builder, node: Node, inputs: Inputs) -> Value:
    x = identity(builder, node, inputs)
    count = len(x.shape) + len(axes_of(node, inputs, 64))
    axes, sizes = axes_of(node, inputs, count), iter(x.shape)
    return x.reshape(tuple(1 if i in axes else next(sizes) for i in range(count)))


HANDLERS: dict[str, Handler] = {
    "Cast": cast,
    "CastLike": cast,
    "Flatten": flatten,
    "Identity": identity,
    "Reshape": reshape,
    "Squeeze": squeeze,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
