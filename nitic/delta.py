"""What of a checkpoint differs from another one of the same program, its base: for rounds of federated training.

The file is like a checkpoint, under a key of its own and with the digest of the base. A tensor that has not moved is
left out; any other is the bytes of its differences, modulo the width of its elements, all lowest bytes first, deflated.
Most elements move a little or not at all, so that the higher bytes are nearly all alike.
"""

import zlib
from pathlib import Path
from typing import Any

import numpy as np

from nitic.arithmetic.integers import Array
from nitic.checkpoint import DELTA, Checkpoint, checkpoint_bytes, damaged, digest, read_sealed
from nitic.errors import CompileError, ExitCode

LEVEL = 9  # of zlib


def delta_bytes(base: Checkpoint, checkpoint: Checkpoint) -> bytes:
    """The file that makes the checkpoint of its base. Raises CompileError where they are of two programs."""
    if base.text("identity") != checkpoint.text("identity"):
        raise _other_base(checkpoint, "identity", checkpoint.text("identity"), base, base.text("identity"))
    if _types(base) != _types(checkpoint):
        raise damaged(checkpoint.path, f"its tensors are not those of {base.path}")
    moved = {name: value for name, value in checkpoint.state.items() if not np.array_equal(value, base.state[name])}
    packed = {name: _packed(value, base.state[name]) for name, value in moved.items()}
    return checkpoint_bytes({**checkpoint.description, "base": digest(base.state)}, packed, DELTA)


def read_with_base(path: Path, base: Checkpoint | None) -> Checkpoint:
    """A checkpoint, or what a delta makes of its base, bit for bit. Raises CompileError, and OSError."""
    kind, found = read_sealed(path)
    if kind != DELTA:
        return found
    if base is None:
        message = "it is a delta, which says nothing without the checkpoint that it is of"
        raise CompileError(str(path), message, "give that checkpoint by --base", ExitCode.USAGE)
    if found.text("base") != (own := digest(base.state)):
        raise _other_base(found, "base", found.text("base"), base, own)
    try:
        moved = {name: _unpacked(packed, base.state[name]) for name, packed in found.state.items()}
    except (zlib.error, ValueError, KeyError):
        raise damaged(path, "its differences do not fit its base") from None
    description = {key: value for key, value in found.description.items() if key != "base"}
    return Checkpoint(path, description, {**base.state, **moved})


def _types(checkpoint: Checkpoint) -> dict[str, tuple[np.dtype[Any], tuple[int, ...]]]:
    return {name: (value.dtype, value.shape) for name, value in checkpoint.state.items()}


def _packed(value: Array, base: Array) -> Array:
    planes = (_unsigned(value) - _unsigned(base)).view(np.uint8).reshape(-1, value.itemsize).T
    return np.frombuffer(zlib.compress(planes.tobytes(), LEVEL), np.uint8)


def _unpacked(packed: Array, base: Array) -> Array:
    """Raises zlib.error and ValueError."""
    stream = zlib.decompressobj()
    raw = stream.decompress(packed.tobytes(), base.nbytes + 1)
    if not stream.eof or stream.unused_data:
        raise ValueError("it is longer or shorter than what was packed")
    planes = np.frombuffer(raw, np.uint8).reshape(base.itemsize, -1)
    differences = np.ascontiguousarray(planes.T).view(_unsigned(base).dtype).reshape(-1)
    return (_unsigned(base) + differences).view(base.dtype).reshape(base.shape)


def _unsigned(value: Array) -> Array:
    """The elements in one row: their differences wrap."""
    return value.reshape(-1).view(f"<u{value.itemsize}")


def _other_base(of: Checkpoint, what: str, there: str, base: Checkpoint, here: str) -> CompileError:
    message = f"{base.path} is not the base of it: {what} {there:.12}, here {here:.12}"
    return CompileError(str(of.path), message, exit_code=ExitCode.DATA_MISMATCH)
