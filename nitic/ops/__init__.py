"""Every operator, by dialect: `nn` is what networks compute, `bfp` what block floating point adds."""

from functools import cache

from xdsl.context import Context
from xdsl.dialects.builtin import Builtin
from xdsl.dialects.func import Func
from xdsl.ir import Dialect

from nitic.ir.types import ExponentType, RangeType
from nitic.ops import (
    activation,
    bfp,
    concat,
    conv,
    elementwise,
    fused,
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

NN = [
    conv.ConvOp,
    conv.ConvDgradOp,
    conv.ConvWgradOp,
    gemm.GemmOp,
    gemm.GemmDgradOp,
    gemm.GemmWgradOp,
    elementwise.BiasOp,
    elementwise.BiasGradOp,
    elementwise.AddOp,
    elementwise.WideAddOp,
    elementwise.AccumulateOp,
    elementwise.ReluOp,
    elementwise.ReluDgradOp,
    elementwise.DropoutOp,
    elementwise.InputMapOp,
    product.MulOp,
    product.MulSumOp,
    product.NegOp,
    product.ExpandOp,
    product.ReduceSumOp,
    product.ScaleConstOp,
    product.AddConstOp,
    activation.ClipOp,
    activation.ClipDgradOp,
    activation.StepOp,
    activation.LeakyReluOp,
    activation.LeakyReluDgradOp,
    activation.ActivationOp,
    activation.ActivationDgradOp,
    power.PowerOp,
    power.PowerDgradOp,
    power.LogOp,
    pool.MaxPoolOp,
    pool.MaxPoolDgradOp,
    pool.AveragePoolOp,
    pool.AveragePoolDgradOp,
    reshape.ReshapeOp,
    reshape.TransposeOp,
    concat.ConcatOp,
    concat.SliceOp,
    concat.PadOp,
    lrn.LrnOp,
    lrn.LrnDgradOp,
    lrn.LrnCommonOp,
    lrn.LrnRoomOp,
    lrn.LrnCommonOfRoomOp,
    pack.PackOp,
    statistics.BatchNormStatisticsOp,
    statistics.MeanSquareOp,
    statistics.BatchNormRecallOp,
    statistics.RecalledMeanExponentOp,
    statistics.RecalledVarianceExponentOp,
    statistics.BatchNormRunningOp,
    statistics.BatchNormInverseOp,
    norm.NormaliseOp,
    norm.BatchNormScaleOp,
    norm.ScaleGradOp,
    norm.ScaleDgradOp,
    norm.ChannelProductOp,
    norm.ChannelMeanOp,
    norm.BatchNormDgradOp,
    row_norm.RowStatisticsOp,
    row_norm.RowNormaliseOp,
    row_norm.RowScaleOp,
    row_norm.RowScaleGradOp,
    row_norm.RowNormDgradOp,
    row_norm.RowNormSumsOp,
    row_norm.RowNormErrorOp,
    loss.CrossEntropyOp,
    loss.MeanSquaredErrorOp,
    update.UpdatePlainOp,
    update.UpdateMomentumOp,
    update.UpdateNitiOp,
    update.UpdateAdamOp,
    update.UpdateLionOp,
]
BFP = [
    bfp.RangeOp,
    bfp.ShiftOp,
    bfp.StaticShiftOp,
    bfp.RoundShiftOp,
    bfp.ExpAddOp,
    bfp.ExpConstOp,
    bfp.ExpClampOp,
    bfp.ExpCommonOp,
    bfp.ExpWideCommonOp,
    bfp.ExpParameterSumOp,
    bfp.ExpLargestOp,
    bfp.ExpSumOp,
    bfp.ExpMultipleOp,
    bfp.DitherOp,
    bfp.ExponentOfOp,
    bfp.AlignOp,
    rows.RowTopsOp,
    rows.RowShiftOp,
    rows.RowRoundShiftOp,
    bfp.GrowOp,
    bfp.MomentExponentOp,
    bfp.TopOp,
]


@cache
def context() -> Context:
    """What the parser of IR knows: these dialects, and those of xdsl that hold modules and functions."""
    known = Context()
    nn = Dialect("nn", [*NN, fused.FusedOp, fused.YieldOp])
    bfp = Dialect("bfp", [*BFP], [ExponentType, RangeType])
    for dialect in (Builtin, Func, nn, bfp):
        known.load_dialect(dialect)
    return known
