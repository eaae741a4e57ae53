"""An MLP 64-256-128-10 for the 8x8 digits: python models/mlp.py mlp.onnx"""

import sys
from pathlib import Path

from nitic.frontend.writer import NetworkWriter


def mlp(sizes: tuple[int, ...] = (64, 256, 128, 10), seed: int = 0) -> NetworkWriter:
    net = NetworkWriter("mlp", sizes[:1], seed)
    for index, features in enumerate(sizes[1:], start=1):
        if index > 1:
            net.relu()
        net.linear(f"fc{index}", features)
    return net


if __name__ == "__main__":
    mlp().save(Path(sys.argv[1]))
