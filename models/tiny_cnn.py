"""Writes a CNN for microcontrollers: python models/tiny_cnn.py tiny_cnn.onnx"""

import sys
from pathlib import Path

from nitic.frontend.writer import NetworkWriter


def tiny_cnn(seed: int = 0) -> NetworkWriter:
    """conv 8, pool, conv 16, conv 16, pool, linear 10: 4,218 parameters, input [N, 1, 8, 8]."""
    net = NetworkWriter("tiny_cnn", (1, 8, 8), seed)
    net.conv("conv1", 8, 3, pad=1)
    net.relu()
    net.max_pool()
    net.conv("conv2", 16, 3, pad=1)
    net.relu()
    net.conv("conv3", 16, 3, pad=1)
    net.relu()
    net.max_pool()
    net.linear("fc", 10)
    return net


if __name__ == "__main__":
    tiny_cnn().save(Path(sys.argv[1]))
