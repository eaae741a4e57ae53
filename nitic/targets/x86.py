"""x86-64 on Linux: any processor, and those with the wider registers of AVX2 or the dot products of AVX512-VNNI."""

from collections.abc import Sequence
from dataclasses import dataclass

from nitic.targets import loops
from nitic.targets.base import Machine, Requirement, Rule, Target, Variant
from nitic.targets.dots import by_dots

TRIPLE = "x86_64-unknown-linux-gnu"
EAX, EBX, ECX, EDX = range(4)


@dataclass(frozen=True)
class Feature:
    """A bit of CPUID, by the name that /proc/cpuinfo has for it (Intel's manual, volume 2A, CPUID)."""

    flag: str
    leaf: int
    register: int
    bit: int


# All that LLVM may use of x86-64-v3, since a processor may have AVX2 without the rest. LZCNT is "abm" to Linux.
AVX2 = (
    Feature("fma", 1, ECX, 12),
    Feature("movbe", 1, ECX, 22),
    Feature("f16c", 1, ECX, 29),
    Feature("bmi1", 7, EBX, 3),
    Feature("avx2", 7, EBX, 5),
    Feature("bmi2", 7, EBX, 8),
    Feature("abm", 0x80000001, ECX, 5),
)
AVX512 = (
    Feature("avx512f", 7, EBX, 16),
    Feature("avx512dq", 7, EBX, 17),
    Feature("avx512cd", 7, EBX, 28),
    Feature("avx512bw", 7, EBX, 30),
    Feature("avx512vl", 7, EBX, 31),
)
VNNI = Feature("avx512_vnni", 7, ECX, 11)
# Registers that the operating system must save between processes, as bits of XCR0.
SAVES_AVX, SAVES_AVX512 = 0x6, 0xE6  # SSE 1, AVX 2, AVX-512 5 to 7


def on(name: str, machine: Machine, features: Sequence[Feature], saved: int, rules: Sequence[Rule]) -> Variant:
    """A variant for processors that have these features and save these registers."""
    places = sorted({(each.leaf, each.register) for each in features})
    masks = {at: sum(1 << each.bit for each in features if (each.leaf, each.register) == at) for at in places}
    asked = (Requirement("NITIC_CPUID", bits, leaf, 0, register) for (leaf, register), bits in masks.items())
    needs = (*asked, Requirement("NITIC_XCR0", saved))
    return Variant(name, rules, machine, flags=frozenset(each.flag for each in features), needs=needs)


ANY = Machine(TRIPLE, "x86-64")
PORTABLE = Variant("portable", loops.RULES, ANY)


SSE2_PAIRS = Variant("sse2", by_dots("sse2"), ANY)
AVX2_PAIRS = on("avx2", Machine(TRIPLE, "x86-64-v3"), features=AVX2, saved=SAVES_AVX, rules=by_dots("avx2"))
AVX512_VNNI = on(
    "avx512vnni",
    # The common part of Cascade Lake and later, and Zen 4 and later. Without the tuning flag LLVM stops at 256 bits.
    Machine(TRIPLE, "x86-64-v4", ("+avx512vnni", "-prefer-256-bit")),
    features=(*AVX2, *AVX512, VNNI),
    saved=SAVES_AVX512,
    rules=by_dots("vnni"),
)

# In the order of their speed: of those that a machine runs, `--target native` is the last.
TARGETS = (
    Target("x86-64-portable", (PORTABLE,)),
    Target("x86-64", (SSE2_PAIRS,)),
    Target("x86-64-avx2", (AVX2_PAIRS, SSE2_PAIRS)),
    Target("x86-64-avx512vnni", (AVX512_VNNI, SSE2_PAIRS)),
)
