"""Every operator that reaches code generation has an emitter, and no emitter is left of an operator that is gone."""

from nitic.codegen.emitters import REGISTRY
from nitic.ops import BFP, NN
from nitic.ops.bfp import ExponentOfOp, RangeOp

# track-exponents replaces the one; the other is what any kernel does with its results.
WITHOUT_EMITTER = {ExponentOfOp.name, RangeOp.name}


def test_every_operator_has_an_emitter() -> None:
    emitters = {*REGISTRY.anchors, *REGISTRY.pointwise, *REGISTRY.scalars} - {"pointwise"}
    assert emitters == {op.name for op in (*NN, *BFP)} - WITHOUT_EMITTER
