"""VGG-small-7 for CIFAR-10 (NITI, arXiv 2009.13108): python models/vgg_small.py vgg_small.onnx"""

import sys
from pathlib import Path

from nitic.frontend.writer import NetworkWriter


def vgg_small(seed: int = 0, widths: tuple[int, int, int] = (128, 256, 512)) -> NetworkWriter:
    """Three stages of two 3x3 convolutions and a pool, then one linear layer; no bias anywhere."""
    net = NetworkWriter("vgg_small", (3, 32, 32), seed)
    for stage, channels in enumerate(widths, start=1):
        for layer in (1, 2):
            net.conv(f"conv{stage}_{layer}", channels, 3, pad=1, bias=False)
            net.relu()
        net.max_pool()
    net.dropout(0.5)
    net.linear("fc", 10, bias=False)
    return net


if __name__ == "__main__":
    vgg_small().save(Path(sys.argv[1]))
