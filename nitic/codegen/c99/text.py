"""A kernel as C99: its statements, read from TVM's function.

TVM has a generator of C, too. It shifts negative numbers to the left, which C leaves undefined, and takes neither
memory on the stack of a thread nor leading zeros (findings/tvm-c-left-shifts.sh). A kernel has scalars only here, so
that few kinds of nodes are left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from nitic.codegen.c99.tree import Block, Branch, Expression, Local, Loop, Return, Statement, Store, constant, tidy
from nitic.codegen.core.kernel import Kernel

# TVM's Python classes are untyped.
Node = Any
ARITHMETIC = {"Add": "+", "Sub": "-", "Mul": "*", "Div": "/", "Mod": "%"}
BITWISE = {"BitwiseAnd": "&", "BitwiseOr": "|", "BitwiseXor": "^"}
LOGICAL = {"LT": "<", "LE": "<=", "GT": ">", "GE": ">=", "EQ": "==", "NE": "!=", "And": "&&", "Or": "||"}
NARROW = ("int8", "int16", "uint8", "uint16")  # C computes with these as int


def c99_text(kernel: Kernel) -> str:
    """A kernel as two functions: its body, with typed pointers, and a nitic_kernel of the kernel's name."""
    reader = _Reader(list(kernel.parameters))
    body = tidy(reader.block(kernel.function.body), frozenset(kernel.parameters))
    pointers = [f"{_c_type(dtype)} *restrict {name}" for name, dtype in kernel.parameters.items()]
    numbers = ("thread", "begin", "end")
    head = ", ".join([*pointers, *(f"int32_t {name}" for name in numbers)])
    unused = [f"  (void){name};" for name in (*kernel.parameters, *numbers) if name not in body.names()]
    values = ", ".join([*(f"b[{i}]" for i in range(len(pointers))), *(f"c->{name}" for name in numbers)])
    lines = [
        f"static int32_t {kernel.name}_body({head}) {{",
        *unused,
        *body.lines("  "),
        "}\n",
        f"int32_t {kernel.name}(void *const b[], const nitic_ctx *c) {{ return {kernel.name}_body({values}); }}\n\n",
    ]
    return "\n".join(lines)


def _c_type(dtype: str) -> str:
    return "int" if dtype == "bool" else f"{dtype}_t"


def _dtype(node: Node) -> str:
    return str(node.ty.dtype)


@dataclass
class _Reader:
    """Reads a function's nodes; `names` are those of variables and buffers, by their handles."""

    parameters: Sequence[str]
    names: dict[int, str] = field(default_factory=dict)
    scalars: set[str] = field(default_factory=set)  # buffers of one element

    def block(self, node: Node) -> Block:
        return Block(list(self.statements(node)))

    # ---- statements

    def statements(self, node: Node) -> Iterator[Statement]:
        kind = type(node).__name__
        if kind == "SeqStmt":
            for each in node.seq:
                yield from self.statements(each)
        else:
            yield from _STATEMENTS[kind](self, node)

    def alias(self, node: Node) -> Iterator[Statement]:
        """A parameter's buffer."""
        self.names[hash(node.buffer)] = node.data.name
        return iter(())

    def allocation(self, node: Node) -> Iterator[Statement]:
        (size,) = node.buffer.shape
        name = self._new(node.buffer, "v")
        if int(size) == 1:
            self.scalars.add(name)
        yield Local(name, _c_type(str(node.buffer.dtype)), 0 if int(size) == 1 else int(size))

    def binding(self, node: Node) -> Iterator[Statement]:
        name = self._new(node.var, "v")
        yield Local(name, _c_type(_dtype(node.var)))
        yield Store(name, None, self.expression(node.value))

    def store(self, node: Node) -> Iterator[Statement]:
        yield Store(*self._place(node), self.expression(node.value))

    def loop(self, node: Node) -> Iterator[Statement]:
        begin = self.expression(node.min)
        end = self.expression(node.min + node.extent)
        if type(node.extent).__name__ == "Sub" and str(node.extent.b) == str(node.min):
            end = self.expression(node.extent.a)
        elif begin.text == "0":
            end = self.expression(node.extent)
        name = self._new(node.loop_var, "i")
        yield Loop(name, _c_type(_dtype(node.loop_var)), begin, end, self.block(node.body))

    def branch(self, node: Node) -> Iterator[Statement]:
        other = self.block(node.else_case) if node.else_case is not None else Block([])
        yield Branch(self.expression(node.condition), self.block(node.then_case), other)

    def returns(self, node: Node) -> Iterator[Statement]:
        yield Return(self.expression(node.value))

    # ---- expressions

    def expression(self, node: Node) -> Expression:
        kind, dtype = type(node).__name__, _dtype(node)
        if kind == "IntImm":
            return constant(int(node.value), dtype)
        if kind == "Var":
            return Expression.of(self.names.get(hash(node), node.name))
        if kind == "TensorLoad":
            return self._load(node)
        if kind in ARITHMETIC or kind in BITWISE:
            made = self._two(node, {**ARITHMETIC, **BITWISE}[kind])
            return made.cast(_c_type(dtype)) if dtype in NARROW else made
        if kind in LOGICAL:
            return self._two(node, LOGICAL[kind])
        return _EXPRESSIONS[kind](self, node)

    def _two(self, node: Node, sign: str) -> Expression:
        return self._made("({} %s {})" % sign, node.a, node.b)  # noqa: UP031

    def _made(self, template: str, *nodes: Node) -> Expression:
        parts = [self.expression(node) for node in nodes]
        return Expression(template.format(*parts), frozenset().union(*(part.reads for part in parts)))

    def _load(self, node: Node) -> Expression:
        name, index = self._place(node)
        if index is None:
            return Expression.of(name)
        return Expression(f"{name}[{index.bare}]", index.reads | {name})

    def _place(self, node: Node) -> tuple[str, Expression | None]:
        """The buffer of a load or store, and the index; None in a buffer of one element."""
        buffer = node.buffer if hasattr(node, "buffer") else node.source
        name = self.names[hash(buffer)]
        (index,) = node.indices
        return name, None if name in self.scalars else self.expression(index)

    def function(self, node: Node) -> Expression:
        """Min, Max: functions of kernels.h, which compute each operand once."""
        name = f"nitic_{type(node).__name__.lower()}_{self._wide(node)}"
        return self._made(name + "({}, {})", node.a, node.b)

    def division(self, node: Node) -> Expression:
        """FloorDiv and FloorMod, of any sign."""
        is_division, divisor = type(node).__name__ == "FloorDiv", node.b
        if type(divisor).__name__ == "IntImm" and (value := int(divisor.value)) > 0 and value & (value - 1) == 0:
            by = value.bit_length() - 1 if is_division else value - 1
            return self._made(f"({{}} {'>>' if is_division else '&'} {by})", node.a)
        name = f"nitic_floor_{'div' if is_division else 'mod'}_{self._wide(node)}"
        return self._made(name + "({}, {})", node.a, divisor)

    @staticmethod
    def _wide(node: Node) -> str:
        dtype = _dtype(node)
        return "int32" if dtype in NARROW else dtype

    def left(self, node: Node) -> Expression:
        """A shift to the left of the bits: of a negative number as such it is undefined."""
        dtype = _dtype(node)
        return self._made(f"(({_c_type(dtype)})((uint{64 if '64' in dtype else 32}_t){{}} << {{}}))", node.a, node.b)

    def right(self, node: Node) -> Expression:
        return self._made("({} >> {})", node.a, node.b)

    def cast(self, node: Node) -> Expression:
        return self.expression(node.value).cast(_c_type(_dtype(node)))

    def selection(self, node: Node) -> Expression:
        return self._made("({} ? {} : {})", node.condition, node.true_value, node.false_value)

    def negation(self, node: Node) -> Expression:
        return self._made("(!{})", node.a)

    def call(self, node: Node) -> Expression:
        match node.op.name:
            case "tirx.reinterpret":  # between the signed and the unsigned type of one size
                return self.expression(node.args[0]).cast(_c_type(_dtype(node)))
            case "prim.clz":
                zeros = f"nitic_leading_zeros_{_dtype(node.args[0]).removeprefix('u')}"
                return self._made(zeros + "({})", node.args[0])
            case other:
                raise TypeError(f"no C for a call of {other}")

    def _new(self, variable: Node, letter: str) -> str:
        name = f"{letter}{len(self.names)}"
        self.names[hash(variable)] = name
        return name


_STATEMENTS: dict[str, Callable[[_Reader, Node], Iterator[Statement]]] = {
    "DeclBuffer": _Reader.alias,
    "AllocBuffer": _Reader.allocation,
    "Bind": _Reader.binding,
    "BufferStore": _Reader.store,
    "For": _Reader.loop,
    "IfThenElse": _Reader.branch,
    "Return": _Reader.returns,
}
_EXPRESSIONS: dict[str, Callable[[_Reader, Node], Expression]] = {
    "Min": _Reader.function,
    "Max": _Reader.function,
    "FloorDiv": _Reader.division,
    "FloorMod": _Reader.division,
    "LShift": _Reader.left,
    "RShift": _Reader.right,
    "Cast": _Reader.cast,
    "Select": _Reader.selection,
    "Not": _Reader.negation,
    "Call": _Reader.call,
}
