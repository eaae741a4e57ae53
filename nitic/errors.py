"""The one exception users see: a sentence with place, rule and values."""

from enum import IntEnum

SENTENCE = 300  # characters, at most, of what a library says


class ExitCode(IntEnum):
    """Exit codes of `nitic`; the training binaries use the same ones, apart from BUG: a traceback has it to itself."""

    OK = 0
    RUN_TIME = 1
    USAGE = 2
    UNSUPPORTED_MODEL = 3
    DATA_MISMATCH = 4
    BUG = 70
    INTERRUPTED = 130


def printable(text: str) -> str:
    """Text for a terminal: control characters, which a model's names may hold, are escaped, but for ends of lines."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def one_sentence(text: str) -> str:
    """What a library says, as one printable sentence: it may quote a whole operator or file."""
    said = printable(" ".join(text.split())).rstrip(".")
    return said if len(said) <= SENTENCE else f"{said[:SENTENCE]}..."


class CompileError(Exception):
    """What is wrong (`message`) and where (`location`: a file, node or pass), with the way out as `note`.

    `str()` is what the command line prints: the place and the sentence, then each line of the note indented.
    """

    def __init__(
        self, location: str, message: str, note: str = "", exit_code: ExitCode = ExitCode.UNSUPPORTED_MODEL
    ) -> None:
        super().__init__(location, message, note, exit_code)
        self.location = location
        self.message = message
        self.note = note
        self.exit_code = exit_code

    def __str__(self) -> str:
        text = f"{self.location}: {self.message}" if self.location else self.message
        return "\n".join([text, *(f"  note: {line}" for line in self.note.splitlines())])
