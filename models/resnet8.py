"""ResNet-8 with batch norm for 16x16 images: python models/resnet8.py resnet8.onnx"""

import sys
from pathlib import Path

from nitic.frontend.writer import NetworkWriter


def resnet8(seed: int = 0, size: int = 16) -> NetworkWriter:
    """A convolution, three residual blocks of 16, 32 and 64 channels, a global average pool and a linear layer."""
    net = NetworkWriter("resnet8", (3, size, size), seed)
    net.conv_norm("stem", 16, 3)
    net.relu()
    for block, channels in enumerate((16, 32, 64), start=1):
        net.residual(f"block{block}", channels, stride=1 if block == 1 else 2)
    net.global_average_pool()
    net.linear("fc", 10)
    return net


if __name__ == "__main__":
    resnet8().save(Path(sys.argv[1]))
