"""What a network does to its samples before its first layer: a scale and an offset per channel.

Keras writes it as Rescaling, torch as `(x - mean) / std` of buffers. It is the standardisation of the input, which
nitic has in every program: so it becomes that, with the network's own constants. None of these is ever trained.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from nitic.arithmetic.inputs import are_int32, normalising
from nitic.arithmetic.integers import Array
from nitic.frontend.nodes import Node
from nitic.frontend.values import Activation, Constant, Value, inverse

_ARITHMETIC = frozenset({"Add", "Sub", "Mul", "Div"})
_CASTS = frozenset({"Cast", "CastLike", "Identity"})
VIEWS = frozenset({"Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
PREPARING = _ARITHMETIC | _CASTS | VIEWS
_SHAPES = frozenset({"Shape", "Size"})
_INTEGERS = frozenset({onnx.TensorProto.UINT8, onnx.TensorProto.INT8, onnx.TensorProto.INT32, onnx.TensorProto.INT64})
UNIT, PIXELS = 1, 255
"""The largest value of a sample, as a network may expect it."""


@dataclass(frozen=True)
class Standardisation:
    """(x - mean) / std, per channel or one for all, of samples x from 0 to `largest`."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    largest: int

    def __str__(self) -> str:
        mean, std = ([float(f"{value:.6g}") for value in values] for values in (self.mean, self.std))
        return f"(x - {mean}) / {std} of samples from 0 to {self.largest}"

    def of_unit(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and deviation of samples scaled to 0..1."""
        mean, std = (tuple(value / self.largest for value in values) for values in (self.mean, self.std))
        return mean, std


class Preparation:
    """The nodes from the network's input to its first layer that read nothing but each other, and what they compute.

    `folds`: a standardisation is taken out of the network. Else it stays a part of it, and its constants as they are.
    """

    def __init__(self, graph: onnx.GraphProto, source: onnx.ValueInfoProto, folds: bool) -> None:
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in dict.fromkeys(node.input[:1] if node.op_type == "CastLike" else node.input):
                if node.op_type not in _SHAPES:
                    self._readers.setdefault(name, []).append(node)
        self._outputs = {value.name for value in graph.output}
        self._has_integers = source.type.tensor_type.elem_type in _INTEGERS
        self._scale, self._offset = np.ones(1), np.zeros(1)
        self._folds, self._folded = folds, False
        casts = self._chain(source.name, _CASTS)
        self.prepared = casts[-1].output[0] if casts else source.name
        """The value of the file that the program's standardised input is."""
        self.kept: Node | None = None
        """The first node of the preparation that stays a part of the network."""
        chain = self._chain(source.name, PREPARING)
        self._names = {node.output[0] for node in chain if node.op_type in _ARITHMETIC}
        self._constants = self._behind(graph, {name for node in chain for name in node.input})

    def _chain(self, name: str, kinds: frozenset[str]) -> list[onnx.NodeProto]:
        """The nodes of these kinds behind a value, as long as each is the only reader of the one before it."""
        found: list[onnx.NodeProto] = []
        while len(readers := self._readers.get(name, [])) == 1 and name not in self._outputs:
            node = readers[0]
            if node.op_type not in kinds or list(node.input).count(name) != 1:
                break
            found.append(node)
            name = node.output[0]
        return found

    def _behind(self, graph: onnx.GraphProto, read: set[str]) -> set[str]:
        """The results of nodes that compute what these nodes read, and nothing else."""
        found: set[str] = set()
        for node in reversed(graph.node):
            readers = [reader for name in node.output for reader in self._readers.get(name, [])]
            is_own = all(name in found for reader in readers for name in reader.output if name not in self._names)
            if read.intersection(node.output) and node.output[0] not in self._names and is_own:
                found.update(node.output)
                read.update(node.input)
        return found

    def computes(self, node: Node) -> bool:
        """Whether a node computes a constant of the preparation, which is not trained."""
        return node.proto.output[0] in self._constants

    def readers(self, name: str) -> list[onnx.NodeProto]:
        """The first nodes that read the samples otherwise than by arithmetic with constants."""
        chain = self._chain(name, _ARITHMETIC | _CASTS)
        return self._readers.get(chain[-1].output[0] if chain else name, [])

    def has(self, node: Node) -> bool:
        """Whether a node computes with the samples and constants alone."""
        return node.proto.output[0] in self._names

    def takes(self, node: Node, inputs: Sequence[Value | None]) -> Activation | None:
        """The samples behind a node of the preparation that is taken out of the network, else None.

        What is behind a node that stays has to stay, too.
        """
        x, constant = inputs if isinstance(inputs[0], Activation) else reversed(inputs)
        if self._folds and not self.kept and isinstance(x, Activation) and isinstance(constant, Constant):
            made = self._after(node.op, inputs[0] is x, _by_channel(x, constant.array.astype(np.float64)))
            if made and _is_held(*made, self._has_integers):
                self._scale, self._offset = made
                self._folded = True
                self.prepared = node.proto.output[0]
                return x
        self.kept = self.kept or node
        return None

    def _after(self, op: str, x_first: bool, constant: Array | None) -> tuple[Array, Array] | None:
        """Scale and offset after one more operation; None where they are no standardisation."""
        if constant is None or (not x_first and op in {"Sub", "Div"}):
            return None
        with np.errstate(all="ignore"):
            match op:
                case "Add":
                    scale, offset = self._scale, self._offset + constant
                case "Sub":
                    scale, offset = self._scale, self._offset - constant
                case "Mul":
                    scale, offset = self._scale * constant, self._offset * constant
                case _:
                    scale, offset = self._scale / constant, self._offset / constant
        usable = np.isfinite(scale).all() and np.isfinite(offset).all() and (scale > 0).all()
        return (scale, offset) if usable else None

    def standardisation(self) -> Standardisation | None:
        """All of it; None where the network takes its samples as they are.

        A file does not say whether its samples go from 0 to 1 or to 255: integers go to 255, and so do numbers whose
        mean or deviation is above 2.
        """
        return _standardisation(self._scale, self._offset, self._has_integers) if self._folded else None


def _standardisation(scale: Array, offset: Array, has_integers: bool) -> Standardisation:
    mean, std = np.broadcast_arrays(-offset / scale, 1 / scale)
    are_pixels = has_integers or max(np.abs(mean).max(), std.max()) > 2
    return Standardisation(tuple((mean + 0.0).tolist()), tuple(std.tolist()), PIXELS if are_pixels else UNIT)


def _is_held(scale: Array, offset: Array, has_integers: bool) -> bool:
    """Whether the program's map of its samples holds such a standardisation; none of pictures is beyond it."""
    mean, std = (np.array(values) for values in _standardisation(scale, offset, has_integers).of_unit())
    return all(are_int32(*normalising(mean, std)))


def _by_channel(x: Activation, constant: Array) -> Array | None:
    """A constant that broadcasts to the samples, as one number or one per channel; None for any other."""
    rank = len(x.shape)
    if constant.size == 1 and constant.ndim <= rank:
        return constant.reshape(1)
    if constant.ndim > rank or len(x.physical) != 4 or x.shape != x.transposed:
        return None
    axes = constant.reshape((1,) * (rank - constant.ndim) + constant.shape).transpose(inverse(x.perm))
    return axes.reshape(-1) if axes.shape == (1, 1, 1, x.physical[-1]) else None
