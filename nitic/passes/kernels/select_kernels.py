"""select-kernels: the kernel template of every group, by the table of rules in nitic/targets."""

from collections.abc import Iterable
from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp, StringAttr

from nitic.ops.fused import FusedOp
from nitic.passes.base import NiticPass, option_error
from nitic.targets import VARIANTS
from nitic.targets.base import Variant


@dataclass(frozen=True)
class SelectKernels(NiticPass):
    """Writes on every nn.fused which template of `variant` makes its kernel."""

    variant: str = "portable"
    name = "select-kernels"
    ANNOTATES = True

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise option_error(self, f"unknown variant '{self.variant}'; the variants are {', '.join(VARIANTS)}")

    def apply(self, module: ModuleOp) -> None:
        select([op for op in module.walk() if isinstance(op, FusedOp)], VARIANTS[self.variant])


def select(groups: Iterable[FusedOp], variant: Variant) -> None:
    for group in groups:
        group.template = StringAttr(variant.template(group))
