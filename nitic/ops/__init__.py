"""Every operator, by dialect: `nn` is what networks compute, `bfp` what block floating point adds."""

from xdsl.ir import Dialect

from nitic.ir.types import ExponentType, RangeType
from nitic.ops import bfp, concat, conv, elementwise, fused, gemm, loss, lrn, norm, pack, pool, reshape, update

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
    elementwise.AccumulateOp,
    elementwise.ReluOp,
    elementwise.ReluDgradOp,
    elementwise.DropoutOp,
    elementwise.InputMapOp,
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
    pack.PackOp,
    norm.BatchNormStatisticsOp,
    norm.BatchNormRecallOp,
    norm.BatchNormRunningOp,
    norm.BatchNormInverseOp,
    norm.NormaliseOp,
    norm.BatchNormScaleOp,
    norm.ScaleGradOp,
    norm.ScaleDgradOp,
    norm.ChannelProductOp,
    norm.ChannelMeanOp,
    norm.BatchNormDgradOp,
    loss.CrossEntropyOp,
    loss.MeanSquaredErrorOp,
    update.UpdatePlainOp,
    update.UpdateMomentumOp,
    update.UpdateNitiOp,
]
BFP = [
    bfp.RangeOp,
    bfp.ShiftOp,
    bfp.StaticShiftOp,
    bfp.RoundShiftOp,
    bfp.ExpAddOp,
    bfp.ExpConstOp,
    bfp.ExpCommonOp,
    bfp.ExpLargestOp,
    bfp.ExpSumOp,
    bfp.ExpInverseRootOp,
    bfp.ExponentOfOp,
    bfp.AlignOp,
    bfp.TopOp,
]
Nn = Dialect("nn", [*NN, fused.FusedOp, fused.YieldOp])
Bfp = Dialect("bfp", [*BFP], [ExponentType, RangeType])
