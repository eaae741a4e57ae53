"""Powers and the logarithm: a table of the mantissas 0 to 127 (nitic.arithmetic.powers has the formulas)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from xdsl.ir import SSAValue

from nitic.arithmetic import powers
from nitic.arithmetic.powers import MANTISSAS, Power
from nitic.codegen.core import integer, tir
from nitic.codegen.core.group import Emission, Evaluate, Point, Prepare
from nitic.codegen.core.tir import Expr
from nitic.ir.op import NnOp
from nitic.ops.power import LogOp, PowerDgradOp, PowerOp

Evaluators = Mapping[SSAValue, Evaluate]


def power(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, PowerOp)
    values = _values(emission, op.table(), op.scale[0])
    return {op.y: lambda point: values(emission.value(op.x, point))}


def power_dgrad(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, PowerDgradOp)
    values = _values(emission, op.table(), op.scale[0])

    def evaluate(point: Point) -> Expr:
        return emission.value(op.dy, point) * values(emission.value(op.x, point))

    return {op.dx: evaluate}


def _values(emission: Emission, f: Power, exponent: SSAValue) -> Callable[[Expr], Expr]:
    """Power.evaluate of any int8 m, in int32."""
    entries = emission.function.table([int(v) for v in f.entries.flat])
    e = tir.let(integer.clamp(emission.scalar(exponent), -powers.FARTHEST, powers.FARTHEST))
    row = tir.let(e * f.numerator % f.denominator * MANTISSAS)

    def value(m: Expr) -> Expr:
        m = tir.let(m)
        y = tir.let(entries.load(row + (tir.absolute(m) if f.signed else tir.maximum(m, tir.constant(0)))))
        return tir.select(m < 0, -y, y) if f.is_odd else y

    return value


def log(emission: Emission, op: NnOp) -> Evaluators:
    assert isinstance(op, LogOp)
    table, of_two = powers.log_table()
    entries = emission.function.table([int(v) for v in table])
    offset = tir.let(integer.clamp(emission.scalar(op.scale[0]), -powers.FAR_LOG, powers.FAR_LOG) * of_two)

    def evaluate(point: Point) -> Expr:
        return entries.load(tir.maximum(emission.value(op.x, point), tir.constant(0))) + offset

    return {op.y: evaluate}


POINTWISE: dict[str, Prepare] = {"nn.power": power, "nn.power_dgrad": power_dgrad, "nn.log": log}
