"""One small instance of every operator, in integers and, where the operator has one, in floats; and values for it."""

from typing import Any

import numpy as np

from nitic.arithmetic.activations import FUNCTIONS
from nitic.arithmetic.integers import Array
from nitic.ir.op import NnOp, Property
from nitic.ir.types import element_of, exponent, f32, i8, i16, i32, i64, is_tensor, range_, shape_of, u8
from nitic.ops import (
    activation,
    attention,
    bfp,
    concat,
    conv,
    elementwise,
    gemm,
    loss,
    lrn,
    norm,
    pack,
    pool,
    power,
    product,
    reshape,
    row_norm,
    rows,
    statistics,
    update,
)
from tests.support.operators import make

CONV: dict[str, Property] = {"strides": [2, 1], "pads": [1, 0, 1, 2], "dilations": [1, 2], "groups": 2}
LRN: dict[str, Property] = {"size": 3, "alpha": 0.5, "beta": 0.75, "bias": 1.0}
POOL: dict[str, Property] = {"kernel": [2, 2], "strides": [2, 2], "pads": [0, 0, 0, 0]}
OVERLAPPING: dict[str, Property] = {"kernel": [3, 2], "strides": [1, 2], "pads": [1, 0, 1, 0]}
ROUND: dict[str, Property] = {"round": "pseudo_stochastic"}

# What each operator is made of: a dtype and shape for each operand, or the name of a scalar; then the properties.
Spec = tuple[type[NnOp], tuple[tuple[type[np.generic], tuple[int, ...]] | str, ...], dict[str, Property]]
I8, I16, I32, I64, U8, F = np.int8, np.int16, np.int32, np.int64, np.uint8, np.float64


def _contractions(t: type[np.generic]) -> list[Spec]:
    return [
        (conv.ConvOp, ((t, (2, 5, 6, 4)), (t, (6, 3, 2, 2))), CONV),
        (conv.ConvDgradOp, ((t, (2, 3, 6, 6)), (t, (6, 3, 2, 2))), {**CONV, "size": [5, 6]}),
        (conv.ConvWgradOp, ((t, (2, 5, 6, 4)), (t, (2, 3, 6, 6))), {**CONV, "kernel": [3, 2]}),
        (gemm.GemmOp, ((t, (2, 3)), (t, (4, 3))), {}),
        (gemm.GemmDgradOp, ((t, (2, 4)), (t, (4, 3))), {}),
        (gemm.GemmWgradOp, ((t, (2, 3)), (t, (2, 4))), {}),
    ]


def _others(t: type[np.generic], acc: type[np.generic]) -> list[Spec]:
    return [
        (elementwise.BiasOp, ((acc, (2, 3)), (acc, (3,)), *(("exponent",) * 2 if t is I8 else ())), {}),
        (elementwise.AddOp, ((t, (2, 3)), (t, (2, 3)), *(("exponent",) * 3 if t is I8 else ())), {}),
        (elementwise.AccumulateOp, ((acc, (2, 3)), (acc, (2, 3)), *(("exponent",) * 3 if t is I8 else ())), {}),
        (elementwise.BiasGradOp, ((t, (2, 2, 3)),), {}),
        (elementwise.ReluOp, ((acc, (2, 3)),), {}),
        (elementwise.ReluDgradOp, ((t, (2, 3)), (t, (2, 3))), {}),
        (elementwise.DropoutOp, ((t, (2, 3)), (I64, ()), (I32, ())), {"p": 0.25, "stream": 3}),
        (elementwise.DropoutOp, ((t, (2, 3)),), {"p": 1e-5}),
        (pool.MaxPoolOp, ((t, (2, 4, 4, 3)),), POOL),
        (pool.MaxPoolDgradOp, ((t, (2, 2, 2, 3)), (I8, (2, 2, 2, 3))), {**POOL, "size": [4, 4]}),
        (pool.MaxPoolDgradOp, ((t, (2, 4, 2, 3)), (I8, (2, 4, 2, 3))), {**OVERLAPPING, "size": [4, 4]}),
        (pool.AveragePoolOp, ((t, (2, 4, 4, 3)),), OVERLAPPING),
        (pool.AveragePoolDgradOp, ((t, (2, 4, 2, 3)),), {**OVERLAPPING, "size": [4, 4]}),
        (pool.AveragePoolOp, ((t, (2, 4, 4, 3)),), {**OVERLAPPING, "counted": [0] * 4, "dilations": [1, 2]}),
        (reshape.ReshapeOp, ((t, (2, 6)),), {"shape": [3, 4]}),
        (reshape.TransposeOp, ((t, (2, 3, 4)),), {"perm": [2, 0, 1]}),
        (concat.ConcatOp, ((t, (2, 3)), (t, (2, 1)), *(("exponent",) * 3 if t is I8 else ())), {"axis": 1}),
        (concat.SliceOp, ((t, (5, 3)),), {"starts": [1, 0], "stops": [5, 2], "steps": [3, 1]}),
        (lrn.LrnOp, ((t, (2, 5)), *(("exponent",) * 2 if t is I8 else ())), LRN),
        (lrn.LrnDgradOp, ((t, (2, 5)), (t, (2, 5)), *(("exponent",) * 2 if t is I8 else ())), LRN),
        (concat.PadOp, ((t, (2, 3)),), {"before": [1, 0], "after": [2, 0], "between": [0, 2]}),
    ]


def _products(t: type[np.generic]) -> list[Spec]:
    x, e = (t, (2, 3, 4)), ("exponent",) if t is I8 else ()
    return [
        (product.MulOp, (x, x), {}),
        (product.MulOp, (x, (t, (2, 1, 4))), {}),
        (product.MulOp, (x, (t, (4,))), {}),
        (product.MulSumOp, (x, x), {"shape": [2, 1, 4]}),
        (product.NegOp, (x,), {}),
        (product.ExpandOp, ((t, (3, 1)),), {"shape": [2, 3, 4]}),
        (product.ReduceSumOp, (x,), {"shape": [3, 1]}),
        (product.ScaleConstOp, (x,), {"factor": -0.3}),
        (product.AddConstOp, (x, *e * 2), {"value": 3.0}),
    ]


def _activations(t: type[np.generic], acc: type[np.generic]) -> list[Spec]:
    x, e = (t, (3, 5)), ("exponent",) if t is I8 else ()
    constants = {"elu": [1.0], "selu": [1.7, 1.05], "hard_sigmoid": [0.2, 0.5]}
    named: list[dict[str, Property]] = [
        {"function": name, **dict(zip(("alpha", "beta"), constants.get(name, ()), strict=False))} for name in FUNCTIONS
    ]
    return [
        (activation.ClipOp, ((acc, (2, 3)), *e), {"low": 0.0, "high": 6.0}),
        (activation.ClipOp, ((acc, (2, 3)), *e), {"low": -1.5}),
        (activation.ClipDgradOp, (x, x, *e), {"low": -1.0, "high": 1.0}),
        (activation.StepOp, ((acc, (2, 3)), *e), {"threshold": 0.25}),
        (activation.LeakyReluOp, (x,), {"alpha": 0.01}),
        (activation.LeakyReluDgradOp, (x, x), {"alpha": 0.01}),
        *((activation.ActivationOp, (x, *e), each) for each in named),
        *((activation.ActivationDgradOp, (x, x, *e), each) for each in named),
    ]


def _powers(t: type[np.generic]) -> list[Spec]:
    x, e = (t, (3, 5)), ("exponent",) if t is I8 else ()
    fractions = [(-1, 1), (3, 1), (16, 1), (1, 2), (5, 2), (-1, 3), (3, 10)]
    named = [{"numerator": n, "denominator": d, "signed": int(d == 1)} for n, d in fractions]
    return [
        (power.LogOp, (x, *e), {}),
        (power.PowerDgradOp, (x, x, *e), {"numerator": -1, "denominator": 1, "signed": 0, "factor": 1.0}),
        *((power.PowerOp, (x, *e), {**each}) for each in named),
        *((power.PowerDgradOp, (x, x, *e), {**each, "factor": -0.5}) for each in named),
    ]


def _norms(x: type[np.generic], t: type[np.generic], acc: type[np.generic], wide: type[np.generic]) -> list[Spec]:
    """x is an int16 mantissa, t an int8 one, acc a value per channel in int32, wide one in int64; or all are floats."""
    e: tuple[str, ...] = () if t is F else ("exponent",)
    recalled = (x, (2, 3)) if t is F else "exponent"
    return [
        (statistics.BatchNormStatisticsOp, ((x, (2, 2, 3)),), {}),
        (statistics.BatchNormStatisticsOp, ((x, (2, 2, 3)),), {"shape": [2, 2, 1]}),
        (statistics.MeanSquareOp, ((x, (2, 2, 3)),), {"shape": [2, 2, 1]}),
        (statistics.BatchNormRecallOp, ((wide, (3,)), (wide, (3,)), recalled, *e), {"momentum": 0.9, "epsilon": 1e-5}),
        (statistics.BatchNormRunningOp, ((wide, (3,)), (acc, (3,)), *e), {"momentum": 0.9}),
        (statistics.BatchNormInverseOp, ((wide, (3,)), *e), {"epsilon": 1e-5}),
        (norm.NormaliseOp, ((x, (2, 3)), (acc, (3,)), (acc, (3,)), *e * 2), {}),
        (norm.NormaliseOp, ((x, (2, 3)), (acc, (3,)), (acc, (3,)), *e * 3), {}),
        (norm.NormaliseOp, ((x, (2, 3)), (acc, (2, 1)), *e * 2), {}),
        (norm.BatchNormScaleOp, ((t, (2, 3)), (t, (3,)), (acc, (3,)), *e * 2), {}),
        (norm.ScaleGradOp, ((t, (2, 2, 3)), (t, (2, 2, 3))), {}),
        (norm.ScaleDgradOp, ((t, (2, 3)), (acc, (3,))), {}),
        (norm.ChannelProductOp, ((acc, (3,)), (t, (3,))), {}),
        (norm.ChannelMeanOp, ((acc, (3,)),), {"count": 4}),
        (norm.BatchNormDgradOp, ((t, (2, 3)), (t, (2, 3)), (acc, (3,)), (wide, (3,)), (wide, (3,))), {}),
        (norm.BatchNormDgradOp, ((t, (2, 3)), (t, (2, 3)), (acc, (2, 1)), (wide, (2, 1))), {}),
    ]


def _row_norms(x: type[np.generic], t: type[np.generic], acc: type[np.generic]) -> list[Spec]:
    """x is an int16 mantissa, t an int8 one; or all are floats."""
    e: tuple[str, ...] = () if t is F else ("exponent",)
    row = acc, (2, 1)
    return [
        (row_norm.RowStatisticsOp, ((x, (2, 3)), *e), {"epsilon": 1e-5, "centred": 1}),
        (row_norm.RowStatisticsOp, ((x, (2, 3)), *e), {"epsilon": 0.0, "centred": 0}),
        (row_norm.RowNormaliseOp, ((x, (2, 3)), row, row, row), {"centred": 1}),
        (row_norm.RowScaleOp, ((x, (2, 3)), (t, (3,)), (acc, (3,)), *e * 2), {}),
        (row_norm.RowScaleOp, ((x, (2, 3)), (t, (3,))), {}),
        (row_norm.RowScaleGradOp, ((t, (2, 2, 3)), (x, (2, 2, 3))), {}),
    ]


def _attentions() -> tuple[list[Spec], list[Spec]]:
    """In floats, and in integers: grouped queries, and a causal mask."""
    q, k, v, dy, row = (2, 3, 4, 5), (2, 4, 2, 5), (2, 4, 2, 6), (2, 3, 4, 6), (2, 3, 4, 1)
    of: dict[str, Property] = {"scale": 0.4, "causal": 1}
    grads = (attention.QueryGradOp, attention.KeyGradOp, attention.ValueGradOp)
    both = ((I8, q), (I8, k), (I8, v), (I8, dy), (I32, row), (I32, row))
    parts = (*both, (I64, row), (I32, row), "exponent")
    floats: list[Spec] = [
        (attention.AttentionOp, ((F, q), (F, k), (F, v)), of),
        (attention.AttentionOp, ((F, q), (F, k), (F, v)), {**of, "causal": 0}),
        *((grad, ((F, q), (F, k), (F, v), (F, dy), (F, row), (F, row)), of) for grad in grads),
    ]
    integers: list[Spec] = [
        (attention.AttentionOp, ((I8, q), (I8, k), (I8, v), "exponent"), of),
        (attention.RowErrorOp, (*both, "exponent"), of),
        (attention.QueryRowsOp, parts, of),
        (attention.KeySumsOp, (*parts, (I16, q)), of),
        (attention.ValueSumsOp, ((I8, q), (I8, k), (I16, dy), (I32, row), "exponent"), of),
        (attention.RowWeightsOp, ((I8, dy), (I32, row)), {}),
        (attention.RowExponentsOp, ((I32, row),), {}),
    ]
    return floats, integers


def _updates(master: type[np.generic], w: type[np.generic], dw: type[np.generic], *scales: str) -> list[Spec]:
    hypers, shape = ((I32, ()),) * 4, (2, 3)
    velocity = I32 if scales else F
    ranges = ("range", "range") if scales else ()

    def of_moments(states: int, dithers: int) -> tuple[str, ...]:
        return (*(("exponent", "range") * states), *(("exponent",) * dithers)) if scales else ()

    return [
        (update.UpdatePlainOp, ((master, shape), (dw, shape), *hypers[:2], *scales), ROUND),
        (
            update.UpdateMomentumOp,
            ((master, shape), (velocity, shape), (dw, shape), *hypers, *scales),
            ROUND,
        ),
        (update.UpdateNitiOp, ((w, shape), (dw, shape), hypers[0], *ranges), {"round": "nearest"}),
        (
            update.UpdateAdamOp,
            (*((each, shape) for each in (master, master, velocity, dw)), *hypers[:3], *of_moments(4, 3)),
            {"decays": 1},
        ),
        (
            update.UpdateLionOp,
            ((master, shape), (master, shape), (dw, shape), *hypers[:3], *of_moments(3, 2)),
            {"decays": 0},
        ),
    ]


FLOAT: list[Spec] = [
    *_contractions(F),
    *_others(F, F),
    *_products(F),
    *_activations(F, F),
    *_powers(F),
    *_norms(F, F, F, F),
    *_row_norms(F, F, F),
    *_attentions()[0],
    (row_norm.RowNormDgradOp, ((F, (2, 3)), (F, (2, 3)), (F, (2, 1)), (F, (2, 1)), (F, (3,))), {"centred": 1}),
    (loss.CrossEntropyOp, ((F, (4, 3)), (I32, (4,))), {}),
    (loss.MeanSquaredErrorOp, ((F, (4, 3)), (I32, (4,))), {}),
    *_updates(F, F, F),
]
INTEGER: list[Spec] = [
    *_contractions(I8),
    *_others(I8, I32),
    *_products(I8),
    *_activations(I8, I32),
    *_powers(I8),
    *_norms(I16, I8, I32, I64),
    *_row_norms(I16, I8, I32),
    *_attentions()[1],
    (row_norm.RowNormSumsOp, ((I8, (2, 3)), (I16, (2, 3)), (I8, (3,))), {"centred": 0}),
    (
        row_norm.RowNormErrorOp,
        ((I8, (2, 3)), (I16, (2, 3)), (I32, (2, 1)), (I32, (2, 1)), (I64, (2, 1)), (I64, (2, 1)), (I8, (3,))),
        {"centred": 1},
    ),
    (elementwise.WideAddOp, ((I16, (2, 3)), (I8, (2, 3)), "exponent", "exponent", "exponent"), {}),
    (statistics.RecalledMeanExponentOp, ("exponent", "range"), {"epsilon": 1e-5}),
    (statistics.RecalledVarianceExponentOp, ("range",), {}),
    (lrn.LrnCommonOp, ("exponent",), LRN),
    (lrn.LrnRoomOp, ((I8, (2, 5)), (I8, (2, 5)), "exponent"), LRN),
    (lrn.LrnCommonOfRoomOp, ("range",), {}),
    (elementwise.InputMapOp, ((U8, (2, 4, 4, 3)), (I32, (3,)), (I32, (3,))), {}),
    (pack.PackOp, ((I8, (2, 3)),), {"layout": "padded(0, 0, 0, 0, 1, 1, True)"}),
    (loss.CrossEntropyOp, ((I8, (4, 3)), (I32, (4,)), "exponent"), {}),
    (loss.CrossEntropyOp, ((I8, (4, 3)), (I32, (4,)), "exponent", (I64, ()), (I32, ())), {}),
    (loss.MeanSquaredErrorOp, ((I8, (4, 3)), (I32, (4,)), "exponent", "exponent"), {}),
    *_updates(I16, I8, I32, "exponent", "range", "exponent"),
    (bfp.RangeOp, ((I32, (2, 3)),), {}),
    (bfp.ShiftOp, ("range",), {"bits": 7}),
    (bfp.StaticShiftOp, ((I32, ()), "exponent"), {"bits": 7}),
    (bfp.RoundShiftOp, ((I32, (2, 3)), "exponent"), {"round": "nearest", "to": "i16"}),
    (
        bfp.RoundShiftOp,
        ((I32, (2, 3)), "exponent", (I64, ()), (I32, ())),
        {"round": "stochastic", "to": "i8", "stream": 9},
    ),
    (bfp.RoundShiftOp, ((I32, (2, 3)), "exponent", "exponent"), {"round": "dithered", "to": "i8"}),
    (bfp.DitherOp, ((I64, ()), (I32, ())), {"stream": 9}),
    (bfp.ExpAddOp, ("exponent", "exponent"), {}),
    (bfp.ExpConstOp, (), {"value": -15}),
    (bfp.ExpClampOp, ("exponent",), {"low": -15, "high": 0}),
    (bfp.ExpCommonOp, ("exponent", "exponent"), {}),
    (bfp.ExpParameterSumOp, ("exponent", "exponent", "range"), {}),
    (bfp.ExpSumOp, ("exponent", "exponent", "range", "range"), {}),
    (bfp.ExpMultipleOp, ("exponent",), {"numerator": -3, "denominator": 2}),
    (bfp.ExpLargestOp, ("exponent", "exponent", "exponent"), {}),
    (bfp.ExpLargestOp, ("exponent", "exponent", "range", "range"), {}),
    (bfp.ExpCommonOp, ("exponent", "exponent", "range", "range"), {}),
    (bfp.ExponentOfOp, ((I8, (2, 3)),), {}),
    (bfp.GrowOp, ("exponent", "range"), {"full": 24576}),
    (bfp.MomentExponentOp, ("exponent", "range", "exponent", "range"), {"moment": "adam_second"}),
    (bfp.AlignOp, ((I8, (2, 3)), "exponent", "exponent"), {}),
    (bfp.TopOp, ((I32, ()), "range", "exponent"), {}),
    (bfp.ExpWideCommonOp, ("exponent", "exponent"), {}),
    (bfp.ExpWideCommonOp, ("exponent", "exponent", "range", "range"), {}),
    (rows.RowTopsOp, ((I64, (2, 3)), (I32, (2, 1))), {}),
    (rows.RowShiftOp, ("range",), {"bits": 15}),
    (rows.RowRoundShiftOp, ((I64, (2, 3)), (I32, (2, 1)), "exponent"), {"limit": 32767}),
]


def instance(spec: Spec) -> NnOp:
    kind, operands, properties = spec
    empty = [each if isinstance(each, str) else np.zeros(each[1], each[0]) for each in operands]
    return make(kind, *empty, **properties)


def name_of(spec: Spec) -> str:
    floats = any(not isinstance(each, str) and each[0] is F for each in spec[1])
    return f"{spec[0].name}-{'float' if floats else 'integer'}"


def values(op: NnOp, seed: int, *, extreme: bool = False) -> list[Any]:
    """Operands for the reference of an instance; with `extreme`, mantissas of +-127 only."""
    rng = np.random.default_rng(seed)
    operands: list[Any] = []
    for operand in op.operands:
        shape = shape_of(operand) if is_tensor(operand) else ()
        operands.append(_draw(rng, element_of(operand), shape, extreme))
    if isinstance(op, pool.MaxPoolDgradOp):
        operands[1] = rng.integers(0, np.prod(op.ints("kernel")), operands[1].shape)
    if isinstance(op, statistics.BatchNormInverseOp):
        operands[0] = np.abs(operands[0])
    if isinstance(op, concat.ConcatOp) and op.scales:
        operands[-1] = max(operands[len(op.parts) :])
    return operands


def _draw(rng: np.random.Generator, element: object, shape: tuple[int, ...], extreme: bool) -> Array:
    if element == f32:
        return rng.normal(size=shape)
    if element == i8 and extreme:
        return rng.choice([-127, 127], shape)
    low, high = {
        i8: (-127, 128),
        u8: (0, 256),
        i16: (-32767, 32768),
        i32: (0, 3),
        i64: (0, 100),
        exponent: (0, 6),
        range_: (0, 2**20),
    }[element]  # pyright: ignore[reportArgumentType]
    return np.asarray(rng.integers(low, high, shape))
