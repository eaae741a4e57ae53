"""What the command line asks the driver for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from nitic.errors import CompileError, ExitCode


class Emit(StrEnum):
    """What `nitic compile` writes."""

    EXE = "exe"
    LIB = "lib"
    OBJ = "obj"
    IR = "ir"
    CUDA = "cuda"
    PTX = "ptx"
    CUBIN = "cubin"


FOR_GPUS = (Emit.CUDA, Emit.PTX, Emit.CUBIN)


class Init(StrEnum):
    """Initial weights: those of the ONNX file, or new Xavier-uniform ones from the seed."""

    KEEP = "keep"
    XAVIER = "xavier"


class BatchNorm(StrEnum):
    """What a training step normalises by: the statistics of its batch, or the running ones, which stay as they are.

    `fold` leaves no batch normalisation: each becomes part of the convolution before it.
    """

    TRAIN = "train"
    FREEZE = "freeze"
    FOLD = "fold"


class ExportFormat(StrEnum):
    """What `nitic export` makes of a program: ONNX in integers with the same bits, or the model it came from.

    QDQ is that model with int8 weights and the program's roundings, for tool chains that quantise. A delta is no ONNX:
    it says what of the checkpoint differs from another one.
    """

    INTEGER = "integer"
    QDQ = "qdq"
    FLOAT = "float"
    DELTA = "delta"


class Loss(StrEnum):
    """What training makes small, for integer class labels."""

    CROSS_ENTROPY = "cross-entropy"
    MSE = "mse"


class Layout(StrEnum):
    """Where the samples of the ONNX file have their channels."""

    NHWC = "nhwc"
    NCHW = "nchw"


class Restore(StrEnum):
    """What layers get back that an exporter has left out: a bias of zeros."""

    BIASES = "biases"


PORTS = ("layout", "input_shape", "output_name", "restore")
IMPORTING = ("batch_size", *PORTS)
"""The fields of CompileOptions that say how an ONNX file is read."""


@dataclass(frozen=True)
class CompileOptions:
    """Options of `nitic compile`.

    `target` is `native`, the best that this machine runs, or a name of nitic/targets.
    `output` defaults to the model's name without its suffix, in the current folder. `recipe` is a name, and
    `recipe_options` are those of its passes: {"rule": "plain"}. `batch_size` overrides what the model fixes;
    without either it is 64. `mean` and `std` hold one value per channel in units of a sample scaled to 0..1;
    without them the binary takes them from its training set. `freeze` holds globs of the parameters that stay as
    they are. `layout`, `input_shape` (of one sample, in the file's order) and `output_name` (of the value that holds
    the logits) say what the file leaves open; `restore` gives layers what the file has lost. `print_before` and
    `print_after` name passes. Without `cache` nothing is read from the cache on disk, or written to it.
    """

    model: Path
    output: Path | None = None
    recipe: str = "niti16"
    recipe_options: Mapping[str, str] = field(default_factory=dict[str, str])
    batch_size: int | None = None
    emit: Emit = Emit.EXE
    target: str = "native"
    seed: int = 0
    init: Init = Init.KEEP
    loss: Loss = Loss.CROSS_ENTROPY
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    freeze: tuple[str, ...] = ()
    batch_norm: BatchNorm = BatchNorm.TRAIN
    layout: Layout | None = None
    input_shape: tuple[int, ...] | None = None
    output_name: str | None = None
    restore: Restore | None = None
    dump_ir: Path | None = None
    print_before: tuple[str, ...] = field(default=())
    print_after: tuple[str, ...] = field(default=())
    cache: bool = True

    def __post_init__(self) -> None:
        """Accepts the words of the command line as choices, for callers from Python. Raises CompileError."""
        kinds = {"emit": Emit, "init": Init, "loss": Loss, "batch_norm": BatchNorm}
        for name, kind in kinds.items():
            _check_choice(name, getattr(self, name), list(kind))
            object.__setattr__(self, name, kind(getattr(self, name)))
        for name, kind in {"layout": Layout, "restore": Restore}.items():
            if getattr(self, name) is not None:
                _check_choice(name, getattr(self, name), list(kind))
        if self.input_shape is not None and min(self.input_shape, default=0) < 1:
            raise _usage("--input-shape", f"a sample has axes of at least 1, not {list(self.input_shape)}")
        object.__setattr__(self, "freeze", (self.freeze,) if isinstance(self.freeze, str) else tuple(self.freeze))
        self._check_pair()
        if self.batch_size is not None and self.batch_size < 1:
            raise _usage("--batch-size", f"a batch has at least 1 sample, not {self.batch_size}")
        if self.seed < 0:
            raise _usage("--seed", f"a seed is not negative, but this is {self.seed}")
        if self.std is not None and self.mean is None:
            raise _usage("--std", "a standard deviation needs its mean: give --mean too")

    def _check_pair(self) -> None:
        """The target exists, and `emit` is possible for it. Raises CompileError."""
        from nitic import targets

        _check_choice("target", self.target, targets.names())
        if self.emit in FOR_GPUS and targets.find(self.target).device != "cuda":
            raise _usage("--emit", f"{self.emit} is for --target=cuda, not {self.target}")
        if self.emit in (Emit.LIB, Emit.OBJ) and (what := targets.find(self.target).folder_of):
            raise _usage("--emit", f"{self.target} is a folder of {what}, so there is no {self.emit} of it")


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        option = name.replace("_", "-")
        raise _usage(f"--{option}", f"unknown {option} {value!r}; the choices are {', '.join(choices)}")


def _usage(location: str, message: str) -> CompileError:
    return CompileError(location, message, exit_code=ExitCode.USAGE)


@dataclass(frozen=True)
class ExportOptions:
    """Options of `nitic export`: a checkpoint of `compiled.model`, as an ONNX file.

    The model of `compiled` is an ONNX file, to which its options belong, or what `nitic compile` made of one. The batch
    size and the recipe are those of the checkpoint. `opset` is for QDQ: None is the model's own, or 13.
    `base` is the checkpoint that a delta is of.
    """

    compiled: CompileOptions
    checkpoint: Path
    output: Path
    format: ExportFormat = ExportFormat.INTEGER
    opset: int | None = None
    base: Path | None = None


@dataclass(frozen=True)
class OptOptions:
    """Options of `nitic opt`: a pass list such as `insert-rounding{bits=7},track-exponents` applied to `source.model`.

    That is an ONNX file, or IR in text form, to which the options that say how to import one do not apply. The `output`
    of None is the standard output.
    """

    source: CompileOptions
    passes: str = ""
