"""Every operator that reaches code generation has an emitter, and no emitter is left of an operator that is gone."""

import re

import numpy as np
import pytest
from xdsl.ir import SSAValue

from nitic.codegen.emitters import REGISTRY
from nitic.ir.op import NnOp
from nitic.ir.traits import Packs, Pointwise
from nitic.ir.types import exponent
from nitic.ops import BFP, NN
from nitic.ops.attention import KeyGradOp, QueryGradOp, ValueGradOp
from nitic.ops.bfp import AlignOp, ExponentOfOp, RangeOp
from nitic.ops.elementwise import BiasOp
from nitic.ops.fused import FLAT
from nitic.ops.row_norm import RowNormDgradOp
from nitic.targets import VARIANTS
from nitic.targets.base import POINTWISE, Rule, Variant, always
from tests.kernels.harness import kernel_of, make_group
from tests.support.operators import type_of

# track-exponents replaces the first; the second is what any kernel does with its results; the others have integer forms
# of other names.
WITHOUT_EMITTER = {
    ExponentOfOp.name,
    RangeOp.name,
    RowNormDgradOp.name,
    QueryGradOp.name,
    KeyGradOp.name,
    ValueGradOp.name,
}


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
    assert {*ruled, FLAT} == set(REGISTRY.templates)


def loops(variant: Variant) -> list[Rule]:
    """The rules of operators that are no point-wise ones."""
    return [rule for rule in variant.rules if rule.template != POINTWISE]


def test_what_computes_with_vectors_is_point_wise() -> None:
    assert REGISTRY.vectors <= {*REGISTRY.pointwise, RangeOp.name}


@pytest.mark.parametrize("kind", [op for op in (*NN, *BFP) if op.has_trait(Pointwise)], ids=lambda kind: kind.name)
def test_what_begins_a_kernel_of_elements_has_a_point_wise_emitter(kind: type[NnOp]) -> None:
    assert kind.name in REGISTRY.pointwise


@pytest.mark.parametrize("kind", [op for op in NN if op.has_trait(Packs)], ids=lambda kind: kind.name)
def test_what_packs_is_written_by_another_emitter(kind: type[NnOp]) -> None:
    assert kind.name.removeprefix("nn.") in REGISTRY.templates
    assert kind.name not in REGISTRY.pointwise


def test_all_of_a_tail_has_one_shape() -> None:
    """A bias that several kernels read, aligned in one of them, is no result of that: its index is another."""

    def build(x: SSAValue, b: SSAValue, e: SSAValue) -> list[NnOp]:
        aligned = AlignOp.of(b, e, e)
        scaled = BiasOp.of(x, aligned.y, e, e)
        return [aligned, scaled]

    types = [type_of(value) for value in (np.zeros((2, 3), np.int32), np.zeros(3, np.int8))]
    group = make_group(build, [*types, exponent], keep=((0, 0), (1, 0)))
    with pytest.raises(
        AssertionError, match=re.escape("the tail of bfp.align has one index, but shapes [(2, 3), (3,)]")
    ):
        kernel_of(group, "two_shapes")
