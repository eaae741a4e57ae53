"""A small vision transformer, by default for 32x32 images: python models/vit.py vit.onnx"""

import sys
from pathlib import Path

import numpy as np
from onnx import helper, numpy_helper

from nitic.arithmetic.integers import Array
from nitic.frontend.writer import NetworkWriter


class TransformerWriter(NetworkWriter):
    """Blocks over tokens (time, features), whose linear layers are products with weights [in, out]."""

    def parameter(self, name: str, values: Array) -> str:
        self.initializers.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def numbers(self, name: str, *values: int) -> str:
        self.initializers.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def normal(self, name: str, *shape: int) -> str:
        """A parameter that begins with numbers of the deviation 0.02."""
        return self.parameter(name, self._random.normal(0, 0.02, shape))

    def node(self, op: str, name: str, *inputs: str, **attributes: int) -> str:
        """A node whose result goes on."""
        self.nodes.append(helper.make_node(op, inputs, [f"{name}.out"], name=name))
        self.nodes[-1].attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        self.value = f"{name}.out"
        return self.value

    def matrix(self, name: str, inputs: int, outputs: int) -> str:
        limit = np.sqrt(6 / (inputs + outputs))
        weight = self.parameter(f"{name}.weight", self._random.uniform(-limit, limit, (inputs, outputs)))
        self.node("MatMul", f"{name}.product", self.value, weight)
        return self.node("Add", name, self.value, self.parameter(f"{name}.bias", np.zeros(outputs)))

    def layer_norm(self, name: str, width: int) -> str:
        weight, bias = (self.parameter(f"{name}.{key}", np.full(width, v)) for key, v in (("weight", 1), ("bias", 0)))
        return self.node("LayerNormalization", name, self.value, weight, bias)

    def block(self, name: str, width: int, heads: int) -> None:
        """Attention and an MLP of four times the width, each behind a norm and beside the stream."""
        stream = self.value
        normal = self.layer_norm(f"{name}.norm1", width)
        parts: list[str] = []
        for part in "qkv":
            self.value = normal
            parts.append(self.matrix(f"{name}.{part}", width, width))
        self.node("Attention", f"{name}.attention", *parts, q_num_heads=heads, kv_num_heads=heads)
        self.matrix(f"{name}.proj", width, width)
        stream = self.node("Add", f"{name}.mixed", stream, self.value)
        self.layer_norm(f"{name}.norm2", width)
        self.matrix(f"{name}.fc1", width, 4 * width)
        self.node("Gelu", f"{name}.act", self.value)
        self.matrix(f"{name}.fc2", 4 * width, width)
        self.node("Add", f"{name}.add", stream, self.value)


def vit(
    seed: int = 0,
    shape: tuple[int, int, int] = (3, 32, 32),
    *,
    patch: int = 4,
    layers: int = 4,
    width: int = 128,
    heads: int = 4,
) -> TransformerWriter:
    """Patches, a class token, positions, pre-norm blocks, and a linear layer on what becomes of the class token."""
    net = TransformerWriter("vit", shape, seed, opset=23)
    net.conv("patches", width, patch, stride=patch)
    tokens = (shape[1] // patch) * (shape[2] // patch)
    net.node("Reshape", "flat", net.value, net.numbers("flat.shape", 0, width, tokens))
    patches = helper.make_node("Transpose", [net.value], ["tokens.out"], name="tokens", perm=[0, 2, 1])
    net.nodes += [patches, helper.make_node("Shape", ["tokens.out"], ["batch"], name="batch", end=1)]
    net.node("Concat", "token.shape", "batch", net.numbers("token.tail", 1, width), axis=0)
    net.node("Expand", "token", net.normal("class_token", 1, 1, width), net.value)
    net.node("Concat", "joined", net.value, "tokens.out", axis=1)
    net.node("Add", "placed", net.value, net.normal("positions", 1, tokens + 1, width))
    for i in range(layers):
        net.block(f"block{i}", width, heads)
    net.layer_norm("norm", width)
    net.node(
        "Slice",
        "first",
        net.value,
        *(net.numbers(f"first.{key}", v) for key, v in (("from", 0), ("to", 1), ("axis", 1))),
    )
    net.shape = (1, width)
    net.linear("head", 10)
    return net


if __name__ == "__main__":
    vit().save(Path(sys.argv[1]))
