"""The problems that keep a model from being imported: all of them at once, with their nodes."""

from collections.abc import Sequence
from dataclasses import dataclass

from nitic.errors import CompileError
from nitic.frontend.nodes import Node

_WRONG_VALUE = (ValueError, TypeError, LookupError, ArithmeticError)
MALFORMED = (*_WRONG_VALUE, AttributeError, AssertionError, RuntimeError, MemoryError)
"""What a node that breaks ONNX's own rules makes those raise that read it, and onnx's reference implementation."""


@dataclass(frozen=True)
class Problem:
    """A node and what is wrong with it."""

    node: Node
    message: str


class UnsupportedNodes(CompileError):
    """A single problem is an error at its node. Several become notes, where nodes with equal problems share one."""

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        if len(problems) == 1:
            node = problems[0].node
            line = f"from {node.user_line}" if node.user_line else ""
            super().__init__(f"{file}: {node}", problems[0].message, line)
        else:
            groups: dict[str, list[Node]] = {}
            for problem in problems:
                groups.setdefault(problem.message, []).append(problem.node)
            lines = [line for message, nodes in groups.items() for line in _describe(message, nodes)]
            super().__init__(file, f"{len(problems)} nodes cannot be imported", "\n".join(lines))


def _describe(message: str, nodes: list[Node]) -> list[str]:
    if len(nodes) == 1:
        first = f"{nodes[0]}: {message}"
    else:
        first = f"{message}: {len(nodes)} nodes: {', '.join(repr(node.name) for node in nodes)}"
    lines = dict.fromkeys(node.user_line for node in nodes if node.user_line)
    return [first, *(f"  from {line}" for line in lines)]
