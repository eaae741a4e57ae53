"""The statements of a function in C99, and how they are tidied and written.

Compilers warn of what is computed in vain, so that is left out: a local that nothing reads, and what is stored to it. A
local begins with its first value, and an array that only ever holds constants is a table.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

CONSTANT = re.compile(r"-?\d+|\((-\d+|-\d+ - 1)\)")


@dataclass(frozen=True)
class Expression:
    """An expression, in parentheses where it is not one word, and the variables and buffers that it reads."""

    text: str
    reads: frozenset[str] = frozenset()

    @staticmethod
    def of(name: str) -> Expression:
        return Expression(name, frozenset({name}))

    def cast(self, c_type: str) -> Expression:
        return Expression(f"(({c_type}){self.text})", self.reads)

    @property
    def bare(self) -> str:
        """Without the outermost parentheses."""
        depth = 0
        for i, letter in enumerate(self.text):
            depth += (letter == "(") - (letter == ")")
            if depth == 0 and i < len(self.text) - 1:
                return self.text
        return self.text[1:-1] if self.text.startswith("(") else self.text

    def __str__(self) -> str:
        return self.text


def constant(value: int, dtype: str) -> Expression:
    """An integer of a type. C reads the least one as a minus sign and a number that is too large."""
    if dtype in ("int64", "uint64"):
        least = value == -(2**63)
        text = f"{'INT' if dtype == 'int64' else 'UINT'}64_C({abs(value) - least})"
    else:
        least = value == -(2**31)
        text = f"{abs(value) - least}{'u' if dtype == 'uint32' else ''}"
    return Expression(f"(-{text}{' - 1' if least else ''})" if value < 0 else text)


class Statement(ABC):
    @abstractmethod
    def lines(self, indent: str) -> Iterator[str]:
        """The lines of its text."""

    def parts(self) -> Iterable[Block]:
        """The blocks within."""
        return ()

    def reads(self) -> frozenset[str]:
        """What it reads itself, without its blocks."""
        return frozenset()


@dataclass
class Block:
    statements: list[Statement]

    def lines(self, indent: str) -> Iterator[str]:
        for each in self.statements:
            yield from each.lines(indent)

    def walk(self) -> Iterator[Statement]:
        for each in self.statements:
            yield each
            for part in each.parts():
                yield from part.walk()

    def names(self) -> set[str]:
        """Whatever is read or stored to."""
        stored = {each.name for each in self.walk() if isinstance(each, Store)}
        return stored.union(*(each.reads() for each in self.walk()))


@dataclass
class Local(Statement):
    """A variable, or with a size an array; `values`: what it begins with, for good if it is constant."""

    name: str
    c_type: str
    size: int = 0
    values: list[Expression] = field(default_factory=list)
    is_constant: bool = False

    def lines(self, indent: str) -> Iterator[str]:
        kind = ("static const " if self.size else "const ") if self.is_constant else ""
        declared = f"{indent}{kind}{self.c_type} {self.name}{f'[{self.size}]' if self.size else ''}"
        if not self.values:
            yield f"{declared};"
        elif not self.size:
            yield f"{declared} = {self.values[0].bare};"
        else:
            yield f"{declared} = {{"
            for i in range(0, self.size, 16):
                yield f"{indent}  {', '.join(each.bare for each in self.values[i : i + 16])},"
            yield f"{indent}}};"

    def reads(self) -> frozenset[str]:
        return frozenset().union(*(each.reads for each in self.values))


@dataclass
class Store(Statement):
    name: str
    index: Expression | None
    value: Expression

    def lines(self, indent: str) -> Iterator[str]:
        yield f"{indent}{self.name}{f'[{self.index.bare}]' if self.index else ''} = {self.value.bare};"

    def reads(self) -> frozenset[str]:
        return self.value.reads | (self.index.reads if self.index else frozenset())


@dataclass
class Loop(Statement):
    """`end` is computed once, before the first turn."""

    variable: str
    c_type: str
    begin: Expression
    end: Expression
    body: Block

    def lines(self, indent: str) -> Iterator[str]:
        end, declared = self.end.bare, f"{self.c_type} {self.variable} = {self.begin.bare}"
        if self.end.reads - {"begin", "end"}:
            declared, end = f"{declared}, {self.variable}_end = {end}", f"{self.variable}_end"
        yield f"{indent}for ({declared}; {self.variable} < {end}; {self.variable}++) {{"
        yield from self.body.lines(f"{indent}  ")
        yield f"{indent}}}"

    def parts(self) -> Iterable[Block]:
        return (self.body,)

    def reads(self) -> frozenset[str]:
        return self.begin.reads | self.end.reads


@dataclass
class Branch(Statement):
    condition: Expression
    yes: Block
    no: Block

    def lines(self, indent: str) -> Iterator[str]:
        condition = self.condition.text if self.condition.text.startswith("(") else f"({self.condition.text})"
        yield f"{indent}if {condition} {{"
        yield from self.yes.lines(f"{indent}  ")
        if self.no.statements:
            yield f"{indent}}} else {{"
            yield from self.no.lines(f"{indent}  ")
        yield f"{indent}}}"

    def parts(self) -> Iterable[Block]:
        return self.yes, self.no

    def reads(self) -> frozenset[str]:
        return self.condition.reads


@dataclass
class Return(Statement):
    value: Expression

    def lines(self, indent: str) -> Iterator[str]:
        yield f"{indent}return {self.value.bare};"

    def reads(self) -> frozenset[str]:
        return self.value.reads


def tidy(block: Block, outside: frozenset[str]) -> Block:
    """The same without locals that nothing needs; `outside` are the names that others see."""
    live = _live(block, outside)
    stores: dict[str, int] = {}
    for each in block.walk():
        if isinstance(each, Store):
            stores[each.name] = stores.get(each.name, 0) + 1
    return _tidied(block, live, stores)


def _live(block: Block, outside: frozenset[str]) -> set[str]:
    """The names whose values reach a store to the outside, or decide what is done."""
    needs: dict[str, set[str]] = {}
    found: set[str] = set(outside)
    for each in block.walk():
        if isinstance(each, Store):
            needs.setdefault(each.name, set()).update(each.reads())
        else:
            found |= each.reads()
    pending = list(found)
    while pending:
        new = needs.pop(pending.pop(), set[str]()) - found
        found |= new
        pending += new
    return found


def _tidied(block: Block, live: set[str], stores: dict[str, int]) -> Block:
    kept = [each for each in block.statements if not isinstance(each, Local | Store) or each.name in live]
    made: list[Statement] = []
    while kept:
        each = kept.pop(0)
        match each:
            case Local():
                _begin(each, kept, stores)
            case Loop():
                each.body = _tidied(each.body, live, stores)
            case Branch():
                each.yes, each.no = (_tidied(part, live, stores) for part in each.parts())
            case _:
                pass
        made.append(each)
    return Block(made)


def _begin(local: Local, following: list[Statement], stores: dict[str, int]) -> None:
    """Takes the stores right behind a local into its declaration."""
    count = local.size or 1
    first = following[:count]
    values = [each.value for each in first if isinstance(each, Store) and each.name == local.name]
    if len(values) < count:
        return
    whole = stores[local.name] == count
    if local.size:
        in_order = all(isinstance(s, Store) and s.index and s.index.text == str(i) for i, s in enumerate(first))
        if not (whole and in_order and all(CONSTANT.fullmatch(value.text) for value in values)):
            return
    local.values, local.is_constant = values, whole
    del following[:count]
