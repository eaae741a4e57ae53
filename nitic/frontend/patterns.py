"""Batch normalisations that an exporter wrote as arithmetic: found by what they compute, in whatever spelling."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import permutations
from math import prod

import numpy as np
import onnx
from onnx import helper, numpy_helper

from nitic.arithmetic.integers import Array
from nitic.frontend import folding
from nitic.frontend.nodes import Node, replace_node
from nitic.frontend.shapes import inferred_shapes
from nitic.frontend.values import Constant, NodeError, inverse
from nitic.ir.types import Shape

_ARITHMETIC = frozenset({"Add", "Sub", "Mul", "Div"})
_ROOTS = frozenset({"Sqrt", "Pow"})
_VIEWS = frozenset({"Cast", "CastLike", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
_CALCULATION = _ARITHMETIC | _ROOTS | _VIEWS | {"Neg", "Reciprocal"}
_LONGEST = 6
"""Nodes on the way of the activations: a bias or two, and (x - mean) / deviation * gamma + beta."""
_FOLDED = ({"Sub", "Add"}, {"Mul", "Div"}, {"Add", "Sub"})
_DEFAULTS = {"gamma": 1.0, "beta": 0.0, "mean": 0.0}
"""What a batch normalisation has beside its variance, and the values that leave it out."""
_SAMPLE = 0.7


def with_batch_norms(model: onnx.ModelProto, opset: int) -> list[str]:
    """Puts a BatchNormalization in the place of each that is arithmetic with its parameters. Gives the user's notes."""
    graph, notes = _Graph(model, opset), list[str]()
    for chain in graph.chains():
        found = ((part, made) for part in _parts(chain) if (made := graph.batch_norm(part)))
        part, made = next(found, (chain, None))
        where = f"node {(part[-1].name or part[-1].output[0])!r} ({part[-1].op_type})"
        if made:
            replace_node(model.graph, part[-1], made)
            notes.append(f"{where}: it ends the arithmetic of a batch normalisation, which is trained as one")
        elif graph.looks_folded(part):
            notes.append(
                f"{where}: it ends what looks like a batch normalisation whose constants the exporter computed; they "
                "are trained as parameters, and follow no statistics: export the network in training mode to keep it"
            )
    return notes


def _parts(chain: Sequence[onnx.NodeProto]) -> Iterator[Sequence[onnx.NodeProto]]:
    """The runs of two nodes or more, long ones first."""
    for length in range(min(len(chain), _LONGEST), 1, -1):
        for first in range(len(chain) - length + 1):
            yield chain[first : first + length]


class _Graph:
    """Which values of a graph are constants, or computed from constants alone."""

    def __init__(self, model: onnx.ModelProto, opset: int) -> None:
        self.model, self.opset = model, opset
        self.tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self.makers: dict[str, onnx.NodeProto] = {}
        self.readers: dict[str, list[onnx.NodeProto]] = {value.name: [] for value in model.graph.output}
        for node in model.graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
            held = [attribute.t for attribute in node.attribute if attribute.name == "value"]
            if node.op_type == "Constant" and held:
                self.tensors[node.output[0]] = held[0]
            elif node.op_type in _CALCULATION and all(map(self.is_constant, node.input)):
                self.makers[node.output[0]] = node
        self.outputs = {value.name for value in model.graph.output}

    @cached_property
    def _shapes(self) -> dict[str, Shape]:
        return inferred_shapes(self.model)

    def is_constant(self, name: str) -> bool:
        return name in self.tensors or name in self.makers

    def activation(self, node: onnx.NodeProto) -> str | None:
        """The one operand of arithmetic that is no constant."""
        names = [name for name in node.input if not self.is_constant(name)]
        return names[0] if node.op_type in _ARITHMETIC and len(names) == 1 and len(node.input) == 2 else None

    def chains(self) -> Iterator[list[onnx.NodeProto]]:
        """Arithmetic of an activation with constants, as long as each node is the only reader of the one before."""
        inner: set[str] = set()
        for node in list(self.model.graph.node):
            if self.activation(node) is None or node.output[0] in inner:
                continue
            chain = [node]
            while (name := chain[-1].output[0]) not in self.outputs and len(readers := self.readers.get(name, [])) == 1:
                if self.activation(readers[0]) is None:
                    break
                chain += readers
                inner.add(readers[0].output[0])
            yield chain

    def looks_folded(self, chain: Sequence[onnx.NodeProto]) -> bool:
        """Whether there are three constants per channel in the order of a mean, a factor and an offset."""
        runs = [chain[i : i + len(_FOLDED)] for i in range(len(chain) - len(_FOLDED) + 1)]
        return any(
            all(node.op_type in ops for node, ops in zip(run, _FOLDED, strict=True))
            and all(max((*self._dims(node), 1)) > 1 for node in run)
            for run in runs
        )

    def _dims(self, node: onnx.NodeProto) -> list[int]:
        return [size for name in node.input if name in self.tensors for size in self.tensors[name].dims]

    def batch_norm(self, chain: Sequence[onnx.NodeProto]) -> list[onnx.NodeProto] | None:
        """The nodes in place of a chain, if that is a batch normalisation."""
        nodes = self._needed(chain)
        roots = self._leaves(self._needed([node for node in nodes if node.op_type in _ROOTS]))
        vectors = [name for name in self._leaves(nodes) if self._is_vector(name)]
        variances, others = ([name for name in vectors if (name in roots) == is_root] for is_root in (True, False))
        if len(variances) != 1 or not 1 <= len(others) <= len(_DEFAULTS):
            return None
        if len({prod(self.tensors[name].dims) for name in vectors}) != 1:
            return None
        rng = np.random.default_rng(0)
        values = {name: rng.uniform(0.01, 0.1, self.tensors[name].dims).astype(np.float32) for name in vectors}
        try:
            y = self._computed(chain, nodes, values)
        except (NodeError, ValueError):
            return None
        axes = [axis - y.ndim for axis, size in enumerate(y.shape) if size > 1]
        flat = {name: value.reshape(-1) for name, value in values.items()}
        for epsilon in filter(None, map(self._epsilon, roots)):
            for roles in permutations(_DEFAULTS, len(others)):
                names = dict(zip(roles, others, strict=True))
                gamma, beta, mean = (flat[names[role]] if role in names else none for role, none in _DEFAULTS.items())
                wanted = (_SAMPLE - mean) / np.sqrt(flat[variances[0]] + epsilon) * gamma + beta
                if len(axes) == 1 and y.size == wanted.size and np.allclose(y.reshape(-1), wanted, 1e-4, 1e-5):
                    return self._replacement(chain, {**names, "variance": variances[0]}, axes[0], epsilon)
        return None

    def _is_vector(self, name: str) -> bool:
        tensor = self.tensors[name]
        return tensor.data_type == onnx.TensorProto.FLOAT and prod(tensor.dims) > 1

    def _epsilon(self, name: str) -> float | None:
        """A number that may be one."""
        value = numpy_helper.to_array(self.tensors[name]) if prod(self.tensors[name].dims) == 1 else None
        return value.item() if value is not None and 0 < value.item() < 1 else None

    def _needed(self, last: Sequence[onnx.NodeProto]) -> list[onnx.NodeProto]:
        """Some nodes and those that compute their constants, in order."""
        found, wanted = {node.output[0] for node in last}, [name for node in last for name in node.input]
        while wanted:
            maker = self.makers.get(wanted.pop())
            if maker and maker.output[0] not in found:
                found.add(maker.output[0])
                wanted += maker.input
        return [node for node in self.model.graph.node if node.output[0] in found]

    def _leaves(self, nodes: Sequence[onnx.NodeProto]) -> list[str]:
        """The constants that nodes begin with."""
        return list(dict.fromkeys(name for node in nodes for name in node.input if name in self.tensors))

    def _computed(
        self, chain: Sequence[onnx.NodeProto], nodes: Sequence[onnx.NodeProto], values: dict[str, Array]
    ) -> Array:
        """What a chain makes of a sample of one number, by these values of its constants. Raises NodeError."""
        source = self.activation(chain[0])
        assert source
        known = {name: numpy_helper.to_array(self.tensors[name]) for name in self._leaves(nodes)}
        found = {name: Constant(array, name) for name, array in {**known, **values}.items()}
        found[source] = Constant(np.asarray(_SAMPLE, np.float32), source)
        budget = folding.Budget(folding.FREE)
        for node in nodes:
            inputs: list[Constant | None] = [found[name] for name in node.input]
            (found[node.output[0]],) = folding.fold(Node(node, self.opset), inputs, budget)
        return found[chain[-1].output[0]].array

    def _replacement(
        self, chain: Sequence[onnx.NodeProto], names: dict[str, str], axis: int, epsilon: float
    ) -> list[onnx.NodeProto] | None:
        """The nodes that compute the same, with the axis of the channels, counted from the end, as ONNX wants it."""
        x, y, rank = self.activation(chain[0]), chain[-1].output[0], len(self._shapes.get(chain[-1].output[0], ()))
        assert x
        if rank + axis < 1:
            return None
        made = [helper.make_node("Reshape", [names[role], f"{y}.flat"], [f"{y}.{role}"]) for role in names]
        size = prod(self.tensors[names["variance"]].dims)
        absent = {role: none for role, none in _DEFAULTS.items() if role not in names}
        arrays: dict[str, Array] = {f"{y}.{role}": np.full(size, none, np.float32) for role, none in absent.items()}
        arrays[f"{y}.flat"] = np.array([-1])
        self.model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in arrays.items())
        order = [0, rank + axis, *(i for i in range(1, rank) if i != rank + axis)]
        operands = [f"{y}.{role}" for role in (*_DEFAULTS, "variance")]
        made += [
            helper.make_node("Transpose", [x], [f"{y}.first"], perm=order),
            helper.make_node("BatchNormalization", [f"{y}.first", *operands], [f"{y}.normal"], epsilon=epsilon),
            helper.make_node("Transpose", [f"{y}.normal"], [y], perm=inverse(order)),
        ]
        made[-2].name = chain[-1].name or y
        return made
