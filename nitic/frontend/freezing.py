"""Freezes parameters by name: what is frozen is state that training does not change."""

from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from nitic.errors import CompileError, ExitCode
from nitic.frontend.importer import ImportedModel
from nitic.ir.function import Label, argument_labels, function, set_arguments


def freeze(model: ImportedModel, globs: Sequence[str]) -> ImportedModel:
    """Gives every parameter that a glob matches the role `frozen`; it goes by its name or that in the ONNX file.

    Raises CompileError for a glob that matches nothing, and where nothing is left to train.
    """
    func = function(model.module, "predict")
    labels = argument_labels(func)
    trained = [label.name for label in labels if label.role == "weight"]
    frozen = {name for glob in globs for name in _matches(model, glob, trained)}
    if frozen and len(frozen) == len(trained):
        raise _usage(f"{' '.join(globs)} freezes all {len(trained)} parameters: nothing is left to train")
    set_arguments(func, [Label(x.name, "frozen") if x.name in frozen else x for x in labels])
    return model


def _matches(model: ImportedModel, glob: str, names: Sequence[str]) -> list[str]:
    found = [n for n in names if fnmatchcase(n, glob) or fnmatchcase(model.layouts[n].source, glob)]
    if not found:
        near = get_close_matches(glob, names, n=5, cutoff=0.3) or names[:5]
        raise _usage(f"no parameter matches '{glob}'; near it are {', '.join(near)}")
    return found


def _usage(message: str) -> CompileError:
    return CompileError("--freeze", message, exit_code=ExitCode.USAGE)
