"""The rules of a machine that adds dot products of four bytes to 32-bit sums, by one instruction or by several."""

from nitic.ir.op import NnOp
from nitic.targets import loops, panels
from nitic.targets.base import Layouts, Rule
from nitic.targets.common import BY_ELEMENT, COMMON, DGRAD, FORWARD, WGRAD, sums_in_int64


def by_dots(name: str, signed: bool = False) -> tuple[Rule, ...]:
    """The table of a variant whose contractions are the templates `name`_conv, `name`_dgrad and `name`_wgrad.

    signed: its products are of signed bytes with signed ones, so no operand is stored with 128 added.
    """

    def forward(op: NnOp, nonnegative: bool) -> Layouts:
        return panels.forward(op, signed or nonnegative)

    def dgrad(op: NnOp, _: bool) -> Layouts:
        return panels.dgrad(op, signed)  # errors have both signs

    def wgrad(op: NnOp, nonnegative: bool) -> Layouts:
        return panels.wgrad(op, signed or nonnegative)

    return (
        *loops.DEPTHWISE,
        Rule(BY_ELEMENT.operators, BY_ELEMENT.template, when=sums_in_int64),  # rare: not worth a template of their own
        Rule(FORWARD, f"{name}_conv", layouts=forward),
        Rule(DGRAD, f"{name}_dgrad", layouts=dgrad),
        Rule(WGRAD, f"{name}_wgrad", layouts=wgrad),
        *COMMON,
    )
