"""RISC-V on Linux: 64 bits with the extensions that every distribution asks for (rv64gc)."""

from nitic.targets import loops
from nitic.targets.base import Machine, Platform, Target, Variant

# Kernels hold no floats, but the linker joins only objects that would pass them in the same way.
RV64GC = Machine("riscv64-unknown-linux-musl", features=("+m", "+a", "+f", "+d", "+c"), abi="lp64d")
RISCV64 = Variant("riscv64", loops.RULES, RV64GC)

TARGETS = (Target("riscv64-linux", (RISCV64,), platform=Platform(zig="riscv64-linux-musl")),)
