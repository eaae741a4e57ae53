"""Shifts that round halves away from zero, by operators that round them to even: docs/export.md has the proofs.

A tie is moved off by one step of the floating point format, which moves nothing else across one.
"""

import numpy as np

from nitic.export.emission import FLOAT, ZERO, Emission, Kind, Tensor
from nitic.ir.op import NnOp

LARGEST_SCALE = 15  # shifts that QLinearConv rounds right
LARGEST_QUANTISED = 16  # shifts that QuantizeLinear rounds right
LARGEST_SHIFT, LARGEST_LEFT = 30, 30  # beyond them all is zero, or saturates
EXTREMES = np.array([-(2**52), 2**52])  # beyond every accumulator


def nudged_scale(s: int) -> np.float32:
    """The factor of QLinearConv: 2^-s, or the next number above it."""
    return np.nextafter(np.float32(2.0**-s), np.float32(np.inf)) if s > 0 else np.float32(2.0 ** min(-s, LARGEST_LEFT))


def nudged_divisor(s: int) -> np.float32:
    """The scale of QuantizeLinear: 2^s, or the next number below it."""
    return np.nextafter(np.float32(2.0**s), np.float32(0)) if s > 0 else np.float32(2.0 ** max(s, -LARGEST_LEFT))


def nudged_factor(s: int) -> float:
    """2^-s of doubles, or the next number above it; 0 where all is rounded to 0."""
    if s > 62:
        return 0.0
    return float(np.nextafter(2.0**-s, np.inf)) if s > 0 else 2.0 ** min(-s, LARGEST_LEFT)


def requantised(e: Emission, x: Tensor, s: int, bounds: tuple[int, int], hint: str) -> Tensor:
    """R(x, s) within bounds, as codes; x is an accumulator."""
    if x.kind == Kind.REAL:
        rounded = rounded_real(e, x, nudged_factor(s), bounds)
        return e.cast(e.node("Add", rounded, np.float64(ZERO)), Kind.CODE)
    if s > LARGEST_QUANTISED:
        return _by_division(e, x, s, bounds)
    if s < 0:  # onnx.reference wraps what passes int32
        x = within(e, x, (-ZERO, ZERO))
    floats = e.node("Cast", x, to=FLOAT)
    quantised = e.node("QuantizeLinear", floats, nudged_divisor(s), np.uint8(ZERO), kind=Kind.CODE)
    return clipped(e, quantised, bounds, hint)


def _by_division(e: Emission, x: Tensor, s: int, bounds: tuple[int, int]) -> Tensor:
    """Away from zero by half of the divisor; integers are divided towards zero."""
    if s <= LARGEST_SHIFT:
        half = e.node("Mul", e.node("Sign", x), np.int32(1 << s - 1))
        x = e.node("Div", e.node("Add", x, half.name), np.int32(1 << s))
    else:
        x = e.node("Mul", x, np.int32(0))
    return e.cast(e.node("Add", within(e, x, bounds), np.int32(ZERO)), Kind.CODE)


def within(e: Emission, x: Tensor, bounds: tuple[int, int]) -> Tensor:
    """Integers within bounds. Before version 1.17 onnxruntime has no Clip of int32."""
    low, high = (np.int32(bound) for bound in bounds)
    return e.node("Min", e.node("Max", x, low), high)


def rounded_real(e: Emission, x: Tensor, factor: float, bounds: tuple[int, int]) -> Tensor:
    """x times a factor that has been nudged, within bounds, as double."""
    low, high = bounds
    rounded = e.node("Round", e.node("Mul", x, np.float64(factor)))
    return e.node("Clip", rounded, np.float64(low), np.float64(high))


def clipped(e: Emission, x: Tensor, bounds: tuple[int, int], hint: str) -> Tensor:
    """Codes within bounds, which are mantissas."""
    low, high = (np.uint8(bound + ZERO) for bound in bounds)
    return e.node("Clip", x, low, high, hint=hint)


def bounds_of(e: Emission, *ops: NnOp) -> tuple[int, int]:
    """Where operators that only clamp and round take the smallest and the largest accumulator."""
    extremes = EXTREMES
    for op in ops:
        extremes = np.asarray(op.reference(extremes, *(e.constants[value] for value in op.operands[1:])))
    low, high = (int(value) for value in extremes)
    return low, high
