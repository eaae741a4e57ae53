"""What only moves values: Transpose, Reshape and their like. Most of it makes no operator."""

from dataclasses import replace
from math import prod

import numpy as np
import onnx

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
    x = inputs[0]
    is_condition = isinstance(x, Activation) and x.value in builder.conditions
    to_condition = node.op == "Cast" and node.integer("to") == onnx.TensorProto.BOOL
    if node.op == "Cast" and not is_float_type(node.integer("to")) and not (is_condition and to_condition):
        raise NodeError("a cast to a type other than float is not supported")
    if node.op == "CastLike" and isinstance(x, Constant) and isinstance(inputs[1], Activation) and not x.conversion:
        return replace(x, array=x.array.astype(np.float32))  # all that is computed is of floats
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
    given = required(inputs, 1)
    target, copies = integers(given.array), not node.integer("allowzero")
    try:
        if isinstance(x, Activation) and builder.declared_batch not in {0, builder.batch} and not given.measured:
            return x.reshape(for_batch(builder, declared_shape(builder, node, x), target, x.shape, copies))
        return x.reshape(resolved(target, x.shape, copies))
    except NodeError as error:
        if not isinstance(x, Activation) or builder.declared_batch in {0, builder.batch}:
            raise
        fixed = f"the file fixes a batch of {builder.declared_batch}, not {builder.batch}"
        raise NodeError(f"{error}: {fixed}; export it with a dynamic batch") from None


def declared_shape(builder: Builder, node: Node, x: Activation) -> Shape:
    """The shape of the input in the file; where ONNX does not infer it, the first axis has the batch."""
    shape = builder.shape_in_file(node.proto.input[0])
    fits = len(shape) == len(x.shape) and prod(shape) * builder.batch == prod(x.shape) * builder.declared_batch
    return shape if fits else (x.shape[0] // builder.batch * builder.declared_batch, *x.shape[1:])


def for_batch(builder: Builder, declared: Shape, target: Shape, shape: Shape, copies: bool) -> Shape:
    """A target that the file wrote for its batch, of an input `declared` with it, for an input of `shape`.

    The samples stay where they are in the order of values: the axis of the target there grows with the batch.
    """
    written = resolved(target, declared, copies)
    grown = [axis for axis, (size, now) in enumerate(zip(declared, shape, strict=True)) if size != now]
    if not grown:
        return written
    inner = prod(declared[grown[0] + 1 :])
    outer, batch = inner * declared[grown[0]], builder.declared_batch
    below = [prod(written[axis + 1 :]) for axis in range(len(written))]
    along = [
        i for i, size in enumerate(written) if size % batch == 0 and below[i] <= outer and below[i] * size >= inner
    ]
    if not along:
        raise NodeError(f"cannot reshape {list(shape)} to {list(target)}")
    axis = min(along, key=lambda i: written[i] != batch)
    scaled = (*written[:axis], written[axis] // batch * builder.batch, *written[axis + 1 :])
    return resolved(scaled, shape)


def resolved(target: Shape, shape: Shape, copies: bool = False) -> Shape:
    """A target shape with its open sizes replaced: 0 where it `copies` that of the input, and -1 by what is left.

    Of two that are -1, a first one is the batch, as in what some writers make of shapes that are open in several axes.
    """
    sizes = list(target)
    if sizes.count(-1) == 2 and sizes[0] == -1:
        sizes[0] = shape[0]
    sizes = [shape[i] if copies and size == 0 and i < len(shape) else size for i, size in enumerate(sizes)]
    known = prod(size for size in sizes if size != -1)
    result = tuple(prod(shape) // known if size == -1 and known > 0 else size for size in sizes)
    if prod(result) != prod(shape) or min(result, default=1) <= 0:
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
