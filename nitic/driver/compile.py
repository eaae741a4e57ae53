"""`nitic compile`: from an ONNX file to a binary."""

import sys
from pathlib import Path

from nitic.codegen.output import link
from nitic.driver.build import build_program
from nitic.driver.outputs import check_outputs, suffix, writer
from nitic.driver.plan import plan
from nitic.driver.watcher import watcher
from nitic.ir.text import print_module
from nitic.options import CompileOptions, Emit


def compile_model(options: CompileOptions) -> Path:
    """Writes what `options.emit` says; gives its path. Raises CompileError."""
    output = options.output or Path(options.model.stem + suffix(options))
    check_outputs(output, options)
    watch = watcher(options)
    if options.emit == Emit.IR:
        program = build_program(options, watch)
        plan(program, watch, options.cache)
        link.write(print_module(program.module, locations=True).encode(), output)
    else:
        with writer(options, output, watch) as write:
            print(f"nitic: {write(build_program(options, watch))}", file=sys.stderr)
    return output
