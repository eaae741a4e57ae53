"""`--format qdq`: the ONNX file that was compiled, with int8 weights, and QuantizeLinear and DequantizeLinear wherever
the program rounds to int8. Scales are powers of two; docs/export.md says how near that comes to what the program
predicts.

What the program rounds to int16, around a batch norm, is rounded by arithmetic: few tools know QuantizeLinear of int16,
and opset 13 has none.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from xdsl.dialects.func import FuncOp

from nitic.arithmetic.integers import INT16_LIMIT, Array
from nitic.export.float import File, finished, for_inference, standardisation, trained_values, with_values
from nitic.export.opset import in_opset
from nitic.frontend.importer import ImportedModel
from nitic.frontend.network import read_network
from nitic.frontend.nodes import opset
from nitic.frontend.operators.recurrent import HANDLERS as UNROLLED
from nitic.interpret import Environment, ExponentValues, known_values
from nitic.ir.function import arguments, function
from nitic.ir.op import NnOp
from nitic.ir.types import element_of, i8, shape_of
from nitic.ops.bfp import BfpOp, RoundShiftOp
from nitic.ops.concat import ConcatOp
from nitic.ops.norm import NormaliseOp

FLOAT = onnx.TensorProto.FLOAT
OPSET = 13  # from which on tool chains for QDQ files read them
MOVES = ("Flatten", "Identity", "MaxPool", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze")


def qdq_model(
    model: ImportedModel,
    path: Path,
    predict: FuncOp,
    state: Mapping[str, Array],
    metadata: Mapping[str, str],
    version: int | None = None,
) -> bytes:
    """The file at `path`, from which `model` was imported, as `predict` computes it for a state. Raises CompileError.

    Its input and output are floats, as those of the file are. `version` is its opset: by default the file's, or 13.
    """
    proto = read_network(path, model.restores_biases).model
    for_inference(proto.graph)
    proto = in_opset(proto, version or max(opset(proto), OPSET))
    file, known = _Quantised(proto, path.name), known_values(predict, state)
    parameters = dict(_parameters(predict, known))
    rounded = {name: mantissas * 2.0**e for name, (mantissas, e) in parameters.items()}
    tensors = with_values(model, file, {**trained_values(model, state), **rounded})
    for name, (mantissas, e) in parameters.items():
        if mantissas.ndim > 1:
            file.store_as_int8(tensors[name], e)
    for rounding in _roundings(model, predict, known):
        file.round(rounding)
    for value in model.prepared:
        file.round_readers_of(value, int(state["input.exponent"]))
    file.round_moved()
    return finished(proto, {**metadata, **standardisation(model, state), "nitic.format": "qdq"})


def _parameters(predict: FuncOp, known: Environment) -> Iterator[tuple[str, tuple[Array, int]]]:
    """The int8 mantissas and the exponent that @predict takes of each parameter."""
    exponents = ExponentValues(known)
    for label, arg in arguments(predict):
        rounded = [use.operation.result for use in arg.uses if isinstance(use.operation, RoundShiftOp)]
        if label.role == "master" and rounded:
            yield label.name, (known[rounded[0]], exponents.of(rounded[0]))
        elif label.role in ("weight", "frozen"):
            yield label.name, (known[arg], exponents.of(arg))


@dataclass(frozen=True)
class _Rounding:
    """What a node of the file gives is rounded to multiples of 2^e: to int8, or to int16.

    channels: of a batch norm whose normalised values are rounded before it scales them, how many it has; else 0.
    """

    node: str
    e: int
    to_int8: bool
    channels: int = 0


def _roundings(model: ImportedModel, predict: FuncOp, known: Environment) -> Iterable[_Rounding]:
    """Where @predict rounds what follows from the samples, if that is all that a node of the file computes.

    It is not where the last operator of a node has become part of others, as a factor behind a sum.
    """
    exponents, normalised, rounded = ExponentValues(known), list[_Rounding](), dict[str, _Rounding]()
    for op in predict.body.block.ops:
        if isinstance(op, NormaliseOp):
            e, channels = exponents.of(op.xhat), shape_of(op.inverse)[-1]
            normalised.append(_Rounding(op.source, e, to_int8=False, channels=channels))
        if isinstance(op, RoundShiftOp | ConcatOp) and op.result not in known:
            rounded[op.source] = _Rounding(op.source, exponents.of(op.result), element_of(op.result) == i8)
    imported, computed = (_last_operators(func) for func in (function(model.module, "predict"), predict))
    return [*normalised, *(each for each in rounded.values() if imported.get(each.node) == computed.get(each.node))]


def _last_operators(func: FuncOp) -> dict[str, str]:
    """The name of the last operator of each node, but for those of the number format."""
    ops = (op for op in func.body.block.ops if isinstance(op, NnOp) and not isinstance(op, BfpOp))
    return {op.source: op.name for op in ops}


def _moves(node: onnx.NodeProto) -> bool:
    """Whether it only moves or chooses values, or casts floats to what they are."""
    to_floats = node.op_type == "Cast" and any(each.name == "to" and each.i == FLOAT for each in node.attribute)
    return to_floats or node.op_type in MOVES


class _Quantised(File):
    """A file that becomes one of QuantizeLinear and DequantizeLinear."""

    def __init__(self, model: onnx.ModelProto, name: str) -> None:
        super().__init__(model, name)
        self.taken = {value for node in self.graph.node for value in (*node.input, *node.output)}
        self.rounded: dict[str, int] = {}

    def store_as_int8(self, name: str, e: int) -> None:
        """An initializer as mantissas of an exponent, which its readers get through a DequantizeLinear.

        It has a zero point of its own: onnxruntime, where it makes weights unsigned, does not find shared ones
        (findings/onnxruntime-shared-zero-point.sh).
        """
        stored = next((tensor for tensor in self.graph.initializer if tensor.name == name), None)
        if stored is None:  # a Constant: its values are those of the mantissas already
            return
        for source in [source for source in self.graph.input if source.name == name]:
            self.graph.input.remove(source)  # where a file has its initializers as inputs
        mantissas = np.rint(numpy_helper.to_array(stored) * 2.0**-e).astype(np.int8)
        stored.CopyFrom(numpy_helper.from_array(mantissas, self._fresh(f"{name}.int8")))
        node = helper.make_node("DequantizeLinear", [stored.name, self._step(e), self._zero(f"{name}.zero")], [name])
        self.graph.node.insert(0, node)

    def round(self, rounding: _Rounding) -> None:
        """What a node gives becomes what is rounded of it, under its name."""
        node = self.nodes.get(rounding.node)
        if node is None or node.op_type in UNROLLED:  # the operator stands for several nodes, or the node for several
            return
        if rounding.channels:
            if node.op_type != "BatchNormalization":  # the arithmetic of one
                return
            node = self._split(node, rounding.channels)
        if rounding.to_int8:
            self._quantise(node, rounding.e, self._divisor(rounding.e))
        else:
            self._round_to_int16(node, rounding.e)

    def _split(self, node: onnx.NodeProto, channels: int) -> onnx.NodeProto:
        """Makes two of a batch norm. Gives the one that normalises; `node` becomes one that scales."""
        x, gamma, beta, *statistics = node.input
        y = self._fresh(f"{node.output[0]}.normalised")
        one = self._constant(f"ones.{channels}", np.ones(channels, np.float32))
        zero = self._constant(f"zeros.{channels}", np.zeros(channels, np.float32))
        normalise = helper.make_node("BatchNormalization", [x, one, zero, *statistics], [y])
        normalise.attribute.extend(node.attribute)
        del node.attribute[:], node.input[:]
        node.input.extend([y, gamma, beta, zero, one])
        node.attribute.append(helper.make_attribute("epsilon", 0.0))
        at = list(self.graph.node).index(node)
        self.graph.node.insert(at, normalise)
        return self.graph.node[at]

    def round_moved(self) -> None:
        """What only moves or chooses rounded values is rounded as they are, which changes nothing.

        onnxruntime would do so itself, and wrongly from opset 21 on.
        """
        for node in list(self.graph.node):
            if _moves(node) and node.input[0] in self.rounded and node.output[0] not in self.rounded:
                e = self.rounded[node.input[0]]
                self._quantise(node, e, self._step(e))

    def _quantise(self, node: onnx.NodeProto, e: int, divisor: str) -> None:
        value, at = self._set_apart(node)
        self._insert_codes(at, node.output[0], value, e, divisor)

    def _round_to_int16(self, node: onnx.NodeProto, e: int) -> None:
        value, at = self._set_apart(node)
        quotient, integer, mantissa = (self._fresh(f"{value}.{each}") for each in ("quotient", "integer", "int16"))
        low, high = (
            self._constant(f"{each}.int16", np.array(each, np.float32)) for each in (-INT16_LIMIT, INT16_LIMIT)
        )
        made = [
            helper.make_node("Div", [node.output[0], self._divisor(e)], [quotient]),
            helper.make_node("Round", [quotient], [integer]),
            helper.make_node("Clip", [integer, low, high], [mantissa]),
            helper.make_node("Mul", [mantissa, self._step(e)], [value]),
        ]
        for each in reversed(made):
            self.graph.node.insert(at, each)

    def _set_apart(self, node: onnx.NodeProto) -> tuple[str, int]:
        """Gives what a node makes another name. Gives the name it had, and the place behind the node."""
        value = node.output[0]
        node.output[0] = self._fresh(f"{value}.exact")
        return value, 1 + next(i for i, each in enumerate(self.graph.node) if each.output[0] == node.output[0])

    def round_readers_of(self, value: str, e: int) -> None:
        """The readers of the standardised input get it rounded."""
        rounded = self._fresh(f"{value}.rounded")
        for node in self.graph.node:
            for i, each in enumerate(node.input):
                if each == value:
                    node.input[i] = rounded
        makers = (i for i, node in enumerate(self.graph.node) if value in node.output)
        self._insert_codes(next(makers, -1) + 1, value, rounded, e, self._divisor(e))

    def _insert_codes(self, at: int, value: str, result: str, e: int, divisor: str) -> None:
        codes, self.rounded[result] = self._fresh(f"{result}.int8"), e
        zero = self._zero("zero.int8")
        self.graph.node.insert(at, helper.make_node("DequantizeLinear", [codes, self._step(e), zero], [result]))
        self.graph.node.insert(at, helper.make_node("QuantizeLinear", [value, divisor, zero], [codes]))

    def _step(self, e: int) -> str:
        return self._constant(f"scale.{e}", np.array(2.0**e, np.float32))

    def _divisor(self, e: int) -> str:
        """One step of float32 below 2^e: quotients of halves are above halves, and so rounded away from zero."""
        return self._constant(f"divisor.{e}", np.nextafter(np.array(2.0**e, np.float32), np.float32(0)))

    def _zero(self, name: str) -> str:
        return self._constant(name, np.array(0, np.int8))

    def _constant(self, name: str, value: Array) -> str:
        if name not in self.tensors:
            tensor = numpy_helper.from_array(value, name)
            self.graph.initializer.append(tensor)
            self.tensors[name] = tensor
        return name

    def _fresh(self, name: str) -> str:
        found = self.free(name)
        while found in self.taken:
            found += "_"
        self.taken.add(found)
        return found
