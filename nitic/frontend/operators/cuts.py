"""What joins activations and cuts them: Concat, Split, Slice, Gather of a range, Pad, DepthToSpace and its inverse."""

from collections.abc import Mapping, Sequence

from nitic.frontend.builder import Builder
from nitic.frontend.nodes import Node
from nitic.frontend.operators.inputs import (
    Handler,
    Inputs,
    activation,
    axis_of,
    from_front,
    integers_of,
    number_of,
    required,
)
from nitic.frontend.values import NHWC, Activation, NodeError, Value, inverse
from nitic.ops.concat import ConcatOp, PadOp, SliceOp


def concat(builder: Builder, node: Node, inputs: Inputs) -> Value:
    parts = [builder.with_axes(activation(inputs, i)) for i in range(len(inputs))]
    axis = axis_of(node, parts[0])
    if {len(part.shape) for part in parts} != {len(parts[0].shape)}:
        raise NodeError(f"cannot join tensors of {[list(part.shape) for part in parts]}")
    orders = [inverse(part.perm) for part in parts]
    order = NHWC if NHWC in orders else orders[0]
    values = [builder.arranged(part, order) for part in parts]
    joined = builder.insert(ConcatOp.along(order.index(axis), *values))
    shape = [*parts[0].shape]
    shape[axis] = sum(part.shape[axis] for part in parts)
    return Activation(joined, inverse(order), tuple(shape))


def cut(builder: Builder, x: Activation, ranges: Mapping[int, range]) -> Activation:
    """The elements of some axes."""
    x = builder.with_axes(x)
    taken = [ranges.get(axis, range(size)) for axis, size in enumerate(x.shape)]
    if not all(taken):
        raise NodeError(f"nothing is left of an input of {list(x.shape)}")
    shape = tuple(map(len, taken))
    if shape == x.shape:
        return x
    value = builder.insert(SliceOp.taking(x.value, [taken[axis] for axis in inverse(x.perm)]))
    return Activation(value, x.perm, shape)


def slice_(builder: Builder, node: Node, inputs: Inputs) -> Value:
    x = activation(inputs)
    starts, ends = (integers_of(inputs, i, node.integers(key, ())) for i, key in ((1, "starts"), (2, "ends")))
    axes = integers_of(inputs, 3, node.integers("axes", ())) or tuple(range(len(starts)))
    steps = integers_of(inputs, 4) or (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise NodeError(f"starts, ends, axes and steps differ in number: {starts}, {ends}, {axes}, {steps}")
    if min(steps, default=1) < 1:
        raise NodeError(f"steps {list(steps)} are not supported: they must be positive")
    cuts = zip(from_front(axes, len(x.shape)), starts, ends, steps, strict=True)
    return cut(builder, x, {axis: range(x.shape[axis])[start:end:step] for axis, start, end, step in cuts})


def split(builder: Builder, node: Node, inputs: Inputs) -> Sequence[Value]:
    x, count = activation(inputs), len(node.proto.output)
    axis = axis_of(node, x)
    size = x.shape[axis]
    each = -(-size // node.integer("num_outputs", count))
    sizes = integers_of(inputs, 1, node.integers("split", ()))
    sizes = sizes or tuple(min(each, size - i * each) for i in range(count))
    if sum(sizes) != size or len(sizes) != count or min(sizes) < 1:
        raise NodeError(f"cannot split an axis of {size} into {count} parts of {list(sizes)}")
    ends = [sum(sizes[: i + 1]) for i in range(count)]
    return [cut(builder, x, {axis: range(end - n, end)}) for n, end in zip(sizes, ends, strict=True)]


def gather(builder: Builder, node: Node, inputs: Inputs) -> Value:
    """Gather of one index, or of indices that a slice would take."""
    x, indices = activation(inputs), required(inputs, 1).array
    axis = axis_of(node, x)
    taken = [int(i) % x.shape[axis] for i in indices.flat]
    step = taken[1] - taken[0] if len(taken) > 1 else 1
    if indices.ndim > 1 or not taken or step < 1 or taken != list(range(taken[0], taken[-1] + 1, step)):
        raise NodeError(f"gathering the indices {indices.tolist()} is not supported: they must ascend in equal steps")
    found = cut(builder, x, {axis: range(taken[0], taken[-1] + 1, step)})
    return found if indices.ndim else found.reshape((*x.shape[:axis], *x.shape[axis + 1 :]))


def pad(builder: Builder, node: Node, inputs: Inputs) -> Value:
    """Zeros around; a negative pad cuts."""
    x, given = activation(inputs), integers_of(inputs, 1, node.integers("pads", ()))
    axes = [*from_front(integers_of(inputs, 3), len(x.shape))] or list(range(len(x.shape)))
    if len(given) != 2 * len(axes):
        raise NodeError(f"pads {list(given)} are not two for each of the axes {axes}")
    before = dict(zip(axes, given[: len(axes)], strict=True))
    after = dict(zip(axes, given[len(axes) :], strict=True))
    if not any(given):
        return x
    if (mode := node.word("mode")) != "constant":
        raise NodeError(f"padding with mode {mode!r} is not supported, only with zeros")
    if (value := number_of(node, inputs, 2, "value")) != 0:
        raise NodeError(f"padding with {value} is not supported, only with zeros")
    kept = {axis: range(max(0, -before[axis]), x.shape[axis] - max(0, -after[axis])) for axis in axes}
    return padded(builder, cut(builder, x, kept), before, after)


def padded(builder: Builder, x: Activation, before: Mapping[int, int], after: Mapping[int, int]) -> Activation:
    sides = [[max(0, side.get(axis, 0)) for axis in range(len(x.shape))] for side in (before, after)]
    if not any(map(any, sides)):
        return x
    x = builder.with_axes(x)
    shape = tuple(b + size + a for b, size, a in zip(sides[0], x.shape, sides[1], strict=True))
    first, last = ([side[axis] for axis in inverse(x.perm)] for side in sides)
    value = builder.insert(PadOp.of(x.value, before=first, after=last, between=[0] * len(shape)))
    return Activation(value, x.perm, shape)


def depth_to_space(builder: Builder, node: Node, inputs: Inputs) -> Value:
    x, b = activation(inputs), node.integer("blocksize")
    n, c, h, w = _image(x)
    if c % (b * b):
        raise NodeError(f"{c} channels are not a multiple of the square of blocksize {b}")
    by_column = node.word("mode") == "CRD"
    blocks = x.reshape((n, c // (b * b), b, b, h, w) if by_column else (n, b, b, c // (b * b), h, w))
    order = (0, 1, 4, 2, 5, 3) if by_column else (0, 3, 4, 1, 5, 2)
    return builder.view(blocks, order).reshape((n, c // (b * b), h * b, w * b))


def space_to_depth(builder: Builder, node: Node, inputs: Inputs) -> Value:
    x, b = activation(inputs), node.integer("blocksize")
    n, c, h, w = _image(x)
    if h % b or w % b:
        raise NodeError(f"an image of {h}x{w} is not a multiple of blocksize {b}")
    blocks = x.reshape((n, c, h // b, b, w // b, b))
    order = (0, 1, 3, 5, 2, 4) if node.word("mode") == "CRD" else (0, 3, 5, 1, 2, 4)
    return builder.view(blocks, order).reshape((n, c * b * b, h // b, w // b))


def _image(x: Activation) -> tuple[int, ...]:
    if len(x.shape) != 4:
        raise NodeError(f"expected an NCHW input, found one of the shape {list(x.shape)}")
    return x.shape


HANDLERS: dict[str, Handler] = {
    "Concat": concat,
    "DepthToSpace": depth_to_space,
    "Gather": gather,
    "Pad": pad,
    "Slice": slice_,
    "SpaceToDepth": space_to_depth,
    "Split": split,
}
