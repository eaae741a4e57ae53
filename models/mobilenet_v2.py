"""MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381) without its batch norms, as folding leaves it:
python models/mobilenet_v2.py mobilenet_v2.onnx [WIDTH] [SIZE] [CLASSES]"""

import sys
from pathlib import Path

import numpy as np
from onnx import helper, numpy_helper

from nitic.frontend.writer import NetworkWriter

# Expansion, channels, repetitions, stride: table 2 of the paper.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
LAST = 1280


class _Writer(NetworkWriter):
    def relu6(self) -> None:
        name = f"relu{len(self.nodes)}"
        bounds = {f"{name}.min": 0.0, f"{name}.max": 6.0}
        self.initializers += [
            numpy_helper.from_array(np.asarray(value, np.float32), key) for key, value in bounds.items()
        ]
        self._append("Clip", name, self.shape, list(bounds))

    def depthwise(self, name: str, stride: int) -> None:
        channels, *size = self.shape
        out = [(length - 1) // stride + 1 for length in size]
        parameters = self._parameters(name, (channels, 1, 3, 3), bias=True)
        self._append("Conv", name, (channels, *out), parameters, pads=[1] * 4, strides=[stride] * 2)
        self.nodes[-1].attribute.append(helper.make_attribute("group", channels))

    def block(self, name: str, channels: int, stride: int, expansion: int) -> None:
        """Inverted residual: wider, depthwise, narrower, beside the identity where that fits."""
        before, shape = self.value, self.shape
        if expansion > 1:
            self.conv(f"{name}.expand", shape[0] * expansion, 1)
            self.relu6()
        self.depthwise(f"{name}.depthwise", stride)
        self.relu6()
        self.conv(f"{name}.project", channels, 1)
        if self.shape == shape:
            self.add(f"{name}.add", before)


def channels_of(channels: int, width: float) -> int:
    """The nearest multiple of 8, at most a tenth less."""
    scaled = max(8, int(channels * width + 4) // 8 * 8)
    return scaled + 8 if scaled < 0.9 * channels * width else scaled


def mobilenet_v2(seed: int = 0, width: float = 1.0, size: int = 224, classes: int = 1000) -> NetworkWriter:
    net = _Writer("mobilenet_v2", (3, size, size), seed)
    net.conv("features.0", channels_of(32, width), 3, pad=1, stride=2)
    net.relu6()
    number = 1
    for expansion, channels, repetitions, stride in STAGES:
        for i in range(repetitions):
            net.block(f"features.{number}", channels_of(channels, width), stride if i == 0 else 1, expansion)
            number += 1
    net.conv(f"features.{number}", max(LAST, channels_of(LAST, width)), 1)
    net.relu6()
    net.global_average_pool()
    net.linear("classifier", classes)
    return net


if __name__ == "__main__":
    words = sys.argv[2:]
    numbers = dict(
        zip(("width", "size", "classes"), (float(words[0]) if words else 1.0, *map(int, words[1:])), strict=False)
    )
    mobilenet_v2(**numbers).save(Path(sys.argv[1]))  # pyright: ignore[reportArgumentType]
