"""From an ONNX file to a Program: everything that is the same for all targets."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from glob import escape

from xdsl.dialects.builtin import ModuleOp

from nitic import state, targets
from nitic.arithmetic.integers import Array
from nitic.driver.watcher import Watcher
from nitic.errors import CompileError, ExitCode, printable
from nitic.frontend.graph import Ports
from nitic.frontend.importer import ImportedModel, import_onnx
from nitic.interpret import run_function
from nitic.ir.function import argument_labels, function
from nitic.ir.initial_values import take_initial_values
from nitic.options import BatchNorm, CompileOptions, Init, Restore
from nitic.passes.base import NiticPass
from nitic.passes.frontend.fold_batch_norm import FoldBatchNorm
from nitic.passes.frontend.freeze import Freeze
from nitic.pipeline import frontend_passes, run_passes, training_passes
from nitic.program import Program
from nitic.recipe import Recipe, recipe


def build_program(options: CompileOptions, watch: Watcher | None = None) -> Program:
    """The model as a training program. Its notes go to the standard error. Raises CompileError."""
    return program_of(import_model(options, watch), options, watch)


def program_of(model: ImportedModel, options: CompileOptions, watch: Watcher | None = None) -> Program:
    """An imported model as a training program, in the model's own module. Raises CompileError."""
    chosen = parse_recipe(options.recipe).with_options(options.recipe_options)
    for note in model.notes:
        print(f"nitic: {printable(note)}", file=sys.stderr)
    module, initial = lower(model, chosen, options, watch)
    variants = targets.find(options.target).variants
    normalised = options.mean is not None or model.standardisation is not None
    names = tuple(variant.name for variant in variants)
    return Program(model.name, chosen.name, module, names, initial, normalised, variants[0].memory)


def parse_recipe(text: str) -> Recipe:
    """`niti16` or `niti16{bits=6,rule=plain}`. Raises CompileError."""
    spelt = re.fullmatch(r"([^{}]*)(?:\{([^{}]*)\})?", text)
    if spelt is None:
        message = f"cannot read '{text}'; write recipe{{option=value,option=value}}"
        raise CompileError("--recipe", message, exit_code=ExitCode.USAGE)
    pairs = (pair.partition("=") for pair in (spelt[2] or "").split(",") if pair)
    return recipe(spelt[1]).with_options({key.strip(): value.strip() for key, _, value in pairs})


def import_model(options: CompileOptions, watch: Watcher | None = None) -> ImportedModel:
    """The model with the batch norm and the frozen parameters that the options ask for. Raises CompileError.

    With --mean the samples reach the network by that, and the network's own standardisation stays a part of it.
    """
    model = imported(options, standardises=options.mean is None)
    globs = tuple(_globs_of_names(model, options.freeze))
    try:
        run_passes(model.module, frontend_passes(options.batch_norm == BatchNorm.FOLD, globs), watch, "end")
    except CompileError as error:
        raise _in_words_of_the_command_line(error, model.name) from error
    return _with_values_of_parameters(model)


def imported(options: CompileOptions, *, standardises: bool) -> ImportedModel:
    """The network as the options say that the file is to be read. Raises CompileError."""
    ports = Ports(options.layout, options.input_shape, options.output_name)
    return import_onnx(options.model, options.batch_size, standardises, ports, options.restore == Restore.BIASES)


def _globs_of_names(model: ImportedModel, globs: tuple[str, ...]) -> Iterator[str]:
    """Globs for `freeze`, which knows parameters by nitic's names alone: those that only match by the name in the ONNX
    file are spelt out."""
    labels = argument_labels(function(model.module, "predict"))
    names = [label.name for label in labels if label.role == "weight"]
    for glob in globs:
        others = [name for name in names if not fnmatchcase(name, glob)]
        by_source = [name for name in others if fnmatchcase(model.conversions[name].source, glob)]
        if len(others) < len(names) or not by_source:
            yield glob
        yield from map(escape, by_source)


def _in_words_of_the_command_line(error: CompileError, model: str) -> CompileError:
    """What a pass refuses, said of the option that asks for the pass."""
    match error.location:
        case Freeze.name:
            return CompileError("--freeze", error.message, error.note, error.exit_code)
        case FoldBatchNorm.name:
            return CompileError(model, f"--batch-norm fold {error.message}", error.note, error.exit_code)
        case _:
            return error


def _with_values_of_parameters(model: ImportedModel) -> ImportedModel:
    """The model with the initial values that its module asks for, and of the parameters that @predict still takes."""
    values: dict[str, Array] = dict(model.parameters)
    for func in take_initial_values(model.module):
        found = run_function(func, {label.name: values[label.name] for label in argument_labels(func)})
        values |= {name: value.astype(values[name].dtype) for name, value in found.items()}
    kept = [label.name for label in argument_labels(function(model.module, "predict")) if label.name in values]
    return replace(
        model,
        parameters={name: values[name] for name in kept},
        conversions={name: model.conversions[name] for name in kept},
    )


def lower(
    model: ImportedModel, chosen: Recipe, options: CompileOptions, watch: Watcher | None = None
) -> tuple[ModuleOp, dict[str, Array]]:
    """The model's functions in integers, and their initial state."""
    parameters = model.parameters
    if options.init == Init.XAVIER:
        parameters = state.xavier(model.module, parameters, options.seed)
    leading = state.leading_exponents(model.module, parameters)
    run_passes(model.module, passes_of(options, chosen), watch, "end")
    ranges = model.ranges if options.init == Init.KEEP else {}
    return model.module, state.initial_state(model.module, parameters, leading, _normalisation(model, options), ranges)


def _normalisation(model: ImportedModel, options: CompileOptions) -> state.Normalisation | None:
    """That of the options, or else that of the network itself, if there is one."""
    if options.mean:
        return state.Normalisation(options.mean, options.std or (1.0,))
    return state.Normalisation(*model.standardisation.of_unit()) if model.standardisation else None


def passes_of(options: CompileOptions, chosen: Recipe) -> list[NiticPass]:
    """From the imported @predict to integers, as the options ask."""
    statistics = "running" if options.batch_norm == BatchNorm.FREEZE else "batch"
    return training_passes(chosen, options.loss, statistics)
