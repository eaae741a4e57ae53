"""What `--target c` writes: a folder of C99 with everything that a training program is made of."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from nitic.codegen.output import folder, source
from nitic.codegen.output.generate import Generated
from nitic.codegen.output.source import Variant
from nitic.paths import BARE, runtime_folder, runtime_sources
from nitic.program import Program
from nitic.targets.base import Target

MAKEFILE = """# make          the training program
# make bare.a   what a firmware links instead: kernels, tables, runtime/core and runtime/bare, without libc
CC ?= cc
AR ?= ar
CFLAGS ?= -O2
FLAGS = -std=c99 -Wall -Wextra -Werror -pedantic -Iruntime
SOURCES = kernels.c program.c $(filter-out runtime/bare/%,$(wildcard runtime/*/*.c))
BARE = kernels.c program.c $(wildcard runtime/core/*.c runtime/bare/*.c)

program: $(SOURCES:.c=.o)
\t$(CC) $(CFLAGS) $(LDFLAGS) $^ -o $@

bare.a: $(BARE:.c=.o)
\t$(AR) rcs $@ $^

%.o: %.c $(wildcard runtime/*.h runtime/*/*.h)
\t$(CC) $(FLAGS) $(CFLAGS) -c $< -o $@

clean:
\trm -f program bare.a $(SOURCES:.c=.o)
"""

README = """# %(model)s, a training program in C99

    make CC=cc
    ./program train --data DIR --epochs 5 --save FILE
    ./program --help

Made by %(compiler)s: integers alone, one thread, ISO C and nothing else. Data, logs and checkpoints are those of every
other target, and so are the results, to the last bit, on machines of either byte order. `description.bin` is for
`nitic inspect`.

| file | what it is |
|---|---|
| `kernels.c` | the operators of this network: no libc, no recursion, no memory but its arguments and a few locals |
| `program.c` | tables: tensors, calls of kernels, the initial state |
| `runtime/` | the command line, data sets, checkpoints; `runtime/nitic.h` is its interface for C |

Asked of the compiler, beside C99: bytes of 8 bits, two's complement, and shifts to the right that keep the sign.

## In a firmware

`make bare.a` needs no libc, but for memcpy, memmove and memset, which compilers call by themselves.

%(firmware)s"""


def write(program: Program, variants: Sequence[Variant], generated: Generated, target: Target, output: Path) -> None:
    """Writes the folder. Raises CompileError."""
    folder.write(program, variants, output, lambda made: _fill(made, program, variants, generated, target))


def _fill(made: Path, program: Program, variants: Sequence[Variant], generated: Generated, target: Target) -> None:
    runtime = runtime_folder()
    sources = {*runtime_sources(target.device, target.platform.system), *runtime_sources(BARE, BARE)}
    for path in [*sources, *(header for each in {p.parent for p in sources} for header in each.glob("*.h"))]:
        copy = made / "runtime" / path.relative_to(runtime)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    (made / "runtime" / folder.HEADER).write_text(folder.header(program, variants))
    (made / "kernels.c").write_text(_kernels(generated))
    tables = source.program_source(program, variants, generated.kernels)
    (made / "program.c").write_text("\n".join(['#include "nitic.h"', "", source.state_array(program), tables]))
    values = {
        "model": program.model,
        "compiler": source.COMPILER,
        "firmware": folder.FIRMWARE,
    }
    (made / "Makefile").write_text(MAKEFILE)
    (made / "README.md").write_text(README % values)


def _kernels(generated: Generated) -> str:
    """All kernels, by the names that the tables have for them."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in generated.objects}
    parts = ['#include "core/kernel.h"\n\n']
    for variant, kernels in generated.kernels.items():
        for label, kernel in kernels.items():
            parts.append(texts[kernel.name].replace(kernel.name, source.call_name(variant, label)))
    return "".join(parts)
