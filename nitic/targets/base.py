"""What a target is: variants of a program, each with a table of rules that say which kernel template serves a group.

The templates themselves are in nitic/codegen; here they have names.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from nitic.ir.buffers import USUAL, Memory
from nitic.ir.layout import Layout
from nitic.ir.op import NnOp
from nitic.ops.fused import FLAT, FusedOp
from nitic.paths import BARE

Layouts = tuple[Layout | None, ...]
"""One entry per operand; None is row-major."""
SCALARS = "scalars"
POINTWISE = "pointwise"


def always(*_: object) -> bool:
    return True


def never(*_: object) -> bool:
    return False


@dataclass(frozen=True)
class Rule:
    """These operators, where the condition holds, are computed by this template, which reads operands of these layouts.

    `layouts` is told whether operand 0 is known to hold no negative value. Without it every operand is row-major.
    `also` says of a layout whether the template can write its result in that one too, beside row-major.
    """

    operators: Sequence[str]
    template: str
    when: Callable[[NnOp], bool] = always
    layouts: Callable[[NnOp, bool], Layouts] | None = None
    also: Callable[[NnOp, Layout], bool] = never


@dataclass(frozen=True)
class Machine:
    """What LLVM is told of a processor: a triple, a CPU, and features as llc's -mattr spells them.

    abi: how functions are called, where the triple leaves it open. vector_bits: where TVM does not know them.
    """

    triple: str
    cpu: str = ""
    features: tuple[str, ...] = ()
    abi: str = ""
    vector_bits: int = 0

    @property
    def architecture(self) -> str:
        """As `uname -m` says it."""
        return self.triple.partition("-")[0]


@dataclass(frozen=True)
class Requirement:
    """All of these bits are set where a processor says what it has: a nitic_requirement of runtime/nitic.h, as C.

    `source` is one of its nitic_feature_source; CPUID has a leaf, a subleaf, and registers from EAX, which is 0, on.
    """

    source: str
    bits: int
    leaf: int = 0
    subleaf: int = 0
    register: int = 0


class Code(Enum):
    """What a kernel becomes: an object by LLVM, or text."""

    OBJECT = "object"
    CUDA = "CUDA C++"
    C99 = "C99"


@dataclass(frozen=True)
class Variant:
    """One set of kernels. The first rule that fits a group's anchor decides; a group of scalars alone needs none.

    name: unique among all targets' variants. rules: the table. machine: for objects. code: what its kernels become.
    lanes: int32 elements of the explicit vectors that kernels are written with; LLVM cuts them to the machine's.
    flags: what /proc/cpuinfo must list. needs: the same as the runtime asks the processor for it.
    speculates: whether roundings may guess their shifts (nitic/passes/kernels/fuse.py). memory: how buffers lie, the
    same for all variants of a target. accumulator_bytes: the largest accumulator of a contraction that is stored until
    its range is known; a larger one is computed twice. None: all are stored.
    """

    name: str
    rules: Sequence[Rule]
    machine: Machine | None = None
    code: Code = Code.OBJECT
    lanes: int = 16
    flags: frozenset[str] = frozenset()
    needs: tuple[Requirement, ...] = ()
    speculates: bool = False
    memory: Memory = USUAL
    accumulator_bytes: int | None = None

    def rule(self, op: NnOp) -> Rule:
        """The first rule of the table that fits an operator. Raises LookupError where none does."""
        for rule in self.rules:
            if op.name in rule.operators and rule.when(op):
                return rule
        raise LookupError(f"no rule of {self.name} names {op.name}")

    def template(self, group: FusedOp) -> str:
        """The kernel template of a group. Raises LookupError."""
        if group.anchor is None:
            return SCALARS
        template = self.rule(group.anchor).template
        return FLAT if template == POINTWISE and self.code != Code.CUDA and group.size else template

    def layouts(self, op: NnOp, nonnegative: bool) -> Layouts:
        """How the template of an operator wants its operands to lie."""
        layouts = self.rule(op).layouts
        return layouts(op, nonnegative) if layouts else (None,) * len(op.operands)


@dataclass(frozen=True)
class Platform:
    """What programs of a target run on, beside the processor, and how the runtime is compiled for it.

    zig: what `zig cc -target` takes; None: this machine's own compiler makes programs for it. system: the folder of the
    runtime that stands for the operating system. flags: for every C file; step_flags: for those of a step; link: for
    the linker. suffix: of an executable, or of a folder of sources. incbin: whether the assembler includes files.
    """

    zig: str | None = None
    system: str = "posix"
    flags: tuple[str, ...] = ()
    step_flags: tuple[str, ...] = ()
    link: tuple[str, ...] = ("-pthread",)
    suffix: str = ""
    incbin: bool = True


# A step computes nothing in floating point: the compiler may not even use its registers.
HERE = Platform(step_flags=("-mgeneral-regs-only",))


@dataclass(frozen=True)
class Target:
    """What `--target` names: the variants of a program, best first, the folder of the runtime for its device, and what
    the programs run on."""

    name: str
    variants: tuple[Variant, ...]
    device: str = "cpu"
    platform: Platform = HERE

    @property
    def code(self) -> Code:
        """What all its kernels become."""
        return self.variants[0].code

    @property
    def folder_of(self) -> str:
        """What a folder is of that stands for a program; "" where a program is a file."""
        return "sources" if self.code == Code.C99 else "a library" if self.device == BARE else ""
