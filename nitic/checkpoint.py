"""Reads and writes what runtime/checkpoint/save.c does: safetensors, with a description and a checksum."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from nitic.arithmetic.checksum import START, fnv1a
from nitic.arithmetic.integers import Array
from nitic.errors import CompileError, ExitCode

DTYPES = {"U8": "u1", "I8": "i1", "I16": "<i2", "I32": "<i4", "I64": "<i8"}
CHECKSUM_DIGITS = 16
MAX_HEADER = 2**26
CHECKPOINT, DELTA = "nitic", "nitic.delta"  # the keys of their descriptions


@dataclass(frozen=True)
class Checkpoint:
    """The state of a program by name, and what the runtime says of it: identity, recipe, batch, step, lr, ..."""

    path: Path
    description: Mapping[str, Any]
    state: Mapping[str, Array]

    def text(self, key: str) -> str:
        """A word of the description. Raises CompileError where it is missing."""
        value = self.description.get(key)
        if not isinstance(value, str):
            raise damaged(self.path, f"its description lacks '{key}'")
        return value


def read_checkpoint(path: Path) -> Checkpoint:
    """Raises CompileError for a file that is no checkpoint, or a damaged one, and OSError."""
    kind, found = read_sealed(path)
    if kind == DELTA:
        message, note = "it is a delta, and no checkpoint", "`nitic average --base BASE DELTA -o CKPT` makes one of it"
        raise CompileError(str(path), message, note, ExitCode.DATA_MISMATCH)
    return found


def read_sealed(path: Path) -> tuple[str, Checkpoint]:
    """A checkpoint or a delta (nitic/delta.py), and which it is. Raises CompileError, and OSError."""
    raw = path.read_bytes()
    try:
        size = int.from_bytes(raw[:8], "little")
        header: dict[str, Any] = json.loads(raw[8 : 8 + min(size, MAX_HEADER)])
        metadata: dict[str, str] = header.pop("__metadata__")
        kind = DELTA if DELTA in metadata else CHECKPOINT
        text = metadata[kind]
        description: dict[str, Any] = json.loads(text)
        state = {name: _tensor(raw[8 + size :], entry) for name, entry in header.items()}
        whole = description["checksum"]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError):
        raise CompileError(str(path), "it is no whole checkpoint of nitic", exit_code=ExitCode.DATA_MISMATCH) from None
    if _checksum(text, whole, state) != whole:
        raise damaged(path, "its checksum is not that of its contents")
    return kind, Checkpoint(path, description, state)


def checkpoint_bytes(description: Mapping[str, Any], state: Mapping[str, Array], kind: str = CHECKPOINT) -> bytes:
    """The contents of a file, as the runtime writes it; the description needs no checksum of its own."""
    zeros = "0" * CHECKSUM_DIGITS
    text = _json(dict(sorted({**description, "checksum": zeros}.items())))
    text = text.replace(f'"checksum":"{zeros}"', f'"checksum":"{_checksum(text, zeros, state)}"')
    header: dict[str, Any] = {"__metadata__": {kind: text}}
    begin, names = 0, {np.dtype(element): name for name, element in DTYPES.items()}
    for name, value in _in_order(state):
        places = [begin, begin + value.nbytes]
        header[name] = {"dtype": names[value.dtype], "shape": list(value.shape), "data_offsets": places}
        begin = places[1]
    raw = _json(header).encode()
    raw += b" " * (-len(raw) % 8)
    return len(raw).to_bytes(8, "little") + raw + b"".join(value.tobytes() for _, value in _in_order(state))


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _in_order(state: Mapping[str, Array]) -> list[tuple[str, Array]]:
    """By falling element size, then by name."""
    return sorted(state.items(), key=lambda item: (-item[1].itemsize, item[0].encode()))


def _tensor(data: bytes, entry: Mapping[str, Any]) -> Array:
    begin, end = entry["data_offsets"]
    return np.frombuffer(data[begin:end], DTYPES[entry["dtype"]]).reshape(entry["shape"])


def _checksum(text: str, whole: str, state: Mapping[str, Array]) -> str:
    """FNV-1a of the description without its checksum, then of the names and tensors in the order of the file."""
    unsealed = text.replace(f'"checksum":"{whole}"', f'"checksum":"{"0" * CHECKSUM_DIGITS}"')
    total = fnv1a(START, unsealed.encode())
    for name, value in _in_order(state):
        total = fnv1a(fnv1a(total, name.encode()), value.tobytes())
    return f"{total:0{CHECKSUM_DIGITS}x}"


def digest(state: Mapping[str, Array]) -> str:
    """Hexadecimal SHA-256 of a state: the same for a session and for the checkpoint that it saved."""
    total = sha256()
    for name in sorted(state):
        total.update(f"{name}\0{state[name].dtype.str}\0{state[name].shape}\0".encode() + state[name].tobytes())
    return total.hexdigest()


def damaged(path: Path, what: str) -> CompileError:
    return CompileError(str(path), f"damaged checkpoint: {what}", exit_code=ExitCode.DATA_MISMATCH)
