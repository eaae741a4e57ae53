"""Bytes: how much memory a value takes, and where the named tensors of a program lie in the arena."""

from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, SSAValue

from nitic.ir.function import STATE_ROLES, Label, arguments, functions, name_clash, results
from nitic.ir.layout import parse_layout
from nitic.ir.types import byte_size, element_of, is_tensor, range_, shape_of, tensor_type

ALIGNMENT = 64
SLACK = 64  # bytes behind a buffer that a kernel may read
RANGE_BYTES = 64 * 8  # an int64 slot for each thread that a program may have
ROLES = (*STATE_ROLES, "input", "label", "hyper", "metric", "output", "gradient")


def tensor_extents(module: ModuleOp) -> tuple[dict[str, tuple[int, int]], int]:
    """(offset and end of each named tensor, bytes of the state): the same for every variant."""
    found = named_tensors(module)
    extents: dict[str, tuple[int, int]] = {}
    top = state = 0
    for label, type_ in sorted(found.items(), key=lambda item: ROLES.index(item[0].role)):
        if label.name in extents:
            raise name_clash(label.name)
        extents[label.name] = (top, top + buffer_bytes(type_))
        top = extents[label.name][1]
        state = top if label.role in STATE_ROLES else state
    return extents, state


def ranges_of(func: FuncOp) -> list[SSAValue]:
    """The ranges that a function computes, in order."""
    return [r for op in func.body.block.ops for r in op.results if r.type == range_]


def range_area(module: ModuleOp) -> tuple[int, int]:
    """(offset, bytes) of the memory for the ranges of whatever function runs; it lies behind the named tensors."""
    offset = max((end for _, end in tensor_extents(module)[0].values()), default=0)
    count = max((len(ranges_of(func)) for func in functions(module)), default=0)
    return offset, count * RANGE_BYTES


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
        return RANGE_BYTES if type_ == range_ else byte_size(type_)
    encoding = tensor_type(type_).encoding
    if isinstance(encoding, StringAttr):
        return parse_layout(encoding.data).size(shape_of(type_))
    count = 1
    for dim in shape_of(type_):
        count *= dim
    return count * byte_size(element_of(type_))


def buffer_bytes(type_: Attribute) -> int:
    """Bytes that a buffer takes in the arena."""
    size = tensor_bytes(type_) + (SLACK if is_tensor(type_) and shape_of(type_) else 0)
    return -(-size // ALIGNMENT) * ALIGNMENT
