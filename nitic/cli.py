"""The command line: arguments only. What they ask for is done in nitic.driver and nitic.data."""

import gc
import inspect
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import MISSING, fields
from functools import wraps
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer

from nitic.errors import CompileError, ExitCode, printable
from nitic.options import (
    IMPORTING,
    PORTS,
    BatchNorm,
    CompileOptions,
    Emit,
    ExportFormat,
    ExportOptions,
    Init,
    Layout,
    Loss,
    OptOptions,
    Restore,
)
from nitic.signals import end_as_interrupted, open_standard_streams
from nitic.version import VERSION

app = typer.Typer(
    help="Compile an ONNX model to a native program that trains it with integer arithmetic alone.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

PASS_THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True}


def per_channel(text: str | None) -> tuple[float, ...] | None:
    """`0.49,0.48,0.45` as numbers."""
    if text is None:
        return None
    try:
        return tuple(float(value) for value in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a list of numbers such as 0.49,0.48,0.45") from None


def sample_shape(text: str | None) -> tuple[int, ...] | None:
    """`3,224,224` as numbers."""
    try:
        return None if text is None else tuple(int(size) for size in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a list of sizes such as 3,224,224") from None


def key_values(texts: list[str] | None) -> dict[str, str]:
    """`bits=6` as a key and its value."""
    pairs = [text.partition("=") for text in texts or ()]
    for key, sign, value in pairs:
        if not (key and sign and value):
            raise typer.BadParameter(f"{key + sign + value!r} is not of the form KEY=VALUE")
    return {key: value for key, _, value in pairs}


Model = Annotated[Path, typer.Argument(metavar="MODEL", help="ONNX file.", show_default=False)]
Program = Annotated[
    Path, typer.Argument(metavar="BINARY|MODEL", help="What `nitic compile` wrote or read.", show_default=False)
]
IrOrModel = Annotated[
    Path, typer.Argument(metavar="FILE", help="IR in text form, or an ONNX file.", show_default=False)
]
IrOutput = Annotated[Path | None, typer.Option("--output", "-o", help="Default: the standard output.")]
TrainingSeed = Annotated[
    int, typer.Option(min=0, help="Of new initial weights, and of every random number in training.")
]
PrintBefore = Annotated[list[str] | None, typer.Option(metavar="PASS", help="Print the IR before this pass.")]
PrintAfter = Annotated[list[str] | None, typer.Option(metavar="PASS", help="Print the IR after this pass.")]
PerChannel = Annotated[str | None, typer.Option(metavar="X,...", help="Per channel, of samples scaled to 0..1.")]

KEYWORD = inspect.Parameter.KEYWORD_ONLY
COMPILING: dict[str, Any] = {
    "output": Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Default: the model's name without .onnx, with .so, .o or .mlir."),
    ],
    "recipe": Annotated[str, typer.Option(help="niti16 or niti.")],
    "recipe_options": Annotated[
        list[str] | None,
        typer.Option("--option", metavar="KEY=VALUE", help="An option of the recipe: rule=iadam, bits=6."),
    ],
    "batch_size": Annotated[
        int | None, typer.Option(min=1, help="Default: what the model fixes, which it overrides, else 64.")
    ],
    "emit": Annotated[Emit, typer.Option(help="What to write.")],
    "target": Annotated[
        str, typer.Option(metavar="TARGET", help="The processor to compile for. An unknown name lists all.")
    ],
    "seed": Annotated[int, typer.Option(min=0, help="Of the weights that --init=xavier makes; training has its own.")],
    "init": Annotated[Init, typer.Option(help="Weights of the file, or new ones.")],
    "loss": Annotated[Loss, typer.Option(help="Of integer class labels; mse is against their one-hot rows.")],
    "mean": PerChannel,
    "std": PerChannel,
    "freeze": Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB", help="Parameters that training leaves as they are: 'features.*'. May be repeated."
        ),
    ],
    "batch_norm": Annotated[
        BatchNorm,
        typer.Option(
            help="Normalise a training batch by its own statistics, by the model's, or fold them into weights."
        ),
    ],
    "layout": Annotated[
        Layout | None,
        typer.Option(help="Where samples in MODEL have their channels. Default: as its first nodes tell."),
    ],
    "input_shape": Annotated[
        str | None, typer.Option(metavar="C,H,W", help="The shape of a sample, where MODEL leaves it open.")
    ],
    "output_name": Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The value that holds the logits, where MODEL has several outputs."),
    ],
    "restore": Annotated[
        Restore | None, typer.Option(help="Give layers a bias of zeros where an exporter has left it out.")
    ],
    "dump_ir": Annotated[Path | None, typer.Option(help="Write the IR after each pass into this folder.")],
    "print_before": PrintBefore,
    "print_after": PrintAfter,
    "cache": Annotated[
        bool,
        typer.Option("--cache/--no-cache", help="Keep kernels in $NITIC_CACHE, or ~/.cache/nitic, for the next time."),
    ],
}
"""The fields of CompileOptions as options of commands."""
READ: dict[str, Callable[[Any], Any]] = {
    "recipe_options": key_values,
    "mean": per_channel,
    "std": per_channel,
    "input_shape": sample_shape,
    **dict.fromkeys(("freeze", "print_before", "print_after"), lambda given: tuple(given or ())),
}
"""What becomes of what the command line gives for a field."""
NETWORK = ("recipe_options", "loss", "freeze", "batch_norm", *PORTS)
"""What decides about the program that a network becomes."""


def compiling(*names: str, **changed: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Makes the first parameter of a command, CompileOptions, of an argument `model` and of options.

    `names` are those of COMPILING, whose order they have in the help; `changed` has other annotations for some.
    """
    taken = {"model": Model} | {name: COMPILING[name] for name in COMPILING if name in names} | changed
    defaults = {
        field.name: None if field.default in (MISSING, ()) else field.default for field in fields(CompileOptions)
    }
    model, *shared = (
        inspect.Parameter(name, KEYWORD, annotation=kind, default=defaults[name]) for name, kind in taken.items()
    )

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def run(**given: Any) -> None:
            options = {name: given.pop(name) for name in taken}
            read = {name: READ[name](value) if name in READ else value for name, value in options.items()}
            command(CompileOptions(**read), **given)

        _, *own = (each.replace(kind=KEYWORD) for each in inspect.signature(command).parameters.values())
        signature = inspect.Signature([model.replace(default=inspect.Parameter.empty), *own, *shared])
        run.__signature__ = signature  # pyright: ignore[reportAttributeAccessIssue]
        return run

    return decorate


def show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"nitic {VERSION}")
        raise typer.Exit


@app.callback()
def common(
    _version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options that belong to no command."""


@app.command("compile")
@compiling(*COMPILING)
def compile_command(options: CompileOptions) -> None:
    """Compile MODEL to one native training binary."""
    from nitic.driver.compile import compile_model

    typer.echo(compile_model(options))


@app.command("check")
@compiling("recipe", "batch_size", *NETWORK)
def check_command(
    options: CompileOptions,
    as_json: Annotated[bool, typer.Option("--json", help="Write the report as JSON: docs/check.md.")] = False,
) -> None:
    """Say what of MODEL is supported and what is not, without compiling it. The exit code is 0 or 3."""
    from nitic.driver.check import check_model

    report = check_model(options)
    typer.echo(report.json() if as_json else printable(report.text()))
    raise typer.Exit(report.exit_code)


@app.command("opt")
@compiling(*IMPORTING, "print_before", "print_after", model=IrOrModel, output=IrOutput)
def opt_command(
    options: CompileOptions,
    passes: Annotated[str, typer.Option(help="For example insert-rounding{bits=7},track-exponents.")] = "",
) -> None:
    """Apply passes to FILE and print the IR."""
    from nitic.driver.opt import transform_file

    transform_file(OptOptions(options, passes))


@app.command("inspect")
def inspect_command(
    binary: Annotated[Path, typer.Argument(metavar="BINARY", help="What `nitic compile` wrote.", show_default=False)],
    graph: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw the kernel calls into FILE.dot, or .svg by Graphviz, instead."),
    ] = None,
) -> None:
    """Show operators, kernels, phases, buffers, arena size, parameters and exponents of BINARY."""
    from nitic.driver.inspect import describe, draw

    if graph:
        typer.echo(draw(binary, graph))
    else:
        typer.echo(describe(binary), nl=False)


@app.command("train", context_settings=PASS_THROUGH)
@compiling("output", "recipe", "batch_size", "target", "init", "mean", "std", "cache", *NETWORK, seed=TrainingSeed)
def train_command(options: CompileOptions, context: typer.Context) -> None:
    """Compile MODEL and train it: all other options go to the binary (--data DIR --epochs N --lr R --save FILE ...)."""
    from nitic.driver.launch import compile_and_train

    compile_and_train(options, context.args)


@app.command("export")
@compiling("mean", "std", *NETWORK, model=Program)
def export_command(
    options: CompileOptions,
    load: Annotated[Path, typer.Option("--load", metavar="CKPT", help="A checkpoint of the program.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    kind: Annotated[
        ExportFormat,
        typer.Option("--format", help="Integers of the same bits, MODEL with trained weights, or what has moved."),
    ] = ExportFormat.INTEGER,
    opset: Annotated[
        int | None, typer.Option(min=13, help="Of qdq: 13, 21, ... Default: that of MODEL, at least 13.")
    ] = None,
    base: Annotated[Path | None, typer.Option(metavar="CKPT", help="Of delta: the checkpoint to start from.")] = None,
) -> None:
    """Write a trained network as ONNX. Of a MODEL, give the options that it was compiled with: docs/export.md."""
    from nitic.driver.export import export_checkpoint

    typer.echo(export_checkpoint(ExportOptions(options, load, output, kind, opset, base)))


@app.command("average")
def average_command(
    checkpoints: Annotated[
        list[Path], typer.Argument(metavar="CKPT...", help="Checkpoints of one program, or deltas.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The checkpoint to write.")],
    base: Annotated[Path | None, typer.Option(metavar="CKPT", help="The checkpoint that the deltas are of.")] = None,
) -> None:
    """Average checkpoints of one program in integers: exactly, and the same in any order."""
    from nitic.driver.average import average_checkpoints

    typer.echo(average_checkpoints(checkpoints, output, base))


data_app = typer.Typer(help="Prepare data sets.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(data_app, name="data")


@data_app.command("pack")
def pack_command(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="DIR/class/image, or DIR/train/... and DIR/val/...", show_default=False),
    ],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to make.", show_default=False)],
    size: Annotated[int, typer.Option(help="Images become SIZE x SIZE; 8/7 of the input's side is good.")] = 256,
    shard_mb: Annotated[int, typer.Option(help="MiB of images in one file.")] = 1024,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out files that cannot be decoded.")] = False,
) -> None:
    """Decode an image folder once, for binaries to train on (--data OUT)."""
    from nitic.data.image_folder import PackOptions, pack

    typer.echo(pack(PackOptions(folder, output, size, shard_mb, skip_bad)))


@app.command("demo")
def demo_command(
    seed: TrainingSeed = 0,
    folder: Annotated[Path, typer.Option(help="Where the model, the binary and the IR dumps go.")] = Path("nitic-demo"),
) -> None:
    """Write a small CNN as ONNX, compile it, train it on handwritten digits and evaluate it."""
    from nitic.driver.demo import run

    raise typer.Exit(run(folder, seed))


def main() -> None:
    """Run the command line. What went wrong is one sentence on the standard error; the exit code says of which kind."""
    open_standard_streams()
    end_as_interrupted()
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be text, nor a terminal UTF-8
    gc.disable()  # a compilation makes millions of objects that stay: looking for garbage takes a fifth of its time
    try:
        app()
    except CompileError as error:
        fail(str(error), error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(ExitCode.RUN_TIME)
    except OSError as error:
        # A write that fails does not say where: it is the output, or more likely a temporary file.
        place = error.filename or f"a disk is full, perhaps that of {tempfile.gettempdir()}"
        fail(f"{place}: {error.strerror or error}", ExitCode.RUN_TIME)
    except Exception:  # noqa: BLE001  none is expected, and no script may take it for a broken file
        traceback.print_exc()
        sys.exit(ExitCode.BUG)


def fail(text: str, code: ExitCode) -> None:
    print(printable(text), file=sys.stderr)
    sys.exit(code)
