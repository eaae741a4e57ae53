"""What the verifier says to operands that do not fit: rule and values, exactly."""

from typing import Any

import numpy as np
import pytest
from xdsl.dialects import test
from xdsl.utils.exceptions import VerifyException

from nitic.ir.op import NnOp
from nitic.ir.types import exponent, f32, i8, i32, i64, range_, tensor
from nitic.ops.bfp import RangeOp, RoundShiftOp, TopOp
from nitic.ops.conv import ConvDgradOp, ConvOp, ConvWgradOp
from nitic.ops.elementwise import BiasOp, DropoutOp, InputMapOp, ReluDgradOp
from nitic.ops.gemm import GemmDgradOp, GemmOp, GemmWgradOp
from nitic.ops.loss import CrossEntropyOp, MeanSquaredErrorOp
from nitic.ops.pool import AveragePoolDgradOp, AveragePoolOp, MaxPoolDgradOp, MaxPoolOp
from nitic.ops.reshape import ReshapeOp, TransposeOp
from nitic.ops.update import UpdateNitiOp, UpdatePlainOp
from tests.support.operators import make

WINDOW = {"strides": [1, 1], "pads": [0, 0, 0, 0], "dilations": [1, 1], "groups": 1}
POOL = {"kernel": [2, 2], "strides": [2, 2], "pads": [0, 0, 0, 0]}
NEAREST = {"round": "nearest", "to": "i8"}
ROUND_TAKES = "a stochastic rounding takes a seed, a step and a stream, a dithered one a dither; the others take none"
HYPER = np.zeros((), np.int32)
SEED = np.zeros((), np.int64)


def m(*shape: int, dtype: type[np.generic] = np.int8) -> Any:
    return np.zeros(shape, dtype)


def acc(*shape: int) -> Any:
    return m(*shape, dtype=np.int32)


CASES: list[tuple[type[NnOp], list[Any], dict[str, Any], str]] = [
    (ConvOp, [m(1, 4, 4, 3), m(2, 3, 3, 4)], WINDOW, "input has 3 channels but the filter expects 4"),
    (ConvOp, [m(1, 4, 4, 4), m(2, 3, 3, 4)], {**WINDOW, "groups": 2}, "input has 4 channels but the filter expects 8"),
    (
        ConvOp,
        [m(1, 4, 4, 4), m(3, 3, 3, 2)],
        {**WINDOW, "groups": 2},
        "3 output channels are not a multiple of 2 groups",
    ),
    (ConvOp, [m(1, 4, 4, 3), m(2, 5, 3, 3)], WINDOW, "a window of 5x3 does not fit an input of 4x4"),
    (
        ConvOp,
        [m(1, 4, 4, 3), m(2, 3, 3, 3)],
        {**WINDOW, "dilations": [1, 2]},
        "a window of 3x5 does not fit an input of 4x4",
    ),
    (ConvOp, [m(4, 4, 3), m(2, 3, 3, 3)], WINDOW, "expected a tensor of 4 dimensions, found (4, 4, 3)"),
    (ConvOp, ["range", m(2, 3, 3, 3)], WINDOW, "expected a tensor, found !bfp.range"),
    (ConvOp, [m(1, 4, 4, 3), m(2, 3, 3, 3)], {**WINDOW, "strides": [1]}, "strides holds 2 numbers, not [1]"),
    (ConvOp, [m(1, 4, 4, 3), m(2, 3, 3, 3)], {**WINDOW, "pads": [1, 1]}, "pads holds 4 numbers, not [1, 1]"),
    (
        ConvOp,
        [m(1, 4, 4, 3), m(2, 3, 3, 3)],
        {**WINDOW, "strides": [0, 1]},
        "strides and dilations are at least 1, and pads at least 0",
    ),
    (
        ConvDgradOp,
        [m(1, 2, 2, 2), m(2, 3, 3, 3)],
        {**WINDOW, "size": [5, 4]},
        "no convolution of (1, 5, 4, 3) by (2, 3, 3, 3) gives (1, 2, 2, 2)",
    ),
    (
        ConvWgradOp,
        [m(1, 4, 4, 3), m(1, 2, 2, 2)],
        {**WINDOW, "kernel": [2, 3]},
        "no convolution of (1, 4, 4, 3) by (2, 2, 3, 3) gives (1, 2, 2, 2)",
    ),
    (
        GemmOp,
        [m(2, 3), m(4, 5)],
        {},
        "cannot multiply (2, 3) by (4, 5): axis 1 of the first must match axis 1 of the second",
    ),
    (
        GemmDgradOp,
        [m(2, 3), m(4, 3)],
        {},
        "cannot multiply (2, 3) by (4, 3): axis 1 of the first must match axis 0 of the second",
    ),
    (
        GemmWgradOp,
        [m(2, 3), m(4, 3)],
        {},
        "cannot multiply (2, 3) by (4, 3): axis 0 of the first must match axis 0 of the second",
    ),
    (
        GemmOp,
        [m(2, 3, 1), m(4, 3)],
        {},
        "cannot multiply (2, 3, 1) by (4, 3): axis 1 of the first must match axis 1 of the second",
    ),
    (BiasOp, [acc(2, 3), acc(4)], {}, "a bias of (4,) does not fit a last axis of 3"),
    (ReluDgradOp, [m(2, 3), m(3, 2)], {}, "an error of (2, 3) does not fit an activation of (3, 2)"),
    (DropoutOp, [m(2), SEED, HYPER], {"p": 1.0, "stream": 1}, "a dropout probability is in [0, 1), not 1.0"),
    (DropoutOp, [m(2), SEED, HYPER], {"p": 0.5}, "a dropout takes a seed, a step and a stream, or none of them"),
    (DropoutOp, [m(2)], {"p": 0.5, "stream": 1}, "a dropout takes a seed, a step and a stream, or none of them"),
    (InputMapOp, [m(1, 2, 2, 3), acc(2), acc(2)], {}, "multipliers of (2,) do not fit samples of (1, 2, 2, 3)"),
    (MaxPoolOp, [m(1, 3, 1, 1)], POOL, "a window of 2x2 does not fit an input of 3x1"),
    (
        MaxPoolOp,
        [m(1, 256, 256, 1)],
        {**POOL, "kernel": [256, 129]},
        "a max pool window holds at most 32768 elements, not 256x129",
    ),
    (
        AveragePoolOp,
        [m(1, 4, 4, 1)],
        {**POOL, "pads": [2, 0, 0, 0]},
        "pads [2, 0, 0, 0] leave windows of [2, 2] that see only padding",
    ),
    (
        MaxPoolDgradOp,
        [m(1, 2, 2, 1), m(1, 2, 2, 1)],
        {**POOL, "size": [6, 4]},
        "no pool of (1, 6, 4, 1) gives (1, 2, 2, 1)",
    ),
    (
        MaxPoolDgradOp,
        [m(1, 2, 2, 1), m(1, 2, 1, 1)],
        {**POOL, "size": [4, 4]},
        "places of (1, 2, 1, 1) do not fit an error of (1, 2, 2, 1)",
    ),
    (AveragePoolDgradOp, [m(1, 2, 2, 1)], {**POOL, "size": [4, 6]}, "no pool of (1, 4, 6, 1) gives (1, 2, 2, 1)"),
    (ReshapeOp, [m(2, 3)], {"shape": [4, 2]}, "cannot reshape (2, 3) to (4, 2)"),
    (TransposeOp, [m(2, 3)], {"perm": [0, 0]}, "[0, 0] is not a permutation of the axes of (2, 3)"),
    (
        CrossEntropyOp,
        [m(2, 3), acc(3), "exponent"],
        {},
        "logits of (2, 3) need (N, C), and labels of (3,) one for each row",
    ),
    (
        CrossEntropyOp,
        [m(2, 3), acc(2)],
        {},
        "integer logits, and only they, come with their exponent; seed and step may follow",
    ),
    (
        CrossEntropyOp,
        [m(2, 3, dtype=np.float64), acc(2), "exponent"],
        {},
        "integer logits, and only they, come with their exponent; seed and step may follow",
    ),
    (
        MeanSquaredErrorOp,
        [m(2, 3), acc(3), "exponent", "exponent"],
        {},
        "logits of (2, 3) need (N, C), and labels of (3,) one for each row",
    ),
    (
        MeanSquaredErrorOp,
        [m(2, 3), acc(2), "exponent"],
        {},
        "integer logits come with two exponents, floats with none",
    ),
    (
        MeanSquaredErrorOp,
        [m(1, 65537), acc(1), "exponent", "exponent"],
        {},
        "the squares of 65537 classes may not fit 64 bits: at most 65536 do",
    ),
    (
        UpdateNitiOp,
        [m(2, 3), acc(3, 2), HYPER, "range", "range"],
        {"round": "nearest"},
        "a gradient of (3, 2) does not fit (2, 3)",
    ),
    (
        UpdatePlainOp,
        [m(2, dtype=np.int16), acc(2), HYPER, HYPER, "exponent", "exponent"],
        {"round": "stochastic"},
        "unknown rounding 'stochastic'",
    ),
    (RangeOp, ["exponent"], {}, "expected a tensor, found !bfp.exp"),
    (RoundShiftOp, [acc(2), "exponent"], {**NEAREST, "round": "up"}, "unknown rounding 'up'"),
    (RoundShiftOp, [acc(2), "exponent"], {**NEAREST, "to": "i4"}, "a rounding gives i8 or i16, not 'i4'"),
    (
        RoundShiftOp,
        [acc(2), "exponent", SEED, HYPER],
        {**NEAREST, "stream": 1},
        ROUND_TAKES,
    ),
    (
        RoundShiftOp,
        [acc(2), "exponent"],
        {**NEAREST, "round": "stochastic"},
        ROUND_TAKES,
    ),
    (RoundShiftOp, [acc(2), "exponent"], {**NEAREST, "round": "dithered"}, ROUND_TAKES),
    (RoundShiftOp, [acc(2), "exponent", "exponent"], NEAREST, ROUND_TAKES),
    (TopOp, [acc(1), "range", "exponent"], {}, "a statistic is a tensor<i32>, not tensor<1xi32>"),
]


@pytest.mark.parametrize(("kind", "operands", "properties", "message"), CASES)
def test_operands_that_do_not_fit(
    kind: type[NnOp], operands: list[Any], properties: dict[str, Any], message: str
) -> None:
    with pytest.raises(VerifyException) as caught:
        make(kind, *operands, **properties)
    assert str(caught.value) == message


def gemm(result: Any) -> NnOp:
    source = test.TestOp(result_types=[tensor((2, 3), i8), tensor((4, 3), i8)])
    return GemmOp.create(operands=source.results, result_types=[result])


@pytest.mark.parametrize("result", [tensor((2, 4), i8), tensor((4, 2), i32), tensor((2, 4), f32), exponent, range_])
def test_a_result_of_another_type_is_refused(result: Any) -> None:
    with pytest.raises(VerifyException) as caught:
        gemm(result).verify_()
    assert str(caught.value) == f"result is {result} but its operands make it tensor<2x4xi32>"


def test_an_accumulator_may_be_widened() -> None:
    gemm(tensor((2, 4), i64)).verify()
