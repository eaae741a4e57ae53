"""freeze: parameters that training leaves as they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase

from xdsl.dialects.builtin import ModuleOp

from nitic.ir.function import Label, argument_labels, function, set_arguments
from nitic.passes.base import NiticPass, option_error
from nitic.passes.invariants import only_predict


@dataclass(frozen=True)
class Freeze(NiticPass):
    """Gives parameters of @predict the role `frozen`: they are state without a gradient. Their values stay.

    parameters: globs of their names; each must match one, and one must be left to train.
    """

    parameters: tuple[str, ...] = ()
    name = "freeze"
    requires = (only_predict,)

    def apply(self, module: ModuleOp) -> None:
        func = function(module, "predict")
        labels = argument_labels(func)
        trained = [label.name for label in labels if label.role == "weight"]
        frozen = {name for glob in self.parameters for name in self._matches(glob, trained)}
        if frozen and len(frozen) == len(trained):
            message = f"{' '.join(self.parameters)} freezes all {len(trained)} parameters: nothing is left to train"
            raise option_error(self, message)
        set_arguments(func, [Label(x.name, "frozen") if x.name in frozen else x for x in labels])

    def _matches(self, glob: str, names: Sequence[str]) -> list[str]:
        """The names that a glob matches. Raises CompileError where it matches none."""
        found = [name for name in names if fnmatchcase(name, glob)]
        if not found:
            near = get_close_matches(glob, names, n=5, cutoff=0.3) or names[:5]
            raise option_error(self, f"no parameter matches '{glob}'; near it are {', '.join(near)}")
        return found
