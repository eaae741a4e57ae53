# requirements: paddlepaddle==3.3.1 paddle2onnx==2.1.0 numpy==2.4.6 packaging==26.4
"""Paddle's layers, by paddle2onnx."""

from collections.abc import Callable
from typing import Any

import paddle
from paddle import nn

from benchmarks.zoo.writers.files import AROUND_0, UNIT, Folder, Samples

GREY = Samples((28, 28, 1), UNIT, channels_first=True)
COLOUR = Samples((32, 32, 3), **AROUND_0, channels_first=True)


def mlp() -> Any:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 10))


def lenet() -> Any:
    return nn.Sequential(
        nn.Conv2D(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2D(2), nn.Conv2D(6, 16, 5), nn.ReLU(), nn.AvgPool2D(2),
        nn.Flatten(), nn.Linear(400, 84), nn.Sigmoid(), nn.Linear(84, 10), nn.Softmax(),
    )  # fmt: skip


class Block(nn.Layer):
    """A residual block."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2D(width, width, 3, padding=1, bias_attr=False), nn.BatchNorm2D(width)
        self.conv2, self.bn2 = nn.Conv2D(width, width, 3, padding=1, bias_attr=False), nn.BatchNorm2D(width)

    def forward(self, x: Any) -> Any:
        return nn.functional.relu(x + self.bn2(self.conv2(nn.functional.relu(self.bn1(self.conv1(x))))))


def resnet() -> Any:
    stem = nn.Conv2D(3, 8, 3, stride=2, padding=1, bias_attr=False), nn.BatchNorm2D(8), nn.ReLU()
    return nn.Sequential(*stem, Block(8), nn.AdaptiveAvgPool2D(1), nn.Flatten(), nn.Linear(8, 10))


def mobilenet() -> Any:
    return nn.Sequential(
        nn.Conv2D(3, 16, 3, stride=2, padding=1, bias_attr=False), nn.BatchNorm2D(16), nn.ReLU6(),
        nn.Conv2D(16, 16, 3, padding=1, groups=16, bias_attr=False), nn.BatchNorm2D(16), nn.Hardswish(),
        nn.Conv2D(16, 24, 1), nn.AdaptiveAvgPool2D(1), nn.Flatten(), nn.Linear(24, 10),
    )  # fmt: skip


class Recurrent(nn.Layer):
    """Classifies by the last step."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(16, 12), nn.Linear(12, 10)

    def forward(self, x: Any) -> Any:
        return self.head(self.lstm(x)[0][:, -1])


def main() -> None:
    folder = Folder("paddle2onnx")
    networks: dict[str, tuple[Callable[[], Any], Samples, str]] = {
        "mlp": (mlp, GREY, "logits"),
        "lenet": (lenet, GREY, "softmax"),
        "resnet": (resnet, COLOUR, "logits"),
        "mobilenet": (mobilenet, COLOUR, "logits"),
        "lstm": (Recurrent, Samples((12, 16), UNIT), "logits"),
    }
    for name, (make, samples, head) in networks.items():
        for opset in (11, 17):

            def export(
                path: str, make: Callable[[], Any] = make, samples: Samples = samples, opset: int = opset
            ) -> None:
                paddle.seed(0)
                shape = [samples.shape[-1], *samples.shape[:-1]] if samples.channels_first else [*samples.shape]
                layer = make()
                for _ in range(5):
                    layer(paddle.randn([16, *shape]))
                layer.eval()
                spec = [paddle.static.InputSpec([None, *shape], "float32", "x")]
                paddle.onnx.export(layer, path.removesuffix(".onnx"), input_spec=spec, opset_version=opset)

            folder.write(export, name, f"opset{opset}", samples, head)


if __name__ == "__main__":
    main()
