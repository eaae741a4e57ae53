"""What a sample consists of, where a network has several inputs.

A program has one input. Several are its parts, one behind the other in every sample: to move, to shuffle and to copy a
sample is the same work, however many parts it has. The module's attributes say where each lies, and every part has
statistics of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from xdsl.dialects.builtin import ArrayAttr, DenseArrayBase, ModuleOp, StringAttr, i64

from nitic.ir.types import Shape

NAMES, SHAPES = "nn.inputs", "nn.input_shapes"


@dataclass(frozen=True)
class Part:
    """One of several inputs: its name, as files and arguments have it, and the shape of its share of a sample, NHWC."""

    name: str
    shape: Shape

    @property
    def size(self) -> int:
        """Its elements, which are bytes."""
        return prod(self.shape)

    @property
    def channels(self) -> int:
        """How many statistics it has: those of an image's channels, or one of a vector."""
        return self.shape[-1] if len(self.shape) == 3 else 1


def set_parts(module: ModuleOp, parts: Sequence[Part]) -> None:
    """Says what the samples of a module's functions consist of."""
    module.attributes[NAMES] = ArrayAttr([StringAttr(part.name) for part in parts])
    module.attributes[SHAPES] = ArrayAttr([DenseArrayBase.from_list(i64, part.shape) for part in parts])


def parts_of(module: ModuleOp) -> tuple[Part, ...]:
    """The parts of a sample; none, where a sample is a single one."""
    names, shapes = (module.attributes.get(key) for key in (NAMES, SHAPES))
    if not isinstance(names, ArrayAttr) or not isinstance(shapes, ArrayAttr):
        return ()
    pairs = zip(names, shapes, strict=True)
    return tuple(
        Part(name.data, tuple(shape.get_values()))
        for name, shape in pairs
        if isinstance(name, StringAttr) and isinstance(shape, DenseArrayBase)
    )
