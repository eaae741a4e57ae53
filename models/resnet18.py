"""ResNet-18 (He et al. 2015, arXiv 1512.03385, table 1) for ImageNet: python models/resnet18.py resnet18.onnx"""

import sys
from pathlib import Path

from nitic.frontend.writer import NetworkWriter


def resnet18(seed: int = 0, classes: int = 1000, size: int = 224) -> NetworkWriter:
    """A 7x7 convolution and a pool, four stages of two residual blocks, a global average pool and a linear layer."""
    net = NetworkWriter("resnet18", (3, size, size), seed)
    net.conv_norm("stem", 64, 7, stride=2)
    net.relu()
    net.max_pool(3, stride=2, pad=1)
    for stage, channels in enumerate((64, 128, 256, 512), start=1):
        for block in (1, 2):
            net.residual(f"stage{stage}.block{block}", channels, stride=2 if stage > 1 and block == 1 else 1)
    net.global_average_pool()
    net.linear("fc", classes)
    return net


if __name__ == "__main__":
    resnet18().save(Path(sys.argv[1]))
