"""The fp32 twins of the example networks in torch, starting from the weights of the ONNX file."""

from collections.abc import Callable

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn


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


NETS: dict[str, Callable[..., nn.Module]] = {"lenet": lenet, "vgg_small": vgg_small}


def load_initial_weights(net: nn.Module, model: onnx.ModelProto) -> None:
    """Copy the parameters of `model` into `net`; both list them in the order of the layers."""
    tensors = [numpy_helper.to_array(tensor) for tensor in model.graph.initializer]
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
