"""The text form of a module. What print_module writes, parse_module reads back to the same bytes."""

from io import StringIO

from xdsl.context import Context
from xdsl.dialects.builtin import Builtin, ModuleOp
from xdsl.dialects.func import Func
from xdsl.ir import Dialect
from xdsl.parser import Parser
from xdsl.printer import Printer


def parse_module(text: str, dialects: list[Dialect], name: str = "<text>") -> ModuleOp:
    """A module from text. Raises xdsl's ParseError, which says where."""
    context = Context()
    for dialect in (Builtin, Func, *dialects):
        context.load_dialect(dialect)
    return Parser(context, text, name).parse_module()


def print_module(module: ModuleOp, locations: bool = False) -> str:
    """The text of a module; with `locations`, each operator says which ONNX node it comes from."""
    out = StringIO()
    Printer(stream=out, print_debuginfo=locations).print_op(module)
    return out.getvalue() + "\n"
