"""A network of one block as MobileNetV3 has it, for digits: the operators that models/ has no example of."""

import numpy as np
from onnx import helper, numpy_helper

from nitic.arithmetic.integers import Array
from nitic.frontend.writer import NetworkWriter


class BlockWriter(NetworkWriter):
    """Point-wise operators by their ONNX names, depthwise convolution, and squeeze-and-excite."""

    def apply(self, op: str, *others: str, **attributes: float) -> None:
        """An operator that keeps the shape."""
        self._append(op, f"{op.lower()}{len(self.nodes)}", self.shape, list(others))
        self.nodes[-1].attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())

    def number(self, value: float) -> str:
        return self._constant(f"number{len(self.initializers)}", np.asarray(value))

    def factors(self, name: str) -> None:
        """x times a parameter per channel."""
        self.apply("Mul", self._constant(name, self._random.uniform(0.5, 1.5, (self.shape[0], 1, 1))))

    def depthwise(self, name: str) -> None:
        weight = self._constant(f"{name}.weight", self._random.uniform(-0.6, 0.6, (self.shape[0], 1, 3, 3)))
        self._append("Conv", name, self.shape, [weight], group=self.shape[0], pads=[1] * 4)

    def squeeze_and_excite(self, name: str, squeezed: int) -> None:
        value, shape = self.value, self.shape
        self.global_average_pool()
        self.conv(f"{name}.squeeze", squeezed, 1)
        self.relu()
        self.conv(f"{name}.excite", shape[0], 1)
        self.apply("HardSigmoid", alpha=1 / 6, beta=0.5)
        self.shape = shape
        self.apply("Mul", value)

    def _constant(self, name: str, value: Array) -> str:
        self.initializers.append(numpy_helper.from_array(value.astype(np.float32), name))
        return name


def mobile(seed: int = 0, shape: tuple[int, int, int] = (1, 8, 8)) -> NetworkWriter:
    net = BlockWriter("mobile", shape, seed)
    net.conv("stem", 16, 3, pad=1)
    net.apply("HardSwish")
    trunk = net.value
    net.depthwise("depthwise")
    net.apply("Clip", net.number(0), net.number(6))
    net.squeeze_and_excite("se", 8)
    net.conv("project", 16, 1)
    net.factors("scale")
    net.add("residual", trunk)
    gate = net.value
    net.apply("Sigmoid")
    net.apply("Mul", gate)
    net.max_pool()
    net.linear("fc", 10)
    return net
