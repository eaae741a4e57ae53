"""assign-layouts: the physical form of every operand that its kernel's template wants otherwise than row-major.

Packing is explicit: an nn.pack, whose result plan-memory sees. It is a kernel of its own before the first reader, or
the end of the kernel that makes the tensor, where this kernel can write both forms.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import BlockArgument, Operation, OpResult, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from nitic.ir.function import functions
from nitic.ir.layout import Layout, Padded
from nitic.ir.op import NnOp, set_origin
from nitic.ops.fused import FusedOp
from nitic.ops.pack import PackOp
from nitic.passes.base import NiticPass, error_at
from nitic.passes.invariants import templates_selected
from nitic.passes.kernels.fuse import make_group
from nitic.passes.kernels.select_kernels import select
from nitic.targets import VARIANTS
from nitic.targets.base import Variant

Packed = dict[tuple[SSAValue, Layout], SSAValue]
ROW_MAJOR = Padded(biased=False)  # the same bytes as no layout at all


@dataclass(frozen=True)
class AssignLayouts(NiticPass):
    """Adds the packed copies that the kernels of `variant` read. A row-major result without a reader is not written."""

    variant: str = "portable"
    name = "assign-layouts"
    requires = (templates_selected,)

    def apply(self, module: ModuleOp) -> None:
        for func in functions(module):
            assign(func, VARIANTS[self.variant])


def assign(func: FuncOp, variant: Variant) -> None:
    packed: Packed = {}
    for group in [op for op in func.body.block.ops if isinstance(op, FusedOp)]:
        if anchor := group.anchor:
            if group.made_by != (template := variant.template(group)):
                message = f"its template is {group.made_by}, but {variant.name} computes it by {template}"
                raise error_at(anchor, message, "select-kernels and assign-layouts have the same variant")
            for operand, layout in _wanted(anchor, variant):
                _use_packed(group, anchor, operand, layout, packed)
    select([copy.owner for copy in packed.values() if isinstance(copy.owner, FusedOp)], variant)
    written: dict[FusedOp, FusedOp] = {}  # by the kernel that can write it: one packed copy each
    for (source, layout), copy in packed.items():
        writer, pack = source.owner, copy.owner
        if isinstance(writer, FusedOp) and isinstance(pack, FusedOp) and _writes(writer, layout, variant):
            written.setdefault(writer, pack)
    for groups in written.items():
        _merge(groups)


def _writes(group: FusedOp, layout: Layout, variant: Variant) -> bool:
    """Whether a group's kernel can write a packed copy too."""
    anchor = group.anchor
    return anchor is not None and variant.rule(anchor).also(anchor, layout)


def _merge(groups: Sequence[FusedOp]) -> None:
    """Makes one group of several, where the first of them was."""
    ops = [op for group in groups for op in _take_members(group)]
    merged = make_group(ops)
    merged.template = groups[0].template
    Rewriter.insert_op(merged, InsertPoint.before(groups[0]))
    for group in groups:
        Rewriter.erase_op(group)


def _take_members(group: FusedOp) -> list[Operation]:
    """Takes the members out of a group, and lets them stand for it: it is then empty, and nothing uses it."""
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


def _wanted(op: NnOp, variant: Variant) -> list[tuple[SSAValue, Layout]]:
    layouts = variant.layouts(op, bool(op.operands) and is_nonnegative(op.operands[0]))
    pairs = zip(op.operands, layouts, strict=True)
    return [(operand, layout) for operand, layout in pairs if layout is not None and layout != ROW_MAJOR]


def _use_packed(group: FusedOp, op: NnOp, operand: SSAValue, layout: Layout, packed: Packed) -> None:
    """Makes a member of the group read a packed copy of its operand."""
    assert isinstance(operand, BlockArgument)
    source = group.operands[operand.index]
    if (source, layout) not in packed:
        pack = PackOp.of(source, layout=str(layout))
        set_origin(pack, group.location)
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
    """Whether no element of a value can be negative: it comes from a relu, say, through operators that keep signs."""
    if isinstance(value, BlockArgument):
        group = value.block.parent_op()
        return isinstance(group, FusedOp) and is_nonnegative(group.operands[value.index])
    assert isinstance(value, OpResult)
    if isinstance(value.op, FusedOp):
        return is_nonnegative(value.op.yielded[value.index])
    return isinstance(value.op, NnOp) and value.op.is_nonnegative(is_nonnegative)
