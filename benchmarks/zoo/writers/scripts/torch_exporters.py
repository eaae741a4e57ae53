# requirements: torch==2.13.0 onnx==1.23.2 onnxscript==0.7.2 numpy==2.4.6
"""PyTorch's two exporters, in the forms that tutorials and tools use."""

import copy
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import onnx
import onnxscript.optimizer
import torch
from torch import Tensor, nn

from benchmarks.zoo.writers.files import Folder
from benchmarks.zoo.writers.scripts.torch_networks import NETWORKS, example, moved

Writer = Callable[[nn.Module, Tensor, str], None]
NAMES: dict[str, Any] = {"input_names": ["input"], "output_names": ["output"]}
OPEN: dict[str, Any] = {**NAMES, "dynamic_axes": {"input": {0: "batch"}, "output": {0: "batch"}}}


def legacy(opset: int, **options: Any) -> Writer:
    def write(module: nn.Module, x: Tensor, path: str) -> None:
        torch.onnx.export(module, (x,), path, dynamo=False, opset_version=opset, **options)

    return write


def dynamo(opset: int | None = None, optimize: bool = True, external: bool = False) -> Writer:
    def write(module: nn.Module, x: Tensor, path: str) -> None:
        shapes = ({0: torch.export.Dim("batch")},)
        options: dict[str, Any] = {"dynamic_shapes": shapes, "optimize": optimize, "input_names": ["input"]}
        program = torch.onnx.export(module, (x,), dynamo=True, opset_version=opset, **options)
        assert program is not None
        program.save(path, external_data=external)

    return write


def optimised(module: nn.Module, x: Tensor, path: str) -> None:
    """By onnxscript's optimiser, as its users call it on a file of the older exporter."""
    legacy(17, **OPEN)(module, x, path)
    onnx.save(onnxscript.optimizer.optimize(onnx.load(path)), path)


class ChannelsLast(nn.Module):
    """Takes its samples with their channels last, as cameras and data sets have them."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x.movedim(-1, 1))


TRAINING = {"training": torch.onnx.TrainingMode.TRAINING, "do_constant_folding": False}
FORMS: dict[str, Writer] = {
    "legacy_training": legacy(17, **TRAINING, **OPEN),
    "legacy_opset13_unfolded": legacy(13, do_constant_folding=False, **NAMES),
    "legacy_folded": legacy(17, **OPEN),
    "dynamo": dynamo(),
    "dynamo_unoptimised_external": dynamo(optimize=False, external=True),
    "onnxscript_optimised": optimised,
    "dynamo_latest_nhwc": dynamo(opset=23),
}


def write_all(folder: Folder, name: str) -> None:
    torch.manual_seed(0)
    make, samples, head = NETWORKS[name]
    module = moved(make(), samples)
    for form, write in FORMS.items():
        taken = replace(samples, channels_first=False) if form.endswith("nhwc") else samples
        wrapped = ChannelsLast(module) if taken != samples else module
        count = 1 if "opset13" in form else 2
        x = example(taken, count)

        def export(path: str, write: Writer = write, module: nn.Module = wrapped, x: Tensor = x) -> None:
            write(copy.deepcopy(module), x, path)

        if not (form.endswith("nhwc") and taken == samples):
            folder.write(export, name, form, taken, head)


def main() -> None:
    warnings.simplefilter("ignore")
    folder = Folder("torch_exporters")
    for name in NETWORKS:
        write_all(folder, name)


if __name__ == "__main__":
    main()
