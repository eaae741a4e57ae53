"""`nitic compile`: from an ONNX file to a binary."""

import sys
from pathlib import Path

from nitic import targets
from nitic.codegen.output import link
from nitic.driver.build import build_program
from nitic.driver.outputs import SUFFIXES, check_outputs, write_for_cpu, write_for_gpu
from nitic.driver.plan import plan
from nitic.driver.watcher import watcher
from nitic.ir.text import print_module
from nitic.options import CompileOptions, Emit


def compile_model(options: CompileOptions) -> Path:
    """Writes what `options.emit` says; gives its path. Raises CompileError."""
    output = options.output or Path(options.model.stem + SUFFIXES.get(options.emit, ""))
    check_outputs(output, options)
    watch = watcher(options)
    program = build_program(options, watch)
    if targets.find(options.target).device == "cuda" and options.emit != Emit.IR:
        print(f"nitic: {write_for_gpu(program, options.emit, output, options.cache, watch)}", file=sys.stderr)
        return output
    variants = plan(program, watch, options.cache)
    if options.emit == Emit.IR:
        link.write(print_module(program.module, locations=True).encode(), output)
    else:
        print(f"nitic: {write_for_cpu(program, variants, options.emit, output, options.cache)}", file=sys.stderr)
    return output
