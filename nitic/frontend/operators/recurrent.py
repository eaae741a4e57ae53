"""LSTM, GRU and RNN, unrolled: each step of time is operators of its own, so gradients through time come by themselves.

W multiplies all steps at once. The two directions of a bidirectional layer go together, one from each end, so that R is
one parameter with one product a step. What a step computes with is [N, D, gates, H], for D directions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from xdsl.ir import SSAValue

from nitic.frontend.attributes import shown
from nitic.frontend.builder import Builder
from nitic.frontend.nodes import Node
from nitic.frontend.operators.activations import apply, rectified
from nitic.frontend.operators.arithmetic import broadcast, negated, product_of, sum_of
from nitic.frontend.operators.cuts import cut, joined
from nitic.frontend.operators.inputs import Handler, Inputs, activation, constant, integers_of, required
from nitic.frontend.operators.layers import times
from nitic.frontend.values import Activation, Constant, NodeError, Value
from nitic.ir.types import Shape
from nitic.ops.conv import ConvOp, Window
from nitic.ops.elementwise import BiasOp
from nitic.ops.gemm import GemmOp
from nitic.ops.reshape import ReshapeOp

GATES = {"GRU": 3, "LSTM": 4, "RNN": 1}
FUNCTIONS = {"GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"], "RNN": ["Tanh"]}
"""The default of `activations`, for one direction."""
BACKWARDS = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}
"""For each direction, whether it begins with the last step."""
TIME, DIRECTIONS, GATE = 1, 2, 2
"""Axes of [N, T, D, gates * H] and of [N, D, gates, H]."""


@dataclass(frozen=True)
class Layer:
    """One node, and what its steps share.

    projected: the products of W and all steps, with the biases that are added to these, [N, T, D, gates * H].
    r: R, as a matrix, or for two directions as the filter of a convolution in groups.
    product_bias: what is added to each product of R instead, [D * gates * H].
    """

    builder: Builder
    node: Node
    backwards: list[bool]
    functions: list[str]
    projected: Activation
    r: Constant
    product_bias: SSAValue | None = None

    @property
    def gates_shape(self) -> Shape:
        return self.projected.shape[0], len(self.backwards), GATES[self.node.op], self.r.shape[-1]

    @property
    def state_shape(self) -> Shape:
        n, directions, _, hidden = self.gates_shape
        return n, directions, 1, hidden

    def shaped(self, x: Activation, shape: Shape) -> Activation:
        """x as a value of this shape, so that all that a step adds and multiplies lies the same way."""
        return Activation.of(self.builder.reshape(self.builder.in_onnx_order(x), shape))

    @cached_property
    def halves(self) -> list[Activation]:
        """The directions of what is projected."""
        return [cut(self.builder, self.projected, {DIRECTIONS: range(d, d + 1)}) for d in range(len(self.backwards))]

    def at(self, step: int) -> Activation:
        """What a step begins with: each direction has its own time."""
        last = self.projected.shape[TIME] - 1
        parts = [
            cut(self.builder, half, {TIME: range(t, t + 1)})
            for half, backwards in zip(self.halves, self.backwards, strict=True)
            for t in [last - step if backwards else step]
        ]
        return self.shaped(joined(parts, self.builder, DIRECTIONS), self.gates_shape)

    def all_steps(self, states: Sequence[Activation]) -> Activation:
        """Y: the states of each direction in the order of time, [N, T, D, H]."""
        n, _, _, hidden = self.state_shape
        halves: list[Activation] = []
        for d, backwards in enumerate(self.backwards):
            mine = [cut(self.builder, h, {1: range(d, d + 1)}) for h in states]
            mine = [self.shaped(h, (n, 1, 1, hidden)) for h in (reversed(mine) if backwards else mine)]
            halves.append(joined(mine, self.builder, TIME))
        return joined(halves, self.builder, DIRECTIONS)

    @cached_property
    def weight(self) -> SSAValue:
        """R. A layer of one step that begins with zeros does not use it."""
        return self.builder.parameter(self.r, "recurrent_weight")

    def product(self, h: Activation | None) -> Activation | None:
        """R times a state, of all gates; None for zeros."""
        n, directions, _, hidden = self.state_shape
        b = self.product_bias
        if h is None:
            wide = b and broadcast(self.builder, b, (n, self.r.shape[0]))
            return wide and self.shaped(Activation.of(wide), self.gates_shape)
        if directions == 1:
            op = GemmOp.of(self.builder.reshape(h.value, (n, hidden)), self.weight)
        else:
            image = self.builder.reshape(h.value, (n, 1, 1, directions * hidden))
            op = ConvOp.over(image, self.weight, Window(groups=directions))
        value = self.builder.insert(op)
        value = self.builder.insert(BiasOp.of(value, b)) if b else value
        return self.shaped(Activation.of(value), self.gates_shape)

    def gate(self, x: Activation, first: int, count: int = 1) -> Activation:
        return cut(self.builder, x, {GATE: range(first, first + count)})

    def plus(self, a: Activation, b: Activation | None) -> Activation:
        return sum_of(self.builder, a, b) if b else a

    def times(self, a: Activation, b: Activation | None) -> Activation | None:
        return b and product_of(self.builder, a, b)

    def apply(self, index: int, x: Activation) -> Activation:
        """One of the functions that the standard calls f, g and h."""
        name = self.functions[index]
        return rectified(self.builder, x) if name == "Relu" else apply(self.builder, x, name.lower())


State = Sequence[Activation | None]
"""h, and of an LSTM c, [N, D, 1, H]; None for zeros."""


def rnn(layer: Layer, x: Activation, state: State) -> Sequence[Activation]:
    """h = f(x + R h)"""
    return [layer.apply(0, layer.plus(x, layer.product(state[0])))]


def gru(layer: Layer, x: Activation, state: State) -> Sequence[Activation]:
    """z, r = f(x + R h); n = g(x + r * R h) or g(x + R (r * h)); h = n + z * (h - n)"""
    (h,) = state
    product = layer.product(h)
    gates = layer.apply(0, layer.plus(layer.gate(x, 0, 2), product and layer.gate(product, 0, 2)))
    z, r = layer.gate(gates, 0), layer.gate(gates, 1)
    if layer.node.integer("linear_before_reset"):
        reset = layer.times(r, product and layer.gate(product, 2))
    else:
        product = layer.product(layer.times(r, h))
        reset = product and layer.gate(product, 2)
    n = layer.apply(1, layer.plus(layer.gate(x, 2), reset))
    change = layer.plus(negated(layer.builder, n), h)
    return [layer.plus(n, layer.times(z, change))]


def lstm(layer: Layer, x: Activation, state: State) -> Sequence[Activation]:
    """i, o, f = f(x + R h); c = i * g(x + R h) + f * c; h = o * h(c)"""
    h, c = state
    sums = layer.plus(x, layer.product(h))
    gates = layer.apply(0, layer.gate(sums, 0, 3))
    i, o, f = (layer.gate(gates, each) for each in range(3))
    new = product_of(layer.builder, i, layer.apply(1, layer.gate(sums, 3)))
    c = layer.plus(new, layer.times(f, c))
    return [product_of(layer.builder, o, layer.apply(2, c)), c]


STEPS: dict[str, Callable[[Layer, Activation, State], Sequence[Activation]]] = {"GRU": gru, "LSTM": lstm, "RNN": rnn}


def recurrent(builder: Builder, node: Node, inputs: Inputs) -> Sequence[Value]:
    """Y, and the last h and c: [T, D, N, H] and [D, N, H], with the batch first where `layout` says so."""
    layer, step = layer_of(builder, node, inputs), STEPS[node.op]
    state: State = [initial(layer, inputs, i) for i in ((5, 6) if node.op == "LSTM" else (5,))]
    states: list[Activation] = []
    last: Sequence[Activation] = ()
    for t in range(layer.projected.shape[TIME]):
        state = last = step(layer, layer.at(t), state)
        states.append(last[0])
    n, directions, _, hidden = layer.state_shape
    ends = [layer.shaped(each, (n, directions, hidden)) for each in last]
    y = layer.all_steps(states)
    if node.integer("layout"):
        return [y, *ends]
    return [builder.view(y, (1, 2, 0, 3)), *(builder.view(end, (1, 0, 2)) for end in ends)]


def layer_of(builder: Builder, node: Node, inputs: Inputs) -> Layer:
    """Reads a node. Raises NodeError for shapes that do not fit, and for what is not supported."""
    x, w, r, b = activation(inputs), required(inputs, 1), required(inputs, 2), constant(inputs, 3)
    backwards, hidden = BACKWARDS[node.word("direction")], node.integer("hidden_size", r.shape[-1])
    directions, rows = len(backwards), GATES[node.op] * hidden
    if len(x.shape) != 3:
        raise NodeError(f"X has the shape {list(x.shape)}, but must be [time, batch, features]")
    x = x if node.integer("layout") else builder.view(x, (1, 0, 2))
    n, steps, features = x.shape
    check_batch(builder, x)
    check_shape("W", w, (directions, rows, features))
    check_shape("R", r, (directions, rows, hidden))
    check_supported(node, inputs, steps)
    functions = functions_of(node, directions)
    projected = times(builder, x, w.reshape((directions * rows, features)))
    biases = biases_of(builder, b, directions, rows)
    first = 1 if node.op == "GRU" and node.integer("linear_before_reset") else 2
    for each in biases[:first]:
        projected = projected.with_value(builder.insert(BiasOp.of(projected.value, each)))
    return Layer(
        builder,
        node,
        backwards,
        functions,
        Activation.of(builder.reshape(projected.value, (n, steps, directions, rows))),
        r.reshape((rows, hidden) if directions == 1 else (directions * rows, 1, 1, hidden)),
        *biases[first:],
    )


def biases_of(builder: Builder, b: Constant | None, directions: int, rows: int) -> list[SSAValue]:
    """Those beside W and beside R, which are one parameter."""
    if b is None:
        return []
    check_shape("B", b, (directions, 2 * rows))
    whole = Activation.of(builder.parameter(b.reshape((directions, 2, rows)), "bias"))
    parts = [cut(builder, whole, {1: range(i, i + 1)}) for i in range(2)]
    return [builder.reshape(part.value, (directions * rows,)) for part in parts]


def initial(layer: Layer, inputs: Inputs, index: int) -> Activation | None:
    """What the network computes, a parameter that all samples share, or None for zeros."""
    value = inputs[index] if index < len(inputs) else None
    if value is None or (isinstance(value, Constant) and not value.array.any()):
        return None
    name = "initial_h" if index == 5 else "initial_c"
    n, directions, _, hidden = layer.state_shape
    batch = 0 if layer.node.integer("layout") else 1
    if isinstance(value, Activation):
        check_shape(name, value, (n, directions, hidden) if batch == 0 else (directions, n, hidden))
        return layer.shaped(value if batch == 0 else layer.builder.view(value, (1, 0, 2)), layer.state_shape)
    if value.shape != ((1, directions, hidden) if batch == 0 else (directions, 1, hidden)):
        what = f"{name} is a constant of {list(value.shape)} with values for each sample of a batch"
        raise NodeError(f"{what}: only zeros, one value for all samples and what the network computes are supported")
    shared = layer.builder.parameter(value.reshape((directions * hidden,)), name)
    wide = broadcast(layer.builder, shared, (n, directions * hidden))
    return layer.shaped(Activation.of(wide), layer.state_shape)


def functions_of(node: Node, directions: int) -> list[str]:
    """The activation functions of a direction: both must have the same."""
    count = len(FUNCTIONS[node.op])
    given = node.words("activations", FUNCTIONS[node.op] * directions)
    own = list(given[:count])
    if list(given) != own * directions or len(own) != count:
        what = f"activations {shown(given)} are not supported"
        raise NodeError(f"{what}: they must be {count} for each direction, and the same for both")
    return own


def check_shape(name: str, value: Value, shape: Shape) -> None:
    if value.shape != shape:
        raise NodeError(f"{name} has the shape {list(value.shape)}, but must be {list(shape)}")


def check_batch(builder: Builder, x: Activation) -> None:
    """Raises NodeError where the batch of x, its first axis, is not that of the network's samples."""
    source = x.value.owner.x if isinstance(x.value.owner, ReshapeOp) else x.value
    if x.shape[0] % builder.batch or (source is builder.input and x.perm[0] != 0):
        raise NodeError(
            f"its batch is the axis of {x.shape[0]}, but that of the network is the first axis of its input, of "
            f"{builder.batch}: export it with batch_first=True"
        )


def check_supported(node: Node, inputs: Inputs, steps: int) -> None:
    """Raises NodeError for what nitic has no operators for."""
    lengths = integers_of(inputs, 4, (steps,))
    if set(lengths) != {steps}:
        raise NodeError(f"sequence_lens {shown(lengths)} are not supported: each must be all of the {steps} steps")
    if len(inputs) > 7 and inputs[7]:
        raise NodeError("P, the weights of peepholes, is not supported")
    for name in {"clip", "input_forget"}.intersection(node.attributes):
        if node.attributes[name]:
            raise NodeError(f"attribute {name!r} is {shown(node.attributes[name])}, which is not supported")


HANDLERS: dict[str, Handler] = dict.fromkeys(STEPS, recurrent)
