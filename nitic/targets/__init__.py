"""Every target, by the name that `--target` takes, and every variant, by its own.

A new target is a file of this folder with `TARGETS`, and its place in the list below.
"""

import platform
from pathlib import Path

from nitic.targets import arm, c99, cortex_m, cuda, riscv, wasm, x86
from nitic.targets.base import Target, Variant

NATIVE = "native"
"""Stands for the best target that this machine runs."""
TARGETS = {target.name: target for file in (x86, arm, riscv, wasm, cortex_m, c99, cuda) for target in file.TARGETS}
VARIANTS = {variant.name: variant for target in TARGETS.values() for variant in target.variants}


def names() -> list[str]:
    """What `--target` takes."""
    return [NATIVE, *TARGETS]


def find(name: str) -> Target:
    """A target by one of `names`. Raises KeyError."""
    return native() if name == NATIVE else TARGETS[name]


def native() -> Target:
    """The last of the targets whose best variant this machine runs: they stand in the order of their speed."""
    return [target for target in TARGETS.values() if runs_here(target.variants[0])][-1]


def cpu_flags() -> frozenset[str]:
    """What Linux says that this processor has; nothing, where it does not."""
    cpuinfo = Path("/proc/cpuinfo")
    return frozenset(cpuinfo.read_text().split()) if cpuinfo.exists() else frozenset()


def runs_here(variant: Variant) -> bool:
    """Whether this machine's processor has what a variant for CPUs needs."""
    machine = variant.machine
    return machine is not None and machine.architecture == platform.machine() and variant.flags <= cpu_flags()
