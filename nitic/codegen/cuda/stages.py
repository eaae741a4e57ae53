"""What a GPU runs for a group: one kernel, or several of the same parameters, one behind the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from nitic.codegen.core.group import Emission, Group, Registry, Split, Template
from nitic.codegen.core.kernel import Kernel, Scratch
from nitic.codegen.cuda.function import MOST_BLOCKS, CudaFunction
from nitic.codegen.cuda.speculation import Speculation, guessed_shifts
from nitic.errors import CompileError
from nitic.ops.bfp import ShiftOp

SUMS = "sums"


@dataclass(frozen=True)
class Stages:
    """The emitters of a group's kernels, by the suffix of the kernel's name; each gives its units of work."""

    emit: Mapping[str, Callable[[CudaFunction], int]]
    scratch: Mapping[str, Scratch] = field(default_factory=dict[str, Scratch])


def emit(group: Group, name: str, registry: Registry) -> Kernel:
    """The last kernel of a group, with those before it. Raises CompileError."""
    stages = stages_of(group, registry)
    parameters = {**group.parameters(), **{name: scratch.dtype for name, scratch in stages.scratch.items()}}
    made: list[Kernel] = []
    for suffix, each in stages.emit.items():
        with CudaFunction(name + suffix, parameters) as function:
            units = each(function)
        kernel = function.kernel(units)
        if kernel.launch and kernel.launch.blocks > MOST_BLOCKS:  # the number of a thread would not be an int32
            raise CompileError(name, f"{kernel.launch.blocks} blocks are beyond {MOST_BLOCKS}: use a smaller batch")
        made.append(kernel)
    return replace(made[-1], scratch=stages.scratch, before=tuple(made[:-1]))


def stages_of(group: Group, registry: Registry) -> Stages:
    anchor = group.op.anchor
    if anchor and (split := registry.template_of(group.op).split(anchor)):
        return _split(group, registry, split)
    if shifts := guessed_shifts(group):
        return _speculation(group, registry, shifts)
    return Stages({"": lambda f: Emission(group, f, registry).emit()})


def _split(group: Group, registry: Registry, split: Split) -> Stages:
    """The two kernels of a split; the first one alone where nothing is behind the sums."""
    yielded = split.result is not None and split.result in group.op.yielded
    memory = group.names()[split.result] if yielded else SUMS

    def add(f: CudaFunction) -> int:
        f.zeroed = (memory,)
        return split.add(Emission(group, f, registry), f[memory])

    def finish(f: CudaFunction) -> int:
        last = Template(lambda emission, _: split.finish(emission, f[memory]))
        templates = {**registry.templates, group.op.made_by: last}
        return Emission(group, f, replace(registry, templates=templates)).emit()

    if yielded and group.op.members == [group.op.anchor]:
        return Stages({"": add})
    return Stages({"_parts": add, "": finish}, {} if yielded else {SUMS: Scratch(split.dtype, split.size)})


def _speculation(group: Group, registry: Registry, shifts: Sequence[ShiftOp]) -> Stages:
    kernels = [Speculation(group, registry, shifts, known) for known in range(len(shifts) + 1)]
    suffixes = ("_guess", *(f"_{known}" for known in range(1, len(shifts))), "")
    scratch = {name: each for kernel in kernels for name, each in kernel.scratch().items()}
    return Stages({suffix: kernel.emit for suffix, kernel in zip(suffixes, kernels, strict=True)}, scratch)
