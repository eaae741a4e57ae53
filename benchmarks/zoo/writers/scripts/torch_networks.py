"""Small networks as users of PyTorch write them, and what they take; for the scripts whose writers read modules."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.zoo.writers.files import AROUND_0, UNIT, Samples


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10))


class MnistCnn(nn.Module):
    """PyTorch's own MNIST example, narrower."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 8, 3, 1), nn.Conv2d(8, 16, 3, 1)
        self.dropout1, self.dropout2 = nn.Dropout(0.25), nn.Dropout(0.5)
        self.fc1, self.fc2 = nn.Linear(2304, 32), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.conv2(torch.relu(self.conv1(x))))
        x = self.dropout1(torch.max_pool2d(x, 2))
        x = self.dropout2(torch.relu(self.fc1(torch.flatten(x, 1))))
        return torch.log_softmax(self.fc2(x), dim=1)


def lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
    )  # fmt: skip


class Block(nn.Module):
    """A residual block with batch norms."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.short = nn.Sequential()
        if channels != width:
            self.short = nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))) + self.short(x))


def resnet() -> nn.Module:
    stem = nn.Conv2d(3, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU()
    blocks = Block(8, 8, 1), Block(8, 16, 2), Block(16, 32, 2)
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))


class Bottleneck(nn.Module):
    """MobileNetV2's block."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        wide = 4 * channels
        self.body = nn.Sequential(
            nn.Conv2d(channels, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6(),
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.ReLU6(),
            nn.Conv2d(wide, width, 1, bias=False), nn.BatchNorm2d(width),
        )  # fmt: skip
        self.is_residual = stride == 1 and channels == width

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.is_residual else self.body(x)


def mobilenet() -> nn.Module:
    stem = nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Hardswish()
    blocks = Bottleneck(8, 8, 1), Bottleneck(8, 16, 2)
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(16, 10))


class Recurrent(nn.Module):
    """Classifies by the last step of a recurrent layer."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer, self.head = layer, nn.Linear(24, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x)[0][:, -1])


def lstm() -> nn.Module:
    return Recurrent(nn.LSTM(16, 24, batch_first=True))


def gru() -> nn.Module:
    return Recurrent(nn.GRU(16, 12, num_layers=1, batch_first=True, bidirectional=True))


def conv1d() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(3, 8, 7, padding=3), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(8, 16, 5), nn.BatchNorm1d(16), nn.ReLU(), nn.AdaptiveAvgPool1d(1),
        nn.Flatten(), nn.Linear(16, 10),
    )  # fmt: skip


GREY = Samples((28, 28, 1), UNIT, channels_first=True)
COLOUR = Samples((32, 32, 3), **AROUND_0, channels_first=True)
NETWORKS: dict[str, tuple[Callable[[], nn.Module], Samples, str]] = {
    "mlp": (mlp, GREY, "logits"),
    "mnist_cnn": (MnistCnn, GREY, "log_softmax"),
    "lenet": (lenet, GREY, "logits"),
    "resnet": (resnet, COLOUR, "logits"),
    "mobilenet": (mobilenet, COLOUR, "logits"),
    "lstm": (lstm, Samples((12, 16), UNIT), "logits"),
    "gru": (gru, Samples((12, 16), UNIT), "logits"),
    "conv1d": (conv1d, Samples((64, 3), **AROUND_0, channels_first=True), "logits"),
}


def example(samples: Samples, count: int = 2) -> Tensor:
    """Inputs of noise in the module's order of axes."""
    shape = (samples.shape[-1], *samples.shape[:-1]) if samples.channels_first else samples.shape
    return torch.randn(count, *shape)


def moved(module: nn.Module, samples: Samples) -> nn.Module:
    """With running statistics, factors and offsets of batch norms that are none of a new network."""
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                assert layer.weight is not None
                layer.weight.uniform_(0.5, 1.5)
                layer.bias.normal_(0, 0.1)
        module.train()
        for _ in range(20):
            module(example(samples, 16))
    return module.eval()
