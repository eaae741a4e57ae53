"""Whole training steps in the emulator end in the weights of the interpreter, in both orders of warps and blocks."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest

from nitic.driver import compile_model
from nitic.options import CompileOptions, Emit, Target
from tests.emulator.emulator import ORDERS, Device, Emulated, needs_compiler
from tests.networks import HYPERS, WRITERS, Interpreted, samples

BATCH, STEPS = 8, 2
CASES = [
    ("lenet", "niti16"),
    ("lenet", "niti"),
    ("vgg_narrow", "niti"),
    ("resnet8", "niti16"),
    ("mobile", "niti16"),
]


@dataclass(frozen=True)
class Compiled:
    """A network's kernels in the emulator, and its launch table."""

    table: dict[str, Any]
    kernels: Emulated


@cache
def compiled(name: str, recipe: str) -> Compiled:
    folder = Path(mkdtemp(prefix="nitic-emulator-"))
    WRITERS[name]().save(folder / "model.onnx")
    text = folder / "model.cu"
    options = CompileOptions(
        model=folder / "model.onnx",
        output=text,
        recipe=recipe,
        batch_size=BATCH,
        target=Target.CUDA,
        emit=Emit.CUDA,
    )
    compile_model(options)
    return Compiled(json.loads(text.with_suffix(".json").read_text()), Emulated(text.read_text(), folder))


@needs_compiler
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("name", "recipe"), CASES)
def test_weights_equal_those_of_the_interpreter(name: str, recipe: str, order: str) -> None:
    program, net = compiled(name, recipe), Interpreted(name, BATCH, recipe)
    device = Device(program.table, program.kernels, order)
    shape = tuple(device["input"].shape[1:])
    x, y = samples(shape, BATCH * STEPS)
    net.normalise(x)
    device.set(net.state)
    for step in range(STEPS):
        rows = slice(step * BATCH, (step + 1) * BATCH)
        outputs = net.step(x[rows], y[rows])
        device.set({**HYPERS, "input": x[rows], "label": y[rows], "step": step})
        device.run("train_step")
        for name_, value in {**outputs, **net.state}.items():
            np.testing.assert_array_equal(device[name_], value, name_)
