"""Training from Python: the runtime and the kernels of the binary, through their C interface (runtime/nitic.h).

program = nitic.compile("model.onnx", batch_size=64)
session = nitic.TrainingSession(program, threads=2)
metrics = session.train_step(x, y)
"""

import ctypes
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import log, prod
from pathlib import Path
from typing import Any

import numpy as np

from nitic.errors import CompileError, ExitCode
from nitic.numerics import Array
from nitic.options import CompileOptions, Emit
from nitic.program import Program

DTYPES = (np.uint8, np.int8, np.int16, np.int32, np.int64)  # nitic_dtype


@dataclass(frozen=True)
class CompiledProgram:
    """A program as a shared library. The library lives as long as this object."""

    program: Program
    library: Path
    folder: "tempfile.TemporaryDirectory[str]" = field(repr=False)


def compile_program(model: str | Path, **options: Any) -> CompiledProgram:
    """Compiles an ONNX file for use in this process; options are those of CompileOptions. Raises CompileError."""
    from nitic import driver

    folder = tempfile.TemporaryDirectory(prefix="nitic-")
    library = Path(folder.name) / "program.so"
    program = driver.build_program(replace(CompileOptions(model=Path(model), emit=Emit.LIB), **options))
    driver.emit(program, Emit.LIB, library)
    return CompiledProgram(program, library, folder)


@dataclass(frozen=True)
class Metrics:
    """Sums over a batch: the loss in bits in Q8, right answers, rows."""

    loss: int
    correct: int
    count: int

    @property
    def nats(self) -> float:
        """The mean loss in nats."""
        return self.loss / self.count / 256 * log(2)


class _Metrics(ctypes.Structure):
    _fields_ = (("loss", ctypes.c_int64), ("correct", ctypes.c_int64), ("count", ctypes.c_int64))


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("role", ctypes.c_int),
        ("dtype", ctypes.c_int),
        ("rank", ctypes.c_uint32),
        ("shape", ctypes.c_int64 * 6),
        ("offset", ctypes.c_uint64),
        ("bytes", ctypes.c_uint64),
    )


class TrainingSession:
    """A program, its state and its threads. `threads` of 0 are as many as there are cores.

    Every method raises CompileError with the runtime's sentence when it fails. Samples are uint8 of the program's input
    shape (NHWC, or (N, F)); labels are integers.
    """

    def __init__(self, compiled: CompiledProgram, threads: int = 0, variant: str | None = None) -> None:
        self.compiled = compiled
        self._library = ctypes.CDLL(str(compiled.library))
        self._library.nitic_last_error.restype = ctypes.c_char_p
        self._library.nitic_session_tensor.restype = ctypes.c_void_p
        self._library.nitic_tensor_find.restype = ctypes.POINTER(_Tensor)
        self._library.nitic_session_variant.restype = ctypes.c_char_p
        self._library.nitic_configuration.restype = ctypes.c_char_p
        self._program = ctypes.byref(ctypes.c_char.in_dll(self._library, "nitic_program_instance"))
        self._session = ctypes.c_void_p()
        name = variant.encode() if variant else None
        self._check(self._library.nitic_session_create(self._program, threads, name, ctypes.byref(self._session)))

    def __del__(self) -> None:
        if getattr(self, "_session", None):
            self._library.nitic_session_destroy(self._session)

    @property
    def variant(self) -> str:
        """The kernels in use: avx512vnni or portable."""
        return self._library.nitic_session_variant(self._session).decode()

    def configure(self, **options: str) -> None:
        """Run-time options in the command line's words: lr="0.016", momentum="0.9", schedule="step:3,4:0.5"."""
        for name, text in options.items():
            self._call("configure", name.replace("_", "-").encode(), text.encode())

    def configuration(self, option: str) -> str:
        """What an option has become in integers."""
        text = self._library.nitic_configuration(self._session, option.replace("_", "-").encode())
        return text.decode() if text else ""

    def begin_epoch(self, epoch: int) -> None:
        """Sets learning rate and the other scalars for an epoch, counted from 0."""
        self._call("begin_epoch", ctypes.c_int64(epoch))

    def set_statistics(self, samples: Array) -> None:
        """Takes the input's mean and standard deviation from training samples."""
        samples = self._samples(samples)
        self._call("set_statistics", _pointer(samples), ctypes.c_int64(len(samples)))

    def train_step(self, samples: Array, labels: Array | Sequence[int]) -> Metrics:
        """One step on exactly a batch."""
        return self._with_metrics("step", self._samples(samples, exact=True), labels)

    def eval_step(self, samples: Array, labels: Array | Sequence[int]) -> Metrics:
        """Loss and right answers of up to a batch, by the static exponents of inference."""
        return self._with_metrics("eval", self._samples(samples), labels)

    def calibrate(self, samples: Array) -> None:
        """Gives a program that no step has trained the statistics that inference needs."""
        samples = self._samples(samples)
        self._call("calibrate", _pointer(samples), len(samples))

    def predict(self, samples: Array) -> tuple[Array, int]:
        """(mantissas (n, classes) int8, exponent) of the logits of up to a batch."""
        samples = self._samples(samples)
        logits = np.zeros((len(samples), self.compiled.program.classes), np.int8)
        exponent = ctypes.c_int32()
        self._call("predict", _pointer(samples), len(samples), _pointer(logits), ctypes.byref(exponent))
        return logits, exponent.value

    def state_dict(self) -> dict[str, Array]:
        """A copy of everything that a checkpoint holds: NHWC/OHWI, unpadded."""
        return {name: self._view(name).copy() for name in self.compiled.program.state}

    def load_state_dict(self, state: dict[str, Array]) -> None:
        """Overwrites the state by name."""
        for name, value in state.items():
            self._view(name)[...] = value

    def save_checkpoint(self, path: str | Path) -> None:
        """Replaces the file in one go, or leaves it as it was."""
        self._call("checkpoint_save", str(path).encode())

    def load_checkpoint(self, path: str | Path) -> None:
        """Changes the session only when the whole file is good."""
        self._call("checkpoint_load", str(path).encode())

    def _with_metrics(self, name: str, samples: Array, labels: Array | Sequence[int]) -> Metrics:
        y = np.ascontiguousarray(labels, np.int32)
        if y.shape != (len(samples),):
            raise _mismatch(f"{len(samples)} samples come with labels of shape {y.shape}")
        metrics = _Metrics()
        count = () if name == "step" else (len(samples),)
        self._call(name, _pointer(samples), _pointer(y), *count, ctypes.byref(metrics))
        return Metrics(metrics.loss, metrics.correct, metrics.count)

    def _samples(self, samples: Array, exact: bool = False) -> Array:
        shape = self.compiled.program.input_shape
        if samples.dtype != np.uint8:
            raise _mismatch(f"samples are uint8, not {samples.dtype}")
        if prod(samples.shape[1:]) != prod(shape[1:]) or (exact and len(samples) != shape[0]):
            raise _mismatch(f"samples of shape {samples.shape} do not fit the program's input of {shape}")
        return np.ascontiguousarray(samples)

    def _view(self, name: str) -> Array:
        tensor = self._library.nitic_tensor_find(self._program, name.encode()).contents
        shape = tuple(tensor.shape[: tensor.rank])
        address = self._library.nitic_session_tensor(self._session, name.encode())
        buffer = (ctypes.c_char * tensor.bytes).from_address(address)
        return np.frombuffer(buffer, DTYPES[tensor.dtype])[: prod(shape)].reshape(shape)

    def _call(self, name: str, *arguments: Any) -> None:
        self._check(getattr(self._library, f"nitic_{name}")(self._session, *arguments))

    def _check(self, code: int) -> None:
        if code:
            text = self._library.nitic_last_error().decode()
            raise CompileError("", text, exit_code=ExitCode(code) if code in ExitCode else ExitCode.RUN_TIME)


def _pointer(array: Array) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _mismatch(message: str) -> CompileError:
    return CompileError("", message, exit_code=ExitCode.DATA_MISMATCH)
