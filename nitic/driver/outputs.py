"""The files that `nitic compile` writes, and the checks of their paths before minutes of work."""

import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

from nitic import pipeline, targets
from nitic.codegen.output import c99, cache, folder, generate, library, link, source
from nitic.codegen.output.cuda import artifact, compiler
from nitic.codegen.output.generate import Generated
from nitic.codegen.output.processes import beside
from nitic.driver.plan import plan
from nitic.driver.watcher import Watcher
from nitic.errors import CompileError, ExitCode
from nitic.frontend.importer import external_files
from nitic.options import FOR_GPUS, CompileOptions, Emit
from nitic.paths import runtime_folder
from nitic.program import Program
from nitic.targets.base import Code

HEADER = "nitic.h"
SUFFIXES = {
    Emit.LIB: ".so",
    Emit.OBJ: ".o",
    Emit.IR: ".mlir",
    Emit.CUDA: ".cu",
    Emit.PTX: ".ptx",
    Emit.CUBIN: ".fatbin",
}
TABLE_SUFFIX = ".json"
Write = Callable[[Program], Generated]


def suffix(options: CompileOptions) -> str:
    """What the name of the output ends in where the user gives none."""
    return SUFFIXES.get(options.emit) or targets.find(options.target).platform.suffix


def check_outputs(output: Path, options: CompileOptions) -> None:
    """Every file that the options ask for can be written, and replaces none that stays. Raises CompileError."""
    if writes_folder(options):
        folder.check(output)
    else:
        check_output(output, options.model)
    if options.emit == Emit.LIB:
        _check_header(output.parent / HEADER)
    if targets.find(options.target).device == "cuda":
        _check_for_gpus(output, options)


def writes_folder(options: CompileOptions) -> bool:
    """Whether the output is a folder of sources, or of a library."""
    return bool(targets.find(options.target).folder_of) and options.emit == Emit.EXE


def check_output(output: Path, model: Path) -> None:
    """The output can be written, and is neither the model nor one of the model's weights. Raises CompileError."""
    if output.is_dir() or not output.parent.is_dir():
        message = "it is a folder" if output.is_dir() else "its folder does not exist"
        raise CompileError(str(output), f"cannot write it: {message}", exit_code=ExitCode.RUN_TIME)
    if not output.exists():
        return
    for read in (model, *sorted(external_files(model))):
        if read.exists() and output.samefile(read):
            what = "the model itself" if read == model else "a file of the model's weights"
            message = f"the output would overwrite {what}: give another with --output"
            raise CompileError(str(output), message, exit_code=ExitCode.USAGE)


def _check_header(header: Path) -> None:
    """The header that goes with a library replaces no other file. Raises CompileError."""
    if header.exists() and header.read_bytes() != (runtime_folder() / HEADER).read_bytes():
        message = "another file lies where the library's header would: move it, or choose another folder"
        raise CompileError(str(header), message, exit_code=ExitCode.USAGE)


def _check_for_gpus(output: Path, options: CompileOptions) -> None:
    """There is a compiler where one is needed, and the launch table has a name of its own. Raises CompileError."""
    if options.emit not in (Emit.CUDA, Emit.IR):
        _ = compiler.compiler()
    if options.emit not in FOR_GPUS:
        return
    if output.suffix == TABLE_SUFFIX:
        message = f"the kernels would share this name with their launch table: end it in {SUFFIXES[options.emit]}"
        raise CompileError(str(output), message, exit_code=ExitCode.USAGE)
    check_output(output.with_suffix(TABLE_SUFFIX), options.model)


@contextmanager
def writer(options: CompileOptions, output: Path, watch: Watcher | None = None) -> Generator[Write]:
    """What writes a program as the options say; it raises CompileError. What needs no program begins at once."""
    writers = {Code.CUDA: _write_for_gpu, Code.C99: _write_sources}
    code = targets.find(options.target).code
    given = partial(writers[code], options, output, watch) if code in writers else None
    with nullcontext(given) if given else _writer_for_cpu(options, output, watch) as write:
        yield write
    _install_header(options.emit, output)


@contextmanager
def _writer_for_cpu(options: CompileOptions, output: Path, watch: Watcher | None) -> Generator[Write]:
    """Machine code, linked with the runtime or beside it in a library; a process of its own compiles the runtime."""
    kind, target = options.emit, targets.find(options.target)
    kept = cache.KernelCache(cache.cache_folder() if options.cache else None)
    with tempfile.TemporaryDirectory(prefix="nitic-") as name:
        folder = Path(name)
        with beside(lambda: link.runtime_objects(kind, folder, kept, target)) as runtime:

            def write(program: Program) -> Generated:
                variants = plan(program, watch, options.cache)
                meanings = {variant.name: variant.kernels for variant in variants}
                generated = generate.generate(meanings, folder, kept)
                if target.folder_of:
                    library.write(program, variants, generated, runtime(), target, output)
                    return generated
                sources = source.write_program(program, variants, generated.kernels, folder, target.platform)
                link.link([*generated.objects, *runtime()], sources, kind, output, target)
                return generated

            yield write


def _write_sources(options: CompileOptions, output: Path, watch: Watcher | None, program: Program) -> Generated:
    """A folder of C."""
    kept = cache.KernelCache(cache.cache_folder() if options.cache else None)
    with tempfile.TemporaryDirectory(prefix="nitic-") as name:
        variants = plan(program, watch, options.cache)
        generated = generate.generate({variant.name: variant.kernels for variant in variants}, Path(name), kept)
        c99.write(program, variants, generated, targets.find(options.target), output)
    return generated


def _write_for_gpu(options: CompileOptions, output: Path, watch: Watcher | None, program: Program) -> Generated:
    """A program for GPUs; or its kernels alone, and beside them the launch table in JSON. Raises CompileError."""
    (name,) = program.variants
    module = program.module.clone()
    pipeline.run_passes(module, pipeline.target_passes(name), watch)
    return artifact.write(program, module, options.emit, output, cache.cache_folder() if options.cache else None)


def _install_header(kind: Emit, output: Path) -> None:
    """A library's header goes beside it."""
    header = output.parent / HEADER
    if kind == Emit.LIB and not header.exists():
        link.install(runtime_folder() / HEADER, header)
