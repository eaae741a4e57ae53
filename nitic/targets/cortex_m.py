"""ARM's microcontrollers without an FPU: a library for firmware, on one thread and in memory of the caller."""

from nitic.ir.buffers import Memory
from nitic.paths import BARE
from nitic.targets.base import Machine, Platform, Target, Variant
from nitic.targets.common import COMMON

MOST = 8192  # bytes of an accumulator that is stored, not computed twice
SMALL = Memory(alignment=8, slack=0, threads=1, frozen_apart=True)
NO_FLOATS = ("+soft-float", "-fpregs")  # not even registers, which copies of memory would use


def _target(name: str, triple: str) -> Target:
    """A core by the name that LLVM and gcc have for it; zig writes another.

    No operand is packed, which would take its size in memory again.
    """
    variant = Variant(
        name.replace("-", ""),
        COMMON,
        Machine(triple, name, NO_FLOATS, vector_bits=128),
        lanes=1,
        memory=SMALL,
        accumulator_bytes=MOST,
    )
    zig = name.replace("-", "_")
    flags = (f"-mcpu={zig}+soft_float", "-Os", "-fno-PIC", "-ffreestanding")
    platform = Platform(zig="thumb-freestanding-eabi", system=BARE, flags=flags, link=(), suffix=f"-{name}")
    return Target(name, (variant,), device=BARE, platform=platform)


TARGETS = (
    _target("cortex-m4", "thumbv7em-unknown-none-eabi"),
    _target("cortex-m33", "thumbv8m.main-unknown-none-eabi"),
)
