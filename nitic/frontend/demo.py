"""The network of `nitic demo`: a small CNN for scikit-learn's 8x8 digits."""

from nitic.frontend.writer import NetworkWriter


def digits_cnn(seed: int = 0) -> NetworkWriter:
    """conv 16, conv 32, pool, linear 10: 10,000 parameters, input [N, 1, 8, 8]."""
    net = NetworkWriter("digits_cnn", (1, 8, 8), seed)
    net.conv("conv1", 16, 3, pad=1)
    net.relu()
    net.conv("conv2", 32, 3, pad=1)
    net.relu()
    net.max_pool()
    net.linear("fc", 10)
    return net
