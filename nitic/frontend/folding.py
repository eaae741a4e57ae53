"""Evaluates what depends on no activation and no parameter: mostly shape arithmetic before a Reshape."""

from dataclasses import dataclass, replace
from math import ceil, prod
from zlib import crc32

import numpy as np
import onnx
from onnx import helper, numpy_helper

from nitic.arithmetic.integers import Array
from nitic.frontend.attributes import shown
from nitic.frontend.nodes import Node
from nitic.frontend.values import Constant, Conversion, NodeError, Value

# None of these is random, reads a file or has a subgraph.
FOLDABLE = frozenset(
    {"Abs", "Add", "And", "Cast", "Ceil", "Concat", "ConstantOfShape", "Div", "Equal", "Expand", "Flatten", "Floor"}
    | {"Gather", "Gemm", "Greater", "GreaterOrEqual", "Identity", "Less", "LessOrEqual", "Log", "MatMul", "Max", "Min"}
    | {"Mod", "Mul", "Neg", "Not", "Or", "Pow", "Range", "Reciprocal", "ReduceProd", "Reshape", "Sign", "Slice"}
    | {"Split", "Sqrt", "Squeeze", "Sub", "Tile", "Transpose", "Trilu", "Unsqueeze", "Where"}
)
# The results of these have no more elements than their inputs together; those of most others broadcast.
_NO_LARGER = frozenset(
    {"Concat", "Flatten", "ReduceProd", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"}
)
_COPYING = frozenset({"Expand", "Slice"})
_PRODUCTS = frozenset({"Gemm", "MatMul", "Mul"})
RANDOM = frozenset({"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"})
GENERATORS = RANDOM | {"ConstantOfShape"}
MAX_GENERATED = 2**28
"""Elements of weights that a file may describe without holding them, as those of VGG-19."""
FREE, TIMES = 2**20, 16
"""Elements that any file may compute, and how many times as many as it holds."""


@dataclass
class Budget:
    """How many elements of constants a file may still make: a small file that describes huge ones is broken."""

    left: int

    def hold(self, constant: Constant) -> Constant:
        """Counts in what the file holds itself."""
        self.left += TIMES * constant.array.size
        return constant

    def take(self, elements: int) -> None:
        """Raises NodeError where there are not so many left."""
        if not 0 <= elements <= self.left:
            message = f"makes a constant of {elements} elements, but a file of this size may make {self.left} more"
            raise NodeError(message)
        self.left -= elements


def is_foldable(node: Node, inputs: list[Constant | None], trains: bool = True) -> bool:
    """Whether a node of constants has constant results: it computes with no parameter, or with none that is trained.

    Parts, copies and products of zeros count for zeros: so exporters write what an LSTM begins with.
    """
    parameters = [value for value in inputs if value and is_parameter(value)]
    zeros = node.op in _COPYING and not any(value.array.any() for value in parameters)
    if node.op in _PRODUCTS and not any(value.array.any() for value in inputs[2:] if value):
        zeros |= any(value and not is_parameter(value) and not value.array.any() for value in inputs[:2])
    return node.op in FOLDABLE and (zeros or not parameters or not trains)


def fold(node: Node, inputs: list[Constant | None], budget: Budget) -> list[Constant]:
    """The results of a foldable operator over constants."""
    budget.take(_elements(node, inputs))
    return evaluated(node, inputs)


def evaluated(node: Node, inputs: list[Constant | None]) -> list[Constant]:
    """What onnx's reference implementation makes of constants."""
    from onnx.reference import ReferenceEvaluator  # takes long to import, and many models have nothing to fold

    names = [name for name in node.proto.input if name]
    untyped = [helper.make_empty_tensor_value_info(name) for name in dict.fromkeys(names)]
    outputs = [helper.make_empty_tensor_value_info(name) for name in node.proto.output if name]
    graph = helper.make_graph([node.proto], "constant", untyped, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", node.opset)])
    feeds = {name: value.array for name, value in zip(node.proto.input, inputs, strict=True) if value}
    with np.errstate(all="ignore"):
        results = ReferenceEvaluator(model).run(None, feeds)
    given = [value for value in inputs if value]
    repeated = node.op == "Expand" or any(value.repeated or is_parameter(value) for value in given)
    measured = any(value.measured for value in given)
    return [
        Constant(np.asarray(array), output.name, repeated=repeated, measured=measured)
        for array, output in zip(results, outputs, strict=True)
    ]


def _elements(node: Node, inputs: list[Constant | None]) -> int:
    """How many elements a foldable operator makes, at most."""
    given = [value.array for value in inputs if value]
    if node.op in _NO_LARGER or not given:
        return sum(array.size for array in given)
    if node.op in {"ConstantOfShape", "Tile"}:
        return _product(given[-1]) * (given[0].size if node.op == "Tile" else 1)
    if node.op == "Gather":
        return given[0].size // given[0].shape[node.attributes.get("axis", 0)] * given[1].size
    if node.op == "Range":
        start, limit, delta = (array.item() for array in given)
        return max(0, ceil((limit - start) / delta))
    if node.op in {"Gemm", "MatMul"}:
        return given[0].size * max(given[1].shape)
    shapes = [array.shape for array in given]
    if node.op == "Expand":
        shapes[1] = tuple(int(size) for size in given[1].flat)
    return prod(np.broadcast_shapes(*shapes))


def _product(sizes: Array) -> int:
    return prod(int(size) for size in sizes.flat)


def generated(node: Node, inputs: list[Constant | None], budget: Budget) -> Constant:
    """What a node makes of nothing but a shape. Floats are weights, as trainable as an initializer.

    One number in the shape of an activation is none: so the state begins that a recurrent network has for each sample.
    """
    name = node.proto.output[0]
    if node.op in RANDOM:
        array = random(node, inputs, budget)
    else:
        (made,) = fold(node, inputs, budget)
        if made.measured:
            return replace(made, repeated=True)
        array = made.array
    if array.dtype.kind != "f" or array.ndim < 1:
        return Constant(array, name)
    return Constant(array.astype(np.float32), name, Conversion(name))


def random(node: Node, inputs: list[Constant | None], budget: Budget) -> Array:
    """Random numbers, drawn once, at import, from the node's seed or else its name."""
    like = inputs[0] if inputs else None
    shape = like.shape if like else node.integers("shape")
    budget.take(prod(shape))
    seed = node.attributes.get("seed", node.proto.output[0])
    rng = np.random.default_rng(crc32(str(seed).encode()))
    if node.op.startswith("RandomNormal"):
        return rng.normal(node.number("mean"), node.number("scale"), shape)
    low, high = node.number("low"), node.number("high")
    if low > high:
        raise NodeError(f"attribute 'low' is {shown(low)}, but must be at most 'high', {shown(high)}")
    return rng.uniform(low, high, shape)


def constant(node: Node) -> Constant:
    """What a Constant node holds. A matrix or filter in it is as trainable as an initializer."""
    kinds = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
    for key, dtype in kinds.items():
        if key in node.attributes:
            return Constant(np.asarray(node.read(key), dtype), node.proto.output[0])
    return tensor_value(node.read("value"), node.proto.output[0], parameter_rank=2)


def tensor_value(tensor: onnx.TensorProto, name: str, parameter_rank: int = 1) -> Constant:
    """A tensor of the file as a constant; floats become float32, and parameters from some rank on."""
    array = numpy_helper.to_array(tensor)
    if not is_float_type(tensor.data_type):
        return Constant(array, name)
    with np.errstate(over="ignore"):  # a double beyond float32 is infinite, and refused where it is used
        array = array.astype(np.float32)
    return Constant(array, name, Conversion(name) if array.ndim >= parameter_rank else None)


def is_float_type(element: int) -> bool:
    T = onnx.TensorProto
    return element in {T.FLOAT, T.FLOAT16, T.BFLOAT16, T.DOUBLE}


def is_parameter(value: Value | None) -> bool:
    return isinstance(value, Constant) and value.conversion is not None


def integers(array: Array) -> tuple[int, ...]:
    """The values of a rank 0 or 1 array of integers."""
    if array.ndim > 1 or array.dtype.kind not in "iu":
        raise NodeError(f"expected a list of integers, found {array.dtype} {list(array.shape)}")
    return tuple(int(v) for v in array.flat)


def shape_constant(node: Node, value: Value, name: str) -> Constant:
    """The result of a Shape node: all of the shape, or the dimensions from start to end. Size is their product."""
    shape, measured = value.shape, not isinstance(value, Constant)
    if node.op == "Size":
        return Constant(np.asarray(prod(shape), np.int64), name, measured=measured)
    first, last = node.integer("start"), node.integer("end", len(shape))
    return Constant(np.asarray(shape[first:last], np.int64), name, measured=measured)
