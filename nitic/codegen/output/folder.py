"""Outputs that are a folder: it can be written over by nitic alone, and appears when it is complete."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from nitic.codegen.output.source import Variant, constants, description
from nitic.errors import CompileError, ExitCode
from nitic.paths import runtime_folder
from nitic.program import DESCRIPTION_MAGIC, Program

DESCRIPTION = "description.bin"  # whose first bytes nobody else writes
HEADER = "nitic.h"
FIRMWARE = """    #include "nitic.h"

    static uint64_t memory[NITIC_PROGRAM_BYTES / 8] __attribute__((aligned(64)));

    nitic_session *session;
    nitic_session_at(&nitic_program_instance, memory, sizeof memory, &session);
    nitic_configure(session, "lr", "2^-6"); /* the options of the command line */
    nitic_set_statistics(session, samples, count);
    nitic_progress *progress = nitic_session_progress(session);
    progress->epochs = 5;
    for (; progress->epoch < progress->epochs; progress->epoch++) {
      nitic_begin_epoch(session, progress->epoch); /* the learning rate of this epoch */
      for (...)
        nitic_step(session, batch, labels, &metrics); /* uint8 samples, int32 labels: NITIC_BATCH of them */
      progress->epoch_step = 0;
      progress->running = (nitic_metrics){0};
    }
    nitic_predict(session, batch, NITIC_BATCH, logits, &exponent);
    nitic_checkpoint_write(session, sink, context); /* the file of `train --save`, piece by piece */

`nitic.h` says what each of them gives. All memory is the caller's: NITIC_ARENA_BYTES of tensors and scratch, and the
session. The stack takes 4 KB beside, while a checkpoint is read, and more where kernels have tables of many channels.
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


def _is_ours(found: Path) -> bool:
    return found.is_file() and found.read_bytes().startswith(DESCRIPTION_MAGIC)


def write(program: Program, variants: Sequence[Variant], output: Path, fill: Callable[[Path], None]) -> None:
    """Writes the folder, with what `fill` puts into it and the description of the program; files in it that have other
    names stay. Raises CompileError."""
    try:
        with tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as name:
            folder = Path(name) / output.name
            folder.mkdir()
            fill(folder)
            (folder / DESCRIPTION).write_bytes(description(program, variants))
            output.mkdir(exist_ok=True)
            for each in folder.iterdir():
                if each.is_dir():
                    shutil.rmtree(output / each.name, ignore_errors=True)
                each.replace(output / each.name)
    except OSError as error:
        raise CompileError(str(output), f"cannot write it: {error.strerror}", exit_code=ExitCode.RUN_TIME) from error


def header(program: Program, variants: Sequence[Variant]) -> str:
    """nitic.h, and in it the sizes of this program as constants."""
    text = (runtime_folder() / HEADER).read_text()
    before, end, after = text.rpartition("#pragma GCC visibility pop")
    return f"{before}{constants(program, variants)}\n{end}{after}"
