"""`--format qdq`: the ONNX file that was compiled, with int8 weights, and QuantizeLinear and DequantizeLinear wherever
the program rounds. Scales are powers of two; docs/export.md says how near that comes to what the program predicts.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from xdsl.dialects.func import FuncOp
from xdsl.ir import BlockArgument

from nitic.arithmetic.integers import Array
from nitic.export.float import File, finished, for_inference, standardisation, trained_values, with_values
from nitic.export.opset import in_opset
from nitic.frontend.importer import ImportedModel
from nitic.frontend.network import read_network
from nitic.frontend.nodes import opset
from nitic.frontend.operators.recurrent import HANDLERS as UNROLLED
from nitic.interpret import Environment, ExponentValues, known_values
from nitic.ir.function import arguments
from nitic.ir.types import element_of, i8
from nitic.ops.bfp import RoundShiftOp

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
    for node, e in _roundings(predict, known).items():
        file.round_result(node, e)
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


def _roundings(predict: FuncOp, known: Environment) -> dict[str, int]:
    """The exponent of what each node of the file gives, where @predict rounds that to int8."""
    exponents = ExponentValues(known)
    return {
        op.source: exponents.of(op.result)
        for op in predict.body.block.ops
        if isinstance(op, RoundShiftOp) and not isinstance(op.x, BlockArgument) and element_of(op.result) == i8
    }


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
        mantissas = np.rint(numpy_helper.to_array(stored) * 2.0**-e).astype(np.int8)
        stored.CopyFrom(numpy_helper.from_array(mantissas, self._fresh(f"{name}.int8")))
        node = helper.make_node("DequantizeLinear", [stored.name, self._scale(e), self._zero(f"{name}.zero")], [name])
        self.graph.node.insert(0, node)

    def round_result(self, name: str, e: int) -> None:
        """What a node gives becomes what is rounded of it, under its name."""
        node = self.nodes.get(name)
        if node is None or node.op_type in UNROLLED:  # the operator stands for several nodes, or the node for several
            return
        self._round(node, e)

    def round_moved(self) -> None:
        """What only moves or chooses rounded values is rounded as they are, which changes nothing.

        onnxruntime would do so itself, and wrongly from opset 21 on.
        """
        for node in list(self.graph.node):
            if node.op_type in MOVES and node.input[0] in self.rounded and node.output[0] not in self.rounded:
                self._round(node, self.rounded[node.input[0]])

    def _round(self, node: onnx.NodeProto, e: int) -> None:
        value = node.output[0]
        node.output[0] = self._fresh(f"{value}.exact")
        at = next(i for i, each in enumerate(self.graph.node) if each.output[0] == node.output[0])
        self._insert_rounding(at + 1, node.output[0], value, e)

    def round_readers_of(self, value: str, e: int) -> None:
        """The readers of the standardised input get it rounded."""
        rounded = self._fresh(f"{value}.rounded")
        for node in self.graph.node:
            for i, each in enumerate(node.input):
                if each == value:
                    node.input[i] = rounded
        makers = (i for i, node in enumerate(self.graph.node) if value in node.output)
        self._insert_rounding(next(makers, -1) + 1, value, rounded, e)

    def _insert_rounding(self, at: int, value: str, result: str, e: int) -> None:
        codes, self.rounded[result] = self._fresh(f"{result}.int8"), e
        scale, zero = self._scale(e), self._zero("zero.int8")
        self.graph.node.insert(at, helper.make_node("DequantizeLinear", [codes, scale, zero], [result]))
        self.graph.node.insert(at, helper.make_node("QuantizeLinear", [value, scale, zero], [codes]))

    def _scale(self, e: int) -> str:
        return self._constant(f"scale.{e}", np.array(2.0**e, np.float32))

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
