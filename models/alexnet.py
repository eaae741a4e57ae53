"""AlexNet for ImageNet, in the one-column form of torchvision (Krizhevsky 2014, arXiv 1404.5997):
python models/alexnet.py alexnet.onnx"""

import sys
from pathlib import Path

from nitic.frontend.writer import NetworkWriter


def alexnet(seed: int = 0, classes: int = 1000, size: int = 224) -> NetworkWriter:
    """Five convolutions with three pools, and three linear layers with dropout before the first two."""
    net = NetworkWriter("alexnet", (3, size, size), seed)
    net.conv("conv1", 64, 11, pad=2, stride=4)
    net.relu()
    net.max_pool(3, stride=2)
    net.conv("conv2", 192, 5, pad=2)
    net.relu()
    net.max_pool(3, stride=2)
    for layer, channels in enumerate((384, 256, 256), start=3):
        net.conv(f"conv{layer}", channels, 3, pad=1)
        net.relu()
    net.max_pool(3, stride=2)
    for layer in (1, 2):
        net.dropout(0.5)
        net.linear(f"fc{layer}", 4096)
        net.relu()
    net.linear("fc3", classes)
    return net


if __name__ == "__main__":
    alexnet().save(Path(sys.argv[1]))
