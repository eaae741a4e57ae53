"""Bytes: how much memory a value takes, and where the named tensors of a program lie in the arena."""

from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, SSAValue

from nitic.ir.function import STATE_ROLES, Label, arguments, functions, name_clash, results
from nitic.ir.layout import SLACK, parse_layout
from nitic.ir.types import byte_size, element_of, is_tensor, range_, shape_of, tensor_type

ALIGNMENT = 64
APART = 1 << 62  # NITIC_APART: of an offset, says that it is one in the constants and not in the arena
MAX_THREADS = 64  # NITIC_MAX_THREADS: also the slots of a range
ROLES = (*STATE_ROLES, "input", "label", "hyper", "metric", "output", "gradient")


@dataclass(frozen=True)
class Memory:
    """What a program's buffers take beside their elements; its variants have it in common.

    alignment: of each, in bytes. slack: bytes behind it that a kernel may read. threads: that a program may have; a
    range has an int64 for each. frozen_apart: frozen parameters are constants of the program, with offsets from APART
    on, and lie in no arena.
    """

    alignment: int = ALIGNMENT
    slack: int = SLACK
    threads: int = MAX_THREADS
    frozen_apart: bool = False

    @property
    def range_bytes(self) -> int:
        return self.threads * 8

    def bytes_of(self, type_: Attribute) -> int:
        """Bytes that a buffer takes in the arena."""
        if type_ == range_:
            return self.range_bytes
        size = tensor_bytes(type_) + (self.slack if is_tensor(type_) and shape_of(type_) else 0)
        return -(-size // self.alignment) * self.alignment


USUAL = Memory()
"""Of programs that threads of a processor with vectors run."""


def tensor_extents(module: ModuleOp, memory: Memory = USUAL) -> tuple[dict[str, tuple[int, int]], int]:
    """(offset and end of each named tensor, bytes of the state in the arena): the same for every variant."""
    found = named_tensors(module)
    extents: dict[str, tuple[int, int]] = {}
    top = state = 0
    constants = APART
    for label, type_ in sorted(found.items(), key=lambda item: ROLES.index(item[0].role)):
        if label.name in extents:
            raise name_clash(label.name)
        if memory.frozen_apart and label.role == "frozen":
            extents[label.name] = (constants, constants + memory.bytes_of(type_))
            constants = extents[label.name][1]
            continue
        extents[label.name] = (top, top + memory.bytes_of(type_))
        top = extents[label.name][1]
        state = top if label.role in STATE_ROLES else state
    return extents, state


def ranges_of(func: FuncOp) -> list[SSAValue]:
    """The ranges that a function computes, in order."""
    return [r for op in func.body.block.ops for r in op.results if r.type == range_]


def range_area(module: ModuleOp, memory: Memory = USUAL) -> tuple[int, int]:
    """(offset, bytes) of the memory for the ranges of whatever function runs; it lies behind the named tensors."""
    extents, _ = tensor_extents(module, memory)
    offset = max((end for begin, end in extents.values() if begin < APART), default=0)
    count = max((len(ranges_of(func)) for func in functions(module)), default=0)
    return offset, count * memory.range_bytes


def named_tensors(module: ModuleOp) -> dict[Label, Attribute]:
    """Every argument and result of the functions, by label, in order of appearance."""
    found: dict[Label, Attribute] = {}
    for func in functions(module):
        for label, value in [*arguments(func), *results(func)]:
            found.setdefault(label, value.type)
    return found


def tensor_bytes(type_: Attribute) -> int:
    """Bytes of the elements, in the tensor's layout."""
    if not is_tensor(type_):
        return USUAL.range_bytes if type_ == range_ else byte_size(type_)
    encoding = tensor_type(type_).encoding
    if isinstance(encoding, StringAttr):
        return parse_layout(encoding.data).size(shape_of(type_))
    count = 1
    for dim in shape_of(type_):
        count *= dim
    return count * byte_size(element_of(type_))


def buffer_bytes(type_: Attribute) -> int:
    """Bytes that a buffer usually takes in the arena."""
    return USUAL.bytes_of(type_)
