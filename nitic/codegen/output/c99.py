"""What `--target c` writes: a folder of C99 with everything that a training program is made of."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from nitic.codegen.output import source
from nitic.codegen.output.generate import Generated
from nitic.codegen.output.source import Variant
from nitic.errors import CompileError, ExitCode
from nitic.paths import runtime_folder, runtime_sources
from nitic.program import DESCRIPTION_MAGIC, Program
from nitic.targets.base import Target

DESCRIPTION = "description.bin"  # whose first bytes nobody else writes
BARE = ("runtime/core/bare.c", "runtime/core/byte_order.c")

MAKEFILE = """# make          the training program
# make bare.a   what a firmware links instead: kernels, tables and core/bare.c, without libc
CC ?= cc
AR ?= ar
CFLAGS ?= -O2
FLAGS = -std=c99 -Wall -Wextra -Werror -pedantic -Iruntime
SOURCES = kernels.c program.c $(wildcard runtime/*/*.c)
BARE = kernels.o program.o %(bare)s

program: $(SOURCES:.c=.o)
\t$(CC) $(CFLAGS) $(LDFLAGS) $^ -o $@

bare.a: $(BARE)
\t$(AR) rcs $@ $^

%%.o: %%.c $(wildcard runtime/*.h runtime/*/*.h)
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

`make bare.a` needs no libc, but for memcpy and memset, which compilers call by themselves. A training step is

    #include "nitic.h"

    static uint64_t arena[(%(arena)d + 64) / 8 + 8]; /* from a multiple of 64 bytes on */

    const nitic_program *p = &nitic_program_instance;
    nitic_bare_start(p, arena);
    /* Write %(batch)d samples to "input", their classes to "label", and numbers to input.multiplier, input.offset,
     * rate_m, ..., each from the byte nitic_tensor_find(p, NAME)->offset of the arena on; and then, for each batch: */
    nitic_bare_run(&p->variants[0], NITIC_TRAIN_STEP, arena);

The values of rate_m, rate_k, momentum and decay for a learning rate are in the log of a training run; input.multiplier
and input.offset are in every checkpoint.
"""


def check(output: Path) -> None:
    """The folder can be written, and holds nothing else. Raises CompileError."""
    if output.is_dir() and any(output.iterdir()) and not _is_ours(output / DESCRIPTION):
        message = "the folder holds other files: give an empty one, or one that nitic wrote before"
    elif output.exists() and not output.is_dir():
        message = "sources are a folder, and this is a file"
    elif not output.parent.is_dir():
        message = "cannot write it: its folder does not exist"
    else:
        return
    raise CompileError(str(output), message, exit_code=ExitCode.RUN_TIME)


def _is_ours(description: Path) -> bool:
    return description.is_file() and description.read_bytes().startswith(DESCRIPTION_MAGIC)


def write(program: Program, variants: Sequence[Variant], generated: Generated, target: Target, output: Path) -> None:
    """Writes the folder, whose files appear when all are complete; others in it stay. Raises
    CompileError."""
    try:
        with tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as name:
            folder = Path(name) / output.name
            _fill(folder, program, variants, generated, target)
            output.mkdir(exist_ok=True)
            shutil.rmtree(output / "runtime", ignore_errors=True)
            for each in folder.iterdir():
                each.replace(output / each.name)
    except OSError as error:
        raise CompileError(str(output), f"cannot write it: {error.strerror}", exit_code=ExitCode.RUN_TIME) from error


def _fill(folder: Path, program: Program, variants: Sequence[Variant], generated: Generated, target: Target) -> None:
    runtime = runtime_folder()
    sources = runtime_sources(target.device, target.platform.system)
    for path in [*sources, *(header for each in {p.parent for p in sources} for header in each.glob("*.h"))]:
        copy = folder / "runtime" / path.relative_to(runtime)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    shutil.copyfile(runtime / "nitic.h", folder / "runtime" / "nitic.h")
    (folder / "kernels.c").write_text(_kernels(generated))
    tables = source.program_source(program, variants, generated.kernels)
    (folder / "program.c").write_text("\n".join(['#include "nitic.h"', "", source.state_array(program), tables]))
    (folder / DESCRIPTION).write_bytes(source.description(program, variants))
    values = {
        "model": program.model,
        "compiler": source.COMPILER,
        "arena": max(variant.arena for variant in variants),
        "batch": program.batch,
        "bare": " ".join(path.replace(".c", ".o") for path in BARE),
    }
    (folder / "Makefile").write_text(MAKEFILE % values)
    (folder / "README.md").write_text(README % values)


def _kernels(generated: Generated) -> str:
    """All kernels, by the names that the tables have for them."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in generated.objects}
    parts = ['#include "core/kernel.h"\n\n']
    for variant, kernels in generated.kernels.items():
        for label, kernel in kernels.items():
            parts.append(texts[kernel.name].replace(kernel.name, source.call_name(variant, label)))
    return "".join(parts)
