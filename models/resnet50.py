"""ResNet-50 for images of 224x224 (He et al. 2015, table 1): python models/resnet50.py resnet50.onnx"""

import sys
from pathlib import Path

from nitic.frontend.writer import NetworkWriter


def resnet50(seed: int = 0, size: int = 224, classes: int = 1000) -> NetworkWriter:
    """A 7x7 convolution, a max pool, four stages of bottleneck blocks, a global average pool and a linear layer."""
    net = NetworkWriter("resnet50", (3, size, size), seed)
    conv_norm(net, "stem", 64, 7, stride=2)
    net.relu()
    net.max_pool(3, stride=2, pad=1)
    for stage, (blocks, channels) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), start=1):
        for block in range(blocks):
            stride = 2 if stage > 1 and block == 0 else 1
            bottleneck(net, f"layer{stage}.{block}", channels, stride, shortcut=block == 0)
    net.global_average_pool()
    net.linear("fc", classes)
    return net


def bottleneck(net: NetworkWriter, name: str, channels: int, stride: int, shortcut: bool) -> None:
    """1x1, 3x3 and 1x1 convolutions beside the identity, or beside a 1x1 convolution where the shape changes."""
    value, shape = net.value, net.shape
    if shortcut:
        conv_norm(net, f"{name}.short", 4 * channels, 1, stride)
    beside = net.value
    net.value, net.shape = value, shape
    conv_norm(net, f"{name}.conv1", channels, 1)
    net.relu()
    conv_norm(net, f"{name}.conv2", channels, 3, stride)
    net.relu()
    conv_norm(net, f"{name}.conv3", 4 * channels, 1)
    net.add(f"{name}.add", beside)
    net.relu()


def conv_norm(net: NetworkWriter, name: str, channels: int, kernel: int, stride: int = 1) -> None:
    net.conv(name, channels, kernel, pad=kernel // 2, stride=stride, bias=False)
    net.batch_norm(f"{name}.norm")


if __name__ == "__main__":
    resnet50().save(Path(sys.argv[1]))
