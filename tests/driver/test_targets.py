"""Targets: which one is native, and whether a variant asks a processor for all that its code may use."""

import pytest
from tvm.target import Target as LlvmTarget
from tvm.target.codegen import llvm_get_cpu_features

from nitic import targets
from nitic.targets import x86
from nitic.targets.base import Variant

FOR_X86 = [v for v in targets.VARIANTS.values() if v.machine and v.machine.triple == x86.TRIPLE]
LLVM_NAMES = {"bmi1": "bmi", "abm": "lzcnt", "avx512_vnni": "avx512vnni"}  # where Linux has another
# Every processor with AVX2 has these; CPUID's OSXSAVE is asked for with XCR0.
IMPLIED = {"avx", "sse3", "ssse3", "sse4.1", "sse4.2", "popcnt", "crc32", "cx16", "sahf", "xsave"}
TUNING = ("allow-", "fast-", "false-deps-", "prefer-", "slow-")  # what is faster, not what is there


def llvm_features(cpu: str, features: tuple[str, ...] = ()) -> set[str]:
    described = {"kind": "llvm", "mtriple": x86.TRIPLE, "mcpu": cpu, "mattr": list(features)}
    found = {str(name) for name in llvm_get_cpu_features(LlvmTarget(described)) or ()}
    return {name for name in found if not name.startswith(TUNING)}


@pytest.mark.parametrize("variant", FOR_X86, ids=lambda variant: variant.name)
def test_a_variant_asks_for_all_that_llvm_may_use(variant: Variant) -> None:
    assert variant.machine
    used = llvm_features(variant.machine.cpu, variant.machine.features) - llvm_features("x86-64")
    asked = {LLVM_NAMES.get(flag, flag) for flag in variant.flags}
    assert used - (IMPLIED if asked else set()) == asked


def test_native_is_the_best_that_the_flags_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    best = x86.AVX512_VNNI
    for flags, expected in [(best.flags, "x86-64-avx512vnni"), (frozenset[str](), "x86-64")]:
        monkeypatch.setattr(targets, "cpu_flags", lambda flags=flags: flags)
        assert targets.native().name == expected
    for missing in best.flags:
        monkeypatch.setattr(targets, "cpu_flags", lambda missing=missing: best.flags - {missing})
        next_best = "x86-64" if missing in x86.AVX2_PAIRS.flags else "x86-64-avx2"
        assert targets.native().name == next_best, missing


def test_flags_and_requirements_are_the_same_features() -> None:
    """One bit of CPUID for each flag, and the registers that the operating system saves."""
    for variant, saved in ((x86.AVX2_PAIRS, x86.SAVES_AVX), (x86.AVX512_VNNI, x86.SAVES_AVX512)):
        cpuid = [need for need in variant.needs if need.source == "NITIC_CPUID"]
        assert sum(need.bits.bit_count() for need in cpuid) == len(variant.flags)
        assert [need.bits for need in variant.needs if need.source == "NITIC_XCR0"] == [saved]
