"""fuse: which operators become one kernel.

A contraction, pool or other producer takes the point-wise operators on its result with it, as far as the range of that
result; what is cheap to compute is computed where it is rounded, and a rounding takes the point-wise operators on its
mantissas. Nothing moves across a bfp.range: its value is known only when the whole tensor is. Scalars cost nothing, so
each is computed in the first kernel that needs it. Only the numbers that dithered roundings start from (bfp.dither) are
computed in kernels of their own, many in one: they depend on nothing but the step, and equal roundings then share a
kernel. So are the exponents of the next step (bfp.grow, bfp.moment_exponent), behind all that go by the old ones. A
group must be convex: the graph of groups has no cycle.

A GPU may speculate: it rounds by the shift of the previous step while it takes the range, and rounds again where the
shift turns out to be another one. So a rounding joins the kernel that takes its range, and so do a sum behind it and
the rounding of this sum; accumulators that nothing else reads are not stored. In inference, where no range is taken,
they are not stored either: roundings and residual connections join the kernel that makes the accumulator. (On a CPU
speculation makes programs larger and hardly faster.)

A machine with little memory is frugal: a rounding joins the kernel that makes its accumulator where nothing else reads
that, which is so in inference, and behind what recompute-pointwise has copied.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, Operation, OpResult, Region, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from nitic.ir.dag import Dag
from nitic.ir.function import functions, return_of
from nitic.ir.traits import Cheap, Epilogue, Gate, Intermediate, OnMantissas, Pointwise, Repeatable, Sum, View
from nitic.ir.types import element_of, i8, is_tensor, shape_of
from nitic.ops.bfp import AlignOp, DitherOp, ExpConstOp, NextExponentOp, RangeOp, RoundShiftOp, ScalarOp, TopOp
from nitic.ops.fused import FusedOp, YieldOp
from nitic.passes.base import NiticPass
from nitic.passes.invariants import exponents_tracked
from nitic.passes.kernels.recompute_pointwise import range_to_guess

MOST_GUESSES = 2  # shifts that a group may guess: each costs one more kernel
SUNK = (ScalarOp, TopOp, AlignOp)
JOINED = (DitherOp, NextExponentOp)
JOINED_MOST = 64  # of these in one kernel: CUDA takes some 500 parameters


@dataclass(frozen=True)
class Fuse(NiticPass):
    """Puts every operator but a view of memory (nn.reshape) into an nn.fused.

    `speculate`: a rounding joins the group that takes its range. `frugal`: one that takes none does. What is computed
    stays the same.
    """

    speculate: int = 0
    frugal: int = 0
    name = "fuse"
    requires = (exponents_tracked,)

    def apply(self, module: ModuleOp) -> None:
        for func in functions(module):
            copy_constants(func)
            Grouping(func, bool(self.speculate), bool(self.frugal)).run()


def copy_constants(func: FuncOp) -> None:
    """Gives every user a constant of its own, so that no kernel waits for another to write one."""
    for constant in [op for op in func.body.block.ops if isinstance(op, ExpConstOp)]:
        for use in list(constant.e.uses)[1:]:
            copy = constant.clone()
            Rewriter.insert_op(copy, InsertPoint.after(constant))
            use.operation.operands[use.index] = copy.e


class Grouping:
    """Groups of one function, named by the position of their first operator."""

    def __init__(self, func: FuncOp, speculate: bool, frugal: bool = False) -> None:
        self.speculate, self.frugal = speculate, frugal
        self.guessed = set[RangeOp]()  # ranges whose shift is guessed by the group that takes them
        self.block = func.body.block
        self.end = return_of(func)
        self.ops = [op for op in self.block.ops if op is not self.end]
        self.position = {op: i for i, op in enumerate(self.ops)}
        self.members = {i: [op] for i, op in enumerate(self.ops)}
        self.graph = Dag({i: [self.position[d] for d in _definers(op)] for i, op in enumerate(self.ops)})
        self.group = dict(self.position)
        self.works = {i for i, op in enumerate(self.ops) if not isinstance(op, SUNK)}  # the groups that work on tensors

    def run(self) -> None:
        for kind in JOINED:
            self._join([op for op in self.ops if isinstance(op, kind)])
        for op in self.ops:
            if (producer := self._joins(op)) is not None:
                self._merge(self.group[producer], self.group[op])
        for op in reversed(self.ops):
            if isinstance(op, SUNK) and self.group[op] not in self.works:
                self._sink(op)
        for group in self.graph.order():
            self._materialise(sorted(self.members[group], key=self.position.__getitem__))

    def _join(self, alike: Sequence[Operation]) -> None:
        for i, op in enumerate(alike):
            self.works.add(self.position[op])  # so that scalars may sink into its group
            self._merge(self.group[alike[i // JOINED_MOST * JOINED_MOST]], self.group[op])

    def _joins(self, op: Operation) -> Operation | None:
        """The producer that an operator joins, at the end of its kernel, if there is one."""
        values = op.operands[:2] if op.has_trait(Sum) else op.operands[:1]
        made = [value for value in values if isinstance(value, OpResult)]
        first = max(made, key=lambda value: self.position[value.op], default=None)
        if first is None or first.op.has_trait(View):
            return None
        return first.op if self._ends(op, first) else None

    def _ends(self, op: Operation, first: OpResult) -> bool:
        if op.has_trait(Epilogue):
            # Guessed mantissas may be wrong: no range is taken of them.
            return not (isinstance(op, RangeOp) and element_of(first) == i8 and self._guesses(first.op))
        if isinstance(op, RoundShiftOp):
            if self.speculate:
                self._guess(op, first.op)
            alone = self.frugal and first.has_one_use()
            return self.speculate or alone or any(each.has_trait(Cheap) for each in self.members[self.group[first.op]])
        if op.has_trait(Sum):
            rounded = self.speculate and isinstance(first.op, RoundShiftOp)
            return rounded and self._take_scalars(op.operands[2:], self.group[first.op])
        if op.has_trait(OnMantissas):
            # Operators other than gates make accumulators, and a range is taken of these.
            fits = op.has_trait(Gate) or not self._guesses(first.op)
            fits = fits and (not is_broadcast(op) or self._is_pointwise(self.group[first.op]))
            return fits and (isinstance(first.op, RoundShiftOp) or first.op.has_trait(OnMantissas))
        return op.has_trait(Cheap) and first.op.has_trait(Intermediate)

    def _is_pointwise(self, group: int) -> bool:
        """Whether a group begins with a point-wise operator: only its loops can index operands of other shapes."""
        works = [op for op in self.members[group] if not isinstance(op, SUNK)]
        return min(works, key=self.position.__getitem__).has_trait(Pointwise)

    def _guesses(self, op: Operation) -> int:
        """How many shifts are guessed in an operator's group."""
        return sum(member in self.guessed for member in self.members[self.group[op]])

    def _take_scalars(self, values: Sequence[SSAValue], group: int) -> bool:
        """Merges the scalars that depend on a group into it, with the scalars between. Returns whether that worked."""
        between = [value.owner for value in values if self._follows(value, group)]
        inner = [op for op in between if isinstance(op, ScalarOp) and op not in self.members[group]]
        return all(self._take_scalars(op.operands, group) and self._merge(group, self.group[op]) for op in inner)

    def _follows(self, value: SSAValue, group: int) -> bool:
        """Whether a scalar depends on a group."""
        owner = value.owner
        if owner in self.members[group]:
            return True
        if not isinstance(owner, ScalarOp) or self.position[owner] < group:
            return False
        return any(self._follows(operand, group) for operand in owner.operands)

    def _guess(self, op: RoundShiftOp, producer: Operation) -> None:
        """Merges a rounding and its shift into the group that takes its range, if this group can be computed twice."""
        taken, group = range_to_guess(op), self.group[producer]
        if taken is None or self.group[taken] != group or self._guesses(producer) == MOST_GUESSES:
            return
        if not any(member.has_trait(Repeatable) for member in self.members[group]):
            return
        self.guessed.add(taken)
        if not (self._take_scalars((op.s,), group) and self._merge(group, self.group[op])):
            self.guessed.discard(taken)

    def _merge(self, into: int, other: int) -> bool:
        """Merges two groups, unless another group or a range lies between them. Returns whether they are one now."""
        if into == other:
            return True
        if self._crosses_range(into, other) or not self.graph.merge(into, other):
            return False
        moved = self.members.pop(other)
        self.members[into] += moved
        self.group.update(dict.fromkeys(moved, into))
        if other in self.works:
            self.works.add(into)
        return True

    def _crosses_range(self, a: int, b: int) -> bool:
        ranges = [op for op in self.members[a] + self.members[b] if isinstance(op, RangeOp)]
        ranges = [op for op in ranges if op not in self.guessed]
        return any(self.group.get(use.operation) in (a, b) for op in ranges for use in op.r.uses)

    def _sink(self, op: Operation) -> None:
        """Moves a scalar to the first group that reads it, or else to one that reads the same operands."""
        own, rank = self.group[op], self.graph.rank
        users = self._users(op.results)
        later = users or self._users(op.operands) or set(self.members)
        candidates = [group for group in later - {own} if rank[group] > rank[own] or not users]
        any(self._merge(group, own) for group in sorted(candidates, key=rank.__getitem__))

    def _users(self, values: Iterable[SSAValue]) -> set[int]:
        """The groups with work on tensors that use one of the values."""
        users = (use.operation for value in values for use in value.uses if use.operation is not self.end)
        return {self.group[user] for user in users} & self.works

    def _materialise(self, ops: list[Operation]) -> None:
        """Moves a group to the end of the function, into an nn.fused."""
        for op in ops:
            op.detach()
        if ops[0].has_trait(View):
            Rewriter.insert_op(ops, InsertPoint.before(self.end))
            return
        Rewriter.insert_op(make_group(ops), InsertPoint.before(self.end))


def is_broadcast(op: Operation) -> bool:
    """Whether a tensor operand has another shape than the result."""
    return any(is_tensor(value) and shape_of(value) != shape_of(op.results[0]) for value in op.operands)


def make_group(ops: list[Operation], yielded: Sequence[OpResult] = ()) -> FusedOp:
    """An nn.fused of detached operators in program order: it yields what others use, or else `yielded`."""
    inside = set(ops)
    inputs = list(dict.fromkeys(v for op in ops for v in op.operands if v.owner not in inside))
    outputs = [r for op in ops for r in op.results if _is_output(r, inside)] or yielded
    block = Block(arg_types=[value.type for value in inputs])
    types = [value.type for value in outputs]
    group = FusedOp.create(operands=inputs, result_types=types, regions=[Region(block)])
    within: dict[SSAValue, SSAValue] = dict(zip(inputs, block.args, strict=True))
    for value, arg in within.items():
        arg.name_hint = value.name_hint
    for op in ops:
        op.operands = [within.get(value, value) for value in op.operands]
    for inner, outer in zip(outputs, group.results, strict=True):
        outer.name_hint = inner.name_hint
        inner.replace_uses_with_if(outer, lambda use: use.operation not in inside)
    block.add_ops([*ops, YieldOp.create(operands=outputs)])
    group.location = next((op.location for op in ops if not isinstance(op, SUNK)), ops[0].location)
    return group


def _is_output(value: OpResult, inside: set[Operation]) -> bool:
    """Whether a group yields a value: others use it, or it is a range, which threads share in memory in any case."""
    return isinstance(value.op, RangeOp) or any(use.operation not in inside for use in value.uses)


def _definers(op: Operation) -> list[Operation]:
    return [operand.op for operand in op.operands if isinstance(operand, OpResult)]
