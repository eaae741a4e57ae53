# requirements: brevitas==0.12.1 torch==2.8.0 onnx==1.23.2 onnxscript==0.7.2 numpy==1.26.4 onnxoptimizer==0.4.2
"""Brevitas's quantised networks, in its two forms: QCDQ of ONNX's own operators, and qonnx."""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from benchmarks.zoo.writers.files import UNIT, Folder, Samples

GREY = Samples((28, 28, 1), UNIT, channels_first=True)


def main() -> None:
    warnings.simplefilter("ignore")
    import brevitas.nn as qnn
    from brevitas.export import export_onnx_qcdq, export_qonnx
    from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerChannelFloat

    def mlp() -> nn.Module:
        return nn.Sequential(
            qnn.QuantIdentity(), nn.Flatten(),
            qnn.QuantLinear(784, 32, bias=True, weight_bit_width=8), qnn.QuantReLU(bit_width=8),
            qnn.QuantLinear(32, 10, bias=True, weight_bit_width=8),
        )  # fmt: skip

    def lenet() -> nn.Module:
        return nn.Sequential(
            qnn.QuantConv2d(1, 6, 5, padding=2, bias=True, weight_bit_width=8), qnn.QuantReLU(bit_width=8),
            nn.MaxPool2d(2),
            qnn.QuantConv2d(6, 16, 5, bias=True, weight_bit_width=4), qnn.QuantReLU(bit_width=4),
            nn.MaxPool2d(2), nn.Flatten(),
            qnn.QuantLinear(400, 84, bias=True, weight_bit_width=4), qnn.QuantReLU(bit_width=4),
            qnn.QuantLinear(84, 10, bias=True, weight_bit_width=8),
        )  # fmt: skip

    def per_channel() -> nn.Module:
        weight: dict[str, Any] = {"weight_quant": Int8WeightPerChannelFloat}
        return nn.Sequential(
            qnn.QuantConv2d(1, 8, 3, bias=True, **weight), nn.BatchNorm2d(8), qnn.QuantReLU(),
            qnn.QuantConv2d(8, 8, 3, stride=2, groups=8, bias=False, **weight), nn.BatchNorm2d(8),
            qnn.QuantIdentity(act_quant=Int8ActPerTensorFloat), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            qnn.QuantLinear(8, 10, bias=True, **weight),
        )  # fmt: skip

    folder = Folder("brevitas")
    forms: dict[str, Callable[..., Any]] = {"qcdq": export_onnx_qcdq, "qonnx": export_qonnx}
    for name, make in (("mlp", mlp), ("lenet", lenet), ("per_channel", per_channel)):
        for form, export in forms.items():

            def write(path: str, make: Callable[[], nn.Module] = make, export: Callable[..., Any] = export) -> None:
                torch.manual_seed(0)
                module = make()
                for _ in range(10):
                    module(torch.rand(16, 1, 28, 28))
                export(module.eval(), torch.rand(1, 1, 28, 28), path, dynamo=False)

            folder.write(write, name, form, GREY, "logits", quantised=True)


if __name__ == "__main__":
    main()
