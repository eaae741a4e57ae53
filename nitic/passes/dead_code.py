"""Operators without effect whose results nobody uses: what several passes leave behind, and take away at their end."""

from xdsl.ir import Operation
from xdsl.transforms.dead_code_elimination import is_trivially_dead


def remove_dead_code(root: Operation) -> None:
    for region in root.regions:
        for block in region.blocks:
            for op in reversed(list(block.ops)):
                remove_dead_code(op)
                if is_trivially_dead(op):
                    block.erase_op(op)
