"""Resize: by whole factors each element of an axis is repeated."""

from collections.abc import Sequence

from nitic.frontend.attributes import as_written, shown
from nitic.frontend.builder import Builder
from nitic.frontend.nodes import Node
from nitic.frontend.operators.arithmetic import broadcast
from nitic.frontend.operators.inputs import Handler, Inputs, activation, constant, from_front
from nitic.frontend.values import Activation, NodeError, Value, inverse

_HALF = frozenset({"round_prefer_floor", "round_prefer_ceil"})
REPEATING: dict[str, frozenset[str]] = {
    "asymmetric": frozenset({"floor"}),
    "half_pixel": _HALF,
    "half_pixel_symmetric": _HALF,
    "pytorch_half_pixel": _HALF,
    "tf_half_pixel_for_nn": frozenset({"floor"}),
}
"""By the mode of coordinates, the roundings with which a whole factor repeats elements. Opset 10 has one of each."""


def resize(builder: Builder, node: Node, inputs: Inputs) -> Value:
    x = activation(inputs)
    if (mode := node.word("mode")) != "nearest":
        raise NodeError(f"resizing with mode {mode!r} is not supported, only with 'nearest'")
    coordinates, rounding = node.word("coordinate_transformation_mode"), node.word("nearest_mode")
    if rounding not in REPEATING.get(coordinates, ()):
        raise NodeError(f"resizing with {coordinates!r} and {rounding!r} is not supported: it does not repeat elements")
    axes = from_front(node.integers("axes", range(len(x.shape))), len(x.shape))
    found = factors(builder, node, inputs, x, axes)
    if len(found) != len(axes) or not all(f >= 1 and f == int(f) for f in found):
        raise NodeError(f"resizing {list(x.shape)} by {shown(found)} is not supported: factors are whole, one an axis")
    by_axis = dict(zip(axes, map(int, found), strict=True))
    return repeated(builder, x, [by_axis.get(axis, 1) for axis in range(len(x.shape))])


def factors(builder: Builder, node: Node, inputs: Inputs, x: Activation, axes: Sequence[int]) -> list[float]:
    """From the scales, or from the sizes of the result, in which the batch is that of the file."""
    scales = constant(inputs, 1 if node.opset == 10 else 2)
    if scales is not None and scales.array.size:
        return [as_written(float(scale)) for scale in scales.array.flat]
    sizes = constant(inputs, 3)
    if sizes is None or sizes.array.size != len(axes):
        raise NodeError(f"sizes are not one for each of the axes {list(axes)}")
    own = {axis: (x.shape[axis], builder.declared_batch if axis == 0 else 0) for axis in axes}
    given = zip(axes, map(int, sizes.array.flat), strict=True)
    return [1.0 if size in own[axis] else size / x.shape[axis] for axis, size in given]


def repeated(builder: Builder, x: Activation, counts: Sequence[int]) -> Activation:
    """Each element of an axis so many times in a row: a broadcast of an axis of 1 behind it."""
    if set(counts) == {1}:
        return x
    if counts[0] != 1:
        raise NodeError("resizing along the axis of the batch is not supported")
    x = builder.with_axes(x)
    pairs = [(x.shape[axis], counts[axis]) for axis in inverse(x.perm)]
    apart = tuple(size for n, f in pairs for size in ((n, 1) if f > 1 else (n,)))
    wide = tuple(size for n, f in pairs for size in ((n, f) if f > 1 else (n,)))
    value = broadcast(builder, builder.reshape(x.value, apart), wide)
    value = builder.reshape(value, tuple(n * f for n, f in pairs))
    return Activation(value, x.perm, tuple(n * f for n, f in zip(x.shape, counts, strict=True)))


HANDLERS: dict[str, Handler] = {"Resize": resize}
