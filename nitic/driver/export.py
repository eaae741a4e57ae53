"""`nitic export`: from a trained program back to ONNX."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from xdsl.dialects.func import FuncOp

from nitic.arithmetic.integers import Array
from nitic.arithmetic.requantisation import NEVER
from nitic.checkpoint import Checkpoint, digest, read_checkpoint
from nitic.codegen.output import link
from nitic.delta import delta_bytes
from nitic.driver.build import import_model, program_of
from nitic.driver.outputs import check_output
from nitic.errors import CompileError, ExitCode
from nitic.export.float import float_model
from nitic.export.integer import integer_model
from nitic.export.qdq import qdq_model
from nitic.ir.function import function
from nitic.ir.text import parse_module
from nitic.ops import context
from nitic.options import BatchNorm, CompileOptions, ExportFormat, ExportOptions
from nitic.program import read_description

OTHER_PROGRAM_NOTE = (
    "give the ONNX file with the options that it was compiled with: "
    "--option, --loss, --mean, --freeze, --batch-norm, --restore"
)


@dataclass(frozen=True)
class Trained:
    """A program's @predict in integers, what the program is called, and a state of it.

    `model` is the file that it was compiled from, and the options; None where only a binary is there.
    """

    name: str
    recipe: str
    identity: str
    predict: FuncOp
    state: Mapping[str, Array]
    compiled: CompileOptions | None = None

    def metadata(self) -> dict[str, str]:
        """What every exported file says of where it comes from."""
        return {"nitic.identity": self.identity, "nitic.recipe": self.recipe, "nitic.checkpoint": digest(self.state)}

    def write(self, kind: ExportFormat, output: Path, opset: int | None = None) -> Path:
        """Writes a file; gives its path. Raises CompileError, before anything is written."""
        if opset is not None and kind != ExportFormat.QDQ:
            raise _only_for("--opset", ExportFormat.QDQ, kind)
        forms = {ExportFormat.INTEGER: self._integer, ExportFormat.FLOAT: self._float}
        return link.write(self._qdq(opset) if kind == ExportFormat.QDQ else forms[kind](), output)

    def _integer(self) -> bytes:
        self._check_exponents()
        return integer_model(self.name, self.predict, self.state, self.metadata())

    def _qdq(self, opset: int | None) -> bytes:
        options = self._file("--format qdq")
        self._check_exponents()
        return qdq_model(import_model(options), options.model, self.predict, self.state, self.metadata(), opset)

    def _check_exponents(self) -> None:
        """Raises CompileError where no step and no calibration has set those of inference."""
        tops = [int(value) for name, value in self.state.items() if name.endswith(".top")]
        if tops and all(top == NEVER for top in tops):
            message = "these weights were never trained, so that nothing has set the exponents of inference"
            note = "train, or calibrate: `TrainingSession.calibrate`, or `predict`, on some samples"
            raise CompileError(self.name, message, note, ExitCode.USAGE)

    def _float(self) -> bytes:
        options = self._file("--format float")
        return float_model(import_model(options), options.model, self.state, self.metadata())

    def _file(self, place: str) -> CompileOptions:
        """The file that the program was compiled from, with the options."""
        if self.compiled is None:
            message = "a binary does not hold the network in floats"
            note = "give the ONNX file that it was compiled from in its place"
            raise CompileError(place, message, note, ExitCode.USAGE)
        if self.compiled.batch_norm == BatchNorm.FOLD:
            message = "the file has no place for layers that batch norms were folded into (--batch-norm fold)"
            note = "--format integer exports the network as it was trained"
            raise CompileError(place, message, note, ExitCode.USAGE)
        return self.compiled


def output_format(text: str) -> ExportFormat:
    """One of ONNX, by its word on the command line. Raises CompileError."""
    choices = [each for each in ExportFormat if each != ExportFormat.DELTA]
    if text not in choices:
        message = f"unknown format {text!r}; the choices are {', '.join(choices)}"
        raise CompileError("--format", message, exit_code=ExitCode.USAGE)
    return ExportFormat(text)


def export_checkpoint(options: ExportOptions) -> Path:
    """Gives the path of what it writes. Raises CompileError."""
    check_output(options.output, options.compiled.model)
    _check_base(options)
    checkpoint = read_checkpoint(options.checkpoint)
    trained = _of_binary(options.compiled.model, checkpoint) or _of_model(options.compiled, checkpoint)
    if checkpoint.text("identity") != trained.identity:
        identities = f"identity {checkpoint.text('identity'):.12}, here {trained.identity:.12}"
        message = f"the checkpoint belongs to another program: {identities}"
        raise CompileError(str(options.checkpoint), message, OTHER_PROGRAM_NOTE, ExitCode.DATA_MISMATCH)
    if options.base:
        return link.write(delta_bytes(read_checkpoint(options.base), checkpoint), options.output)
    return trained.write(options.format, options.output, options.opset)


def _check_base(options: ExportOptions) -> None:
    """A delta has a base, and nothing else has; none of the checkpoints is overwritten. Raises CompileError."""
    if options.base is None:
        if options.format == ExportFormat.DELTA:
            message = "a delta is what differs from a checkpoint: give that by --base"
            raise CompileError("--format delta", message, exit_code=ExitCode.USAGE)
        return
    if options.format != ExportFormat.DELTA:
        raise _only_for("--base", ExportFormat.DELTA, options.format)
    for path in (options.base, options.checkpoint):
        check_output(options.output, path)


def _only_for(option: str, kind: ExportFormat, given: ExportFormat) -> CompileError:
    return CompileError(option, f"it is for --format {kind}, not {given}", exit_code=ExitCode.USAGE)


def _of_binary(path: Path, checkpoint: Checkpoint) -> Trained | None:
    """What a binary says of its program; None where the file is none."""
    try:
        description = read_description(path)
    except ValueError:
        return None
    found = re.search(r"^// program ([0-9a-f]{64})\n(.*?)(?=^// variant |\Z)", description, re.MULTILINE | re.DOTALL)
    if found is None:
        note = "compile it again, or give the ONNX file in its place"
        raise CompileError(str(path), "this binary is of a version that could not be exported", note, ExitCode.USAGE)
    predict = function(parse_module(found[2], context(), str(path)), "predict")
    return Trained(checkpoint.text("model"), checkpoint.text("recipe"), found[1], predict, checkpoint.state)


def _of_model(options: CompileOptions, checkpoint: Checkpoint) -> Trained:
    """The program that an ONNX file becomes by these options, and by the recipe and the batch of the checkpoint."""
    batch = checkpoint.description.get("batch")
    options = replace(
        options, recipe=checkpoint.text("recipe"), batch_size=batch if isinstance(batch, int) and batch > 0 else None
    )
    program = program_of(import_model(options), options)
    predict = function(program.module, "predict")
    return Trained(program.model, program.recipe, program.identity, predict, checkpoint.state, options)
