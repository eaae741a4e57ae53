"""Every operator that reaches code generation has an emitter, and no emitter is left of an operator that is gone."""

import pytest

from nitic.codegen.emitters import REGISTRY
from nitic.ops import BFP, NN
from nitic.ops.bfp import ExponentOfOp, RangeOp
from nitic.targets import VARIANTS
from nitic.targets.base import Rule, Variant, always

# track-exponents replaces the one; the other is what any kernel does with its results.
WITHOUT_EMITTER = {ExponentOfOp.name, RangeOp.name}


def test_every_operator_has_an_emitter() -> None:
    with_loops = {name for variant in VARIANTS.values() for rule in loops(variant) for name in rule.operators}
    emitters = {*with_loops, *REGISTRY.pointwise, *REGISTRY.scalars}
    assert emitters == {op.name for op in (*NN, *BFP)} - WITHOUT_EMITTER


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=lambda variant: variant.name)
def test_every_operator_with_loops_has_some_on_every_variant(variant: Variant) -> None:
    """A rule without a condition, behind those of special cases."""
    unconditional = {name for rule in loops(variant) if rule.when is always for name in rule.operators}
    assert unconditional == {name for rule in loops(variant) for name in rule.operators}


def test_templates_and_rules_know_each_other() -> None:
    ruled = {rule.template for variant in VARIANTS.values() for rule in variant.rules}
    assert ruled == set(REGISTRY.templates)


def loops(variant: Variant) -> list[Rule]:
    """The rules of operators that are no point-wise ones."""
    return [rule for rule in variant.rules if rule.template != "pointwise"]
