"""Training from Python: the runtime and the kernels of the binary, through their C interface (runtime/nitic.h).

program = nitic.compile("model.onnx", batch_size=64)
session = nitic.TrainingSession(program, epochs=5, seed=1)
session.set_statistics(x)
for epoch in range(5):
    session.begin_epoch(epoch)
    metrics = session.train_step(x[:64], y[:64])
"""

import ctypes
import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import log, prod
from pathlib import Path
from typing import Any

import numpy as np

from nitic import abi
from nitic.arithmetic.integers import INT8_LIMIT, INT16_LIMIT, Array
from nitic.arithmetic.updates import VELOCITY_LIMIT
from nitic.errors import CompileError, ExitCode
from nitic.ir.function import function
from nitic.ir.sample import Part
from nitic.options import CompileOptions, Emit
from nitic.program import Program

Samples = Array | Mapping[str, Array]
"""uint8, NHWC or as the file has them; of several inputs by name, as CompiledProgram.program.inputs calls them."""
LIMITS = {np.int8: INT8_LIMIT, np.int16: INT16_LIMIT}  # of parameters: they do without the least value of their type


@dataclass(frozen=True)
class CompiledProgram:
    """A program as a shared library, and what was asked for. The library lives as long as this object."""

    program: Program
    path: Path
    options: CompileOptions = field(repr=False)
    folder: "tempfile.TemporaryDirectory[str]" = field(repr=False)


def compile_program(model: str | Path, **options: Any) -> CompiledProgram:
    """Compiles an ONNX file for use in this process; options are those of CompileOptions. Raises CompileError."""
    from nitic.driver.build import build_program
    from nitic.driver.outputs import writer
    from nitic.driver.watcher import watcher

    folder = tempfile.TemporaryDirectory(prefix="nitic-")
    library = Path(folder.name) / "program.so"
    asked = replace(CompileOptions(model=Path(model), emit=Emit.LIB), **options)
    watch = watcher(asked)
    with writer(asked, library, watch) as write:
        program = build_program(asked, watch)
        write(program)
    return CompiledProgram(program, library, asked, folder)


@dataclass(frozen=True)
class Metrics:
    """Sums over a batch: the loss in bits in Q8 (squares in Q16, where the loss is mse), right answers, rows."""

    loss: int
    correct: int
    count: int

    @property
    def nats(self) -> float:
        """The mean loss in nats, if it is a cross-entropy."""
        return self.loss / self.count / 256 * log(2)

    @property
    def squared_error(self) -> float:
        """The mean over the rows of the sum of squares, if the loss is mse."""
        return self.loss / self.count / 2**16


class TrainingSession:
    """A program, its state and its threads. `threads` of 0 are as many as there are cores.

    epochs: length of the whole run, for a cosine schedule and `gb` auto; without it neither rate nor `gb` changes.
    seed: of dropout and of dithered and stochastic rounding.

    Every method raises CompileError with the runtime's sentence when it fails. Samples are uint8 of the program's input
    shape, (N, H, W, C) or (N, F), or in ONNX's order (N, C, H, W), which wins where both fit. Images of one channel may
    come flat or without the channel, sequences (N, L, C) or (N, C, L) are images of one row, and a program of vectors
    takes any shape of as many elements. Labels are integers.
    """

    def __init__(
        self,
        compiled: CompiledProgram,
        threads: int = 0,
        variant: str | None = None,
        epochs: int | None = None,
        seed: int = 1,
    ) -> None:
        self.compiled = compiled
        self._library = ctypes.CDLL(str(compiled.path))
        self._library.nitic_last_error.restype = ctypes.c_char_p
        self._library.nitic_session_tensor.restype = ctypes.c_void_p
        self._library.nitic_tensor_find.restype = ctypes.POINTER(abi.Tensor)
        self._library.nitic_session_variant.restype = ctypes.c_char_p
        self._library.nitic_session_progress.restype = ctypes.POINTER(abi.Progress)
        self._library.nitic_configuration.restype = ctypes.c_char_p
        self._program = ctypes.byref(ctypes.c_char.in_dll(self._library, "nitic_program_instance"))
        self._session = ctypes.c_void_p()
        name = variant.encode() if variant else None
        self._check(self._library.nitic_session_create(self._program, threads, name, ctypes.byref(self._session)))
        self._progress.seed = _whole("seed", seed, 0, 2**63 - 1)
        if epochs is None:
            self._configure_without_end()
        else:
            self._progress.epochs = _whole("epochs", epochs, 1, 1_000_000)
            self.begin_epoch(0)

    def __del__(self) -> None:
        if getattr(self, "_session", None):
            self._library.nitic_session_destroy(self._session)

    @property
    def variant(self) -> str:
        """The kernels in use: one of the program's variants."""
        return self._library.nitic_session_variant(self._session).decode()

    def configure(self, **options: str) -> None:
        """Run-time options in the command line's words: lr="0.016", momentum="0.9", schedule="step:3,4:0.5".

        They hold from the next step on.
        """
        for name, text in options.items():
            self._call("configure", name.replace("_", "-").encode(), os.fsencode(str(text)))
        self.begin_epoch(self._progress.epoch)

    def configuration(self, option: str) -> str:
        """What an option has become in integers."""
        text = self._library.nitic_configuration(self._session, option.replace("_", "-").encode())
        return text.decode() if text else ""

    def begin_epoch(self, epoch: int) -> None:
        """Sets learning rate and the other scalars for an epoch, counted from 0."""
        self._call("begin_epoch", ctypes.c_int64(epoch))
        progress = self._progress
        if epoch != progress.epoch:
            progress.epoch, progress.epoch_step, progress.running = epoch, 0, abi.Metrics()

    def set_statistics(self, samples: Samples) -> None:
        """Takes the input's mean and standard deviation from training samples, unless the program has its own."""
        samples = self._samples(samples)
        self._call("set_statistics", _pointer(samples), ctypes.c_int64(len(samples)))

    def train_step(self, samples: Samples, labels: Array | Sequence[int]) -> Metrics:
        """One step on exactly a batch."""
        return self._with_metrics("step", self._samples(samples, exact=True), labels)

    def eval_step(self, samples: Samples, labels: Array | Sequence[int]) -> Metrics:
        """Loss and right answers of up to a batch, by the static exponents of inference."""
        return self._with_metrics("eval", self._samples(samples), labels)

    def calibrate(self, samples: Samples) -> None:
        """Gives a program that no step has trained the statistics that inference needs."""
        samples = self._samples(samples)
        self._call("calibrate", _pointer(samples), len(samples))

    def predict(self, samples: Samples) -> tuple[Array, int]:
        """(mantissas (n, classes) int8, exponent) of the logits of up to a batch."""
        samples = self._samples(samples)
        self._calibrate_untrained(samples, stacklevel=3)
        logits = np.zeros((len(samples), self.compiled.program.classes), np.int8)
        exponent = ctypes.c_int32()
        self._call("predict", _pointer(samples), len(samples), _pointer(logits), ctypes.byref(exponent))
        return logits, exponent.value

    def state_dict(self) -> dict[str, Array]:
        """A copy of everything that a checkpoint holds: NHWC/OHWI, unpadded."""
        return {name: self._view(name).copy() for name in self.compiled.program.state}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Replaces the whole state, or changes nothing where a name, a shape or a value does not fit."""
        expected = self.compiled.program.state
        for name in sorted(expected.keys() ^ state.keys()):
            raise _mismatch(f"the state {'lacks' if name in expected else 'does not have'} tensor '{name}'")
        values = {name: _fitting(name, value, expected[name]) for name, value in state.items()}
        for name, value in values.items():
            self._view(name)[...] = value

    def save_checkpoint(self, path: str | Path) -> None:
        """Replaces the file in one go, or leaves it as it was. A file that is no checkpoint is not replaced."""
        progress = self._progress
        if progress.epoch_step > progress.samples // self.compiled.program.batch:
            progress.samples = 0  # this epoch is longer than those of the binary's run that the session goes on from
        self._call("checkpoint_save", os.fsencode(path))

    def load_checkpoint(self, path: str | Path) -> None:
        """Changes the session only when the whole file is good."""
        self._call("checkpoint_load", os.fsencode(path))

    def export_model(self, path: str | Path, format: str = "integer", opset: int | None = None) -> None:  # noqa: A002
        """Writes an ONNX file: docs/export.md.

        format: "integer" predicts what the session does, from uint8 samples, bit for bit; "float" is the file that was
        compiled, with the trained weights; "qdq" that file with int8 weights and the program's roundings, of an opset.
        """
        from nitic.driver.export import Trained, output_format

        program, options = self.compiled.program, self.compiled.options
        names = program.model, program.recipe, program.identity
        trained = Trained(*names, function(program.module, "predict"), self.state_dict(), options)
        trained.write(output_format(format), Path(path), opset)

    @property
    def _progress(self) -> abi.Progress:
        return self._library.nitic_session_progress(self._session).contents

    def _configure_without_end(self) -> None:
        """What a schedule over all epochs becomes when nobody knows how many there are."""
        constant = {"schedule": "constant"}
        if self.configuration("gb"):
            constant["gb"] = "4"
        self.configure(**constant)

    def _calibrate_untrained(self, samples: Array, stacklevel: int) -> None:
        if self._library.nitic_session_untrained(self._session):
            self.calibrate(samples)
            text = f"these weights were never trained: the exponents are calibrated on these {len(samples)} samples"
            warnings.warn(text, stacklevel=stacklevel)

    def _with_metrics(self, name: str, samples: Array, labels: Array | Sequence[int]) -> Metrics:
        y = self._labels(labels, len(samples))
        if name == "eval":
            self._calibrate_untrained(samples, stacklevel=4)
        metrics = abi.Metrics()
        count = () if name == "step" else (len(samples),)
        self._call(name, _pointer(samples), _pointer(y), *count, ctypes.byref(metrics))
        return Metrics(metrics.loss, metrics.correct, metrics.count)

    def _labels(self, labels: Array | Sequence[int], count: int) -> Array:
        y, classes = np.asarray(labels), self.compiled.program.labels
        if y.shape != (count,):
            raise _mismatch(f"{count} samples come with labels of shape {y.shape}")
        if y.dtype.kind not in "iu":
            raise _mismatch(f"labels are integers, not {y.dtype}")
        for row in np.flatnonzero((y < 0) | (y >= classes)):
            raise _mismatch(f"label {y[row]} in row {row}: the program has classes 0 to {classes - 1}")
        return np.ascontiguousarray(y, np.int32)

    def _samples(self, samples: Samples, exact: bool = False) -> Array:
        """As the program takes them: of several inputs the parts one behind the other."""
        parts = self.compiled.program.inputs
        if isinstance(samples, Mapping) != (len(parts) > 1) or (
            isinstance(samples, Mapping) and len(samples) != len(parts)
        ):
            names = ", ".join(part.name for part in parts)
            raise _mismatch(
                f"the program has the inputs {names}: samples are one array, or of several inputs a dict of them"
            )
        if not isinstance(samples, Mapping):
            return self._part(samples, parts[0], exact)
        if missing := [part.name for part in parts if part.name not in samples]:
            raise _mismatch(f"there are no samples of the inputs {', '.join(missing)}")
        arrays = [self._part(samples[part.name], part, exact) for part in parts]
        if len({len(array) for array in arrays}) > 1:
            raise _mismatch(f"inputs have different numbers of samples: {[len(array) for array in arrays]}")
        return np.concatenate([array.reshape(len(array), -1) for array in arrays], axis=1)

    def _part(self, samples: Array, part: Part, exact: bool) -> Array:
        batch, samples = self.compiled.program.batch, np.asarray(samples)
        if samples.dtype != np.uint8:
            raise _mismatch(f"samples are uint8, not {samples.dtype}")
        if exact and samples.shape[:1] != (batch,):
            raise _mismatch(f"a training step takes exactly {batch} samples, not an array of shape {samples.shape}")
        fitting = _in_input_order(samples, part.shape)
        if fitting is None:
            message = f"samples of shape {samples.shape} do not fit the program's {part.name} of {(batch, *part.shape)}"
            raise _mismatch(message)
        return np.ascontiguousarray(fitting)

    def _view(self, name: str) -> Array:
        found = self._library.nitic_tensor_find(self._program, name.encode())
        address = self._library.nitic_session_tensor(self._session, name.encode())
        if not found or not address:
            raise CompileError("", f"the program has no tensor '{name}'", exit_code=ExitCode.USAGE)
        tensor = found.contents
        shape = tuple(tensor.shape[: tensor.rank])
        buffer = (ctypes.c_char * tensor.bytes).from_address(address)
        return np.frombuffer(buffer, abi.DTYPES[tensor.dtype])[: prod(shape)].reshape(shape)

    def _call(self, name: str, *arguments: Any) -> None:
        self._check(getattr(self._library, f"nitic_{name}")(self._session, *arguments))

    def _check(self, code: int) -> None:
        if code:
            text = self._library.nitic_last_error().decode(errors="replace")
            known = code in tuple(ExitCode)  # `in ExitCode` takes no integers before Python 3.12
            raise CompileError("", text, exit_code=ExitCode(code) if known else ExitCode.RUN_TIME)


def _in_input_order(samples: Array, want: tuple[int, ...]) -> Array | None:
    """The samples as the program takes them, by the rule of runtime/data/input_shape.c; None where they do not fit."""
    given = samples.shape[1:]
    if samples.ndim == 0 or prod(given) != prod(want):
        return None
    if len(want) != 3 or want[2] == 1:
        in_order = len(want) == 1 or len(given) == 1 or _squeezed(given) == _squeezed(want)
        return samples if in_order else None
    if len(given) == 2 and want[0] == 1:  # a sequence is an image of one row
        channels_first = _in_input_order(np.expand_dims(samples, 2), want)
        return _in_input_order(np.expand_dims(samples, 1), want) if channels_first is None else channels_first
    if given == (want[2], want[0], want[1]):
        return samples.transpose(0, 2, 3, 1)
    return samples if given == want else None


def _squeezed(shape: tuple[int, ...]) -> list[int]:
    """A 1x28x28 image is a 28x28 image."""
    return [length for length in shape if length != 1]


def _fitting(name: str, value: Array, like: Array) -> Array:
    """`value` in the type of `like`, a tensor of the state."""
    value = np.asarray(value)
    if value.shape != like.shape:
        raise _mismatch(f"tensor '{name}' has shape {value.shape}, the program expects {like.shape}")
    if value.dtype.kind not in "iu":
        raise _mismatch(f"tensor '{name}' holds {value.dtype}, the program expects {like.dtype}")
    least, most = _limits(name, like)
    if value.size and (int(value.min()) < least or int(value.max()) > most):
        raise _mismatch(f"tensor '{name}' holds {value.min()} to {value.max()}, the program expects {least} to {most}")
    return value.astype(like.dtype)


def _limits(name: str, like: Array) -> tuple[int, int]:
    limit = VELOCITY_LIMIT if name.endswith(".velocity") else LIMITS.get(like.dtype.type)
    return (-limit, limit) if limit else (int(np.iinfo(like.dtype).min), int(np.iinfo(like.dtype).max))


def _whole(name: str, value: int, least: int, most: int) -> int:
    if least <= value <= most:
        return value
    raise CompileError("", f"{name} is a whole number from {least} to {most}, not {value}", exit_code=ExitCode.USAGE)


def _pointer(array: Array) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _mismatch(message: str) -> CompileError:
    return CompileError("", message, exit_code=ExitCode.DATA_MISMATCH)
