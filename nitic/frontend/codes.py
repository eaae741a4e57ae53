"""What the stored codes of a quantised network stand for: tensors of floats, under the names of before.

Scales and zero points are stored, too, or else a network is not read.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

from nitic.arithmetic.integers import Array
from nitic.frontend.nodes import constants
from nitic.frontend.values import NodeError
from nitic.ir.types import Shape

_SUFFIX = re.compile(r"(_quantized|_quant|[._]u?int\d+_*)$")
"""What quantisers append to the name of a weight, for its codes."""


@dataclass(frozen=True)
class Codes:
    """How codes stand for numbers: the names of their scale and their zero point, of which '' is 1 and 0."""

    scale: str
    zero: str


class Held:
    """The tensors and Constants of a graph. `read` are the names of codes, and `floats` what they stand for."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.inputs = {value.name for value in graph.input}
        self.tensors = constants(graph)
        self.makers = {name: node for node in graph.node for name in node.output}
        self.floats: dict[tuple[str, bytes, bytes, int, int], onnx.TensorProto] = {}
        self.read: set[str] = set()

    def constant(self, name: str, scale: Array, zero: Array, axis: int = -1, block: int = 0, result: str = "") -> str:
        """The name of the tensor of what stored codes stand for."""
        if name not in self.tensors:
            raise NodeError(f"input {name!r} holds codes that are not constant")
        key = name, scale.tobytes(), zero.tobytes(), axis, block
        if key not in self.floats:
            codes = numpy_helper.to_array(self.tensors[name])
            scales, zeros = (_spread(each.astype(np.float64), codes.shape, axis, block) for each in (scale, zero))
            with np.errstate(all="ignore"):  # what is not finite is refused where it is used
                array = (codes.astype(np.float64) - zeros).astype(np.float32) * scales.astype(np.float32)
            self.floats[key] = numpy_helper.from_array(array, self.original_name(name, result))
            self.read.add(name)
        return self.floats[key].name

    def clip(self, node: onnx.NodeProto) -> None:
        """Stores what a Clip makes of stored codes: so Brevitas keeps weights of few bits."""
        if node.op_type != "Clip" or any(name and name not in self.tensors for name in node.input):
            return
        codes, *bounds = (numpy_helper.to_array(self.tensors[name]) if name else None for name in node.input)
        if codes is not None and codes.dtype.kind in "iu":
            low, high = (*bounds, None, None)[:2]
            clipped = np.clip(codes, low, high).astype(codes.dtype)
            self.tensors[node.output[0]] = numpy_helper.from_array(clipped, node.output[0])

    def original_name(self, stored: str, result: str) -> str:
        """The name that a tensor had before its codes were `stored`, if no other value has it."""
        given = {*self.tensors, *self.makers, *self.inputs}
        taken = given - {stored, result} | {tensor.name for tensor in self.floats.values()}
        name = _SUFFIX.sub("", stored)
        return name if name not in taken else next(n for i in range(2, 2**31) if (n := f"{name}.{i}") not in taken)

    def array(self, name: str, default: float) -> Array:
        """A scale or a zero point: of a scale beside a power of two, the power."""
        if not name:
            return np.full(1, default, np.float32)
        if self.origin(name) not in self.tensors:
            raise NodeError(f"the scale or zero point {name!r} is not constant")
        return _settled(numpy_helper.to_array(self.tensors[self.origin(name)]))

    def is_constant(self, name: str) -> bool:
        """Whether a scale or a zero point is known."""
        return not name or self.origin(name) in self.tensors

    def origin(self, name: str) -> str:
        while name not in self.tensors and name in self.makers and self.makers[name].op_type == "Identity":
            name = self.makers[name].input[0]
        return name

    def type_of(self, zero: str) -> int:
        """The type of the codes that a zero point belongs to, else that which codes have by themselves."""
        return self.tensors[self.origin(zero)].data_type if zero else onnx.TensorProto.UINT8

    def same(self, a: Codes, b: Codes) -> bool:
        pairs = ((a.scale, b.scale, 1), (a.zero, b.zero, 0))
        return all(
            x == y or np.array_equal(np.ravel(self.array(x, none)), np.ravel(self.array(y, none)))
            for x, y, none in pairs
        )

    def product(self, names: Sequence[str]) -> Array:
        """Of scales, by axis or alone."""
        product = np.ones(1, np.float32)
        for name in names:
            product = product * self.array(name, 1).reshape(-1)
        return product


def _settled(scale: Array) -> Array:
    """Scales, and the powers of two in the place of those that are one step of their type beside one.

    By such steps a file has halves rounded away from zero (docs/export.md): it means the powers.
    """
    if scale.dtype.kind != "f":
        return scale
    with np.errstate(all="ignore"):
        powers = np.exp2(np.rint(np.log2(scale))).astype(scale.dtype)
        is_near = (np.nextafter(scale, np.inf) == powers) | (np.nextafter(scale, 0) == powers)
    return np.where(is_near, powers, scale)


def _spread(values: Array, shape: Shape, axis: int, block: int) -> Array:
    """Scales or zero points, of which there are one, one for each index of an axis or one for each block of these."""
    if values.size == 1:
        return values.reshape(())
    if not -len(shape) <= axis < len(shape):
        raise NodeError(f"its scales are along axis {axis}, which a tensor of {list(shape)} does not have")
    if block:
        return np.repeat(values, min(block, shape[axis]), axis)[tuple(map(slice, shape))]
    if values.size != shape[axis]:
        raise NodeError(f"{values.size} scales or zero points do not fit axis {axis} of a tensor of {list(shape)}")
    sizes = [1] * len(shape)
    sizes[axis] = values.size
    return values.reshape(sizes)
