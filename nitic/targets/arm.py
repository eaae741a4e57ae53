"""ARM on Linux: 64 bits, with dot products or without, and 32 bits from ARMv7-A with NEON on."""

from nitic.targets import loops
from nitic.targets.base import Machine, Platform, Requirement, Target, Variant
from nitic.targets.dots import by_dots

TRIPLE = "aarch64-unknown-linux-musl"
DOTPROD = 1 << 20  # HWCAP_ASIMDDP of Linux (arch/arm64/include/uapi/asm/hwcap.h): sdot

AARCH64 = Variant("aarch64", loops.RULES, Machine(TRIPLE))
AARCH64_DOTS = Variant(
    "aarch64dot",
    by_dots("neon", signed=True),
    Machine(TRIPLE, features=("+dotprod",)),
    flags=frozenset({"asimddp"}),
    needs=(Requirement("NITIC_HWCAP", DOTPROD),),
)
ARMV7 = Variant("armv7", loops.RULES, Machine("armv7-unknown-linux-musleabihf"))

TARGETS = (
    Target("armv7-linux", (ARMV7,), platform=Platform(zig="arm-linux-musleabihf")),
    Target(
        "aarch64-linux",
        (AARCH64_DOTS, AARCH64),
        platform=Platform(zig="aarch64-linux-musl", step_flags=("-mgeneral-regs-only",)),
    ),
)
