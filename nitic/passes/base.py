"""What a pass is: a name, options as fields, the invariants of the stages before and after, and `apply`."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import ReturnOp
from xdsl.utils.exceptions import VerifyException

from nitic.errors import CompileError, ExitCode, one_sentence
from nitic.ir.function import functions
from nitic.ir.op import NnOp

Invariant = Callable[[ModuleOp], None]
QUOTED = r'"(?:[^"\\]|\\.)*"'
"""The text of an option's value that holds what separates options, as a regular expression."""


@dataclass(frozen=True)
class NiticPass(ABC):
    """A transformation of a module in place. Before and after it the module is valid."""

    name: ClassVar[str]
    requires: ClassVar[Sequence[Invariant]] = ()
    ensures: ClassVar[Sequence[Invariant]] = ()

    @abstractmethod
    def apply(self, module: ModuleOp) -> None:
        """Transforms the module. Raises CompileError, with the operator's source."""

    ANNOTATES: ClassVar[bool] = False
    """Whether it only writes attributes, which leave a valid module valid."""

    def run(self, module: ModuleOp, before: bool = True, after: bool = True) -> None:
        """`apply` between its invariants. Whether the module is valid is checked `before` and `after` it."""
        self.check(module, self.requires, before)
        try:
            self.apply(module)
        except (ValueError, LookupError, AssertionError) as error:
            # Checked only after a failure, since many passes need no labels. Any other failure is a bug.
            if reason := unlabelled(module):
                raise CompileError(self.name, reason, exit_code=ExitCode.USAGE) from error
            raise
        self.check(module, self.ensures, after and not self.ANNOTATES)

    def check(self, module: ModuleOp, invariants: Sequence[Invariant], verify: bool = True) -> None:
        try:
            if verify:
                module.verify()
            for invariant in invariants:
                invariant(module)
        except VerifyException as error:
            raise CompileError("", one_sentence(f"{error}".splitlines()[-1]), f"raised around {self.name}") from error

    def spec(self) -> str:
        """The pass as `nitic opt --passes` spells it; an option of several values is repeated."""
        options: list[str] = []
        for field in fields(self):
            value = getattr(self, field.name)
            options += [f"{field.name}={quoted(each)}" for each in (value if isinstance(value, tuple) else (value,))]
        return f"{self.name}{{{','.join(options)}}}" if options else self.name


def unlabelled(module: ModuleOp) -> str:
    """Why a module is not a program whose tensors all have names; an empty text where it is one."""
    for func in functions(module):
        location = f"@{func.sym_name.data}"
        last = func.body.block.last_op if len(func.body.blocks) == 1 else None
        if not isinstance(last, ReturnOp):
            return f"{location} is not one block that ends in func.return"
        sides = (("argument", func.arg_attrs, func.args), ("result", func.res_attrs, last.operands))
        for what, labels, values in sides:
            for i in range(len(values)):
                label = labels.data[i].data if labels and i < len(labels) else {}
                missing = [key for key in ("nn.name", "nn.role") if not isinstance(label.get(key), StringAttr)]
                if missing:
                    return f"{what} {i} of {location} has no {' and no '.join(missing)}, by which this pass knows it"
    return ""


def quoted(value: int | str) -> str:
    """A value of an option as text, in quotes where it holds what separates options."""
    text = str(value)
    if text == text.strip() and not re.search(r'[{},"]', text):
        return text
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def unquoted(text: str) -> str:
    """The value that `quoted` wrote as this text."""
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if re.fullmatch(QUOTED, text) else text


def option_value(kind: type[NiticPass], option: str, text: str) -> int | str:
    """The value of an option from its text; one of the values, where it has several. Raises CompileError."""
    types = {field.name: field.type for field in fields(kind)}
    if types[option] is not int:
        return text
    if not re.fullmatch(r"-?[0-9]+", text):
        raise option_error(kind, f"option '{option}' is a whole number, not '{text}'")
    return int(text)


def option_error(pass_: NiticPass | type[NiticPass], message: str) -> CompileError:
    """A CompileError about how a pass is called."""
    return CompileError(pass_.name, message, exit_code=ExitCode.USAGE)


def error_at(op: NnOp, message: str, note: str = "") -> CompileError:
    """A CompileError that names the operator and the ONNX node it comes from."""
    kind = op.name.removeprefix("nn.")
    return CompileError(f"node '{op.source}' ({kind})" if op.source else kind, message, note)
