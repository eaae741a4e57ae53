"""The memory plan of whole programs, replayed: every kernel finds in its buffers what was last written for it."""

from itertools import combinations, groupby, pairwise

import numpy as np
import pytest
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue

from nitic.ir.buffers import Memory, tensor_extents
from nitic.ir.function import STATE_ROLES, argument_labels, arguments, function, functions, results
from nitic.ir.op import to_property
from nitic.ops.fused import FusedOp, phase_of
from nitic.ops.reshape import ReshapeOp
from nitic.passes.kernels.assign_layouts import VARIANTS
from nitic.pipeline import run_passes, target_passes, training_passes
from nitic.recipe import RECIPES
from tests.networks.stages import imported

NOBODY = -1
Buffer = tuple[SSAValue, int]


class Arena:
    """Who has last written each byte, while the kernels of a function run in order."""

    def __init__(self, size: int, memory: Memory) -> None:
        self.memory = memory
        self.writer = np.full(size, NOBODY)
        self.identity: dict[SSAValue, int] = {}

    def write(self, value: SSAValue, offset: int) -> None:
        end = offset + self.memory.bytes_of(value.type)
        assert offset >= 0
        assert offset % self.memory.alignment == 0
        assert end <= len(self.writer)
        self.identity[value] = len(self.identity)
        self.writer[offset:end] = self.identity[value]

    def read(self, value: SSAValue, offset: int) -> None:
        region = self.writer[offset : offset + self.memory.bytes_of(value.type)]
        assert (region == self.identity[value]).all(), f"{value.name_hint} is overwritten"

    def share(self, value: SSAValue, other: SSAValue) -> None:
        """The value is another view of the other's memory."""
        self.identity[value] = self.identity[other]

    def overlap(self, a: Buffer, b: Buffer) -> bool:
        (first, i), (second, j) = a, b
        return i < j + self.memory.bytes_of(second.type) and j < i + self.memory.bytes_of(first.type)


def replay(func: FuncOp, arena: Arena, extents: dict[str, tuple[int, int]]) -> None:
    """Runs phase after phase, and in each all reads, then all writes: its calls may run in any order."""
    for label, arg in arguments(func):
        arena.write(arg, extents[label.name][0])
    for _, phase in groupby(kernels(func), phase_of):
        run(list(phase), arena)
        for op in func.body.block.ops:
            if isinstance(op, ReshapeOp) and op.x in arena.identity:
                arena.share(op.y, op.x)
    for label, value in results(func):
        arena.read(value, extents[label.name][0])


def kernels(func: FuncOp) -> list[FusedOp]:
    return [op for op in func.body.block.ops if isinstance(op, FusedOp)]


def run(phase: list[FusedOp], arena: Arena) -> None:
    read: list[Buffer] = []
    written: list[Buffer] = []
    for group in phase:
        buffers = list(zip(group.parameters, offsets_of(group), strict=True))
        read += buffers[: len(group.operands)]
        written += buffers[len(group.operands) :]
    for value, offset in read:
        arena.read(value, offset)
    for value, offset in written:
        arena.write(value, offset)
    assert not any(arena.overlap(a, b) for a in read for b in written)
    assert not any(arena.overlap(a, b) for a, b in combinations(written, 2))
    for group in phase:
        for result, operand in group.updates().items():
            arena.share(group.results[result], group.operands[operand])


def offsets_of(group: FusedOp) -> list[int]:
    assert group.buffers is not None
    offsets = to_property(group.buffers)
    assert isinstance(offsets, list)
    return [int(offset) for offset in offsets]


def assert_updates_wait_for_readers(func: FuncOp) -> None:
    """No call of a phase reads what another one of it updates in place."""
    for _, phase in groupby(kernels(func), phase_of):
        groups = list(phase)
        for group in groups:
            updated = [offsets_of(group)[operand] for operand in group.updates().values()]
            others = [offset for other in groups if other is not group for offset in offsets_of(other)]
            assert not set(updated) & set(others)


@pytest.mark.parametrize(
    ("network", "recipe"), [("mlp", "niti16"), ("digits_cnn", "niti"), ("lenet", "niti16"), ("shufflenet", "niti16")]
)
def test_no_kernel_loses_what_another_one_wrote(network: str, recipe: str) -> None:
    module = imported(network, 4).module
    run_passes(module, training_passes(RECIPES[recipe]))
    placed: dict[Memory, tuple[dict[str, tuple[int, int]], object]] = {}
    for variant in VARIANTS:
        planned = module.clone()
        run_passes(planned, target_passes(variant))
        memory = VARIANTS[variant].memory
        extents, state = tensor_extents(planned, memory)
        assert placed.setdefault(memory, (extents, state)) == (extents, state), (
            "a checkpoint would depend on the variant"
        )
        size = to_property(planned.attributes["nn.arena"])
        assert isinstance(size, int)
        for func in functions(planned):
            replay(func, Arena(size, memory), extents)
            assert_updates_wait_for_readers(func)


def test_the_state_comes_first_and_without_overlap() -> None:
    module = imported("digits_cnn", 2).module
    run_passes(module, [*training_passes(RECIPES["niti16"]), *target_passes("portable")])
    extents, state = tensor_extents(module)
    assert all(end <= begin for (_, end), (begin, _) in pairwise(sorted(extents.values())))
    roles = {label.name: label.role for label in argument_labels(function(module, "train_step"))}
    for name, role in roles.items():
        assert (extents[name][1] <= state) == (role in STATE_ROLES)
