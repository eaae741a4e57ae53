"""The text form of a module. What print_module writes, parse_module reads back to the same bytes."""

from io import StringIO

from xdsl.context import Context
from xdsl.dialects.builtin import Builtin, ModuleOp
from xdsl.dialects.func import Func
from xdsl.ir import Attribute, Dialect, Region, SSAValue
from xdsl.parser import Parser
from xdsl.printer import Printer


def parse_module(text: str, dialects: list[Dialect], name: str = "<text>") -> ModuleOp:
    """A module from text. Raises xdsl's ParseError, which says where."""
    return _parser(text, dialects, name).parse_module()


def parse_region(text: str, dialects: list[Dialect]) -> Region:
    """A region from the text that `meaning` gives."""
    return _parser(text, dialects, "<region>").parse_region()


def _parser(text: str, dialects: list[Dialect], name: str) -> Parser:
    context = Context()
    for dialect in (Builtin, Func, *dialects):
        context.load_dialect(dialect)
    return Parser(context, text, name)


def print_module(module: ModuleOp, locations: bool = False) -> str:
    """The text of a module; with `locations`, each operator says which ONNX node it comes from."""
    printer = _ScopedPrinter(print_debuginfo=locations)
    printer.print_op(module)
    return printer.out.getvalue() + "\n"


def meaning(region: Region) -> str:
    """The text of a region apart from what its values are called and where its operators come from."""
    printer = _NamelessPrinter()
    printer.print_region(region)
    return printer.out.getvalue()


class _Names(dict[str, int]):
    """How often each name has been given in a scope: a copy is an empty scope within this one."""

    def __init__(self, outer: "_Names | None" = None) -> None:
        super().__init__()
        self.outer = outer

    def copy(self) -> "_Names":
        return _Names(self)

    def get(self, key: str, default: int = 0) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self[key] if key in self or self.outer is None else self.outer.get(key, default)

    def __missing__(self, key: str) -> int:
        return 0


class _Printer(Printer):
    """xdsl's printer, which spells each type only once: a network has thousands of values and few types."""

    def __init__(self, print_debuginfo: bool = False) -> None:
        self.out = StringIO()
        super().__init__(stream=self.out, print_debuginfo=print_debuginfo)
        self._spelt: dict[Attribute, str] = {}

    def print_attribute(self, attribute: Attribute) -> None:
        if attribute not in self._spelt:
            self._spelt[attribute] = self._spell(attribute)
        self.print_string(self._spelt[attribute])

    def _spell(self, attribute: Attribute) -> str:
        """The text of an attribute. It may contain other attributes: the text printed so far is put aside meanwhile."""
        aside, self.stream = self.stream, StringIO()
        super().print_attribute(attribute)
        text, self.stream = self.stream.getvalue(), aside
        return text


class _ScopedPrinter(_Printer):
    """xdsl's printer copies all names at every region, which for a network of groups is quadratic."""

    def __init__(self, print_debuginfo: bool) -> None:
        super().__init__(print_debuginfo)
        self._ssa_names = [_Names()]


class _NamelessPrinter(_Printer):
    """Numbers the values in order of appearance."""

    def print_ssa_value(self, value: SSAValue) -> str:
        name = self._ssa_values.setdefault(value, str(len(self._ssa_values)))
        self.print_string(f"%{name}")
        return name
