"""The text form of a module. What print_module writes, parse_module reads back to the same bytes."""

import re
from io import StringIO
from pathlib import Path

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Attribute, Block, Region, SSAValue
from xdsl.parser import Parser
from xdsl.parser.generic_parser import ParserState
from xdsl.printer import Printer
from xdsl.utils.exceptions import ParseError
from xdsl.utils.lexer import Input, Token
from xdsl.utils.mlir_lexer import MLIRLexer, MLIRToken, MLIRTokenKind, StringLiteral

from nitic.errors import CompileError, ExitCode, one_sentence

MAX_BYTES = 2**26  # of text that is read: a hundred times what a large network has


def read_module(path: Path, context: Context) -> ModuleOp:
    """A module from a text file. Raises CompileError, and OSError."""
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise damaged(str(path), f"is longer than the {MAX_BYTES} bytes that IR may have")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise damaged(str(path), f"is no IR: its byte {error.start} is not of a UTF-8 text") from error
    return parse_module(text, context, str(path))


def parse_module(text: str, context: Context, name: str = "<text>") -> ModuleOp:
    """A module from text. Raises CompileError, which says where in the text, whatever is wrong with it."""
    try:
        return _Parser(context, text, name).parse_module()
    except ParseError as error:
        raise damaged(str(error.span.get_location()), error.msg) from error
    except CompileError:
        raise
    except Exception as error:  # operators and attributes are made of whatever the text says
        raise damaged(name, f"is no valid IR: {_last_line(error)}") from error


def damaged(location: str, message: str) -> CompileError:
    """The error for a text that is no IR: one printable sentence, however much of the text the message quotes."""
    return CompileError(location, one_sentence(message), exit_code=ExitCode.USAGE)


def _last_line(error: Exception) -> str:
    """What xdsl's verifier says below a picture of the operator."""
    if isinstance(error, RecursionError):
        return "it nests too deeply"
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__


def parse_region(text: str, context: Context) -> Region:
    """A region from the text that `meaning` gives."""
    return _Parser(context, text, "<region>").parse_region()


class _Parser(Parser):
    def __init__(self, context: Context, text: str, name: str) -> None:
        super().__init__(context, "", name)
        self._resume_from(ParserState(_Lexer(Input(text, name))))

    def _parse_alias_def(self) -> None:
        """With aliases a short text may stand for more than memory holds."""
        self.raise_error("IR of nitic has no aliases")

    def _parse_block(self) -> Block:
        block = super()._parse_block()
        if len(self.blocks) > 1:
            self.raise_error("a region of nitic's IR has one block")
        return block


class _Lexer(MLIRLexer):
    """xdsl's lexer for the words and numbers that nitic's IR has.

    Others may take time or memory that the length of the text does not bound.
    """

    _ABSENT = frozenset(
        (
            "affine_map",
            "affine_set",
            "complex",
            "dense",
            "dense_resource",
            "memref",
            "opaque",
            "strided",
            "tuple",
            "vector",
        )
    )
    _INTEGER_TYPE = re.compile(r"[su]?i(\d+)")
    _LONGEST = 1000  # characters of a word, the time that a word takes may grow with its square
    # xdsl's own may take exponential time on damaged text.
    _unescaped_characters_regex = re.compile(r'"(?:[^"\\\n\v\f]++|\\(?:["nt\\]|[0-9A-Fa-f]{2}))*+"')

    def lex(self) -> MLIRToken:
        token = super().lex()
        if token.kind is MLIRTokenKind.BARE_IDENT:
            self._check_word(token)
        elif token.kind is MLIRTokenKind.INTEGER_LIT and (len(token.span) > 20 or int(token.text, 0) >= 2**64):
            raise ParseError(token.span, "integers of IR have at most 64 bits")
        return token

    def _check_word(self, token: MLIRToken) -> None:
        word = token.text
        bits = self._INTEGER_TYPE.fullmatch(word)
        if word in self._ABSENT or len(word) > self._LONGEST or (bits and int(bits[1]) > 64):
            raise ParseError(token.span, f"IR of nitic has no '{word}'")

    def _lex_string_literal(self, start_pos: int) -> MLIRToken:
        """As text, where it is UTF-8: xdsl takes escapes beyond ASCII, which its own printer writes, for bytes."""
        token = super()._lex_string_literal(start_pos)
        is_text = _is_utf8(StringLiteral.from_span(token.span).bytes_contents)
        return Token(MLIRTokenKind.STRING_LIT if is_text else MLIRTokenKind.BYTES_LIT, token.span)


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


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
