"""A program's functions in the emulator give what they give in the interpreter, in both orders of warps and blocks."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest

from nitic.arithmetic.integers import Array
from nitic.driver.compile import compile_model
from nitic.options import CompileOptions, Emit
from tests.emulator.emulator import ORDERS, Device, Emulated, needs_compiler
from tests.networks.stages import HYPERS, WRITERS, Interpreted, samples

BATCH, STEPS = 16, 2  # as many images as a contraction needs to write both layouts
WRONG = -1000
CASES = [
    ("lenet", "niti16"),
    ("lenet", "niti"),
    ("vgg_narrow", "niti"),
    ("resnet8", "niti16"),
    ("mobile", "niti16"),
    ("resnext", "niti16"),
    ("alexnet", "niti16"),
    ("quotients", "niti16"),
    ("digits_cnn", "niti16{rule=iadam}"),
    ("digits_cnn", "niti16{rule=ilion}"),
    ("norms", "niti16"),
    ("attention", "niti16"),
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
        target="cuda",
        emit=Emit.CUDA,
    )
    compile_model(options)
    return Compiled(json.loads(text.with_suffix(".json").read_text()), Emulated(text.read_text(), folder))


@needs_compiler
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("name", "recipe"), CASES)
def test_a_program_equals_the_interpreter(name: str, recipe: str, order: str) -> None:
    """Whether shifts are guessed for the first time, from the step before, rightly, or all of them wrongly."""
    program, net = compiled(name, recipe), Interpreted(name, BATCH, recipe)
    device = Device(program.table, program.kernels, order)
    shape = tuple(device["input"].shape[1:])
    x, y = samples(shape, BATCH * STEPS)
    net.normalise(x)
    tensors: dict[str, Array | int] = {}
    after: dict[str, Array] = {}
    for step in range(STEPS):
        rows, before = slice(step * BATCH, (step + 1) * BATCH), dict(net.state)
        after = {**net.step(x[rows], y[rows]), **net.state}
        tensors = {**HYPERS, **before, "input": x[rows], "label": y[rows], "step": step}
        check("train_step", device, tensors, after)
    right = device.guesses.copy()
    check("train_step", device, tensors, after)
    np.testing.assert_array_equal(device.guesses, right)
    device.guesses[::2] += 1
    device.guesses[1::2] = WRONG
    check("train_step", device, tensors, after)
    used = right != 0
    np.testing.assert_array_equal(device.guesses[used], right[used])
    first = {"input": x[:BATCH], "label": y[:BATCH]}
    for function in ("eval_step", "predict", "calibrate"):
        check(function, device, {**tensors, **net.state, **first}, net.run(function, *first.values()))


def check(function: str, device: Device, tensors: Mapping[str, Array | int], after: Mapping[str, Array]) -> None:
    device.set(tensors)
    device.run(function)
    for name, value in after.items():
        np.testing.assert_array_equal(device[name], value, name)
