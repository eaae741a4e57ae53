"""Small networks of branches, as the families of networks have them: a block of each with what is particular to it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import helper, numpy_helper

from nitic.frontend.writer import NetworkWriter

IMAGE = (1, 8, 8)
TABLES: dict[str, tuple[str, dict[str, Any]]] = {
    "elu": ("Elu", {"alpha": 0.5}),
    "erf": ("Erf", {}),
    "exp": ("Exp", {}),
    "gelu": ("Gelu", {}),
    "gelu_tanh": ("Gelu", {"approximate": "tanh"}),
    "hard_sigmoid": ("HardSigmoid", {}),
    "hard_swish": ("HardSwish", {}),
    "mish": ("Mish", {}),
    "selu": ("Selu", {}),
    "sigmoid": ("Sigmoid", {}),
    "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}),
    "tanh": ("Tanh", {}),
}
"""The functions that are tables, and the operators that stand for them; swish is x times its sigmoid."""


class BranchWriter(NetworkWriter):
    """A network whose end may move: every layer gives its value, and the next one continues from `at`."""

    def at(self, value: str, channels: int) -> None:
        """Continues from an earlier value, of as many rows and columns as the current one."""
        self.value, self.shape = value, (channels, *self.shape[1:])

    def node(self, op: str, name: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> None:
        self.nodes.append(helper.make_node(op, inputs, outputs, name=name, **attributes))
        self.value = outputs[0]

    def constant(self, name: str, *values: int) -> str:
        self.initializers.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def number(self, name: str, value: float) -> str:
        self.initializers.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def values(self, name: str, mean: float, size: int) -> str:
        """A vector of parameters around a number."""
        values = self._random.normal(mean, 0.1, size).astype(np.float32)
        self.initializers.append(numpy_helper.from_array(values, name))
        return name

    def tensor(self, name: str, *shape: int) -> str:
        """A parameter of numbers around 0."""
        self.initializers.append(numpy_helper.from_array(self._random.normal(0, 0.3, shape).astype(np.float32), name))
        return name

    def index(self, name: str, value: int) -> str:
        """An integer without axes."""
        self.initializers.append(numpy_helper.from_array(np.asarray(value, np.int64), name))
        return name

    def matrix(self, name: str, rows: int, columns: int) -> str:
        """A product of the last axis with a weight, and a bias."""
        weight = self._random.normal(0, 1 / np.sqrt(rows), (rows, columns)).astype(np.float32)
        self.initializers.append(numpy_helper.from_array(weight, f"{name}.weight"))
        self.node("MatMul", name, [self.value, f"{name}.weight"], [f"{name}.out"])
        self.node("Add", f"{name}.sum", [self.value, self.values(f"{name}.bias", 0, columns)], [f"{name}.sum.out"])
        return self.value

    def layer(self, name: str, channels: int, kernel: int, *, norm: bool = True, relu: bool = True) -> str:
        """Convolution, normalisation, relu."""
        self.conv(name, channels, kernel, pad=kernel // 2, bias=not norm)
        if norm:
            self.batch_norm(f"{name}.norm")
        if relu:
            self.relu()
        return self.value

    def concat(self, name: str, parts: Sequence[str], channels: int) -> str:
        self.node("Concat", name, parts, [f"{name}.out"], axis=1)
        self.shape = (channels, *self.shape[1:])
        return self.value

    def grouped(self, name: str, channels: int, groups: int, kernel: int = 1) -> str:
        """A convolution in groups."""
        inputs = self.shape[0] // groups
        weight = self._random.normal(0, 1 / (kernel * np.sqrt(inputs)), (channels, inputs, kernel, kernel))
        self.initializers.append(numpy_helper.from_array(weight.astype(np.float32), f"{name}.weight"))
        pads = [kernel // 2] * 4
        self.node("Conv", name, [self.value, f"{name}.weight"], [f"{name}.out"], group=groups, pads=pads)
        self.shape = (channels, *self.shape[1:])
        return self.value

    def shuffle(self, name: str, groups: int) -> str:
        """The channels of the groups take turns, as ShuffleNet writes it."""
        channels, *size = self.shape
        apart = self.constant(f"{name}.apart", 0, groups, channels // groups, *size)
        together = self.constant(f"{name}.together", 0, channels, *size)
        self.node("Reshape", f"{name}.split", [self.value, apart], [f"{name}.groups"])
        self.node("Transpose", f"{name}.swap", [self.value], [f"{name}.swapped"], perm=[0, 2, 1, 3, 4])
        self.node("Reshape", f"{name}.join", [self.value, together], [f"{name}.out"])
        return self.value

    def pool(self, name: str, op: str, *, stride: int = 1, **attributes: Any) -> str:
        """3x3 with a frame."""
        window = {"kernel_shape": [3] * 2, "strides": [stride] * 2, "pads": [1] * 4}
        self.node(op, name, [self.value], [f"{name}.out"], **window, **attributes)
        channels, *size = self.shape
        self.shape = (channels, *(-(-n // stride) for n in size))
        return self.value

    def recurrent(
        self, name: str, op: str, features: int, hidden: int, outputs: Sequence[str], **attributes: Any
    ) -> None:
        """A recurrent layer over [time, batch, features]."""
        directions = 2 if attributes.get("direction") == "bidirectional" else 1
        rows = {"GRU": 3, "LSTM": 4}[op] * hidden
        shapes = {"w": (directions, rows, features), "r": (directions, rows, hidden), "b": (directions, 2 * rows)}
        for each, shape in shapes.items():
            values = self._random.uniform(-1, 1, shape) / np.sqrt(hidden)
            self.initializers.append(numpy_helper.from_array(values.astype(np.float32), f"{name}.{each}"))
        inputs = [self.value, *(f"{name}.{each}" for each in shapes)]
        self.node(op, name, inputs, outputs, hidden_size=hidden, **attributes)

    def classify(self) -> "BranchWriter":
        self.global_average_pool()
        self.linear("fc", 10)
        return self


def densenet() -> BranchWriter:
    """Each layer reads all before it: one tensor is part of several concats, and its errors meet from all of them."""
    net = BranchWriter("densenet", IMAGE)
    features, channels = [net.layer("stem", 8, 3)], 8
    for i in range(3):
        if i:
            net.concat(f"join{i}", features, channels)
        net.batch_norm(f"dense{i}.norm")
        net.relu()
        net.conv(f"dense{i}.conv", 4, 3, pad=1, bias=False)
        features.append(net.value)
        channels += 4
    net.concat("join", features, channels)
    net.layer("transition", 12, 1)
    net.pool("halve", "AveragePool", stride=2, count_include_pad=0)
    return net.classify()


def inception() -> BranchWriter:
    """Four branches that are joined: 1x1, 3x3, two 3x3, and a pool before 1x1."""
    net = BranchWriter("inception", IMAGE)
    stem = net.layer("stem", 8, 3, norm=False)
    parts = [net.layer("one", 4, 1, norm=False)]
    for name, depth in (("three", 1), ("five", 2)):
        net.at(stem, 8)
        net.layer(f"{name}.reduce", 4, 1, norm=False)
        for i in range(depth):
            net.layer(f"{name}.conv{i}", 6, 3, norm=False)
        parts.append(net.value)
    net.at(stem, 8)
    net.pool("pool", "MaxPool")
    parts.append(net.layer("pool.project", 4, 1, norm=False))
    net.concat("join", parts, 20)
    net.pool("halve", "MaxPool", stride=2)
    return net.classify()


def shufflenet() -> BranchWriter:
    """Half of the channels go through grouped convolutions around a shuffle, and are joined with the other half."""
    net = BranchWriter("shufflenet", IMAGE)
    net.layer("stem", 16, 3)
    net.node("Split", "halves", [net.value], ["left", "right"], axis=1)
    net.at("right", 8)
    net.grouped("group1", 8, 2)
    net.batch_norm("group1.norm")
    net.relu()
    net.shuffle("shuffle1", 2)
    net.grouped("group2", 8, 2)
    net.batch_norm("group2.norm")
    net.relu()
    net.concat("join", [net.value, "left"], 16)
    net.shuffle("shuffle2", 2)
    bounds = [net.constant(name, value) for name, value in (("start", 1), ("end", 15), ("axis", 1))]
    net.node("Slice", "cut", [net.value, *bounds], ["cut.out"])
    net.at("cut.out", 14)
    net.layer("last", 16, 3)
    return net.classify()


def resnext() -> BranchWriter:
    """A convolution in groups, and a residual connection right behind convolutions: there is no normalisation."""
    net = BranchWriter("resnext", IMAGE)
    stem = net.layer("stem", 16, 3, norm=False)
    net.grouped("group", 16, 4, 3)
    net.relu()
    net.layer("widen", 16, 1, norm=False, relu=False)
    net.node("Add", "join", [stem, net.value], ["join.out"])
    net.relu()
    net.layer("last", 16, 3, norm=False)
    return net.classify()


def alexnet() -> BranchWriter:
    """Two layers with local response normalisation, a Pad, and a space-to-depth."""
    net = BranchWriter("alexnet", IMAGE)
    net.layer("conv1", 16, 3, norm=False)
    net.node("LRN", "lrn1", [net.value], ["lrn1.out"], size=5, alpha=0.5, beta=0.75, bias=1.0)
    net.node("Pad", "pad", [net.value, net.constant("pads", 0, 0, 1, 0, 0, 0, 0, 1)], ["pad.out"])
    net.shape = (16, 9, 9)
    net.conv("conv2", 16, 2, bias=True)
    net.relu()
    net.node("LRN", "lrn2", [net.value], ["lrn2.out"], size=4, alpha=1.0, beta=0.75, bias=2.0)
    net.node("SpaceToDepth", "fold", [net.value], ["fold.out"], blocksize=2)
    net.shape = (64, 4, 4)
    net.layer("conv3", 16, 1, norm=False)
    net.linear("fc", 10)
    return net


def recurrent() -> BranchWriter:
    """An LSTM over three pairs of rows, and what both directions of a GRU make of its last two steps."""
    net = BranchWriter("recurrent", IMAGE)
    net.node("Reshape", "pairs", [net.value, net.constant("pairs.shape", 0, 4, 16)], ["pairs.out"])
    net.node("Transpose", "time", [net.value], ["time.out"], perm=[1, 0, 2])
    bounds = [net.constant(name, value) for name, value in (("one", 1), ("three", 3), ("four", 4))]
    net.node("Slice", "pairs.cut", [net.value, bounds[0], bounds[2]], ["pairs.last"])
    net.recurrent("lstm", "LSTM", 16, 12, ["lstm.out"])
    net.node("Squeeze", "forward", [net.value, bounds[0]], ["forward.out"])
    net.node("Slice", "steps.cut", [net.value, bounds[0], bounds[1]], ["steps.last"])
    net.recurrent("gru", "GRU", 12, 8, ["", "gru.last"], direction="bidirectional", linear_before_reset=1)
    net.node("Transpose", "both", ["gru.last"], ["both.out"], perm=[1, 0, 2])
    net.node("Flatten", "flat", [net.value], ["flat.out"])
    net.shape = (16,)
    net.linear("fc", 10)
    return net


def quotients() -> BranchWriter:
    """Pixels divided by the root of their mean square, a choice by a comparison, a threshold, a logarithm, a power."""
    net = BranchWriter("quotients", IMAGE)
    one, part, most = (net.number(name, value) for name, value in (("one", 1.0), ("part", 0.1), ("power", 1.5)))
    stem = net.layer("stem", 8, 3, relu=False)
    net.node("Mul", "square", [stem, stem], ["square.out"])
    net.node("ReduceMean", "mean", [net.value], ["mean.out"], axes=[1])
    net.node("Add", "epsilon", [net.value, part], ["epsilon.out"])
    net.node("Sqrt", "root", [net.value], ["root.out"])
    net.node("Div", "divided", [stem, net.value], ["divided.out"])
    net.layer("middle", 8, 3, relu=False)
    middle = net.value
    net.node("Greater", "compare", [middle, part], ["compare.out"])
    net.node("Tanh", "tanh", [middle], ["tanh.out"])
    net.node("Where", "choose", ["compare.out", middle, net.value], ["choose.out"])
    net.layer("last", 8, 3, relu=False)
    last = net.value
    net.node("ThresholdedRelu", "threshold", [last], ["threshold.out"], alpha=-0.3)
    net.node("Abs", "size", [last], ["size.out"])
    net.node("Add", "above", [net.value, one], ["above.out"])
    net.node("Log", "log", ["above.out"], ["log.out"])
    net.node("Pow", "raised", ["above.out", most], ["raised.out"])
    net.concat("join", ["threshold.out", "log.out", "raised.out"], 24)
    return net.classify()


def norms() -> BranchWriter:
    """Group and instance norm of images, then layer and RMS norm of their pixels, whole and as arithmetic."""
    net = BranchWriter("norms", IMAGE, opset=21)
    net.conv("stem", 8, 3, pad=1)
    net.max_pool()
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "group": ("GroupNormalization", {"num_groups": 2}),
        "each": ("InstanceNormalization", {}),
    }
    for name, (kind, attributes) in kinds.items():
        inputs = [net.value, net.values(f"{name}.weight", 1, 8), net.values(f"{name}.bias", 0, 8)]
        net.node(kind, name, inputs, [f"{name}.out"], **attributes)
        net.relu()
        net.conv(f"{name}.behind", 8, 3, pad=1)
    net.node("Reshape", "flat", [net.value, net.constant("pixels", 0, 8, 16)], ["flat.out"])
    net.node("Transpose", "tokens", [net.value], ["tokens.out"], perm=[0, 2, 1])
    for name, write in (("layer", whole_norm), ("rms", rms_norm), ("parts", layer_norm_in_parts)):
        stream = net.value
        write(net, name)
        net.matrix(f"{name}.up", 8, 16)
        net.node("Tanh", f"{name}.act", [net.value], [f"{name}.act.out"])
        net.matrix(f"{name}.down", 16, 8)
        net.node("Add", f"{name}.add", [net.value, stream], [f"{name}.add.out"])
    net.node("ReduceMean", "mean", [net.value, net.constant("axis", 1)], ["mean.out"], keepdims=0)
    net.shape = (8,)
    net.linear("fc", 10)
    return net


def whole_norm(net: BranchWriter, name: str, size: int = 8) -> None:
    inputs = [net.value, net.values(f"{name}.weight", 1, size), net.values(f"{name}.bias", 0, size)]
    net.node("LayerNormalization", name, inputs, [f"{name}.out"])


def rms_norm(net: BranchWriter, name: str) -> None:
    """x / sqrt(mean(x * x) + epsilon) * weight, as exporters write torch.nn.RMSNorm."""
    x = net.value
    net.node("Pow", f"{name}.square", [x, net.number(f"{name}.two", 2)], [f"{name}.square.out"])
    net.node("ReduceMean", f"{name}.mean", [net.value, net.constant(f"{name}.axes", -1)], [f"{name}.mean.out"])
    net.node("Add", f"{name}.above", [net.value, net.number(f"{name}.epsilon", 1e-6)], [f"{name}.above.out"])
    net.node("Sqrt", f"{name}.root", [net.value], [f"{name}.root.out"])
    net.node("Reciprocal", f"{name}.inverse", [net.value], [f"{name}.inverse.out"])
    net.node("Mul", f"{name}.scaled", [x, net.value], [f"{name}.scaled.out"])
    net.node("Mul", name, [net.value, net.values(f"{name}.weight", 1, 8)], [f"{name}.out"])


def layer_norm_in_parts(net: BranchWriter, name: str) -> None:
    """As exporters write it before opset 17."""
    x, axes = net.value, net.constant(f"{name}.axes", -1)
    net.node("ReduceMean", f"{name}.mean", [x, axes], [f"{name}.mean.out"])
    net.node("Sub", f"{name}.off", [x, net.value], [f"{name}.off.out"])
    off = net.value
    net.node("Pow", f"{name}.square", [off, net.number(f"{name}.two", 2)], [f"{name}.square.out"])
    net.node("ReduceMean", f"{name}.variance", [net.value, axes], [f"{name}.variance.out"])
    net.node("Add", f"{name}.above", [net.value, net.number(f"{name}.epsilon", 1e-5)], [f"{name}.above.out"])
    net.node("Sqrt", f"{name}.root", [net.value], [f"{name}.root.out"])
    net.node("Div", f"{name}.divided", [off, net.value], [f"{name}.divided.out"])
    net.node("Mul", f"{name}.scaled", [net.value, net.values(f"{name}.weight", 1, 8)], [f"{name}.scaled.out"])
    net.node("Add", name, [net.value, net.values(f"{name}.bias", 0, 8)], [f"{name}.out"])


def attention() -> BranchWriter:
    """A small ViT: patches, a class token, positions; attention as arithmetic, with a causal mask, and as one node."""
    net = BranchWriter("attention", IMAGE, opset=23)
    net.conv("patches", 12, 2, stride=2)
    net.node("Reshape", "flat", [net.value, net.constant("to_tokens", 0, 12, 16)], ["flat.out"])
    net.node("Transpose", "tokens", [net.value], ["tokens.out"], perm=[0, 2, 1])
    net.node("Shape", "shape", [net.value], ["batch"], start=0, end=1)
    net.node("Concat", "class.shape", ["batch", net.constant("class.tail", 1, 12)], ["class.shape.out"], axis=0)
    net.node("Expand", "class", [net.tensor("class.token", 1, 1, 12), net.value], ["class.out"])
    net.node("Concat", "joined", [net.value, "tokens.out"], ["joined.out"], axis=1)
    net.node("Add", "placed", [net.value, net.tensor("positions", 1, 17, 12)], ["placed.out"])
    for name, groups in (("first", 4), ("second", 4), ("third", 2)):
        stream = net.value
        whole_norm(net, f"{name}.norm", 12)
        normed, heads = net.value, list[str]()
        for part, size in {"q": 16, "k": 4 * groups, "v": 4 * groups}.items():
            net.value = normed
            heads.append(net.matrix(f"{name}.{part}", 12, size))
        if name == "third":
            net.node("Attention", f"{name}.heads", heads, [f"{name}.heads.out"], q_num_heads=4, kv_num_heads=groups)
        else:
            heads_in_parts(net, name, heads, causal=name == "second")
        net.matrix(f"{name}.out", 16, 12)
        net.node("Add", f"{name}.add", [net.value, stream], [f"{name}.add.out"])
    whole_norm(net, "last", 12)
    net.node("Gather", "taken", [net.value, net.index("zero", 0)], ["taken.out"], axis=1)
    net.shape = (12,)
    net.linear("fc", 10)
    return net


def heads_in_parts(net: BranchWriter, name: str, parts: Sequence[str], *, causal: bool) -> None:
    """softmax(q . k^T / 2 + mask) . v of 4 heads as nodes."""
    split: list[str] = []
    for part, value in zip("qkv", parts, strict=True):
        shape = net.constant(f"{name}.{part}.shape", 0, 17, 4, 4)
        net.node("Reshape", f"{name}.{part}.cut", [value, shape], [f"{name}.{part}.cut.out"])
        perm = [0, 2, 3, 1] if part == "k" else [0, 2, 1, 3]
        net.node("Transpose", f"{name}.{part}.heads", [net.value], [f"{name}.{part}.heads.out"], perm=perm)
        split.append(net.value)
    net.node("MatMul", f"{name}.scores", split[:2], [f"{name}.scores.out"])
    net.node("Mul", f"{name}.scaled", [net.value, net.number(f"{name}.scale", 0.5)], [f"{name}.scaled.out"])
    if causal:
        mask = np.where(np.tri(17, dtype=bool), 0, -np.inf).astype(np.float32)
        net.initializers.append(numpy_helper.from_array(mask, f"{name}.mask"))
        net.node("Add", f"{name}.masked", [net.value, f"{name}.mask"], [f"{name}.masked.out"])
    net.node("Softmax", f"{name}.softmax", [net.value], [f"{name}.softmax.out"], axis=-1)
    net.node("MatMul", f"{name}.mixed", [net.value, split[2]], [f"{name}.mixed.out"])
    net.node("Transpose", f"{name}.together", [net.value], [f"{name}.together.out"], perm=[0, 2, 1, 3])
    net.node(
        "Reshape", f"{name}.whole", [net.value, net.constant(f"{name}.whole.to", 0, 17, 16)], [f"{name}.whole.out"]
    )


def tables(shape: tuple[int, int, int] = IMAGE) -> BranchWriter:
    """A branch for every function that is a table, between convolutions, and two average pools."""
    net = BranchWriter("tables", shape, opset=20)  # of Gelu
    stem, parts = net.layer("stem", 8, 3), list[str]()
    for name in [*TABLES, "swish"]:
        net.at(stem, 8)
        before = net.layer(f"{name}.before", 4, 1, relu=False)
        if name == "exp":  # which int8 holds up to 4.84
            bounds = [net.number(f"exp.{bound}", bound) for bound in (-2, 2)]
            net.node("Clip", "exp.clip", [before, *bounds], [before := "exp.clipped"])
        op, attributes = TABLES.get(name, ("Sigmoid", {}))
        net.node(op, name, [before], [f"{name}.out"], **attributes)
        if name not in TABLES:
            net.node("Mul", f"{name}.gate", [before, net.value], [f"{name}.gated"])
        parts.append(net.layer(f"{name}.behind", 4, 1))
    net.concat("join", parts, 4 * len(parts))
    net.pool("blur", "AveragePool", stride=2, count_include_pad=0)
    net.layer("mix", 16, 3)
    net.pool("halve", "AveragePool", stride=2, count_include_pad=1)
    return net.classify()


BRANCHES = {
    "densenet": densenet,
    "inception": inception,
    "shufflenet": shufflenet,
    "resnext": resnext,
    "alexnet": alexnet,
    "recurrent": recurrent,
    "quotients": quotients,
    "norms": norms,
    "attention": attention,
}
