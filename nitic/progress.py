"""How far a long piece of work is: a line on the standard error."""

import sys
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

QUIET_SECONDS = 2.0  # what is done by then needs no line
TERMINAL_SECONDS, PLAIN_SECONDS = 0.1, 10.0  # between two lines


@dataclass
class Progress:
    """`kernels 123/456`: one line that changes on a terminal, a line every ten seconds elsewhere."""

    what: str
    total: int
    terminal: bool
    _next: float = 0
    _shown: bool = False

    def __enter__(self) -> Self:
        self._next = time.monotonic() + QUIET_SECONDS
        return self

    def show(self, done: int) -> None:
        """Says how many are done, unless it has just been said."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + (TERMINAL_SECONDS if self.terminal else PLAIN_SECONDS)
        self._shown = True
        text = f"{self.what} {done}/{self.total}"
        self._write(f"\r\x1b[K{text}" if self.terminal else f"nitic: {text}\n")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.terminal and self._shown:
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()
