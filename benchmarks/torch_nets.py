"""The fp32 twins of the example networks in torch, starting from the weights of the ONNX file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    import onnx


def lenet(*, bias: bool = True) -> nn.Module:
    """LeNet-5 of models/lenet.py, for [N, 1, 28, 28]."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2, bias=bias), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5, bias=bias), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120, bias=bias), nn.ReLU(),
        nn.Linear(120, 84, bias=bias), nn.ReLU(),
        nn.Linear(84, 10, bias=bias),
    )  # fmt: skip


def vgg_small() -> nn.Module:
    """VGG-small-7 of models/vgg_small.py, for [N, 3, 32, 32]."""
    layers: list[nn.Module] = []
    channels = 3
    for width in (128, 256, 512):
        for _ in range(2):
            layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.5), nn.Linear(512 * 4 * 4, 10, bias=False))


class Residual(nn.Module):
    """A block of models/resnet8.py."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        body = [*conv_norm(channels, width, 3, stride), nn.ReLU(), *conv_norm(width, width, 3)]
        self.body = nn.Sequential(*body)
        self.short = nn.Sequential(*conv_norm(channels, width, 1, stride)) if channels != width else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.short(x))


def conv_norm(channels: int, width: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(channels, width, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(width)]


def resnet8() -> nn.Module:
    """ResNet-8 of models/resnet8.py, for [N, 3, 16, 16]."""
    blocks = [Residual(channels, width, stride) for channels, width, stride in ((16, 16, 1), (16, 32, 2), (32, 64, 2))]
    pool = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*conv_norm(3, 16, 3), nn.ReLU(), *blocks, *pool, nn.Linear(64, 10))


def resnet20() -> nn.Module:
    """ResNet-20 of He et al. (2016), section 4.2, with a projection where the shape changes, for [N, 3, 32, 32]."""
    layers: list[nn.Module] = [*conv_norm(3, 16, 3), nn.ReLU()]
    channels = 16
    for width in (16, 32, 64):
        for i in range(3):
            layers.append(Residual(channels, width, 2 if i == 0 and width > 16 else 1))
            channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def mobilenet_v2() -> nn.Module:
    """torchvision's MobileNetV2 of half width for [N, 3, 32, 32]: 16x16 after its first layer, 4x4 at the end."""
    from benchmarks.zoo.export_models import declare_operators

    declare_operators()
    from torchvision.models import MobileNetV2

    # Expansion, channels, repeats and stride, as in the paper's table 2 but for two strides of 1.
    blocks = [[1, 16, 1, 1], [6, 24, 2, 1], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 1], [6, 320, 1, 1]]
    return MobileNetV2(10, 0.5, blocks)


NETS: dict[str, Callable[..., nn.Module]] = {
    "lenet": lenet, "vgg_small": vgg_small, "resnet8": resnet8, "resnet20": resnet20, "mobilenet_v2": mobilenet_v2,
}  # fmt: skip


def load_initial_weights(net: nn.Module, model: onnx.ModelProto) -> None:
    """Copy the parameters of `model` into `net`; both list them in the order of the layers."""
    from onnx import numpy_helper

    trained = [tensor for tensor in model.graph.initializer if ".running_" not in tensor.name]
    tensors = [numpy_helper.to_array(tensor) for tensor in trained]
    values = [torch.tensor(value) for value in tensors if value.ndim > 0]
    parameters = list(net.parameters())
    with torch.no_grad():
        for parameter, value in zip(parameters, values, strict=True):
            if parameter.shape != value.shape:
                raise ValueError(f"parameter of shape {tuple(parameter.shape)} got {tuple(value.shape)}")
            parameter.copy_(value)


class Trainer:
    """SGD with momentum on the mean cross-entropy, one batch at a time."""

    def __init__(self, net: nn.Module, rate: float, momentum: float = 0.9) -> None:
        self.net = net
        self.loss = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=momentum)

    def set_rate(self, rate: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def step(self, x: Tensor, y: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        loss: Tensor = self.loss(self.net(x), y)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def accuracy(self, x: Tensor, y: Tensor) -> float:
        """Of the network in evaluation, in batches of 500."""
        self.net.eval()
        with torch.no_grad():
            hits = [int((self.net(a).argmax(1) == b).sum()) for a, b in zip(x.split(500), y.split(500), strict=True)]
        return sum(hits) / len(y)
