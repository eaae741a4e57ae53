"""Roundings in ONNX give R(x, s): next to every tie, at random, and at the ends."""

from collections.abc import Sequence

import numpy as np
import pytest

from nitic.arithmetic.integers import INT8_LIMIT, INT16_LIMIT, Array, saturate, wide
from nitic.arithmetic.norms import NORMALISED_EXPONENT, normalise
from nitic.arithmetic.rounding import round_nearest
from nitic.export.emission import ZERO, Emission, Kind, Tensor
from nitic.export.graph import End, Graph
from nitic.export.integer import FORMS, OPSET
from nitic.export.operators.norms import normalised
from nitic.export.rounding import LARGEST_SCALE, nudged_scale, requantised
from tests.export.predictions import by_onnxruntime, by_reference

LIMIT = 2**30 - 1
BOUNDS = (-INT8_LIMIT, INT8_LIMIT)


def accumulators(s: int, limit: int = INT8_LIMIT) -> Array:
    """What lies within 2 of a tie, what is beyond the range, and random numbers."""
    rng = np.random.default_rng(max(s, 0))
    near = wide(2 * np.arange(limit + 3) + 1)[:, None] * 2 ** max(s - 1, 0) + np.arange(-2, 3)
    spread = [rng.integers(-(2**bits), 2**bits, 500) for bits in (8, 16, 24, 30)]
    x = np.concatenate([near.ravel(), *spread, [0, 1, LIMIT]])
    return np.clip(np.concatenate([x, -x]), -LIMIT, LIMIT)


def emission() -> Emission:
    return Emission(Graph(OPSET, names={"input", "y"}), FORMS, 1, is_open=True)


def run(e: Emission, y: Tensor, x: Array, dtypes: Sequence[str]) -> list[Array]:
    """What a graph from `input` to y gives: by onnxruntime at each level, and by the reference."""
    e.graph.node("Identity", y.name, result="y")
    source, sink = (End(name, dtype, [*x.shape]) for name, dtype in zip(("input", "y"), dtypes, strict=True))
    model = e.graph.model("rounding", [source], sink, {})
    return [*by_onnxruntime(model, x), by_reference(model, x)]


@pytest.mark.parametrize("kind", [Kind.INTEGER, Kind.REAL])
@pytest.mark.parametrize("s", range(-9, 33))
def test_accumulators(s: int, kind: Kind) -> None:
    x, e = accumulators(s).astype(np.int32), emission()
    y = requantised(e, e.cast(Tensor("input", x.shape, Kind.INTEGER), kind), s, BOUNDS, "")
    for found in run(e, y, x, ("int32", "uint8")):
        np.testing.assert_array_equal(found, saturate(round_nearest(x, s)) + ZERO)


@pytest.mark.parametrize("s", range(-2, LARGEST_SCALE + 1))
def test_convolutions_with_their_rounding(s: int) -> None:
    """The filter is zero, so that the bias is the accumulator."""
    acc, e, zero = accumulators(s).astype(np.int32), emission(), np.uint8(ZERO)
    filters = np.full((len(acc), 1, 1, 1), ZERO, np.uint8)
    one, x = np.float32(1), np.zeros((1, 1, 1, 1), np.uint8)
    scales = (one, zero, filters, nudged_scale(s), zero, one, zero, acc)
    y = e.node("Clip", e.node("QLinearConv", Tensor("input", x.shape, Kind.CODE), *scales), np.uint8(1), np.uint8(255))
    for found in run(e, y, x, ("uint8", "uint8")):
        np.testing.assert_array_equal(found.ravel(), saturate(round_nearest(acc, s)) + ZERO)


@pytest.mark.parametrize("s", range(18, 32))
def test_batch_norm(s: int) -> None:
    """For inverses of up to 24 bits and means of any size; powers of two and means of whole mantissas give ties."""
    rng, channels, e_x = np.random.default_rng(s), 64, -12
    e_inverse = NORMALISED_EXPONENT - s - (e_x - 8)
    inverse = rng.integers(2**22, 2**24, channels)
    inverse[:16] = 2 ** np.arange(8, 24)
    mean = rng.integers(-(2**23), 2**23, channels)
    mean[:24] = rng.integers(-32767, 32768, 24) * 256
    mean[24:28] = [2**30, -(2**30), 2**30 - 1, 0]
    x = rng.integers(-INT16_LIMIT, INT16_LIMIT + 1, (500, channels)).astype(np.int32)
    e = emission()
    tensor = e.cast(Tensor("input", x.shape, Kind.INTEGER), Kind.REAL)
    y = normalised(e, tensor, mean, inverse, s)
    want = normalise(x, e_x, mean, inverse, e_inverse)
    for found in run(e, e.cast(y, Kind.INTEGER), x, ("int32", "int32")):
        np.testing.assert_array_equal(found, want)
