"""What a target without an operating system gets: a folder with a static library and its header, for firmware."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from nitic.codegen.output import folder, link, source
from nitic.codegen.output.generate import Generated
from nitic.codegen.output.source import Variant
from nitic.program import Program
from nitic.targets.base import Target

LIBRARY = "libnitic.a"
README = """# %(model)s for %(target)s

`libnitic.a` and `nitic.h`, made by %(compiler)s: training in integers alone, on one thread, for firmware. There is no
heap and no floating point. Of a libc it takes memcpy, memmove and memset, of the compiler's own library the division of
int64; all of them are in what any linker for this machine brings. Data and checkpoints are those of every other target,
and so are the results, to the last bit. `description.bin` is for `nitic inspect` and `nitic export`.

%(firmware)s"""


def write(
    program: Program,
    variants: Sequence[Variant],
    generated: Generated,
    runtime: Sequence[Path],
    target: Target,
    output: Path,
) -> None:
    """Writes the folder. Raises CompileError."""
    values = {
        "model": program.model,
        "target": target.name,
        "compiler": source.COMPILER,
        "firmware": folder.FIRMWARE,
    }

    def fill(made: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="nitic-") as name:
            tables = source.write_program(program, variants, generated.kernels, Path(name), target.platform)
            link.archive([*generated.objects, *runtime], tables, made / LIBRARY, target)
        (made / folder.HEADER).write_text(folder.header(program, variants))
        (made / "README.md").write_text(README % values)

    folder.write(program, variants, output, fill)
