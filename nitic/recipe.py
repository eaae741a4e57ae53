"""A recipe: the method of integer training, as three passes and their options."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from nitic.errors import CompileError, ExitCode
from nitic.passes.base import NiticPass, option_value
from nitic.passes.integers.insert_rounding import InsertRounding
from nitic.passes.training.insert_backward import InsertBackward
from nitic.passes.training.insert_update import InsertUpdate


@dataclass(frozen=True)
class Recipe:
    """How gradients come about, where and how values are rounded, and what an update does."""

    name: str
    backward: InsertBackward
    rounding: InsertRounding
    update: InsertUpdate

    def with_options(self, options: Mapping[str, str]) -> "Recipe":
        """The recipe with options of its passes set, e.g. {"bits": "6", "rule": "plain"}. Raises CompileError."""
        recipe = self
        for key, value in options.items():
            recipe = recipe._with_option(key, value)
        return recipe

    def _with_option(self, key: str, value: str) -> "Recipe":
        for part in ("backward", "update", "rounding"):
            owner: NiticPass = getattr(self, part)
            if key in [field.name for field in fields(owner)]:
                return replace(self, **{part: replace(owner, **{key: option_value(type(owner), key, value)})})
        known = [field.name for each in (self.update, self.rounding) for field in fields(each)]
        message = f"unknown option '{key}'; a recipe's options are {', '.join(known)}"
        raise CompileError("--option", message, exit_code=ExitCode.USAGE)


RECIPES = {
    "niti16": Recipe("niti16", InsertBackward(), InsertRounding(), InsertUpdate(rule="momentum")),
    "niti": Recipe("niti", InsertBackward(), InsertRounding(), InsertUpdate(rule="niti")),
}


def recipe(name: str) -> Recipe:
    """A recipe by name. Raises CompileError."""
    if name not in RECIPES:
        message = f"unknown recipe '{name}'; the recipes are {', '.join(RECIPES)}"
        raise CompileError("--recipe", message, exit_code=ExitCode.USAGE)
    return RECIPES[name]
