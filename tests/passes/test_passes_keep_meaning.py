"""From track-exponents on, no pass changes what the interpreter computes: outputs, state and metrics, bit for bit."""

from collections.abc import Iterable, Mapping

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from nitic.arithmetic import integers, moments, updates
from nitic.arithmetic.integers import Array
from nitic.driver.build import parse_recipe
from nitic.interpret import run_function
from nitic.ir.function import Label, arguments, functions
from nitic.ir.types import is_tensor, shape_of
from nitic.ops.bfp import RangeOp
from nitic.ops.fused import FusedOp, YieldOp
from nitic.passes.base import NiticPass
from nitic.passes.integers.insert_rounding import InsertRounding
from nitic.passes.kernels.assign_layouts import VARIANTS
from nitic.pipeline import run_passes, target_passes, training_passes
from tests.networks.stages import HYPERS, imported

FUNCTIONS = ("train_step", "eval_step", "predict", "calibrate")
EXTREME_HYPERS = {
    "rate_m": 255,
    "rate_k": -4,
    "momentum": 255,
    "decay": 1,
    "gb": 7,
    "lr_m": 255,
    "lr_k": -4,
    "shrink": 2**24,
    "seed": -1,
    "step": 2**31 - 1,
}
OPTIONS = (
    "niti16{bits=6}",
    "niti16{rule=plain,round=nearest,activations=pseudo_stochastic}",
    "niti16{activations=stochastic,errors=stochastic}",
    "niti16{activations=dithered,errors=dithered}",
    "niti{bits=2,errors=pseudo_stochastic}",
    "niti16{rule=iadam}",
    "niti16{rule=ilion}",
)
Results = dict[str, dict[str, Array]]
Inputs = Mapping[str, Array | int]


def inputs_of(module: ModuleOp, seed: int, *, extreme: bool) -> Inputs:
    """A value for every argument; with `extreme`, the ends of what its type and role allow."""
    rng = np.random.default_rng(seed)
    found: dict[str, Array | int] = dict(EXTREME_HYPERS if extreme else {**HYPERS, "step": 7})
    for func in functions(module):
        for label, arg in arguments(func):
            if label.name not in found:
                shape = shape_of(arg) if is_tensor(arg) else ()
                low, high = bounds(label)
                drawn = rng.choice([low, high], shape) if extreme else rng.integers(low, high, shape, endpoint=True)
                found[label.name] = np.asarray(drawn)
    return found


def bounds(label: Label) -> tuple[int, int]:
    """The least and the greatest value of an argument."""
    if label.role == "input":
        return 0, 255
    if label.role == "label":
        return -1, 9
    limit = {
        "weight": integers.INT8_LIMIT,
        "master": integers.INT16_LIMIT,
        "velocity": updates.VELOCITY_LIMIT,
        "first_moment": moments.ADAM_FIRST.limit,
        "second_moment": moments.ADAM_SECOND.limit,
        "exponent": 25,
        "statistic": 30 << 8 if label.name.endswith(".top") else 2**24,
    }[label.role]
    return 0 if label.role == "second_moment" else -limit, limit


def results_of(module: ModuleOp, inputs: Inputs) -> Results:
    return {func.sym_name.data: run_function(func, inputs) for func in functions(module)}


def assert_same(found: Results, expected: Results, stage: str) -> None:
    for name, results in expected.items():
        assert list(found[name]) == list(results), f"{stage}: @{name}"
        for key, value in results.items():
            np.testing.assert_array_equal(found[name][key], value, f"{stage}: {key} of @{name}")


def assert_ranges_end_kernels(module: ModuleOp) -> None:
    """A kernel that reads a range is not the one that makes it."""
    for op in module.walk():
        if isinstance(op, RangeOp) and isinstance(op.parent_op(), FusedOp):
            assert all(isinstance(use.operation, YieldOp) for use in op.r.uses)


def check(network: str, recipe: str, variants: Iterable[str] = VARIANTS) -> None:
    """Runs the whole pipeline, and every function after each pass."""
    module = imported(network, 2).module
    passes = training_passes(parse_recipe(recipe))
    start = [each.name for each in passes].index(InsertRounding.name) + 1
    run_passes(module, passes[:start])
    assert {func.sym_name.data for func in functions(module)} == set(FUNCTIONS)
    cases = [inputs_of(module, seed, extreme=extreme) for seed, extreme in ((0, False), (1, True))]
    expected = [results_of(module, inputs) for inputs in cases]
    assert any(not np.array_equal(expected[0]["train_step"][key], cases[0][key]) for key in cases[0] if "weight" in key)

    def compare(each: NiticPass, module: ModuleOp, done: bool) -> None:
        for inputs, results in zip(cases, expected, strict=True) if done else ():
            assert_same(results_of(module, inputs), results, each.spec())

    run_passes(module, passes[start:], compare)
    for variant in variants:
        compiled = module.clone()
        run_passes(compiled, target_passes(variant), compare)
        if variant != "cuda":  # where kernels guess, and see afterwards whether they were right
            assert_ranges_end_kernels(compiled)


@pytest.mark.parametrize(
    ("network", "recipe"),
    [*((name, "niti16") for name in ("mlp", "digits_cnn", "lenet", "mobile")), ("mobile", "niti")],
)
def test_every_pass_keeps_the_meaning(network: str, recipe: str) -> None:
    check(network, recipe)


@pytest.mark.parametrize("recipe", OPTIONS)
def test_every_pass_keeps_the_meaning_of_options(recipe: str) -> None:
    check("digits_cnn", recipe, ["avx512vnni"])
