"""Which emitters there are, and how a group of operators becomes a kernel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import TypeVar

from nitic.codegen import contractions, operators
from nitic.codegen.core.function import Function
from nitic.codegen.core.group import Emission, Group, NoEmitter, Registry
from nitic.codegen.core.kernel import Kernel
from nitic.codegen.cuda import stages
from nitic.errors import CompileError
from nitic.ops.fused import FusedOp
from nitic.targets import VARIANTS
from nitic.targets.base import Code, Variant

T = TypeVar("T")
NO_EMITTER_NOTE = "emitters are registered by family: CONTRIBUTING.md, 'Checklist: add an operator'"


def _merged(tables: Iterable[Mapping[str, T]]) -> Mapping[str, T]:
    """Tables that have no name in common, as one."""
    found: dict[str, T] = {}
    for table in tables:
        assert not found.keys() & table.keys()
        found.update(table)
    return found


def registry() -> Registry:
    """What the files of the two folders offer: `TEMPLATES`, `POINTWISE`, `VECTORS` and `SCALARS` of each."""
    modules = [
        import_module(each.name)
        for package in (contractions, operators)
        for each in iter_modules(package.__path__, f"{package.__name__}.")
    ]
    templates, pointwise, scalars = (
        _merged(getattr(module, name, {}) for module in modules) for name in ("TEMPLATES", "POINTWISE", "SCALARS")
    )
    vectors = frozenset[str]().union(*(getattr(module, "VECTORS", ()) for module in modules))
    return Registry(templates, pointwise, scalars, vectors)


REGISTRY = registry()


def emit(group: FusedOp, name: str, variant: str = "portable", label: str = "") -> Kernel:
    """The kernel of a group whose template is selected: a function of this name, which an error calls `label`.

    Its parameters are the operands, then the results that are not written in place of one. Raises CompileError where
    an operator has no emitter.
    """
    view, chosen = Group(group), VARIANTS[variant]
    view.check_sizes(label or name)
    try:
        return _emit(view, name, chosen)
    except NoEmitter as what:
        raise CompileError(label or name, f"no kernel for {what} on {variant}", NO_EMITTER_NOTE) from what


def _emit(group: Group, name: str, variant: Variant) -> Kernel:
    if variant.code == Code.CUDA:
        return stages.emit(group, name, REGISTRY)
    with Function(name, group.parameters(), threads=variant.memory.threads, lanes=variant.lanes) as function:
        units = Emission(group, function, REGISTRY).emit()
    return function.kernel(units)
