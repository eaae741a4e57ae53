"""Loops whose number of steps the file knows, step by step.

So JAX's scans and Keras's recurrent layers are written. What a step computes gets names of its own; what it reads from
outside, its parameters among them, is shared by all steps.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from nitic.arithmetic.integers import Array
from nitic.frontend import folding
from nitic.frontend.nodes import Node, opset, replace_node
from nitic.frontend.problems import MALFORMED
from nitic.frontend.values import Constant, NodeError

MAX_NODES = 2**16
"""Of a file whose loops are unrolled: each step of a network is compiled on its own."""
_SMALL = 2**10
"""Elements of a constant that may count steps."""
_AXES_ARE_INPUTS = 13
"""The opset from which Unsqueeze takes its axes as an input."""


def unroll(model: onnx.ModelProto) -> None:
    """Puts the steps of each loop in its place. A loop whose end depends on samples, or that has none, stays."""
    graph = model.graph
    if not any(node.op_type == "Loop" for node in graph.node):
        return
    steps = _Steps(graph, opset(model))
    for node in list(graph.node):
        made = steps.of(node) if node.op_type == "Loop" and not node.domain else None
        if made:
            replace_node(graph, node, made)


class _Steps:
    """The constants of a graph by name, as far as steps may be counted with them, and what computes others."""

    def __init__(self, graph: onnx.GraphProto, opset: int) -> None:
        self.graph, self.opset = graph, opset
        self.tensors = {tensor.name: tensor for tensor in graph.initializer}
        self.makers = {name: node for node in graph.node for name in node.output}
        self.known: dict[str, Array | None] = {}

    def of(self, loop: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        """The nodes of all steps, which give the results of the loop; None where these are not known."""
        body = loop.attribute[0].g
        trips, runs, *states = [*loop.input, "", ""][: max(2, len(loop.input))]
        limit, going = self.value(trips) if trips else None, self.value(runs) if runs else np.asarray(True)
        if (trips and limit is None) or going is None or _has_graphs(body):
            return None
        self._take_tensors(body)
        name, made = loop.name or loop.output[0], list[onnx.NodeProto]()
        collected: list[list[str]] = [[] for _ in body.output[1 + len(states) :]]
        step = 0
        while going.item() and (limit is None or step < limit.item()):
            nodes, (condition, *results) = self._step(body, f"{name}.{step}", [self._number(name, step), runs, *states])
            made += nodes
            states = results[: len(states)]
            for values, value in zip(collected, results[len(states) :], strict=True):
                values.append(value)
            self.makers.update({output: node for node in nodes for output in node.output})
            found = self.value(condition)
            if found is None or len(made) > MAX_NODES:
                return None
            going, step = found, step + 1
        return [*made, *self._results(loop, states, collected)] if step else None

    def _step(self, body: onnx.GraphProto, name: str, inputs: Sequence[str]) -> tuple[list[onnx.NodeProto], list[str]]:
        """The nodes of a step and the names of its results."""
        names = {value.name: given for value, given in zip(body.input, inputs, strict=True)}
        made: list[onnx.NodeProto] = []
        for i, node in enumerate(body.node):
            names.update({output: f"{name}.{output}" for output in node.output if output})
            made.append(onnx.NodeProto())
            made[-1].CopyFrom(node)
            made[-1].name = f"{name}.{node.name or i}"
            del made[-1].input[:], made[-1].output[:]
            made[-1].input.extend(names.get(each, each) for each in node.input)
            made[-1].output.extend(names.get(each, each) for each in node.output)
        return made, [names.get(value.name, value.name) for value in body.output]

    def _results(
        self, loop: onnx.NodeProto, states: Sequence[str], collected: Sequence[Sequence[str]]
    ) -> Iterator[onnx.NodeProto]:
        """The last states, and what each step gives besides, one behind the other."""
        for state, output in zip(states, loop.output, strict=False):
            if output:
                yield helper.make_node("Identity", [state], [output], f"{output}.last")
        for values, output in zip(collected, loop.output[len(states) :], strict=False):
            if not output:
                continue
            rows = [f"{output}.{i}" for i in range(len(values))]
            for value, row in zip(values, rows, strict=True):
                axes: dict[str, Any] = {} if self.opset >= _AXES_ARE_INPUTS else {"axes": [0]}
                inputs = [value] if axes else [value, self._hold(f"{output}.axes", np.array([0]))]
                yield helper.make_node("Unsqueeze", inputs, [row], row, **axes)
            yield helper.make_node("Concat", rows, [output], f"{output}.all", axis=0)

    def _take_tensors(self, body: onnx.GraphProto) -> None:
        """The initializers of a loop, once for all steps."""
        for tensor in body.initializer:
            if tensor.name not in self.tensors:
                self.graph.initializer.append(tensor)
                self.tensors[tensor.name] = tensor

    def _number(self, name: str, step: int) -> str:
        return self._hold(f"{name}.{step}.number", np.asarray(step, np.int64))

    def _hold(self, name: str, array: Array) -> str:
        if name not in self.tensors:
            self.tensors[name] = numpy_helper.from_array(array, name)
            self.graph.initializer.append(self.tensors[name])
        return name

    def value(self, name: str) -> Array | None:
        """A small constant; None for anything else."""
        if name not in self.known:
            self.known[name] = None
            self.known[name] = self._computed(name)
        return self.known[name]

    def _computed(self, name: str) -> Array | None:
        if name in self.tensors:
            tensor = self.tensors[name]
            return numpy_helper.to_array(tensor) if np.prod(tensor.dims) <= _SMALL else None
        node = self.makers.get(name)
        if node is None or node.op_type not in folding.FOLDABLE | {"Constant"}:
            return None
        if node.op_type == "Constant":
            return folding.constant(Node(node, self.opset)).array
        inputs = [self.value(each) if each else None for each in node.input]
        if any(value is None and each for value, each in zip(inputs, node.input, strict=True)):
            return None
        try:
            given = [None if value is None else Constant(value, "") for value in inputs]
            made = folding.fold(Node(node, self.opset), given, folding.Budget(_SMALL))
        except (NodeError, *MALFORMED):
            return None
        return made[list(node.output).index(name)].array


def _has_graphs(graph: onnx.GraphProto) -> bool:
    kinds = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
    return any(attribute.type in kinds for node in graph.node for attribute in node.attribute)
