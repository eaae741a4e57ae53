"""ARM on Linux: 64 bits, and 32 bits from ARMv7-A with NEON on."""

from nitic.targets import loops
from nitic.targets.base import Machine, Platform, Target, Variant

AARCH64 = Variant("aarch64", loops.RULES, Machine("aarch64-unknown-linux-musl"))
ARMV7 = Variant("armv7", loops.RULES, Machine("armv7-unknown-linux-musleabihf"))

TARGETS = (
    Target("armv7-linux", (ARMV7,), platform=Platform(zig="arm-linux-musleabihf")),
    Target(
        "aarch64-linux", (AARCH64,), platform=Platform(zig="aarch64-linux-musl", step_flags=("-mgeneral-regs-only",))
    ),
)
