"""The README's stage dumps are what the compiler prints. NITIC_BLESS=1 writes them anew."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from xdsl.dialects.builtin import ModuleOp

from nitic.frontend.writer import NetworkWriter
from nitic.ir.function import function
from nitic.ir.text import print_module
from nitic.passes.base import NiticPass
from nitic.pipeline import target_passes, training_passes
from nitic.recipe import RECIPES
from tests.networks.stages import imported_from

README = Path(__file__).resolve().parents[2] / "README.md"
BEGIN, END = "<!-- stages: begin -->\n", "<!-- stages: end -->"
COMMENTS = {
    "canonicalise": "What the ONNX file said. `@predict` in 32-bit floats; weights `[out, in]`, activations NHWC.",
    "insert-loss": "`@train_step` is `@predict` with labels and a loss (so is `@eval_step`).",
    "insert-backward": "The gradient of every parameter, by each operator's own rule.",
    "insert-update": "Gradients become the parameters and velocities of the next step, by the recipe's rule.",
    "insert-rounding": "No floats from here on: int8 mantissas, int32 accumulators, the shift from one to the other. "
    "`bfp.exponent_of` stands for an exponent, whatever it is.",
    "track-exponents": "Exponents are int32 scalars computed beside the tensors; only those that somebody needs.",
    "fuse": "Each `nn.fused` becomes one kernel: the range of a result is computed where the result is.",
    "plan-memory": "Kernels have names, buffers offsets in an arena; an updated weight lies where the old one was.",
}


def network() -> NetworkWriter:
    """One linear layer without bias: 4 features, 3 classes."""
    net = NetworkWriter("tiny", (4,), 0)
    net.linear("fc", 3, bias=False)
    return net


def stages() -> Iterator[tuple[NiticPass, ModuleOp]]:
    module = imported_from(network(), 2).module
    for each in [*training_passes(RECIPES["niti16"]), *target_passes("portable")]:
        each.run(module)
        yield each, module


def dump(module: ModuleOp) -> str:
    """One function, without the names and roles of its arguments, which repeat what the values are called."""
    name = "train_step" if "@train_step" in print_module(module) else "predict"
    text = re.sub(r" \{nn\.name = [^}]*\}", "", print_module(ModuleOp([function(module, name).clone()])))
    return "\n".join(line.removeprefix("  ") for line in text.splitlines()[1:-1])


def section() -> str:
    parts: list[str] = []
    for each, module in stages():
        if each.name in COMMENTS:
            parts.append(f"**{each.name}.** {COMMENTS[each.name]}\n\n```mlir\n{dump(module)}\n```\n")
    return "\n".join(parts)


def test_stage_dumps_are_true() -> None:
    text = README.read_text()
    head, rest = text.split(BEGIN)
    shown, tail = rest.split(END)
    if os.environ.get("NITIC_BLESS"):
        README.write_text(head + BEGIN + section() + END + tail)
    else:
        assert shown == section(), "the dumps changed: NITIC_BLESS=1 writes them anew"
