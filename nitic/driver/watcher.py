"""--print-before, --print-after and --dump-ir: the IR around passes."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

from xdsl.dialects.builtin import ModuleOp

from nitic.errors import CompileError, ExitCode
from nitic.ir.text import print_module
from nitic.options import CompileOptions
from nitic.passes.base import NiticPass
from nitic.pipeline import PASSES


@dataclass
class Watcher:
    """Prints or writes the IR around passes."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    folder: Path | None = None
    prefix: str = ""
    count: int = field(default=0)

    def __post_init__(self) -> None:
        """Raises CompileError for a pass that does not exist."""
        for option, names in (("--print-before", self.before), ("--print-after", self.after)):
            for name in names:
                if name not in PASSES:
                    message = f"unknown pass '{name}'; the passes are {', '.join(PASSES)}"
                    raise CompileError(option, message, exit_code=ExitCode.USAGE)

    @property
    def is_on(self) -> bool:
        return bool(self.before or self.after or self.folder)

    def of(self, variant: str) -> Watcher:
        """The same for the passes of one variant, which may run at the same time as those of another variant."""
        return replace(self, prefix=f"{variant}-", count=0)

    def __call__(self, each: NiticPass, module: ModuleOp, done: bool) -> None:
        if each.name in (self.after if done else self.before):
            text = f"// {'after' if done else 'before'} {each.spec()}\n{print_module(module)}\n"
            sys.stderr.write(text)
            sys.stderr.flush()
        if done and self.folder:
            self.count += 1
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / f"{self.prefix}{self.count:02d}-{each.name}.mlir"
            path.write_text(print_module(module, locations=True), encoding="utf-8")


def watcher(options: CompileOptions) -> Watcher:
    """The watcher that the options ask for. Raises CompileError."""
    return Watcher(options.print_before, options.print_after, options.dump_ir)
