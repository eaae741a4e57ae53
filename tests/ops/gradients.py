"""An operator's gradient rule against finite differences, in floats."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from xdsl.dialects.test import TestOp
from xdsl.ir import OpResult, SSAValue

from nitic.arithmetic.integers import Array
from nitic.ir.op import NnOp, Property
from tests.support.operators import make, type_of


@dataclass
class Evaluated:
    """Gradients as values: each operator of the rule is computed as it comes."""

    values: dict[SSAValue, Array]
    errors: dict[SSAValue, Array] = field(default_factory=dict[SSAValue, Array])
    error: SSAValue | None = None

    def needs(self, value: SSAValue) -> bool:
        return value in self.values

    def of(self, value: SSAValue) -> SSAValue:
        assert self.error is not None
        return self.error

    def factors_of(self, value: SSAValue) -> tuple[SSAValue, SSAValue | None]:
        return self.of(value), None

    def insert(self, op: NnOp) -> OpResult:
        outputs = op.reference(*(self.values[operand] for operand in op.operands))
        self.values[op.result] = outputs[0] if isinstance(outputs, tuple) else outputs
        return op.result

    def add(self, value: SSAValue, gradient: NnOp) -> None:
        self.pass_on(value, self.insert(gradient))

    def pass_on(self, value: SSAValue, error: SSAValue, factor: SSAValue | None = None) -> None:
        scale = 1 if factor is None else self.values[factor]
        self.errors[value] = self.errors.get(value, 0) + self.values[error] * scale


def check_gradient(kind: type[NnOp], operands: Sequence[Array], properties: Mapping[str, Property]) -> None:
    """<dy, f'(x) v> by the rule and by the difference of f along v, for each operand; f is smooth at x."""
    op, rng = make(kind, *operands, **properties), np.random.default_rng(9)
    y = op.reference(*operands)
    assert not isinstance(y, tuple)
    dy = TestOp(result_types=[type_of(y)]).results[0]
    grad = Evaluated({**dict(zip(op.operands, operands, strict=True)), dy: rng.normal(size=y.shape), op.result: y})
    grad.error = dy
    op.backward(grad)
    for i, x in enumerate(operands):
        v = rng.normal(size=x.shape)
        ends = [op.reference(*operands[:i], x + sign * 1e-6 * v, *operands[i + 1 :]) for sign in (1, -1)]
        expected = ((np.asarray(ends[0]) - ends[1]) / 2e-6 * grad.values[dy]).sum()
        np.testing.assert_allclose((grad.errors[op.operands[i]] * v).sum(), expected, rtol=1e-5, atol=1e-7)
