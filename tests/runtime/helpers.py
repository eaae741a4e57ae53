"""Running the toy, and the runtime's C interface."""

import ctypes
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nitic import abi

Arrays = tuple[NDArray[np.uint8], NDArray[np.int64]]
IDX = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
IDX_TYPES = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13}


def run(program: Path, *arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """The finished process with its output as text."""
    command = [str(program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, **options)


def succeed(program: Path, *arguments: str | Path, **options: Any) -> str:
    """Standard output of a run that must succeed."""
    done = run(program, *arguments, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fail(code: int, program: Path, *arguments: str | Path, **options: Any) -> str:
    """The sentence of a run that must fail with this code."""
    done = run(program, *arguments, **options)
    assert done.returncode == code, (done.returncode, done.stderr)
    lines = done.stderr.splitlines()
    assert lines[-1].startswith(f"{program}: ")
    return lines[-1]


def start(program: Path, *arguments: str | Path, until: str = "step") -> "subprocess.Popen[str]":
    """A running process, once it has said `until`: a training run says "step" when it has made some."""
    process = subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    while until not in process.stderr.readline():
        assert process.poll() is None
    return process


def read_terminal(descriptor: int) -> str:
    """What a terminal shows until its other side is closed."""
    chunks: list[bytes] = []
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            chunks.append(os.read(descriptor, 4096))
        except OSError:  # the other side is closed
            break
    os.close(descriptor)
    return b"".join(chunks).decode()


def write_npy(folder: Path, split: str, x: NDArray[Any], y: NDArray[Any]) -> None:
    np.save(folder / f"x_{split}.npy", x)
    np.save(folder / f"y_{split}.npy", y)


def idx(array: NDArray[Any]) -> bytes:
    head = bytes([0, 0, IDX_TYPES[array.dtype.name], array.ndim])
    return head + np.array(array.shape, ">u4").tobytes() + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_idx(folder: Path, split: str, x: NDArray[Any], y: NDArray[Any]) -> None:
    folder.mkdir(exist_ok=True)
    for name, array in zip(IDX[split], (x, y), strict=True):
        (folder / name).write_bytes(idx(array))


def read_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """(description, tensors) by the published rules of safetensors."""
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    metadata = header.pop("__metadata__")
    assert "nitic" in metadata
    assert size % 8 == 0
    dtypes = {"U8": "u1", "I8": "i1", "I16": "<i2", "I32": "<i4", "I64": "<i8"}
    tensors = {
        name: np.frombuffer(
            raw[8 + size + t["data_offsets"][0] : 8 + size + t["data_offsets"][1]], dtypes[t["dtype"]]
        ).reshape(t["shape"])
        for name, t in header.items()
    }
    return json.loads(metadata["nitic"]), tensors


class RuntimeFailure(Exception):
    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class Session:
    """nitic.h through ctypes, unchecked: the tests want to pass wrong things too."""

    def __init__(self, library: Path, threads: int = 1) -> None:
        self.c = ctypes.CDLL(str(library))
        self.c.nitic_last_error.restype = ctypes.c_char_p
        self.c.nitic_session_tensor.restype = ctypes.c_void_p
        self.c.nitic_configuration.restype = ctypes.c_char_p
        self.c.nitic_session_progress.restype = ctypes.POINTER(abi.Progress)
        self.handle = ctypes.c_void_p()
        program = ctypes.byref(ctypes.c_char.in_dll(self.c, "nitic_program_instance"))
        self._check(self.c.nitic_session_create(program, threads, None, ctypes.byref(self.handle)))

    def __del__(self) -> None:
        self.c.nitic_session_destroy(self.handle)

    @property
    def progress(self) -> abi.Progress:
        return self.c.nitic_session_progress(self.handle).contents

    def tensor(self, name: str, dtype: Any, count: int = 1) -> NDArray[Any]:
        """A view of the session's memory."""
        address = self.c.nitic_session_tensor(self.handle, name.encode())
        assert address, name
        buffer = (ctypes.c_char * (count * np.dtype(dtype).itemsize)).from_address(address)
        return np.frombuffer(memoryview(buffer), dtype)

    def hyper(self, name: str) -> int:
        return int(self.tensor(name, np.int32)[0])

    def configuration(self, option: str) -> str:
        return self.c.nitic_configuration(self.handle, option.encode()).decode()

    def set_statistics(self, samples: NDArray[np.uint8]) -> None:
        self.call("set_statistics", samples, ctypes.c_int64(len(samples)))

    def begin_epoch(self, epoch: int) -> None:
        self.call("begin_epoch", ctypes.c_int64(epoch))

    def shuffle(self, count: int, seed: int, epoch: int) -> NDArray[np.int64]:
        order = np.zeros(count, np.int64)
        numbers = map(ctypes.c_int64, (count, seed, epoch))
        self._check(self.c.nitic_shuffle(*numbers, _argument(order)))
        return order

    def scaled_rate(self, text: str, batch: int) -> tuple[int, int]:
        m, k = ctypes.c_int32(), ctypes.c_int32()
        self._check(self.c.nitic_scaled_rate(text.encode(), batch, ctypes.byref(m), ctypes.byref(k)))
        return m.value, k.value

    def call(self, name: str, *arguments: Any) -> None:
        """nitic_NAME(session, ...): text and arrays go as pointers."""
        self._check(getattr(self.c, f"nitic_{name}")(self.handle, *map(_argument, arguments)))

    def metrics(self, name: str, *arguments: Any) -> tuple[int, int, int]:
        result = abi.Metrics()
        self.call(name, *arguments, ctypes.byref(result))
        return result.loss, result.correct, result.count

    def _check(self, code: int) -> None:
        if code:
            raise RuntimeFailure(code, self.c.nitic_last_error().decode())


def _argument(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return ctypes.c_void_p(value.ctypes.data)
    if isinstance(value, str | Path):
        return str(value).encode()
    return value
