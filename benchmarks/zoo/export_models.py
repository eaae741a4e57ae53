"""Writes the models of measure.py: torchvision's and timm's definitions, random weights, both exporters.

    python -m benchmarks.zoo.export_models --out build/models resnet18-torchvision-legacy-224 ...

A file is LIBRARY's network NET written by EXPORTER for images of SIZE: NET-LIBRARY-EXPORTER-SIZE.onnx. It needs torch,
onnxscript, and the two libraries, whose compiled parts and downloads are not used:

    pip install onnxscript huggingface_hub safetensors pyyaml && pip install --no-deps torchvision timm
"""

import argparse
import contextlib
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

LIBRARIES, EXPORTERS = ("torchvision", "timm"), ("legacy", "dynamo")
# What each library calls a network; torchvision has no EfficientNet-lite and its smallest RegNetX is 400MF.
NAMES = {
    "resnet18": ("resnet18", "resnet18"),
    "resnet50": ("resnet50", "resnet50"),
    "vgg11_bn": ("vgg11_bn", "vgg11_bn"),
    "mobilenet_v2": ("mobilenet_v2", "mobilenetv2_100"),
    "mobilenet_v3_small": ("mobilenet_v3_small", "mobilenetv3_small_100"),
    "efficientnet_lite0": (None, "efficientnet_lite0"),
    "regnet_x": ("regnet_x_400mf", "regnetx_002"),
    "densenet121": ("densenet121", "densenet121"),
    "squeezenet": ("squeezenet1_1", None),
}


@dataclass(frozen=True)
class Export:
    """One file."""

    net: str
    library: str
    exporter: str
    size: int

    @property
    def name(self) -> str:
        return f"{self.net}-{self.library}-{self.exporter}-{self.size}"

    @classmethod
    def parse(cls, name: str) -> "Export":
        net, library, exporter, size = name.rsplit("-", 3)
        return cls(net, library, exporter, int(size))

    def write(self, folder: Path) -> Path:
        """Exports the network, unless the file is there."""
        path = folder / f"{self.name}.onnx"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            torch.manual_seed(0)
            x = torch.randn(2, 3, self.size, self.size)
            with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
                warnings.simplefilter("ignore")
                {"legacy": legacy, "dynamo": dynamo}[self.exporter](network(self.library, self.net), x, path)
        return path


def exports(size: int) -> list[Export]:
    """Every network of each library that has it, by both exporters."""
    return [
        Export(net, library, exporter, size)
        for net, names in NAMES.items()
        for library, name in zip(LIBRARIES, names, strict=True)
        if name is not None
        for exporter in EXPORTERS
    ]


def network(library: str, net: str) -> nn.Module:
    name = NAMES[net][LIBRARIES.index(library)]
    assert name is not None, f"{library} has no {net}"
    return {"torchvision": torchvision_network, "timm": timm_network}[library](name)


def torchvision_network(name: str) -> nn.Module:
    declare_operators()
    from torchvision import models

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return models.get_model(name, weights=None)


def declare_operators() -> None:
    """What torchvision expects of its compiled part at import, which goes with another build of torch."""
    if not hasattr(torch.ops.torchvision, "nms"):
        library = torch.library.Library("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _kept.append(library)


_kept: list[Any] = []  # an operator lives as long as its library


def timm_network(name: str) -> nn.Module:
    declare_operators()
    import timm

    return timm.create_model(name, pretrained=False, exportable=True)


def legacy(net: nn.Module, x: torch.Tensor, path: Path) -> None:
    """In training form: batch norm and dropout stay."""
    torch.onnx.export(
        net,
        (x,),
        path,
        dynamo=False,
        training=torch.onnx.TrainingMode.TRAINING,
        do_constant_folding=False,
        opset_version=17,
        input_names=["input"],
        output_names=["output"],
        dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}},
    )


def dynamo(net: nn.Module, x: torch.Tensor, path: Path) -> None:
    """In inference form, without the optimiser, which would fold batch norm into the convolutions."""
    shapes = ({0: torch.export.Dim("batch")},)
    program = torch.onnx.export(
        net.eval(), (x,), dynamo=True, dynamic_shapes=shapes, optimize=False, input_names=["input"]
    )
    assert program is not None
    program.save(path, external_data=False)


WRITERS: dict[str, Callable[[nn.Module, torch.Tensor, Path], None]] = {"legacy": legacy, "dynamo": dynamo}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="NET-LIBRARY-EXPORTER-SIZE; all of them at --size without")
    parser.add_argument("--out", type=Path, default=Path("build/models"))
    parser.add_argument("--size", type=int, default=224)
    options = parser.parse_args()
    for export in [Export.parse(name) for name in options.names] or exports(options.size):
        print(export.write(options.out), flush=True)


if __name__ == "__main__":
    main()
