"""The compiler at a glance: the ordered list of passes, and how a list is spelt and run."""

import re
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Literal

from xdsl.dialects.builtin import ModuleOp

from nitic.errors import CompileError, ExitCode
from nitic.passes.base import NiticPass, option_value
from nitic.passes.frontend.canonicalise import Canonicalise
from nitic.passes.frontend.infer_shapes import InferShapes
from nitic.passes.integers.check_range import CheckRange
from nitic.passes.integers.eliminate_dead_code import EliminateDeadCode
from nitic.passes.integers.insert_calibration import InsertCalibration
from nitic.passes.integers.insert_rounding import InsertRounding
from nitic.passes.integers.track_exponents import TrackExponents
from nitic.passes.kernels.assign_layouts import AssignLayouts
from nitic.passes.kernels.fuse import Fuse
from nitic.passes.kernels.name_kernels import NameKernels
from nitic.passes.kernels.plan_memory import PlanMemory
from nitic.passes.kernels.recompute_pointwise import RecomputePointwise
from nitic.passes.kernels.schedule_calls import ScheduleCalls
from nitic.passes.kernels.select_kernels import SelectKernels
from nitic.passes.training.insert_backward import InsertBackward
from nitic.passes.training.insert_loss import InsertLoss
from nitic.passes.training.insert_update import InsertUpdate
from nitic.recipe import Recipe
from nitic.targets import VARIANTS

Watch = Callable[[NiticPass, ModuleOp, bool], None]
"""Told of each pass and the module, before (False) and after it (True)."""
Verify = Literal["each", "end", "never"]


def training_passes(recipe: Recipe, loss: str = "cross-entropy", statistics: str = "batch") -> list[NiticPass]:
    """From @predict in floats to every function in integers; the result means the same on every target."""
    return [
        Canonicalise(),
        InferShapes(),
        InsertLoss(loss, statistics),
        recipe.backward,
        recipe.update,
        recipe.rounding,
        InsertCalibration(),
        TrackExponents(),
        EliminateDeadCode(),
        CheckRange(),
    ]


def target_passes(variant: str) -> list[NiticPass]:
    """From integers to kernels and memory of one variant."""
    return [*shared_passes([variant]), *variant_passes(variant)]


def shared_passes(variants: Sequence[str]) -> list[NiticPass]:
    """Those of the target passes that do the same for every variant of a program; one for GPUs has no other variant."""
    speculate = int(any(VARIANTS[name].speculates for name in variants))
    return [RecomputePointwise(speculate), Fuse(speculate)]


def variant_passes(variant: str) -> list[NiticPass]:
    """The others."""
    return [SelectKernels(variant), AssignLayouts(variant), NameKernels(), ScheduleCalls(), PlanMemory()]


PASSES: dict[str, type[NiticPass]] = {
    each.name: each
    for each in (
        Canonicalise,
        InferShapes,
        InsertLoss,
        InsertBackward,
        InsertUpdate,
        InsertRounding,
        InsertCalibration,
        TrackExponents,
        EliminateDeadCode,
        CheckRange,
        RecomputePointwise,
        Fuse,
        SelectKernels,
        AssignLayouts,
        NameKernels,
        ScheduleCalls,
        PlanMemory,
    )
}


_SPEC = r"\s*([\w-]+)\s*(?:\{([^{}]*)\})?\s*"


def run_passes(
    module: ModuleOp, passes: Sequence[NiticPass], watch: Watch | None = None, verify: Verify = "each"
) -> None:
    """Transforms the module in place. Raises CompileError.

    The module is verified between all passes, or only behind the last one that changes more than attributes (which for
    a large network saves a third of the time), or never.
    """
    last = max((i for i, each in enumerate(passes) if not each.ANNOTATES), default=0)
    for i, each in enumerate(passes):
        if watch:
            watch(each, module, False)
        each.run(module, verify == "each" and i == 0, verify == "each" or (verify == "end" and i == last))
        if watch:
            watch(each, module, True)


def parse_passes(text: str) -> list[NiticPass]:
    """`insert-rounding{bits=7},track-exponents` as passes. Raises CompileError."""
    if text.strip() and not re.fullmatch(rf"{_SPEC}(?:,{_SPEC})*", text):
        raise _usage(f"cannot read '{text}'; write pass{{option=value}},pass")
    return [_make_pass(name, options) for name, options in re.findall(_SPEC, text)]


def _make_pass(name: str, options: str) -> NiticPass:
    if name not in PASSES:
        raise _usage(f"unknown pass '{name}'; the passes are {', '.join(PASSES)}")
    kind = PASSES[name]
    known = [field.name for field in fields(kind)]
    values: dict[str, int | str] = {}
    for option in filter(None, options.split(",")):
        key, _, value = (part.strip() for part in option.partition("="))
        if key not in known:
            raise _usage(f"pass '{name}' has no option '{key}'; it has {', '.join(known) or 'none'}")
        values[key] = option_value(kind, key, value)
    return kind(**values)


def _usage(message: str) -> CompileError:
    return CompileError("--passes", message, exit_code=ExitCode.USAGE)
