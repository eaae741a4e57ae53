"""LeNet-5 for MNIST, with ReLU and max pooling: python models/lenet.py lenet.onnx"""

import sys
from pathlib import Path

from nitic.frontend.writer import NetworkWriter


def lenet(seed: int = 0, *, bias: bool = True) -> NetworkWriter:
    net = NetworkWriter("lenet", (1, 28, 28), seed)
    net.conv("conv1", 6, 5, pad=2, bias=bias)
    net.relu()
    net.max_pool()
    net.conv("conv2", 16, 5, bias=bias)
    net.relu()
    net.max_pool()
    net.linear("fc1", 120, bias=bias)
    net.relu()
    net.linear("fc2", 84, bias=bias)
    net.relu()
    net.linear("fc3", 10, bias=bias)
    return net


if __name__ == "__main__":
    lenet().save(Path(sys.argv[1]))
