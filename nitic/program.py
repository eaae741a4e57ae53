"""A compiled model before it becomes machine code: what it means, and how each variant runs it."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from mmap import ACCESS_READ, mmap
from pathlib import Path

from xdsl.dialects.builtin import IntegerAttr, ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import BlockArgument

from nitic.arithmetic.integers import Array
from nitic.arithmetic.losses import LARGEST_TARGET
from nitic.ir.buffers import APART, USUAL, Memory, tensor_extents
from nitic.ir.function import argument_labels, arguments, function, results
from nitic.ir.sample import Part, parts_of, set_parts
from nitic.ir.text import MAX_BYTES, print_module
from nitic.ir.traits import SquaredError
from nitic.ir.types import shape_of

DESCRIPTION_MAGIC = b"\0nitic-ir\0"


@dataclass(frozen=True)
class Program:
    """A training program.

    module: every function in integers, the same for all targets: the interpreter runs it.
    variants: the names of the variants, best first.
    state: initial values by name. memory: how its buffers lie.
    """

    model: str
    recipe: str
    module: ModuleOp
    variants: tuple[str, ...]
    state: dict[str, Array]
    normalised: bool
    memory: Memory = USUAL

    @property
    def train_step(self) -> FuncOp:
        return function(self.module, "train_step")

    @cached_property
    def identity(self) -> str:
        """Hexadecimal SHA-256 of what the program means; initial values are no part of it."""
        return sha256(f"{self.recipe}\n{print_module(self.module)}".encode()).hexdigest()

    @property
    def extents(self) -> tuple[dict[str, tuple[int, int]], int]:
        """Where the named tensors lie, and the bytes of the state: nitic.ir.buffers.tensor_extents."""
        return tensor_extents(self.module, self.memory)

    @property
    def batch(self) -> int:
        return shape_of(self._of_role("label"))[0]

    @property
    def classes(self) -> int:
        return shape_of(results(function(self.module, "predict"))[0][1])[1]

    @property
    def labels(self) -> int:
        """How many labels there are, from 0: the classes, or the numbers that one logit is compared with."""
        return LARGEST_TARGET + 1 if self.classes == 1 and self.has_squared_error else self.classes

    @property
    def input_shape(self) -> tuple[int, ...]:
        return shape_of(self._of_role("input"))

    @property
    def inputs(self) -> tuple[Part, ...]:
        """What a sample consists of: the input, or several, one behind the other."""
        return parts_of(self.module) or (Part("input", self.input_shape[1:]),)

    @property
    def has_squared_error(self) -> bool:
        """Whether the loss is a sum of squares, and not cross-entropy."""
        return any(op.has_trait(SquaredError) for op in self.train_step.walk())

    @property
    def has_momentum(self) -> bool:
        return any(label.role == "velocity" for label in argument_labels(self.train_step))

    @property
    def has_moments(self) -> bool:
        """Whether the update keeps moments of the gradients."""
        return any(label.role == "first_moment" for label in argument_labels(self.train_step))

    def _of_role(self, role: str) -> BlockArgument:
        return next(arg for label, arg in arguments(self.train_step) if label.role == role)

    def state_bytes(self) -> bytes:
        """The state as it lies at the start of the arena, lowest bytes first, without the zeros at its end."""
        return self._bytes_at(0, APART).rstrip(b"\0") or b"\0"

    def constant_bytes(self) -> bytes:
        """The frozen parameters that are no part of the arena."""
        return self._bytes_at(APART, 2 * APART)

    def _bytes_at(self, first: int, end: int) -> bytes:
        """What the state begins with between two offsets."""
        extents, _ = self.extents
        set_ = {name: value for name, value in self.state.items() if first <= extents[name][0] < end}
        blob = bytearray(max((extents[name][1] - first for name in set_), default=0))
        for name, value in set_.items():
            begin = extents[name][0] - first
            blob[begin : begin + value.nbytes] = value.astype(value.dtype.newbyteorder("<")).tobytes()
        return bytes(blob)

    def description(self, variants: Mapping[str, str]) -> bytes:
        """What `nitic inspect` and `nitic export` read out of a binary, compressed.

        Initial exponents, @predict in integers behind the identity of the program, and the variants' IR.
        """
        parts = [f"// {name} = {value}\n" for name, value in self.state.items() if name.endswith(".exponent")]
        predict = ModuleOp([function(self.module, "predict").clone()])
        if inputs := parts_of(self.module):
            set_parts(predict, inputs)
        parts.append(f"// program {self.identity}\n{print_module(predict, locations=True)}")
        parts += [f"// variant {name}\n{text}" for name, text in variants.items()]
        packed = zlib.compress("".join(parts).encode())
        return DESCRIPTION_MAGIC + len(packed).to_bytes(8, "little") + packed


def read_description(binary: Path) -> str:
    """The IR inside a binary. Raises OSError, and ValueError where there is none, or a damaged one."""
    if binary.exists() and not binary.is_file():
        raise ValueError("a pipe or a device may have no end")
    with binary.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        start = content.find(DESCRIPTION_MAGIC) + len(DESCRIPTION_MAGIC)
        if start < len(DESCRIPTION_MAGIC):
            raise ValueError("no description")
        size = int.from_bytes(content[start : start + 8], "little")
        packed = content[start + 8 : start + 8 + size]
    try:
        unpacking = zlib.decompressobj()
        text = unpacking.decompress(packed, MAX_BYTES)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not unpacking.eof:
        raise ValueError("it is cut off, or longer than IR may be")
    return text.decode()


def arena_bytes(module: ModuleOp) -> int:
    """Memory of a variant after plan-memory."""
    return _int_attribute(module, "nn.arena")


def state_size(module: ModuleOp) -> int:
    return _int_attribute(module, "nn.state")


def _int_attribute(module: ModuleOp, name: str) -> int:
    attribute = module.attributes[name]
    assert isinstance(attribute, IntegerAttr)
    return attribute.value.data
