"""The ordered list of passes, the parts of it that a compilation runs, and how a list is spelt and run."""

import re
from collections.abc import Callable, Sequence
from dataclasses import fields
from enum import Enum
from typing import Any, Literal

from xdsl.dialects.builtin import ModuleOp

from nitic.errors import CompileError, ExitCode
from nitic.passes.base import QUOTED, NiticPass, option_value, unquoted
from nitic.passes.frontend.fold_batch_norm import FoldBatchNorm
from nitic.passes.frontend.freeze import Freeze
from nitic.passes.integers.check_range import CheckRange
from nitic.passes.integers.eliminate_dead_code import EliminateDeadCode
from nitic.passes.integers.insert_rounding import InsertRounding
from nitic.passes.integers.track_exponents import TrackExponents
from nitic.passes.kernels.assign_layouts import AssignLayouts
from nitic.passes.kernels.fuse import Fuse
from nitic.passes.kernels.name_kernels import NameKernels
from nitic.passes.kernels.plan_memory import PlanMemory
from nitic.passes.kernels.recompute_pointwise import RecomputePointwise
from nitic.passes.kernels.schedule_calls import ScheduleCalls
from nitic.passes.kernels.select_kernels import SelectKernels
from nitic.passes.training.canonicalise import Canonicalise
from nitic.passes.training.infer_shapes import InferShapes
from nitic.passes.training.insert_backward import InsertBackward
from nitic.passes.training.insert_calibration import InsertCalibration
from nitic.passes.training.insert_loss import InsertLoss
from nitic.passes.training.insert_update import InsertUpdate
from nitic.passes.training.join_slices import JoinSlices
from nitic.recipe import Recipe
from nitic.targets import VARIANTS

Watch = Callable[[NiticPass, ModuleOp, bool], None]
"""Called with each pass and the module: before the pass with False, after it with True."""
Verify = Literal["each", "end", "never"]


class Stage(Enum):
    """What the passes of a compilation have in common, in order."""

    FRONTEND = "on @predict in floats, where options ask for it; after them the values of the parameters are read"
    TRAINING = "from @predict in floats to a whole training step in floats"
    INTEGERS = "from floats to integers; what is left is the program: it means the same on every target"
    KERNELS = "from operators to kernels, in the same way for every variant of a program"
    VARIANT = "calls and memory of one variant"


ORDER: Sequence[tuple[type[NiticPass], Stage, str]] = (
    (FoldBatchNorm, Stage.FRONTEND, "before freeze: a parameter that it takes away can no longer be frozen"),
    (Freeze, Stage.FRONTEND, "before @predict is copied, and before anything asks what is trained"),
    (Canonicalise, Stage.TRAINING, "first: every later pass has fewer operators to look at"),
    (InferShapes, Stage.TRAINING, "before any pass reads the type of a result"),
    (InsertLoss, Stage.TRAINING, "makes @train_step and @eval_step, and the loss that the backward pass starts from"),
    (InsertBackward, Stage.TRAINING, "from the loss back; on floats, which the gradient rules are written for"),
    (
        JoinSlices,
        Stage.TRAINING,
        "behind insert-backward, which adds up the errors of slices",
    ),
    (InsertUpdate, Stage.TRAINING, "takes the gradients, and says which parameters are int16 masters"),
    (InsertCalibration, Stage.TRAINING, "copies @predict in floats: rounding makes of it what takes ranges"),
    (InsertRounding, Stage.INTEGERS, "once forward, backward and update are there: it rounds in all three"),
    (TrackExponents, Stage.INTEGERS, "once no pass asks for a further exponent"),
    (EliminateDeadCode, Stage.INTEGERS, "removes what the passes before have left without a reader"),
    (CheckRange, Stage.INTEGERS, "last of the program: proves the accumulators that are left, and widens some"),
    (RecomputePointwise, Stage.KERNELS, "before fuse, which puts each copy into the kernel of its reader"),
    (Fuse, Stage.KERNELS, "before layouts: only what passes between kernels lies in memory"),
    (SelectKernels, Stage.VARIANT, "before layouts, which belong to templates"),
    (AssignLayouts, Stage.VARIANT, "before kernels are named: a layout is part of what a kernel means"),
    (NameKernels, Stage.VARIANT, "once groups no longer change: equal ones share a kernel"),
    (ScheduleCalls, Stage.VARIANT, "once every call is there, packing included"),
    (PlanMemory, Stage.VARIANT, "last: which buffers live at the same time follows from the phases"),
)
"""The compiler at a glance: every pass, its stage, and why it stands there."""

PASSES: dict[str, type[NiticPass]] = {kind.name: kind for kind, _, _ in ORDER}


def _passes_of(stage: Stage, *chosen: NiticPass) -> list[NiticPass]:
    """The passes of a stage in order: the chosen ones with their options, the others as they are by default."""
    options = {type(each): each for each in chosen}
    return [options.get(kind) or kind() for kind, each, _ in ORDER if each == stage]


def frontend_passes(fold_batch_norm: bool = False, frozen: Sequence[str] = ()) -> list[NiticPass]:
    """What options ask of the imported @predict; `frozen` are globs of parameters."""
    asked: dict[type[NiticPass], bool] = {FoldBatchNorm: fold_batch_norm, Freeze: bool(frozen)}
    return [each for each in _passes_of(Stage.FRONTEND, Freeze(tuple(frozen))) if asked[type(each)]]


def training_passes(recipe: Recipe, loss: str = "cross-entropy", statistics: str = "batch") -> list[NiticPass]:
    """From @predict in floats to every function in integers; the result means the same on every target."""
    training = _passes_of(Stage.TRAINING, InsertLoss(loss, statistics), recipe.backward, recipe.update)
    return [*training, *_passes_of(Stage.INTEGERS, recipe.rounding)]


def target_passes(variant: str) -> list[NiticPass]:
    """From integers to kernels and memory of one variant."""
    return [*shared_passes([variant]), *variant_passes(variant)]


def shared_passes(variants: Sequence[str]) -> list[NiticPass]:
    """The target passes that do the same for every variant of a program; one for GPUs has no other variant."""
    speculate = int(any(VARIANTS[name].speculates for name in variants))
    most = min((bytes_ for name in variants if (bytes_ := VARIANTS[name].accumulator_bytes) is not None), default=None)
    frugal = int(most is not None)
    return _passes_of(Stage.KERNELS, RecomputePointwise(speculate, most or 0), Fuse(speculate, frugal))


def variant_passes(variant: str) -> list[NiticPass]:
    """The target passes that differ between the variants of a program: layouts, kernels, calls, memory."""
    return _passes_of(Stage.VARIANT, SelectKernels(variant), AssignLayouts(variant), PlanMemory(variant))


_SPEC = rf'\s*([\w-]+)\s*(?:\{{((?:[^{{}}"]|{QUOTED})*)\}})?\s*'
_OPTION = rf'(?:[^,"]|{QUOTED})+'


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
    """`insert-rounding{bits=7},track-exponents` as passes. Raises CompileError.

    A value that holds a comma, a brace or a quotation mark stands in quotes, with a backslash before each quotation
    mark and backslash. An option of several values is repeated: `freeze{parameters=conv*,parameters="a,b"}`.
    """
    if text.strip() and not re.fullmatch(rf"{_SPEC}(?:,{_SPEC})*", text):
        raise _usage(f"cannot read '{text}'; write pass{{option=value}},pass")
    return [_make_pass(name, options) for name, options in re.findall(_SPEC, text)]


def _make_pass(name: str, options: str) -> NiticPass:
    if name not in PASSES:
        raise _usage(f"unknown pass '{name}'; the passes are {', '.join(PASSES)}")
    kind = PASSES[name]
    types = {field.name: field.type for field in fields(kind)}
    values: dict[str, Any] = {}
    for option in filter(None, re.findall(_OPTION, options)):
        key, _, text = (part.strip() for part in option.partition("="))
        if key not in types:
            raise _usage(f"pass '{name}' has no option '{key}'; it has {', '.join(types) or 'none'}")
        value = option_value(kind, key, unquoted(text))
        values[key] = (*values.get(key, ()), value) if types[key] == tuple[str, ...] else value
    return kind(**values)


def _usage(message: str) -> CompileError:
    return CompileError("--passes", message, exit_code=ExitCode.USAGE)
