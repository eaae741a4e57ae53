"""What `--target cuda` writes: a program for GPUs, or its kernels alone."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from xdsl.dialects.builtin import ModuleOp

from nitic.codegen.output import generate, link, source
from nitic.codegen.output.cache import KernelCache
from nitic.codegen.output.cuda import compiler, launch
from nitic.codegen.output.cuda.gather import gather_text
from nitic.codegen.output.cuda.program import complete
from nitic.codegen.output.generate import Generated
from nitic.options import FOR_GPUS, Emit
from nitic.program import Program
from nitic.targets import TARGETS

VARIANT = "cuda"
TARGET = TARGETS["cuda"]


def write(program: Program, module: ModuleOp, kind: Emit, output: Path, cache: Path | None) -> Generated:
    """Writes the planned module. Kernels alone get their launch table, in JSON, beside them. Raises CompileError."""
    with tempfile.TemporaryDirectory(prefix="nitic-") as name:
        folder = Path(name)
        variant = source.describe(VARIANT, module)
        generated = generate.generate({VARIANT: variant.kernels}, folder, KernelCache(cache))
        text = _text(program, generated)
        table = launch.launch_table(program, module, generated.kernels[VARIANT])
        if kind in FOR_GPUS:
            (folder / "kernels").write_bytes(_kernels(text, kind, KernelCache(cache)))
            link.install(folder / "kernels", output)
            link.write(f"{json.dumps(table, indent=1)}\n".encode(), output.with_suffix(".json"))
            return generated
        image = compiler.compile_image(text, KernelCache(cache))
        written = source.write_program(program, [complete(variant, table, image, folder)], {}, folder)
        link.link(link.runtime_objects(kind, folder, KernelCache(cache), TARGET), written, kind, output, TARGET)
    return generated


def _text(program: Program, generated: Generated) -> str:
    from nitic.codegen.cuda.text import prologue  # imports tvm, which is not needed where every kernel is in the cache

    codes = [path.read_text(encoding="utf-8") for path in generated.objects]
    title = f"{program.model}, recipe {program.recipe}"
    return "".join([prologue(title), *codes, gather_text(program.input_shape)])


def _kernels(text: str, kind: Emit, cache: KernelCache) -> bytes:
    if kind == Emit.CUDA:
        return text.encode()
    return compiler.compile_ptx(text) if kind == Emit.PTX else compiler.compile_image(text, cache).content
