"""join-slices: the sum of tensors that lie side by side among zeros is their concat.

The error of a value that was cut into slices is such a sum, of one pad for each slice. As a sum every term is aligned
and rounded again, over the whole; as a concat every element is written once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from nitic.ir.function import functions
from nitic.ir.op import NnOp, set_origin
from nitic.ops.concat import ConcatOp, PadOp
from nitic.ops.elementwise import AccumulateOp, AddOp
from nitic.passes.base import NiticPass
from nitic.passes.invariants import unrounded

Sum = AddOp | AccumulateOp


@dataclass(frozen=True)
class JoinSlices(NiticPass):
    """Puts one concat in the place of the pads of a sum, where these make up the whole along an axis."""

    name = "join-slices"
    requires = (unrounded,)

    def apply(self, module: ModuleOp) -> None:
        for func in functions(module):
            for op in [op for op in func.body.block.ops if isinstance(op, Sum) and not is_term(op)]:
                join(op)


def is_term(op: Sum) -> bool:
    """Whether nothing reads a sum but another sum of its kind."""
    return op.result.has_one_use() and all(isinstance(use.operation, type(op)) for use in op.result.uses)


def join(total: Sum) -> None:
    terms, sums = unfold(total)
    pads = [term.owner for term in terms if isinstance(term.owner, PadOp) and term.has_one_use()]
    joined = concat_of(pads) if len(pads) > 1 else None
    if joined is None:
        return

    def insert(op: NnOp) -> SSAValue:
        set_origin(op, total.location)
        Rewriter.insert_op(op, InsertPoint.before(total))
        return op.results[0]

    padded = {pad.y for pad in pads}
    others = [term for term in terms if term not in padded]
    result = reduce(lambda a, b: insert(type(total).of(a, b)), [*others, insert(joined)])
    total.result.replace_all_uses_with(result)
    for op in (*sums, *pads):
        Rewriter.erase_op(op)


def unfold(total: Sum) -> tuple[list[SSAValue], list[Sum]]:
    """What a tree of sums adds up, in order, and its sums, each before those that it reads."""
    terms: list[SSAValue] = []
    sums: list[Sum] = []
    stack: list[SSAValue] = [total.result]
    while stack:
        value = stack.pop()
        op = value.owner
        if isinstance(op, type(total)) and (op is total or is_term(op)):
            sums.append(op)
            stack += reversed(op.operands)
        else:
            terms.append(value)
    return terms, sums


def concat_of(pads: Sequence[PadOp]) -> ConcatOp | None:
    """The concat that is the sum of these pads, if there is one."""
    whole = [range(size) for size in pads[0].padded()]
    for axis, size in enumerate(whole):
        placed = sorted(pads, key=lambda pad: pad.positions()[axis].start)
        rows = [row for pad in placed for row in pad.positions()[axis]]
        others = {tuple(r for i, r in enumerate(pad.positions()) if i != axis) for pad in placed}
        if rows == [*size] and others == {tuple(r for i, r in enumerate(whole) if i != axis)}:
            return ConcatOp.along(axis, *(pad.x for pad in placed))
    return None
