"""What the machine code of kernels is: no floating point, no symbol but the kernels, linkable anywhere."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from xdsl.ir import Attribute, SSAValue

from nitic.codegen.output.cache import KernelCache
from nitic.codegen.output.generate import generate
from nitic.codegen.output.objects import compile_module
from nitic.errors import CompileError
from nitic.ir.layout import GroupPanels, Padded, Panels, Quads
from nitic.ir.op import NnOp
from nitic.ir.types import exponent, i8, i16, i32, i64, range_, tensor, u8
from nitic.ops.activation import ActivationDgradOp, ActivationOp, ClipDgradOp, ClipOp, LeakyReluOp, StepOp
from nitic.ops.bfp import AlignOp, DitherOp, RangeOp, RoundShiftOp, ShiftOp, StaticShiftOp, TopOp
from nitic.ops.conv import ConvDgradOp, ConvOp, ConvWgradOp, Window
from nitic.ops.elementwise import BiasGradOp, BiasOp, DropoutOp, InputMapOp, ReluDgradOp, ReluOp
from nitic.ops.fused import FusedOp
from nitic.ops.gemm import GemmDgradOp, GemmOp, GemmWgradOp
from nitic.ops.loss import CrossEntropyOp, MeanSquaredErrorOp
from nitic.ops.norm import BatchNormDgradOp, NormaliseOp, ScaleGradOp
from nitic.ops.pack import PackOp
from nitic.ops.pool import AveragePoolDgradOp, AveragePoolOp, MaxPoolDgradOp, MaxPoolOp
from nitic.ops.power import LogOp, PowerDgradOp, PowerOp
from nitic.ops.product import AddConstOp, MulOp, MulSumOp, ScaleConstOp
from nitic.ops.reshape import TransposeOp
from nitic.ops.statistics import BatchNormStatisticsOp
from nitic.ops.update import UpdateAdamOp, UpdateLionOp, UpdateMomentumOp, UpdateNitiOp, UpdatePlainOp
from nitic.passes.kernels.select_kernels import select
from nitic.targets import VARIANTS
from tests.kernels.harness import FOR_CPUS, Build, kernel_of, machine, make_group, one, packed_types

WINDOW = Window((2, 1), (1, 1, 1, 1))
DEPTHWISE = Window((2, 1), (1, 1, 1, 1), groups=6)
POOL = {"kernel": (3, 2), "strides": (2, 2), "pads": (1, 0, 1, 0)}
HYPER, SEED, IMAGE, ERROR = tensor((), i32), tensor((), i64), tensor((5, 8, 9, 6), i8), tensor((5, 4, 9, 20), i8)
FILTER, STATE = tensor((20, 3, 3, 6), i8), (7, 33)
ROUND = {"round": "pseudo_stochastic"}

# Arithmetic, comparisons and conversions; moves and bitwise operations of float registers may carry integers.
FLOAT = (
    r"^(v?(add|sub|mul|div|sqrt|rsqrt|rcp|min|max|cmp\w*|u?comi|round|rndscale|hadd|hsub|addsub|dp|scalef|getexp|getmant)"
    r"[sp][sdh]|v?cvt\w+|vfn?m\w+|f\w+)$"
)
# By architecture.
FLOATS = {
    "x86_64": FLOAT,
    "aarch64": r"^(f(?!mov$)\w+|[su]cvtf)$",
    "armv7": r"^(?!vmov).*\.f(16|32|64)",
    "thumbv7em": r"^v",  # all registers of an FPU, which these have not
    "thumbv8m.main": r"^v",
    "riscv64": r"^f(?!ence|mv\.)\w+\.[shdxwl]",
    "wasm32": r"^(?!.*reinterpret)(f(32|64)|.*_f(32|64))",
}
OTHERS = [name for name, variant in VARIANTS.items() if variant.machine and name not in FOR_CPUS]


def _requantise(x: SSAValue, r: SSAValue, y: SSAValue, seed: SSAValue, step: SSAValue) -> list[NnOp]:
    shift = ShiftOp.of(r, bits=7)
    rounded = RoundShiftOp.of(x, shift.s, seed, step, round="stochastic", stream=1, to="i8")
    nearest = RoundShiftOp.of(x, shift.s, round="nearest", to="i8")
    return [shift, rounded, nearest, ReluDgradOp.of(rounded.y, y)]


def _dithered(x: SSAValue, r: SSAValue, seed: SSAValue, step: SSAValue) -> list[NnOp]:
    shift, begin = ShiftOp.of(r, bits=7), DitherOp.of(seed, step, stream=3)
    return [shift, begin, RoundShiftOp.of(x, shift.s, begin.t, round="dithered", to="i8")]


def _static(x: SSAValue, top: SSAValue, e: SSAValue, r: SSAValue) -> list[NnOp]:
    shift = StaticShiftOp.of(top, e, bits=7)
    return [shift, RoundShiftOp.of(x, shift.s, round="nearest", to="i8"), TopOp.of(top, r, e)]


def _epilogue(x: SSAValue, w: SSAValue, b: SSAValue, e: SSAValue, to: SSAValue) -> list[NnOp]:
    conv, aligned = ConvOp.over(x, w, WINDOW), AlignOp.of(b, e, to)
    bias = BiasOp.of(conv.acc, aligned.y, to, to)
    relu = ReluOp.of(bias.y)
    return [conv, aligned, bias, relu, RangeOp.of(relu.y)]


SAMPLES: list[tuple[Build, list[Attribute]]] = [
    (_epilogue, [IMAGE, FILTER, tensor((20,), i8), exponent, exponent]),
    (one(ConvDgradOp, size=(8, 9), **WINDOW.properties()), [ERROR, FILTER]),
    (one(ConvWgradOp, kernel=(3, 3), **WINDOW.properties()), [IMAGE, ERROR]),
    (one(ConvOp, **DEPTHWISE.properties()), [IMAGE, tensor((6, 3, 3, 1), i8)]),
    (one(ConvDgradOp, size=(8, 9), **DEPTHWISE.properties()), [tensor((5, 4, 9, 6), i8), tensor((6, 3, 3, 1), i8)]),
    (one(ConvWgradOp, kernel=(3, 3), **DEPTHWISE.properties()), [IMAGE, tensor((5, 4, 9, 6), i8)]),
    (one(ConvOp, **replace(WINDOW, groups=2).properties()), [IMAGE, tensor((20, 3, 3, 3), i8)]),
    (one(ConvWgradOp, kernel=(3, 3), **replace(WINDOW, groups=2).properties()), [IMAGE, ERROR]),
    (one(BatchNormStatisticsOp), [tensor((99, 20), i16)]),
    (one(ScaleGradOp), [tensor((99, 20), i8), tensor((99, 20), i8)]),
    (one(NormaliseOp), [tensor((99, 20), i16), *[tensor((20,), i32)] * 2, exponent, exponent]),
    (one(BatchNormDgradOp), [*[tensor((99, 20), i8)] * 2, tensor((20,), i32), *[tensor((20,), i64)] * 2]),
    (one(GemmOp), [tensor((9, 50), i8), tensor((20, 50), i8)]),
    (one(GemmDgradOp), [tensor((9, 20), i8), tensor((20, 50), i8)]),
    (one(GemmWgradOp), [tensor((9, 50), i8), tensor((9, 20), i8)]),
    (_requantise, [tensor((9, 99), i32), range_, tensor((9, 99), i8), SEED, HYPER]),
    (_dithered, [tensor((9, 99), i32), range_, SEED, HYPER]),
    (_static, [tensor((9, 99), i32), HYPER, exponent, range_]),
    (one(DropoutOp, p=0.3, stream=2), [IMAGE, SEED, HYPER]),
    (one(InputMapOp), [tensor((5, 8, 9, 6), u8), tensor((6,), i32), tensor((6,), i32)]),
    (one(MaxPoolOp, **POOL), [IMAGE]),
    (one(MaxPoolDgradOp, size=(8, 9), **POOL), [tensor((5, 4, 4, 6), i8)] * 2),
    (one(AveragePoolOp, **POOL), [IMAGE]),
    (one(AveragePoolDgradOp, size=(8, 9), **POOL), [tensor((5, 4, 4, 6), i8)]),
    (one(BiasGradOp), [ERROR]),
    (one(CrossEntropyOp), [tensor((9, 10), i8), tensor((9,), i32), exponent]),
    (one(MeanSquaredErrorOp), [tensor((9, 10), i8), tensor((9,), i32), exponent, exponent]),
    (
        one(UpdatePlainOp, **ROUND),
        [tensor(STATE, i16), tensor(STATE, i64), *[HYPER] * 2, exponent, range_, exponent],
    ),
    (
        one(UpdateMomentumOp, **ROUND),
        [tensor(STATE, i16), tensor(STATE, i32), tensor(STATE, i32), *[HYPER] * 4, exponent, range_, exponent],
    ),
    (
        one(UpdateAdamOp, decays=1),
        [
            *[tensor(STATE, i16)] * 2,
            *[tensor(STATE, i32)] * 2,
            *[HYPER] * 3,
            *[exponent, range_] * 4,
            *[exponent] * 3,
        ],
    ),
    (
        one(UpdateLionOp, decays=1),
        [*[tensor(STATE, i16)] * 2, tensor(STATE, i64), *[HYPER] * 3, *[exponent, range_] * 3, *[exponent] * 2],
    ),
    (one(UpdateNitiOp, **ROUND), [tensor(STATE, i8), tensor(STATE, i32), HYPER, range_, range_]),
    (one(TransposeOp, perm=(0, 3, 1, 2)), [IMAGE]),
    (one(ClipOp, low=-0.3, high=6.0), [tensor((9, 99), i32), exponent]),
    (one(ClipDgradOp, low=-0.3, high=6.0), [IMAGE, IMAGE, exponent]),
    (one(LeakyReluOp, alpha=0.1), [IMAGE]),
    *((one(ActivationOp, function=name), [IMAGE, exponent]) for name in ("tanh", "gelu", "softplus", "sigmoid")),
    (one(ActivationDgradOp, function="mish"), [IMAGE, IMAGE, exponent]),
    (one(StepOp, threshold=0.3), [tensor((9, 99), i32), exponent]),
    (one(PowerOp, numerator=1, denominator=2, signed=0), [IMAGE, exponent]),
    (one(PowerDgradOp, numerator=-2, denominator=1, signed=1, factor=-1.0), [IMAGE, IMAGE, exponent]),
    (one(LogOp), [IMAGE, exponent]),
    (one(MulOp), [IMAGE, tensor((5, 1, 1, 6), i8)]),
    (one(MulSumOp, shape=(5, 1, 1, 6)), [IMAGE, IMAGE]),
    (one(ScaleConstOp, factor=0.3), [IMAGE]),
    (one(AddConstOp, value=0.3), [IMAGE, exponent, exponent]),
]
PACKS = [
    (GroupPanels(True, True, True, 2), FILTER),
    (Padded((1, 1, 1, 1), (2, 2)), IMAGE),
    (Panels(), FILTER),
    (Panels(flipped=True), FILTER),
    (Quads(), IMAGE),
]


def groups(variant: str) -> dict[str, FusedOp]:
    made = [make_group(build, packed_types(build, types, variant, False)) for build, types in SAMPLES]
    if variant != "portable":
        made += [make_group(one(PackOp, layout=str(layout)), [type_]) for layout, type_ in PACKS]
    return {f"kernel_{i}": group for i, group in enumerate(made)}


@pytest.mark.parametrize("variant", [*FOR_CPUS, *OTHERS])
def test_no_floating_point(variant: str) -> None:
    kernels = [kernel_of(group, name, variant) for name, group in groups(variant).items()]
    assembly = compile_module(kernels, machine(variant)).inspect_source("asm")
    lines = [line for line in assembly.splitlines() if line.startswith("\t")]
    instructions = {line.split()[0] for line in lines if len(line) > 1 and line[1] not in ".#@/"}
    assert len(instructions) > 50, "that is not a disassembly"
    floats = FLOATS[machine(variant).architecture]
    assert {name for name in instructions if re.search(floats, name)} == set()


@pytest.mark.parametrize(
    "name", ["addps", "vmulsd", "ucomiss", "vcvtdq2ps", "cvttss2si", "vfmadd231ps", "fadd", "minsd"]
)
def test_what_counts_as_floating_point(name: str) -> None:
    assert re.match(FLOAT, name)


@pytest.mark.parametrize(
    ("architecture", "name"),
    [
        *[("aarch64", "fmul"), ("aarch64", "scvtf"), ("armv7", "vadd.f32"), ("armv7", "vcvt.s32.f64")],
        *[("thumbv7em", "vadd.f32"), ("thumbv8m.main", "vldr")],
        *[("riscv64", "fadd.d"), ("riscv64", "fcvt.w.s"), ("wasm32", "f32x4.add"), ("wasm32", "i32.trunc_f64_s")],
    ],
)
def test_what_counts_as_floating_point_elsewhere(architecture: str, name: str) -> None:
    assert re.search(FLOATS[architecture], name)


@pytest.mark.parametrize("name", ["vpaddd", "movaps", "xorps", "vpdpbusd", "vpminsd", "addl", "vpmulld", "vpcmpgtd"])
def test_what_does_not(name: str) -> None:
    assert not re.match(FLOAT, name)


def test_objects_link_anywhere(tmp_path: Path) -> None:
    """Into a position-independent program and a library, with nothing else but libc; several processes made them."""
    meanings: dict[str, dict[str, str]] = {}
    for variant in FOR_CPUS:
        made = groups(variant)
        select(made.values(), VARIANTS[variant])
        meanings[variant] = {name: group.meaning for name, group in made.items()}
    generated = generate(meanings, tmp_path, KernelCache(None), jobs=2)
    objects = generated.objects
    names = [kernel.name for named in generated.kernels.values() for kernel in named.values()]
    assert len(objects) == len(set(names)) == generated.new
    calls = " ".join(f"int {name}();" for name in names)
    (tmp_path / "main.c").write_text(f"{calls} int main(void) {{ return !{names[0]}; }}")
    base = ["cc", "-Wl,-z,defs", "-Wl,--fatal-warnings"]
    subprocess.run([*base, "-pie", "-fPIE", tmp_path / "main.c", *objects, "-o", tmp_path / "main"], check=True)
    subprocess.run([tmp_path / "main"], check=True)
    subprocess.run([*base, "-shared", *objects, "-o", tmp_path / "library.so"], check=True)


def test_a_tensor_beyond_int32_indices_is_refused() -> None:
    group = make_group(one(RangeOp), [tensor((2**16, 2**15), i8)])
    with pytest.raises(CompileError, match="2147483648 elements is beyond"):
        kernel_of(group, "kernel")


def test_an_error_of_a_compiling_process_arrives(tmp_path: Path) -> None:
    group = make_group(one(RangeOp), [tensor((2**16, 2**15), i8)])
    select([group], VARIANTS["portable"])
    with pytest.raises(CompileError, match="smaller batch"):
        generate({"portable": {"kernel": group.meaning}}, tmp_path, KernelCache(None))
