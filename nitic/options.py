"""What the command line asks the driver for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Emit(StrEnum):
    """What `nitic compile` writes."""

    EXE = "exe"
    LIB = "lib"
    OBJ = "obj"
    IR = "ir"


class Target(StrEnum):
    """`native` is the best that this machine runs; a binary always holds the portable variant too."""

    NATIVE = "native"
    X86_64 = "x86-64"
    X86_64_AVX512VNNI = "x86-64-avx512vnni"


class Init(StrEnum):
    """Initial weights: those of the ONNX file, or new Xavier-uniform ones from the seed."""

    KEEP = "keep"
    XAVIER = "xavier"


@dataclass(frozen=True)
class CompileOptions:
    """Options of `nitic compile`.

    `output` defaults to the model's name without its suffix, in the current folder. `recipe` is a name, and
    `recipe_options` are those of its passes: {"rule": "plain"}. `batch_size` is needed where the model leaves the
    batch open. `mean` and `std` hold one value per channel in units of a sample scaled to 0..1; without them the binary
    takes them from its training set. `print_before` and `print_after` name passes.
    """

    model: Path
    output: Path | None = None
    recipe: str = "niti16"
    recipe_options: Mapping[str, str] = field(default_factory=dict[str, str])
    batch_size: int | None = None
    emit: Emit = Emit.EXE
    target: Target = Target.NATIVE
    seed: int = 0
    init: Init = Init.KEEP
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    dump_ir: Path | None = None
    print_before: tuple[str, ...] = field(default=())
    print_after: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class OptOptions:
    """Options of `nitic opt`: a pass list such as `insert-rounding{bits=7},track-exponents` applied to a file.

    `output` of None is the standard output.
    """

    file: Path
    passes: str = ""
    output: Path | None = None
    print_before: tuple[str, ...] = field(default=())
    print_after: tuple[str, ...] = field(default=())
