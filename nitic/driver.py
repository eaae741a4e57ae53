"""What the commands do: ONNX file to Program, Program to files."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from xdsl.dialects.builtin import ModuleOp
from xdsl.utils.exceptions import ParseError, VerifyException

from nitic import pipeline, state, targets
from nitic.errors import CompileError, ExitCode
from nitic.frontend.batch_norm import fold_batch_norm
from nitic.frontend.freezing import freeze
from nitic.frontend.importer import ImportedModel, external_files, import_onnx
from nitic.ir.text import parse_module, print_module
from nitic.ops import Bfp, Nn
from nitic.options import FOR_GPUS, BatchNorm, CompileOptions, Emit, Init, OptOptions
from nitic.passes.base import NiticPass
from nitic.pipeline import PASSES, parse_passes, training_passes
from nitic.program import Program, read_description
from nitic.recipe import Recipe, recipe

if TYPE_CHECKING:
    from nitic.codegen.output.generate import Generated
    from nitic.codegen.output.source import Variant

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
        """The same for the passes of one variant, which may run at the same time as others."""
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
    """Raises CompileError."""
    return Watcher(options.print_before, options.print_after, options.dump_ir)


def build_program(options: CompileOptions, watch: Watcher | None = None) -> Program:
    """Everything that is the same for all targets. Raises CompileError."""
    chosen = parse_recipe(options.recipe).with_options(options.recipe_options)
    model = import_model(options)
    for note in model.notes:
        print(f"nitic: {note}", file=sys.stderr)
    module, initial = lower(model, chosen, options, watch)
    variants = tuple(variant.name for variant in targets.find(options.target).variants)
    return Program(model.name, chosen.name, module, variants, initial, options.mean is not None)


def import_model(options: CompileOptions) -> ImportedModel:
    """The model with the batch norm and the frozen parameters that the options ask for. Raises CompileError."""
    model = import_onnx(options.model, options.batch_size)
    if options.batch_norm == BatchNorm.FOLD:
        model = fold_batch_norm(model)
    return freeze(model, options.freeze)


def lower(
    model: ImportedModel, chosen: Recipe, options: CompileOptions, watch: Watcher | None = None
) -> tuple[ModuleOp, dict[str, state.Array]]:
    """The model's functions in integers, and their initial state."""
    parameters = model.parameters
    if options.init == Init.XAVIER:
        parameters = state.xavier(model.module, parameters, options.seed)
    leading = state.leading_exponents(model.module, parameters)
    pipeline.run_passes(model.module, passes_of(options, chosen), watch, "end")
    normalisation = state.Normalisation(options.mean, options.std or (1.0,)) if options.mean else None
    return model.module, state.initial_state(model.module, parameters, leading, normalisation)


def passes_of(options: CompileOptions, chosen: Recipe) -> list[NiticPass]:
    statistics = "running" if options.batch_norm == BatchNorm.FREEZE else "batch"
    return training_passes(chosen, options.loss, statistics)


def plan(program: Program, watch: Watcher | None = None, use_cache: bool = False) -> list[Variant]:
    """The calls and the memory of every variant: out of the cache, unless somebody watches how they come about."""
    from nitic.codegen.output import cache, source

    watched = watch is not None and watch.is_on
    kept = cache.Cache(cache.cache_folder() if use_cache and not watched else None)
    name = cache.plan_name(program.identity, program.variants)
    if found := kept.read("plans", name):
        return source.unpack(found)
    variants = _plan(program, watch)
    kept.write("plans", name, source.pack(variants))
    return variants


def _plan(program: Program, watch: Watcher | None) -> list[Variant]:
    """A process for each variant: only text comes out of it."""
    from nitic.codegen.output import source
    from nitic.codegen.output.processes import in_processes

    module = program.module.clone()
    shared = pipeline.shared_passes(program.variants)
    pipeline.run_passes(module, shared, watch, "never")  # but at the end of what comes next

    def work(i: int) -> Variant:
        name = program.variants[i]
        own = module.clone()  # one process may have to do several
        pipeline.run_passes(own, pipeline.variant_passes(name), watch.of(name) if watch else None, "end")
        return source.describe(name, own)

    prints = watch is not None and (watch.before or watch.after)
    return in_processes(work, len(program.variants), jobs=1 if prints else None)


def parse_recipe(text: str) -> Recipe:
    """`niti16` or `niti16{bits=6,rule=plain}`. Raises CompileError."""
    spelt = re.fullmatch(r"([^{}]*)(?:\{([^{}]*)\})?", text)
    if spelt is None:
        message = f"cannot read '{text}'; write recipe{{option=value,option=value}}"
        raise CompileError("--recipe", message, exit_code=ExitCode.USAGE)
    pairs = (pair.partition("=") for pair in (spelt[2] or "").split(",") if pair)
    return recipe(spelt[1]).with_options({key.strip(): value.strip() for key, _, value in pairs})


def compile_model(options: CompileOptions) -> Path:
    """Writes what `options.emit` says; gives its path. Raises CompileError."""
    from nitic.codegen.output import link

    output = options.output or Path(options.model.stem + SUFFIXES.get(options.emit, ""))
    _check_output(output, options.model)
    if options.emit == Emit.LIB:
        _check_header(output.parent / HEADER)
    for_gpus = targets.find(options.target).device == "cuda"
    if for_gpus:
        _check_for_gpus(output, options)
    watch = watcher(options)
    program = build_program(options, watch)
    if for_gpus and options.emit != Emit.IR:
        print(f"nitic: {emit_cuda(program, options.emit, output, options.cache, watch)}", file=sys.stderr)
        return output
    variants = plan(program, watch, options.cache)
    if options.emit == Emit.IR:
        link.place_text(print_module(program.module, locations=True), output)
    else:
        print(f"nitic: {emit(program, variants, options.emit, output, options.cache)}", file=sys.stderr)
    return output


def emit(program: Program, variants: Sequence[Variant], kind: Emit, output: Path, use_cache: bool = True) -> Generated:
    """Machine code, linked with the runtime."""
    from nitic.codegen.output import cache, generate, link, source

    kept = cache.cache_folder() if use_cache else None
    with tempfile.TemporaryDirectory(prefix="nitic-") as name:
        folder = Path(name)
        meanings = {variant.name: variant.kernels for variant in variants}
        generated = generate.generate(meanings, folder, cache.KernelCache(kept))
        link.link(
            generated.objects, source.write_program(program, variants, generated.kernels, folder), kind, output, kept
        )
    _place_header(kind, output)
    return generated


def _place_header(kind: Emit, output: Path) -> None:
    """A library's header goes beside it."""
    from nitic.codegen.output import link
    from nitic.paths import runtime_folder

    header = output.parent / HEADER
    if kind == Emit.LIB and not header.exists():
        link.place(runtime_folder() / HEADER, header)


def emit_cuda(
    program: Program, kind: Emit, output: Path, use_cache: bool = True, watch: Watcher | None = None
) -> Generated:
    """A program for GPUs; or its kernels alone, and beside them the launch table in JSON. Raises CompileError."""
    from nitic.codegen.cuda import artifact
    from nitic.codegen.output import cache

    (name,) = program.variants
    module = program.module.clone()
    pipeline.run_passes(module, pipeline.target_passes(name), watch)
    generated = artifact.write(program, module, kind, output, cache.cache_folder() if use_cache else None)
    _place_header(kind, output)
    return generated


def _check_output(output: Path, source: Path) -> None:
    """Before minutes of work: it can be written, and what it is made from stays. Raises CompileError."""
    if output.is_dir() or not output.parent.is_dir():
        message = "it is a folder" if output.is_dir() else "its folder does not exist"
        raise CompileError(str(output), f"cannot write it: {message}", exit_code=ExitCode.RUN_TIME)
    if not output.exists():
        return
    for read in (source, *sorted(external_files(source))):
        if read.exists() and output.samefile(read):
            what = "the model itself" if read == source else "a file of the model's weights"
            message = f"the output would overwrite {what}: give another with --output"
            raise CompileError(str(output), message, exit_code=ExitCode.USAGE)


def _check_header(header: Path) -> None:
    """The header that goes with a library replaces no other file. Raises CompileError."""
    from nitic.paths import runtime_folder

    if header.exists() and header.read_bytes() != (runtime_folder() / HEADER).read_bytes():
        message = "another file lies where the library's header would: move it, or choose another folder"
        raise CompileError(str(header), message, exit_code=ExitCode.USAGE)


def _check_for_gpus(output: Path, options: CompileOptions) -> None:
    """There is a compiler where one is needed, and the launch table has a name of its own. Raises CompileError."""
    from nitic.codegen.cuda import compiler

    if options.emit not in (Emit.CUDA, Emit.IR):
        _ = compiler.compiler()
    if options.emit not in FOR_GPUS:
        return
    if output.suffix == TABLE_SUFFIX:
        message = f"the kernels would share this name with their launch table: end it in {SUFFIXES[options.emit]}"
        raise CompileError(str(output), message, exit_code=ExitCode.USAGE)
    _check_output(output.with_suffix(TABLE_SUFFIX), options.model)


def run_passes(options: OptOptions) -> None:
    """`nitic opt`. Raises CompileError."""
    from nitic.codegen.output import link

    passes, watch = parse_passes(options.passes), Watcher(options.print_before, options.print_after)
    if options.output and options.file.suffix == ".onnx":
        _check_output(options.output, options.file)
    module = read_module(options.file)
    pipeline.run_passes(module, passes, watch)
    text = print_module(module)
    if options.output is None:
        print(text, end="")
    else:
        link.place_text(text, options.output)


def read_module(file: Path) -> ModuleOp:
    """A module from text, or from an ONNX file. Raises CompileError."""
    if file.suffix == ".onnx":
        return import_onnx(file).module
    try:
        return parse_module(file.read_text(encoding="utf-8"), [Nn, Bfp], str(file))
    except ParseError as error:
        raise CompileError(str(file), str(error), exit_code=ExitCode.USAGE) from error
    except VerifyException as error:
        raise CompileError(str(file), str(error).splitlines()[-1], exit_code=ExitCode.USAGE) from error
    except UnicodeDecodeError as error:
        message = f"is no IR: its byte {error.start} is not of a UTF-8 text"
        raise CompileError(str(file), message, exit_code=ExitCode.USAGE) from error


def inspect(binary: Path) -> str:
    """`nitic inspect`: the report of what is in a binary. Raises CompileError."""
    from nitic.report import report

    try:
        return report(read_description(binary.read_bytes()))
    except (ValueError, LookupError, ParseError):
        raise CompileError(str(binary), "it holds no nitic program", exit_code=ExitCode.USAGE) from None
