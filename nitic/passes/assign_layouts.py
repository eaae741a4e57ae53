"""assign-layouts: the physical form of every operand that a variant's kernels want otherwise than row-major.

Packing is explicit: an nn.pack before its first reader, a kernel of its own, whose result plan-memory sees.
"""

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
from nitic.ops.layouts import operand_layouts
from nitic.ops.lrn import LrnOp
from nitic.ops.pack import PackOp
from nitic.ops.pool import AveragePoolOp, MaxPoolOp
from nitic.ops.product import MulOp
from nitic.ops.reshape import ReshapeOp, TransposeOp
from nitic.passes.base import NiticPass, option_error
from nitic.passes.fuse import make_group

Packed = dict[tuple[SSAValue, Layout], SSAValue]
VARIANTS = ("portable", "avx512vnni", "cuda")
KEEP_SIGNS = (RoundShiftOp, MaxPoolOp, AveragePoolOp, DropoutOp, ReshapeOp, TransposeOp, SliceOp, PadOp, LrnOp, PackOp)
ROW_MAJOR = Padded(biased=False)  # the same bytes as no layout at all


@dataclass(frozen=True)
class AssignLayouts(NiticPass):
    """Adds the packed copies that the kernels of `variant` read."""

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
