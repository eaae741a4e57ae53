"""Random small networks as ONNX files: what both fuzzers draw from.

`draw(seed, number)` is always the same case. Every layer of LAYERS continues from the current end of the network; one
that does not fit there gives up, and another one is drawn. Sizes are tiny, and few different ones, so that networks
share kernels and the cache holds most of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, TypeVar

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

from nitic.arithmetic.integers import Array

OPSET, IR_VERSION = 20, 9
CHANNELS = (1, 2, 3, 4, 8, 16, 17)
LENGTHS = (1, 2, 3, 4, 5, 8)
BATCHES = (1, 2, 3, 4, 5)
MOST_ELEMENTS = 1024  # of a sample, anywhere
MOST_LAYERS, MOST_TRIES = 6, 60
MOST_STEPS, MOST_FEATURES = 3, 32  # of a recurrent layer
T = TypeVar("T")
Shape = tuple[int, ...]
Numbers = Callable[[np.random.Generator, str, Shape, int], Array]
"""Values of a parameter, from its kind (weight, bias, scale, mean, variance), shape and fan-in."""


class UnfitError(Exception):
    """The layer is none for the current end of the network."""


@dataclass(frozen=True)
class Case:
    """A network of one batch size, and the options that it is compiled with."""

    seed: int
    number: int
    model: onnx.ModelProto
    batch: int
    options: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.seed}-{self.number}"


def samples(case: Case, shape: Shape) -> Array:
    """Pixels of any kind: evenly spread, nearly all black, two values, or hardly different."""
    rng = np.random.default_rng([case.seed, case.number, 1])
    x = rng.integers(0, 256, shape)
    match int(rng.integers(8)):
        case 0:
            x *= rng.random(shape) < 0.02
        case 1:
            x = 255 * (x > 127)
        case 2:
            x = 100 + x // 64
        case _:
            pass
    return x.astype(np.uint8)


def usual(rng: np.random.Generator, kind: str, shape: Shape, fan_in: int) -> Array:
    """Numbers as frameworks initialise parameters."""
    match kind:
        case "weight":
            return rng.normal(0, 1 / np.sqrt(fan_in), shape)
        case "variance":
            return rng.uniform(0.5, 2, shape)
        case "scale":
            return rng.uniform(0.5, 1.5, shape)
        case _:
            return rng.normal(0, 0.3, shape)


def wild(rng: np.random.Generator, kind: str, shape: Shape, fan_in: int) -> Array:
    """Numbers of any size from 1e-12 to 1e12: each tensor has one, all are alike, some are zero, or whole units are."""
    values = usual(rng, kind, shape, fan_in)
    character = rng.choice(["usual", "size", "size", "size", "zeros", "constant", "dead"])
    if character == "usual":
        return values
    values *= 10.0 ** rng.uniform(-12, 12)
    if character == "zeros":
        return np.zeros(shape)
    if character == "constant":
        return np.full(shape, values.flat[0])
    if character == "dead":
        values[rng.random(shape[0]) < 0.5] = 0
    return values


@dataclass
class Draft:
    """A network that grows at its end, `value`; shapes are those of ONNX, with the batch."""

    rng: np.random.Generator
    batch: int
    input_shape: Shape
    numbers: Numbers = usual
    nodes: list[onnx.NodeProto] = field(default_factory=list[onnx.NodeProto])
    initializers: list[TensorProto] = field(default_factory=list[TensorProto])
    shapes: dict[str, Shape] = field(default_factory=dict[str, Shape])
    value: str = "input"

    def __post_init__(self) -> None:
        self.shapes["input"] = (self.batch, *self.input_shape)

    @property
    def shape(self) -> Shape:
        """Of a sample at the current end."""
        return self.shapes[self.value][1:]

    def pick(self, values: Sequence[T]) -> T:
        return values[int(self.rng.integers(len(values)))]

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def constant(self, array: Array | Sequence[int]) -> str:
        values = np.asarray(array)
        name = f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(values, name))
        return name

    def number(self, value: float) -> str:
        return self.constant(np.asarray(value, np.float32))

    def parameter(self, kind: str, shape: Shape, fan_in: int = 1) -> str:
        name = f"{kind}{len(self.initializers)}"
        values = self.numbers(self.rng, kind, shape, fan_in).astype(np.float32)
        self.initializers.append(numpy_helper.from_array(values, name))
        return name

    def apply(self, op: str, *others: str, **attributes: Any) -> None:
        """Appends a node on the current end. Raises UnfitError where ONNX refuses its shapes."""
        name = f"{op.lower()}{len(self.nodes)}"
        node = helper.make_node(op, [self.value, *others], [f"{name}.out"], name=name, **attributes)
        shape = self._inferred(node)
        if min(shape) < 1 or prod(shape[1:]) > MOST_ELEMENTS or shape[0] != self.batch:
            raise UnfitError(op)
        self.nodes.append(node)
        self.value = node.output[0]
        self.shapes[self.value] = shape

    def _inferred(self, node: onnx.NodeProto) -> Shape:
        inputs = [self._info(name, self.shapes[name]) for name in node.input if name in self.shapes]
        used = [each for each in self.initializers if each.name in node.input]
        output = helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None)
        try:
            model = _model(helper.make_graph([node], "one", inputs, [output], used))
            inferred = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        except shape_inference.InferenceError as error:
            raise UnfitError(str(error)) from error
        return tuple(d.dim_value for d in inferred.graph.output[0].type.tensor_type.shape.dim)

    def alike(self) -> list[str]:
        """Earlier values of the current end's shape, the input left out."""
        return [name for name, shape in self.shapes.items() if shape == self.shapes[self.value] and name != "input"]

    def model(self) -> onnx.ModelProto:
        inputs, outputs = ([self._info(name, self.shapes[name])] for name in ("input", self.value))
        return _model(helper.make_graph(self.nodes, "fuzz", inputs, outputs, self.initializers))

    @staticmethod
    def _info(name: str, shape: Shape) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _model(graph: onnx.GraphProto) -> onnx.ModelProto:
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def spatial(d: Draft) -> Shape:
    """Rows and columns, or the length of a sequence."""
    if len(d.shape) not in (2, 3):
        raise UnfitError("no pixels")
    return d.shape[1:]


def image(d: Draft) -> Shape:
    if len(d.shape) != 3:
        raise UnfitError("no image")
    return d.shape


# ---- layers with parameters


def window(d: Draft, *, pool: bool = False) -> dict[str, Any]:
    """Kernel, strides, dilations and pads that leave at least one result; it is often one to three wide."""
    sizes = spatial(d)
    kernel, strides, dilations, before, after = ([1] * len(sizes) for _ in range(5))
    for i, size in enumerate(sizes):
        kernel[i], strides[i], dilations[i] = d.pick((1, 2, 3, 3)), d.pick((1, 1, 2, 3)), d.pick((1, 1, 1, 2))
        most = kernel[i] - 1 if pool else dilations[i] * (kernel[i] - 1)
        before[i], after[i] = (int(d.rng.integers(0, most + 1)) for _ in range(2))
        if size + before[i] + after[i] < dilations[i] * (kernel[i] - 1) + 1:
            raise UnfitError("the window is larger than its input")
    attributes: dict[str, Any] = {"kernel_shape": kernel, "strides": strides, "dilations": dilations}
    if d.chance(0.15) and max(dilations) == 1:
        return attributes | {"auto_pad": d.pick(("SAME_UPPER", "SAME_LOWER", "VALID"))}
    return attributes | {"pads": before + after}


def groups(d: Draft, channels: int) -> tuple[int, int]:
    """(groups, channels of the result): dense, in groups, or depthwise."""
    match d.pick(("dense", "dense", "grouped", "depthwise")):
        case "depthwise":
            return channels, channels * d.pick((1, 1, 1, 2))
        case "grouped":
            divisor = d.pick([k for k in range(1, channels + 1) if channels % k == 0])
            return divisor, divisor * d.pick((1, 2, 3))
        case _:
            return 1, d.pick(CHANNELS)


def conv(d: Draft) -> None:
    attributes, channels = window(d), d.shape[0]
    group, out = groups(d, channels)
    shape = (out, channels // group, *attributes["kernel_shape"])
    bias = [d.parameter("bias", (out,))] if d.chance(0.6) else []
    d.apply("Conv", d.parameter("weight", shape, prod(shape[1:])), *bias, group=group, **attributes)


def conv_transpose(d: Draft) -> None:
    sizes, channels = spatial(d), d.shape[0]
    group, out = groups(d, channels)
    kernel, strides = ([d.pick(values) for _ in sizes] for values in ((1, 2, 3), (1, 2, 2)))
    shape = (channels, out // group, *kernel)
    bias = [d.parameter("bias", (out,))] if d.chance(0.6) else []
    pads = [int(d.rng.integers(0, k)) for k in kernel * 2]
    extra = [int(d.rng.integers(0, s)) if d.chance(0.3) else 0 for s in strides]
    weight = d.parameter("weight", shape, prod(kernel) * channels // group)
    attributes = {"strides": strides, "pads": pads, "output_padding": extra, "kernel_shape": kernel}
    d.apply("ConvTranspose", weight, *bias, group=group, **attributes)


def shared_conv(d: Draft) -> None:
    """Two convolutions of one weight."""
    channels, sizes = d.shape[0], spatial(d)
    weight = d.parameter("weight", (channels, channels, *[1] * len(sizes)), channels)
    d.apply("Conv", weight)
    activation(d)
    d.apply("Conv", weight)


def linear(d: Draft, features: int | None = None) -> None:
    if len(d.shape) != 1:
        raise UnfitError("no features")
    inputs, outputs = d.shape[0], features or d.pick((2, 3, 5, 10, 16, 33))
    if d.chance(0.5):
        transposed = int(d.chance(0.7))
        weight = d.parameter("weight", (outputs, inputs) if transposed else (inputs, outputs), inputs)
        bias = [d.parameter("bias", (outputs,))] if d.chance(0.6) else []
        d.apply("Gemm", weight, *bias, transB=transposed)
    else:
        d.apply("MatMul", d.parameter("weight", (inputs, outputs), inputs))
        if d.chance(0.6):
            d.apply("Add", d.parameter("bias", (outputs,)))


def batch_norm(d: Draft) -> None:
    if not 1 <= len(d.shape) <= 3:
        raise UnfitError("no channels")
    kinds = ("scale", "bias", "mean", "variance")
    epsilon = d.pick((1e-5, 1e-3))
    d.apply("BatchNormalization", *[d.parameter(kind, d.shape[:1]) for kind in kinds], epsilon=epsilon)


def squeeze_and_excite(d: Draft) -> None:
    channels, _, _ = image(d)
    before = d.value
    d.apply("GlobalAveragePool")
    d.apply("Conv", d.parameter("weight", (channels, channels, 1, 1), channels), d.parameter("bias", (channels,)))
    d.apply(d.pick(("Sigmoid", "HardSigmoid")))
    d.apply("Mul", before)


def scale_or_shift(d: Draft) -> None:
    """A parameter per channel, per feature or one for all."""
    op = d.pick(("Mul", "Add", "Sub", "Div"))
    shape = d.pick(((1,), d.shape[:1] + (1,) * (len(d.shape) - 1), d.shape))
    d.apply(op, d.parameter("scale" if op in ("Mul", "Div") else "bias", shape))


def prelu(d: Draft) -> None:
    shape = d.pick(((1,), d.shape[:1] + (1,) * (len(d.shape) - 1)))
    d.apply("PRelu", d.parameter("bias", shape))


# ---- layers without


PLAIN = (
    "Relu",
    "Relu",
    "Sigmoid",
    "Tanh",
    "HardSigmoid",
    "HardSwish",
    "Elu",
    "Selu",
    "Softplus",
    "Mish",
    "Erf",
    "Exp",
    "Neg",
)


def activation(d: Draft) -> None:
    match d.pick((*PLAIN, "LeakyRelu", "Gelu", "Clip", "Swish", "Identity")):
        case "LeakyRelu":
            d.apply("LeakyRelu", alpha=d.pick((0.01, 0.2)))
        case "Gelu":
            d.apply("Gelu", approximate=d.pick(("none", "tanh")))
        case "Clip":
            d.apply("Clip", d.number(d.pick((0, -1, -0.5))), d.number(d.pick((6, 1, 0.1))))
        case "Swish":
            before = d.value
            d.apply("Sigmoid")
            d.apply("Mul", before)
        case op:
            d.apply(op)


def power(d: Draft) -> None:
    """Of positive numbers mostly; others have powers and logarithms that are only defined here."""
    if d.chance(0.7):
        d.apply("Abs")
        d.apply("Add", d.number(d.pick((0.5, 1.0))))
    match d.pick(("Pow", "Pow", "Sqrt", "Reciprocal", "Log")):
        case "Pow":
            d.apply("Pow", d.number(d.pick((-1.0, -0.5, 0.5, 1.5, 0.3))))
        case op:
            d.apply(op)


def quotient(d: Draft) -> None:
    """By an earlier value, or by what an activation makes of the current one."""
    before = d.pick(d.alike() or [d.value])
    if before == d.value:
        activation(d)
    d.apply("Div", before)


def function(d: Draft) -> None:
    """What `activation` lacks."""
    op = d.pick(("Abs", "Sign", "Softsign", "ThresholdedRelu"))
    d.apply(op, **({"alpha": d.pick((0.1, -0.3, 1.0))} if op == "ThresholdedRelu" else {}))


def choose(d: Draft) -> None:
    """Of the current value and a number, or what an activation makes of it, by a comparison with a number."""
    before, compared = d.value, d.number(d.pick((0.0, 0.2, -0.5)))
    op, name = d.pick(("Greater", "GreaterOrEqual", "Less", "LessOrEqual")), f"choice{len(d.nodes)}"
    if d.chance(0.5):
        activation(d)
        other = d.value
    else:
        other = d.number(d.pick((0.0, -0.5)))
    d.nodes.append(helper.make_node(op, [before, compared], [f"{name}.is"], name=f"{name}.compare"))
    d.nodes.append(helper.make_node("Where", [f"{name}.is", before, other], [f"{name}.out"], name=name))
    d.value = d.nodes[-1].output[0]
    d.shapes[d.value] = d.shapes[before]


def recurrent(d: Draft) -> None:
    """Few steps over few features: each step has operators of its own."""
    total, hidden = prod(d.shape), d.pick((1, 3, 4))
    steps = d.pick([k for k in range(1, MOST_STEPS + 1) if total % k == 0])
    features = total // steps
    if features > MOST_FEATURES:
        raise UnfitError("too many features")
    d.apply("Reshape", d.constant(np.array([d.batch, steps, features], np.int64)))
    op, direction = d.pick(("GRU", "LSTM", "RNN")), d.pick(("forward", "reverse", "bidirectional"))
    directions, rows = 1 + (direction == "bidirectional"), {"GRU": 3, "LSTM": 4, "RNN": 1}[op] * hidden
    shapes = ((directions, rows, features), (directions, rows, hidden))
    weights = [d.parameter("weight", shape, shape[-1]) for shape in shapes]
    bias = [d.parameter("bias", (directions, 2 * rows))] if d.chance(0.7) else []
    extra = {"linear_before_reset": int(d.chance(0.5))} if op == "GRU" else {}
    d.apply(op, *weights, *bias, hidden_size=hidden, direction=direction, layout=1, **extra)
    d.apply("Reshape", d.constant(np.array([d.batch, steps, directions * hidden], np.int64)))


def pool(d: Draft) -> None:
    attributes, op = window(d, pool=True), d.pick(("MaxPool", "AveragePool"))
    if "pads" in attributes:
        attributes["ceil_mode"] = int(d.chance(0.2))
    if op == "AveragePool":
        del attributes["dilations"]
        attributes["count_include_pad"] = int(d.chance(0.5))
    d.apply(op, **attributes)


def global_pool(d: Draft) -> None:
    spatial(d)
    d.apply(d.pick(("GlobalAveragePool", "GlobalMaxPool")))


def reduce(d: Draft) -> None:
    if len(d.shape) < 2:
        raise UnfitError("no axes")
    axes = [axis for axis in range(1, len(d.shape) + 1) if d.chance(0.5)][: len(d.shape) - 1]
    keepdims = int(d.chance(0.5))
    d.apply(d.pick(("ReduceMean", "ReduceMax")), d.constant(np.array(axes or [1], np.int64)), keepdims=keepdims)


def lrn(d: Draft) -> None:
    image(d)
    d.apply(
        "LRN", size=d.pick((1, 3, 4, 5)), alpha=d.pick((1e-4, 0.5)), beta=d.pick((0.5, 0.75)), bias=d.pick((1.0, 2.0))
    )


def dropout(d: Draft) -> None:
    d.apply("Dropout", d.number(d.pick((0.1, 0.5))))


def number(d: Draft) -> None:
    """A number of the program, which is not trained."""
    d.apply(d.pick(("Add", "Sub", "Mul", "Div")), d.number(d.pick((0.5, 3.0, -0.7, 100.0, 0.01))))


def limit(d: Draft) -> None:
    op = d.pick(("Max", "Min"))
    d.apply(op, d.number(d.pick((0.0, -0.5) if op == "Max" else (0.0, 0.5))))


def residual(d: Draft) -> None:
    """A sum or a product with an earlier value, or with what one more layer makes of the current one."""
    before = d.pick(d.alike() or [d.value])
    if before == d.value:
        d.pick((activation, scale_or_shift, batch_norm, dropout))(d)
    d.apply(d.pick(("Add", "Add", "Sub", "Mul", "Sum")), before)


def concat(d: Draft) -> None:
    """With earlier values that differ along one axis alone."""
    axis = d.pick(range(1, len(d.shape) + 1))
    own = d.shapes[d.value]
    fitting = [
        n
        for n, s in d.shapes.items()
        if len(s) == len(own) and s[:axis] + s[axis + 1 :] == own[:axis] + own[axis + 1 :]
    ]
    d.apply("Concat", *[d.pick(fitting) for _ in range(d.pick((1, 2)))], axis=axis)


def slice_(d: Draft) -> None:
    axis = d.pick(range(1, len(d.shape) + 1))
    size = d.shape[axis - 1]
    start = int(d.rng.integers(size))
    end = int(d.rng.integers(start, size)) + 1
    d.apply("Slice", *[d.constant(np.array([v], np.int64)) for v in (start, end, axis, d.pick((1, 1, 2)))])


def split(d: Draft) -> None:
    """Two halves of the channels, of which one goes through an activation."""
    if d.shape[0] % 2:
        raise UnfitError("odd channels")
    half, value = d.shape[0] // 2, d.value
    parts: list[str] = []
    for start in (0, half):
        bounds = [d.constant(np.array([v], np.int64)) for v in (start, start + half, 1)]
        d.value = value
        d.apply("Slice", *bounds)
        parts.append(d.value)
    activation(d)
    d.apply("Concat", parts[0], axis=1)


def pad(d: Draft) -> None:
    sizes = spatial(d)
    before, after = ([int(d.rng.integers(-1, 3)) for _ in sizes] for _ in range(2))
    d.apply("Pad", d.constant(np.array([0, 0, *before, 0, 0, *after], np.int64)))


def transpose(d: Draft) -> None:
    d.apply("Transpose", perm=[0, *(1 + d.rng.permutation(len(d.shape))).tolist()])


def reshape(d: Draft) -> None:
    total = prod(d.shape)
    first = d.pick([k for k in range(1, total + 1) if total % k == 0])
    second = d.pick([k for k in range(1, total // first + 1) if total // first % k == 0])
    shape = d.pick(((total,), (first, total // first), (first, second, -1)))
    d.apply("Reshape", d.constant(np.array([d.batch, *shape], np.int64)))


def flatten(d: Draft) -> None:
    d.apply("Flatten")


def blocks(d: Draft) -> None:
    channels, height, width = image(d)
    if channels % 4 and (height % 2 or width % 2):
        raise UnfitError("no blocks")
    if channels % 4 == 0:
        d.apply("DepthToSpace", blocksize=2, mode=d.pick(("DCR", "CRD")))
    else:
        d.apply("SpaceToDepth", blocksize=2)


Layer = Callable[[Draft], None]
EARLIER: tuple[Layer, ...] = (
    *(conv, conv, conv, conv, conv_transpose, shared_conv, linear, linear, batch_norm, batch_norm, squeeze_and_excite),
    *(scale_or_shift, prelu, activation, activation, activation, pool, pool, global_pool, reduce, lrn, dropout),
    *(number, limit, residual, residual, concat, slice_, split, pad, transpose, reshape, flatten, blocks),
)
"""What the networks that tests name by their numbers were drawn of: another layer here would draw other ones."""
LAYERS = (*EARLIER, power, quotient, function, choose, recurrent, recurrent)


def draw(
    seed: int,
    number: int,
    numbers: Numbers = usual,
    options: Sequence[dict[str, Any]] = ({},),
    layers: Sequence[Layer] = LAYERS,
) -> Case:
    """The network of this number in a run of this seed, with one of the options."""
    rng = np.random.default_rng([seed, number])
    d = Draft(rng, BATCHES[int(rng.integers(len(BATCHES)))], _input_shape(rng), numbers)
    wanted = int(rng.integers(1, MOST_LAYERS + 1))
    for _ in range(MOST_TRIES):
        if wanted == 0:
            break
        wanted -= attempt(d, d.pick(layers))
    _end(d)
    return Case(seed, number, d.model(), d.batch, d.pick(options))


def attempt(d: Draft, layer: Layer) -> bool:
    """Whether the layer fits; where it does not, the network stays as it was."""
    nodes, shapes, value = len(d.nodes), dict(d.shapes), d.value
    try:
        layer(d)
    except UnfitError:
        del d.nodes[nodes:]
        d.shapes, d.value = shapes, value
        return False
    return True


def _input_shape(rng: np.random.Generator) -> Shape:
    channels, height, width = (int(rng.choice(values)) for values in ((1, 2, 3, 4), LENGTHS[2:], LENGTHS[2:]))
    rank = int(rng.choice([1, 2, 3, 3, 3, 3]))
    return (channels, height, width) if rank == 3 else (channels, width) if rank == 2 else (channels * width,)


def _end(d: Draft) -> None:
    """Logits: mostly by a linear layer, now and then whatever there is."""
    if len(d.shape) > 1:
        if len(d.shape) == 3 and d.chance(0.4):
            d.apply("GlobalAveragePool")
        d.apply("Flatten")
    if not 2 <= prod(d.shape) <= 64 or not d.initializers or d.chance(0.9):
        linear(d, d.pick((2, 3, 10)))
    if d.chance(0.1):
        d.apply(d.pick(("Softmax", "LogSoftmax")), axis=1)
    used = {name for node in d.nodes for name in node.input}
    d.initializers = [each for each in d.initializers if each.name in used]
