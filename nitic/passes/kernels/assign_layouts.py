"""assign-layouts: the physical form of every operand that a variant's kernels want otherwise than row-major.

Packing is explicit: an nn.pack, whose result plan-memory sees. It is a kernel of its own before the first reader, or
the end of the kernel that makes the tensor, where that can write both forms.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import BlockArgument, Operation, OpResult, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from nitic.ir.function import functions
from nitic.ir.layout import Layout, Padded
from nitic.ir.op import NnOp, place
from nitic.ops.activation import ActivationOp, ClipOp
from nitic.ops.bfp import RoundShiftOp
from nitic.ops.concat import ConcatOp, PadOp, SliceOp
from nitic.ops.elementwise import DropoutOp, ReluOp
from nitic.ops.fused import FusedOp
from nitic.ops.layouts import operand_layouts, writes_too
from nitic.ops.lrn import LrnOp
from nitic.ops.pack import PackOp
from nitic.ops.pool import AveragePoolOp, MaxPoolOp
from nitic.ops.product import MulOp
from nitic.ops.reshape import ReshapeOp, TransposeOp
from nitic.passes.base import NiticPass, option_error
from nitic.passes.kernels.fuse import make_group

Packed = dict[tuple[SSAValue, Layout], SSAValue]
VARIANTS = ("portable", "avx512vnni", "cuda")
KEEP_SIGNS = (RoundShiftOp, MaxPoolOp, AveragePoolOp, DropoutOp, ReshapeOp, TransposeOp, SliceOp, PadOp, LrnOp, PackOp)
ROW_MAJOR = Padded(biased=False)  # the same bytes as no layout at all


@dataclass(frozen=True)
class AssignLayouts(NiticPass):
    """Adds the packed copies that the kernels of `variant` read; what then nobody reads is not written."""

    variant: str = "portable"
    name = "assign-layouts"

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise option_error(self, f"unknown variant '{self.variant}'; the variants are {', '.join(VARIANTS)}")

    def apply(self, module: ModuleOp) -> None:
        for func in functions(module):
            assign(func, self.variant)


def assign(func: FuncOp, variant: str) -> None:
    packed: Packed = {}
    for group in [op for op in func.body.block.ops if isinstance(op, FusedOp)]:
        for op in [op for op in group.members if isinstance(op, NnOp)]:
            for operand, layout in _wanted(op, variant):
                _use_packed(group, op, operand, layout, packed)
    written: dict[FusedOp, FusedOp] = {}  # a kernel writes one such copy
    for (source, layout), copy in packed.items():
        writer, pack = source.owner, copy.owner
        if isinstance(writer, FusedOp) and isinstance(pack, FusedOp) and _writes(writer, layout):
            written.setdefault(writer, pack)
    for groups in written.items():
        _merge(groups)


def _writes(group: FusedOp, layout: Layout) -> bool:
    """Whether a group's kernel can write a packed copy too."""
    return any(isinstance(op, NnOp) and writes_too(op, layout) for op in group.members)


def _merge(groups: Sequence[FusedOp]) -> None:
    """Makes one group of several, where the first of them was."""
    ops = [op for group in groups for op in _take_members(group)]
    Rewriter.insert_op(make_group(ops), InsertPoint.before(groups[0]))
    for group in groups:
        Rewriter.erase_op(group)


def _take_members(group: FusedOp) -> list[Operation]:
    """Leaves a group empty and unused; its members, detached, work on what is outside of it."""
    for arg, operand in zip(group.block.args, group.operands, strict=True):
        arg.replace_all_uses_with(operand)
    for result, value in zip(group.results, group.yielded, strict=True):
        result.replace_all_uses_with(value)
    group.operands = ()
    *members, end = list(group.block.ops)
    Rewriter.erase_op(end)
    for op in members:
        op.detach()
    return members


def _wanted(op: NnOp, variant: str) -> list[tuple[SSAValue, Layout]]:
    layouts = operand_layouts(op, variant, bool(op.operands) and is_nonnegative(op.operands[0]))
    pairs = zip(op.operands, layouts, strict=True)
    return [(operand, layout) for operand, layout in pairs if layout is not None and layout != ROW_MAJOR]


def _use_packed(group: FusedOp, op: NnOp, operand: SSAValue, layout: Layout, packed: Packed) -> None:
    """Makes a member of the group read a packed copy of its operand."""
    assert isinstance(operand, BlockArgument)
    source = group.operands[operand.index]
    if (source, layout) not in packed:
        pack = PackOp.of(source, layout=str(layout))
        place(pack, group.location)
        copy = make_group([pack], [pack.result])
        Rewriter.insert_op(copy, InsertPoint.before(group))
        packed[source, layout] = copy.results[0]
    copy = packed[source, layout]
    new = group.block.insert_arg(copy.type, len(group.block.args))
    group.operands = [*group.operands, copy]
    operand.replace_uses_with_if(new, lambda use: use.operation is op)
    if operand.first_use is None:
        group.operands = [v for i, v in enumerate(group.operands) if i != operand.index]
        group.block.erase_arg(operand)


def is_nonnegative(value: SSAValue) -> bool:
    """Whether a value comes from a relu or its like, through operators that keep signs."""
    if isinstance(value, BlockArgument):
        group = value.block.parent_op()
        return isinstance(group, FusedOp) and is_nonnegative(group.operands[value.index])
    assert isinstance(value, OpResult)
    match value.op:
        case FusedOp() as group:
            return is_nonnegative(group.yielded[value.index])
        case MulOp() as product:
            return is_nonnegative(product.a) and is_nonnegative(product.b)
        case ConcatOp() as joined:
            return all(map(is_nonnegative, joined.parts))
        case op if isinstance(op, KEEP_SIGNS):
            return is_nonnegative(op.operands[0])
        case op:
            return _rectifies(op)


def _rectifies(op: Operation) -> bool:
    """Whether an operator gives no negative value, whatever it is given."""
    match op:
        case ClipOp():
            return op.bounds()[0] == 0
        case ActivationOp():
            return op.table().is_nonnegative
        case _:
            return isinstance(op, ReluOp)
