"""ResNet-8 with batch norm for 16x16 images: python models/resnet8.py resnet8.onnx"""

import sys
from pathlib import Path

from nitic.frontend.writer import NetworkWriter


def resnet8(seed: int = 0, size: int = 16) -> NetworkWriter:
    """A convolution, three residual blocks of 16, 32 and 64 channels, a global average pool and a linear layer."""
    net = NetworkWriter("resnet8", (3, size, size), seed)
    conv_norm(net, "stem", 16, 3)
    net.relu()
    for block, channels in enumerate((16, 32, 64), start=1):
        residual(net, f"block{block}", channels, stride=1 if block == 1 else 2)
    net.global_average_pool()
    net.linear("fc", 10)
    return net


def residual(net: NetworkWriter, name: str, channels: int, stride: int) -> None:
    """Two convolutions beside the identity, or beside a 1x1 convolution where the shape changes."""
    before, shape = net.value, net.shape
    conv_norm(net, f"{name}.conv1", channels, 3, stride)
    net.relu()
    conv_norm(net, f"{name}.conv2", channels, 3)
    body = net.value
    if net.shape != shape:
        net.value, net.shape = before, shape
        conv_norm(net, f"{name}.short", channels, 1, stride)
        before = net.value
    net.value = body
    net.add(f"{name}.add", before)
    net.relu()


def conv_norm(net: NetworkWriter, name: str, channels: int, kernel: int, stride: int = 1) -> None:
    net.conv(name, channels, kernel, pad=kernel // 2, stride=stride, bias=False)
    net.batch_norm(f"{name}.norm")


if __name__ == "__main__":
    resnet8().save(Path(sys.argv[1]))
