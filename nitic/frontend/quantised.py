"""Reads a quantised network as the network of floats that it stands for.

Integers with a scale and a zero point, codes, stand for (code - zero) * scale. Here each value of codes becomes the
floats that it stands for, under its own name. So an operator on codes becomes the one on floats, and what makes codes
of floats, or floats of codes, has nothing left to do.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from nitic.arithmetic.integers import Array
from nitic.frontend.codes import Codes, Held
from nitic.frontend.graph import drop_unneeded
from nitic.frontend.model_file import first_line
from nitic.frontend.nodes import Node
from nitic.frontend.preparation import PREPARING, VIEWS
from nitic.frontend.problems import MALFORMED
from nitic.frontend.values import NodeError

T = onnx.TensorProto
_LEAST: dict[int, int] = {T.UINT4: 0, T.INT4: -8, T.UINT8: 0, T.INT8: -128, T.UINT16: 0, T.INT16: -(2**15)}
"""The least code of each type."""
_CODES: dict[int, tuple[int, int]] = {
    T.UINT4: (0, 15),
    T.INT4: (-7, 7),
    T.UINT8: (0, 255),
    T.INT8: (-127, 127),
    T.UINT16: (0, 2**16 - 1),
    T.INT16: (1 - 2**15, 2**15 - 1),
}
"""Those that mantissas have, too: none below the negative of the largest."""
_MOVES = VIEWS | {"DepthToSpace", "Expand", "Gather", "Identity", "Pad", "Resize", "Slice", "SpaceToDepth", "Split"}
_PASSES = _MOVES | {"Concat", "MaxPool"}
"""Operators that move or choose values, and so move or choose of codes as of what these stand for."""
_SHAPES = frozenset({"Shape", "Size"})
_NEVER_NEGATIVE = frozenset({"Abs", "Exp", "HardSigmoid", "Relu", "Sigmoid", "Softmax", "Softplus"})
_AVERAGES = frozenset({"AveragePool", "Dropout", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceMax"})
_COMBINES = frozenset({"Add", "Concat", "Mul"})
_OWN_ATTRIBUTES = frozenset({"channels_last", "opset"})
"""What onnxruntime's quantised operators have, and ONNX's do not."""


@dataclass(frozen=True)
class Reading:
    """What becomes of a quantised network: the user's notes, by their first results what is wrong with nodes that are
    left as they are, and the largest magnitude that activations have codes for, by their names."""

    notes: list[str] = field(default_factory=list[str])
    unread: Mapping[str, str] = field(default_factory=dict[str, str])
    ranges: Mapping[str, float] = field(default_factory=dict[str, float])


def read_as_floats(graph: onnx.GraphProto) -> Reading:
    """Makes floats of a quantised network."""
    if not any(_op(node) in _FORMS for node in graph.node):
        return Reading()
    reader = _Reader(graph)
    reader.run()
    return Reading(list(reader.notes()), reader.unread, reader.ranges)


class _Reader:
    """Goes through a graph in its order, and appends to `made` what becomes of each node."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.held = Held(graph)
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.made: list[onnx.NodeProto] = []
        self.unread: dict[str, str] = {}
        self.codes: dict[str, Codes] = {}
        self.varying = {value.name for value in graph.input} - self.held.tensors.keys()
        """Values that depend on the samples."""
        self.samples = set(self.varying)
        """Those of them that only prepare the samples: these are standardised by the program."""
        self.never_negative: set[str] = set()
        self.done: set[str] = set()
        """The results of nodes that have become part of another."""
        self.centred: dict[tuple[str, str, str], str] = {}
        self.ranges: dict[str, float] = {}
        self.activations = self.parameters = self.relus = 0

    def run(self) -> None:
        for node in self.graph.node:
            before, result = len(self.made), next(iter(node.output), "")
            try:
                if result not in self.done:
                    _FORMS.get(_op(node), _Reader.other)(self, node)
            except (NodeError, *MALFORMED) as error:
                del self.made[before:]
                self.append(node)
                is_known = isinstance(error, NodeError)
                self.unread[result] = str(error) if is_known else f"is malformed: {first_line(error)}"
        for value in self.graph.output:
            if value.name in self.codes:
                value.type.tensor_type.elem_type = T.FLOAT
        _replace(self.graph.node, [node for node in self.made if self.held.read.isdisjoint(node.output)])
        drop_unneeded(self.graph)
        kept = [tensor for tensor in self.graph.initializer if tensor.name not in self.held.read]
        read = {name for node in self.graph.node for name in node.input}
        kept = [tensor for tensor in kept if tensor.name in read or tensor.name not in self.readers]
        _replace(self.graph.initializer, [*kept, *self.held.floats.values()])
        _replace(self.graph.input, [value for value in self.graph.input if value.name not in self.held.read])

    def notes(self) -> Iterator[str]:
        parameters = self.parameters + len(self.held.floats)
        if count := parameters + self.activations:
            yield (
                f"{count} quantised tensors are read as the floats that they stand for: {parameters} parameters, and "
                f"{self.activations} activations, whose rounding is left out"
            )
        if self.relus:
            yield (
                f"{self.relus} quantised activations have no codes below 0: a Relu is put there, as quantisers make it "
                "a part of the range; other bounds of ranges, such as a Clip leaves, cannot be told and are left out"
            )

    # Operators

    def quantise(self, node: onnx.NodeProto) -> None:
        x, scale, zero = _inputs(node, 3)
        self.become(node, "Identity", [x])
        self.round(node.output[0], Codes(scale, zero), self.cuts(zero, _integer(node, "output_dtype") or T.UINT8))

    def quantise_dynamically(self, node: onnx.NodeProto) -> None:
        self.become(node, "Identity", [node.input[0]])
        self.round(node.output[0], Codes(*node.output[1:3]), cuts=False)

    def dequantise(self, node: onnx.NodeProto) -> None:
        x, scale, zero = _inputs(node, 3)
        axis, block = _integer(node, "axis", 1), _integer(node, "block_size")
        source = self.value(x, scale, zero, axis, block, node.output[0])
        if source != node.output[0]:
            self.become(node, "Identity", [source])

    def quantise_floats(self, node: onnx.NodeProto) -> None:
        """qonnx's Quant, from floats to floats. A weight stays as it is."""
        x, scale, zero, bits = _inputs(node, 4)
        is_unsigned = not _integer(node, "signed", 1) and not self.held.array(zero, 0).any()
        self.become(node, "Identity", [x])
        self.leave_rounding_out(node.output[0], is_unsigned)
        most = 2.0 ** self.held.array(bits, 8) if is_unsigned else 2.0 ** (self.held.array(bits, 8) - 1)
        self.note_range(node.output[0], (most - 1) * self.held.array(scale, 1))

    def conv(self, node: onnx.NodeProto) -> None:
        x, xs, xz, w, ws, wz, ys, yz, b = _inputs(node, 9)
        operands = [self.value(x, xs, xz), self.value(w, ws, wz, axis=0)]
        self.become(node, "Conv", [*operands, *self.bias(b, self.held.array(xs, 1) * self.held.array(ws, 1))])
        self.round(node.output[0], Codes(ys, yz), self.cuts(yz))

    def gemm(self, node: onnx.NodeProto) -> None:
        x, xs, xz, w, ws, wz, b, ys, yz = _inputs(node, 9)
        operands = [self.value(x, xs, xz), self.value(w, ws, wz, axis=0 if _integer(node, "transB") else 1)]
        alpha = next((np.float32(each.f) for each in node.attribute if each.name == "alpha"), np.float32(1))
        self.become(node, "Gemm", [*operands, *self.bias(b, alpha * self.held.array(xs, 1) * self.held.array(ws, 1))])
        if ys:
            self.round(node.output[0], Codes(ys, yz), self.cuts(yz, self.held.type_of(xz)))

    def bias(self, codes: str, scale: Array) -> list[str]:
        """The bias of a layer, if it has one: its scale is that of the products."""
        return [self.held.constant(codes, scale.reshape(-1), np.zeros(1), axis=0)] if codes else []

    def operands(self, node: onnx.NodeProto) -> None:
        """Operands with a scale and a zero point each, and behind them those of the result."""
        op, count = _OPERANDS[_op(node)]
        *given, ys, yz = _inputs(node, 3 * count + 2)
        self.become(node, op, self.values(given))
        self.round(node.output[0], Codes(ys, yz), self.cuts(yz, self.held.type_of(given[2])))

    def concat(self, node: onnx.NodeProto) -> None:
        ys, yz, *given = node.input
        self.become(node, "Concat", self.values(given))
        self.round(node.output[0], Codes(ys, yz), self.cuts(yz))

    def integer_product(self, node: onnx.NodeProto) -> None:
        """A product of codes less their zero points, which a Cast and a Mul by both scales follow."""
        x, w, xz, wz = _inputs(node, 4)
        op, axis = ("Conv", 0) if node.op_type == "ConvInteger" else ("MatMul", -1)
        cast, mul = self.rescaling(node)
        factors = [factor for name in mul.input if name != cast.output[0] for factor in self.factors(name)]
        scale = self.codes[x].scale if x in self.codes else ""
        if scale in factors:
            factors.remove(scale)
            scales = self.held.product(factors)
        else:
            scales = self.held.product(factors) / self.held.array(scale, 1)
        weight = self.held.constant(w, scales, self.held.array(wz, 0), axis)
        self.become(node, op, [self.value(x, scale, xz), weight])
        self.append_last_as(mul.output[0])
        self.done |= {cast.output[0], mul.output[0]}

    def rescaling(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """The Cast and the Mul that make floats of an integer product."""
        chain = [node]
        for op in ("Cast", "Mul"):
            found = self.readers.get(chain[-1].output[0], [])
            if len(found) != 1 or found[0].op_type != op:
                raise NodeError("its result is read otherwise than by a Cast and a Mul by its scales")
            chain += found
        return chain[1:]

    def factors(self, name: str, depth: int = 4) -> list[str]:
        """What a value is the product of. Quantisers write a Mul or two."""
        maker = None if name in self.held.tensors else self.held.makers.get(name)
        if not depth or maker is None or maker.op_type not in {"Identity", "Mul", "Reshape", "Unsqueeze"}:
            return [name]
        given = maker.input if maker.op_type == "Mul" else maker.input[:1]
        return [factor for each in given for factor in self.factors(each, depth - 1)]

    def other(self, node: onnx.NodeProto) -> None:
        """What is no operator of quantisation, but may take codes."""
        self.held.clip(node)
        taken = [self.codes[name] for name in node.input if name in self.codes]
        if not taken or node.op_type in _SHAPES:
            self.append(node)
            return
        codes, inputs = taken[0], list(node.input)
        if node.op_type in {"Clip", "Relu"} and inputs[0] in self.codes:
            self.clip(node, codes)
            return
        is_moved = inputs[0] in self.codes or node.op_type == "Concat"  # and not an index, as that of a table
        if _op(node) not in _PASSES or not is_moved:
            raise NodeError("computes with the codes of quantised numbers")
        if not all(self.held.same(codes, each) for each in taken):
            raise NodeError("its inputs have different scales or zero points")
        for i in {"Concat": range(len(inputs)), "Pad": range(2, min(3, len(inputs)))}.get(node.op_type, ()):
            if inputs[i] and inputs[i] not in self.codes:
                inputs[i] = self.held.constant(
                    inputs[i], self.held.array(codes.scale, 1), self.held.array(codes.zero, 0)
                )
        self.become(node, node.op_type, inputs)
        self.codes.update(dict.fromkeys(node.output, codes))

    def clip(self, node: onnx.NodeProto, codes: Codes) -> None:
        """Bounds of codes are bounds of their range, but for a least code that stands for 0."""
        x, least, _ = _inputs(node, 3)
        if node.op_type == "Relu" and self.held.array(codes.zero, 0).any():
            raise NodeError("cuts the codes of quantised numbers elsewhere than at 0")
        at_zero = not least or np.array_equal(self.held.array(least, 0), self.held.array(codes.zero, 0))
        cuts = at_zero and (bool(least) or node.op_type == "Relu")
        self.become(node, "Identity", [x])
        self.round(node.output[0], codes, cuts)

    # Values

    def values(self, operands: Sequence[str]) -> list[str]:
        """What codes stand for, of which each is followed by its scale and its zero point."""
        return [self.value(*each) for each in zip(operands[::3], operands[1::3], operands[2::3], strict=True)]

    def value(self, name: str, scale: str, zero: str, axis: int = -1, block: int = 0, result: str = "") -> str:
        """The name of what codes stand for. That of stored ones may be `result`."""
        if name in self.codes:
            if not self.held.same(self.codes[name], Codes(scale, zero)):
                raise NodeError(f"input {name!r} was quantised by another scale or zero point")
            return name
        if name in self.held.tensors:
            return self.held.constant(name, self.held.array(scale, 1), self.held.array(zero, 0), axis, block, result)
        key = name, scale, zero
        if key not in self.centred:
            self.centred[key] = self.centre(name, self.held.array(scale, 1), self.held.array(zero, 0))
        return self.centred[key]

    def centre(self, name: str, scale: Array, zero: Array) -> str:
        """Computes what codes stand for, as those of samples that come quantised."""
        if max(scale.size, zero.size) > 1:
            raise NodeError(f"input {name!r} is not quantised by one scale and zero point")
        y = f"{name}.{len(self.centred)}"
        for tensor, value in ((f"{y}.zero", zero), (f"{y}.scale", scale)):
            array = value.reshape(()).astype(np.float32)
            self.graph.initializer.append(numpy_helper.from_array(array, tensor))
        self.append(helper.make_node("Cast", [name], [f"{y}.codes"], to=T.FLOAT))
        self.append(helper.make_node("Sub", [f"{y}.codes", f"{y}.zero"], [f"{y}.centred"]))
        self.append(helper.make_node("Mul", [f"{y}.centred", f"{y}.scale"], [y]))
        return y

    def cuts(self, zero: str, otherwise: int = T.UINT8) -> bool:
        """Whether no number below 0 has a code. `otherwise` is the type of codes without a zero point."""
        least = _LEAST.get(self.held.type_of(zero) if zero else otherwise)
        return least is not None and bool((self.held.array(zero, 0).astype(np.int64) == least).all())

    def round(self, y: str, codes: Codes, cuts: bool) -> None:
        """The result of the last node stands for codes."""
        self.codes[y] = codes
        self.leave_rounding_out(y, cuts)
        if not all(map(self.held.is_constant, (codes.scale, codes.zero))):
            return
        least, most = _CODES.get(self.held.type_of(codes.zero) if codes.zero else T.UINT8, (0, 0))
        zero = self.held.array(codes.zero, 0).astype(np.float64)
        self.note_range(y, np.maximum(np.abs(least - zero), np.abs(most - zero)) * self.held.array(codes.scale, 1))

    def note_range(self, y: str, largest: Array) -> None:
        """Of an activation with one scale."""
        if y in self.varying and largest.size == 1 and 0 < largest.item() < np.inf:
            self.ranges[y] = float(largest.item())

    def leave_rounding_out(self, y: str, cuts: bool) -> None:
        """Rounds not, but makes 0 of what is below 0, where that has no codes."""
        if y not in self.varying:
            self.parameters += 1
            return
        self.activations += 1
        if cuts and y not in self.never_negative | self.samples:
            self.relus += 1
            self.append_last_as(f"{y}.exact")
            self.append(helper.make_node("Relu", [f"{y}.exact"], [y]))

    # Nodes

    def become(self, node: onnx.NodeProto, op: str, inputs: Sequence[str]) -> None:
        """Appends a node as one of ONNX's operators on floats."""
        if _integer(node, "channels_last"):
            raise NodeError("attribute 'channels_last' is 1, but must be 0")
        made = onnx.NodeProto()
        made.CopyFrom(node)
        made.op_type, made.domain = op, ""
        _replace(made.input, inputs)
        if op == "Identity":
            _replace(made.output, node.output[:1])
        kept = [each for each in node.attribute if each.name not in _OWN_ATTRIBUTES and op != "Identity"]
        _replace(made.attribute, kept)
        self.append(made)

    def append_last_as(self, result: str) -> None:
        """Gives the result of the last node another name."""
        node = self.made.pop()
        node.output[0] = result
        self.append(node)

    def append(self, node: onnx.NodeProto) -> None:
        self.made.append(node)
        varying = [name for name in node.input if name in self.varying]
        if not varying:
            return
        self.varying.update(node.output)
        if node.op_type in PREPARING and self.samples.issuperset(varying):
            self.samples.update(node.output)
        given = node.input if node.op_type in _COMBINES else node.input[:1]
        keeps_sign = node.op_type in _PASSES | _AVERAGES | _COMBINES and self.never_negative.issuperset(given)
        if keeps_sign or node.op_type in _NEVER_NEGATIVE:
            self.never_negative.update(node.output)


_OPERANDS = {
    "QLinearMatMul": ("MatMul", 2),
    "com.microsoft::QLinearAdd": ("Add", 2),
    "com.microsoft::QLinearAveragePool": ("AveragePool", 1),
    "com.microsoft::QLinearGlobalAveragePool": ("GlobalAveragePool", 1),
    "com.microsoft::QLinearLeakyRelu": ("LeakyRelu", 1),
    "com.microsoft::QLinearMul": ("Mul", 2),
    "com.microsoft::QLinearReduceMean": ("ReduceMean", 1),
    "com.microsoft::QLinearSigmoid": ("Sigmoid", 1),
    "com.microsoft::QLinearSoftmax": ("Softmax", 1),
}
"""What each of these becomes, and how many operands it has."""
_FORMS: dict[str, Callable[[_Reader, onnx.NodeProto], None]] = {
    **dict.fromkeys(_OPERANDS, _Reader.operands),
    **dict.fromkeys(("QuantizeLinear", "com.microsoft::QuantizeLinear"), _Reader.quantise),
    **dict.fromkeys(("DequantizeLinear", "com.microsoft::DequantizeLinear"), _Reader.dequantise),
    **dict.fromkeys(("ConvInteger", "MatMulInteger"), _Reader.integer_product),
    **{
        f"{domain}::{op}": _Reader.quantise_floats
        for domain in ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")
        for op in ("Quant", "IntQuant")
    },
    "DynamicQuantizeLinear": _Reader.quantise_dynamically,
    "QLinearConv": _Reader.conv,
    "com.microsoft::QGemm": _Reader.gemm,
    "com.microsoft::QLinearConcat": _Reader.concat,
}


def _op(node: onnx.NodeProto) -> str:
    return Node(node, 0).op


def _inputs(node: onnx.NodeProto, count: int) -> list[str]:
    """The names of a node's inputs; '' for one that is left out."""
    if len(node.input) > count:
        raise NodeError(f"has {len(node.input)} inputs, but at most {count} are known")
    return [*node.input, *[""] * (count - len(node.input))]


def _integer(node: onnx.NodeProto, name: str, default: int = 0) -> int:
    return next((each.i for each in node.attribute if each.name == name), default)


def _replace(field: Any, values: Sequence[Any]) -> None:
    """Gives a repeated field of a protobuf other values."""
    del field[:]
    field.extend(values)
