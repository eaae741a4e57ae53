"""What joins activations and cuts them: Concat, Split, Slice, Gather of a range, Pad, DepthToSpace and its inverse."""

from collections.abc import Mapping, Sequence

from nitic.frontend.attributes import shown
from nitic.frontend.builder import Builder
from nitic.frontend.folding import is_parameter
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
from nitic.frontend.values import NHWC, Activation, Constant, NodeError, Value, inverse
from nitic.ops.concat import ConcatOp, PadOp, SliceOp

MAX_SLICES = 64
"""Of one axis, to take its elements in another order."""


def concat(builder: Builder, node: Node, inputs: Inputs) -> Value:
    parts = [activation(inputs, i) for i in range(len(inputs))]
    return joined(parts, builder, axis_of(node, parts[0]))


def joined(parts: Sequence[Activation], builder: Builder, axis: int) -> Activation:
    if len(parts) == 1:
        return parts[0]
    parts = [builder.with_axes(part) for part in parts]
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


def whole(builder: Builder, inputs: Inputs) -> Activation:
    """What parts are taken of: a parameter is one, however many parts it has."""
    x = inputs[0]
    if isinstance(x, Constant) and is_parameter(x):
        return Activation.of(builder.parameter(x, "weight"))
    return activation(inputs)


def slice_(builder: Builder, node: Node, inputs: Inputs) -> Value:
    x = whole(builder, inputs)
    starts, ends = (integers_of(inputs, i, node.integers(key, ())) for i, key in ((1, "starts"), (2, "ends")))
    axes = integers_of(inputs, 3, node.integers("axes", ())) or tuple(range(len(starts)))
    steps = integers_of(inputs, 4) or (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise NodeError(f"starts, ends, axes and steps differ in number: {shown((starts, ends, axes, steps))}")
    if not all(steps):
        raise NodeError(f"steps {shown(steps)} are not supported: none may be 0")
    cuts = zip(from_front(axes, len(x.shape)), starts, ends, steps, strict=True)
    ranges = {axis: range(x.shape[axis])[slice(start, end, step)] for axis, start, end, step in cuts}
    backwards = [axis for axis, each in ranges.items() if each.step < 0 and each]
    forwards = {axis: range(ranges[axis][-1], ranges[axis][0] + 1, -ranges[axis].step) for axis in backwards}
    y = cut(builder, x, ranges | forwards)
    for axis in backwards:
        y = taken(builder, y, axis, [*range(y.shape[axis])][::-1])
    return y


def split(builder: Builder, node: Node, inputs: Inputs) -> Sequence[Value]:
    x, count = whole(builder, inputs), len(node.proto.output)
    axis = axis_of(node, x)
    size = x.shape[axis]
    each = -(-size // node.integer("num_outputs", count))
    sizes = integers_of(inputs, 1, node.integers("split", ()))
    sizes = sizes or tuple(min(each, size - i * each) for i in range(count))
    if sum(sizes) != size or len(sizes) != count or min(sizes) < 1:
        raise NodeError(f"cannot split an axis of {size} into {count} parts of {shown(sizes)}")
    ends = [sum(sizes[: i + 1]) for i in range(count)]
    return [cut(builder, x, {axis: range(end - n, end)}) for n, end in zip(sizes, ends, strict=True)]


def gather(builder: Builder, node: Node, inputs: Inputs) -> Value:
    """Gather of indices that a few slices would take, in one axis or several."""
    if isinstance(inputs[0], Constant) and isinstance(inputs[1], Activation):
        is_input = inputs[1].value is builder.input
        index = f"the network's input of the type {builder.input_type}" if is_input else "what the network computes"
        raise NodeError(f"an embedding, a table indexed by {index}, is not supported")
    x, indices = whole(builder, inputs), required(inputs, 1).array
    axis = axis_of(node, x)
    found = taken(builder, x, axis, [int(i) % x.shape[axis] for i in indices.flat])
    return found.reshape((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


def reverse_sequence(builder: Builder, node: Node, inputs: Inputs) -> Value:
    """The steps of time from the last one on."""
    x, lengths, time = activation(inputs), required(inputs, 1).array, node.integer("time_axis")
    if not 0 <= time < len(x.shape) or (lengths != x.shape[time]).any():
        raise NodeError(f"sequence_lens {shown(lengths.tolist())} are not supported: each must be all of the steps")
    return taken(builder, x, time, [*range(x.shape[time])][::-1])


def taken(builder: Builder, x: Activation, axis: int, indices: list[int]) -> Activation:
    """Some indices of an axis, in any order: slices, one behind the other."""
    runs = ascending(indices)
    if not indices or len(runs) > MAX_SLICES:
        what = f"gathering the {len(indices)} indices {shown(indices)} is not supported"
        raise NodeError(f"{what}: they must be at most {MAX_SLICES} runs that ascend in equal steps")
    return joined([cut(builder, x, {axis: run}) for run in runs], builder, axis)


def ascending(indices: Sequence[int]) -> list[range]:
    """Indices as runs that ascend in equal steps, from the front on as long as they can be."""
    runs: list[range] = []
    for index in indices:
        last = runs[-1] if runs else range(0)
        step = index - last[-1] if last else 0
        if len(last) == 1 and step > 0:
            runs[-1] = range(last[0], index + 1, step)
        elif len(last) > 1 and step == last.step:
            runs[-1] = range(last.start, index + 1, step)
        else:
            runs.append(range(index, index + 1))
    return runs


def pad(builder: Builder, node: Node, inputs: Inputs) -> Value:
    """Zeros around, or elements of x in other orders; a negative pad cuts."""
    x, given = activation(inputs), integers_of(inputs, 1, node.integers("pads", ()))
    axes = [*from_front(integers_of(inputs, 3), len(x.shape))] or list(range(len(x.shape)))
    if len(given) != 2 * len(axes):
        raise NodeError(f"pads {shown(given)} are not two for each of the axes {axes}")
    before = dict(zip(axes, given[: len(axes)], strict=True))
    after = dict(zip(axes, given[len(axes) :], strict=True))
    if not any(given):
        return x
    if (mode := node.word("mode")) != "constant":
        return continued(builder, x, mode, {axis: (before[axis], after[axis]) for axis in axes})
    if (value := number_of(node, inputs, 2, "value")) != 0:
        raise NodeError(f"padding with {value} is not supported, only with zeros")
    kept = {axis: range(max(0, -before[axis]), x.shape[axis] - max(0, -after[axis])) for axis in axes}
    return padded(builder, cut(builder, x, kept), before, after)


def continued(builder: Builder, x: Activation, mode: str, pads: Mapping[int, tuple[int, int]]) -> Activation:
    """Padding with elements of x: reflected at its ends, its ends again, or from its other end on."""
    for axis, (before, after) in pads.items():
        size = x.shape[axis]
        most = {"reflect": size - 1, "edge": MAX_SLICES, "wrap": size}[mode]
        if not (0 <= before <= most and 0 <= after <= most):
            bounds = f"from 0 to {most} for an axis of {size}"
            raise NodeError(f"pads of mode {mode!r} are {bounds}, not {before} and {after}")
        where = range(-before, size + after)
        x = taken(builder, x, axis, [_source(mode, i, size) for i in where]) if before or after else x
    return x


def _source(mode: str, i: int, size: int) -> int:
    """The element of an axis that padding puts at i."""
    if mode == "wrap":
        return i % size
    last = size - 1
    return min(max(i, 0), last) if mode == "edge" else last - abs(last - abs(i))


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
    "ReverseSequence": reverse_sequence,
    "Slice": slice_,
    "SpaceToDepth": space_to_depth,
    "Split": split,
}
