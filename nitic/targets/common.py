"""What is the same for all targets: operators with loops of their own, and the point-wise ones.

A target puts its own rules before these.
"""

from nitic.ir.op import NnOp
from nitic.ir.types import element_of, i64
from nitic.ops import BFP, NN
from nitic.ops.conv import ConvDgradOp, ConvolutionOp, ConvOp, ConvWgradOp
from nitic.ops.gemm import GemmDgradOp, GemmOp, GemmWgradOp, ProductOp
from nitic.targets.base import POINTWISE, Rule

FORWARD = (ConvOp.name, GemmOp.name)
DGRAD = (ConvDgradOp.name, GemmDgradOp.name)
WGRAD = (ConvWgradOp.name, GemmWgradOp.name)
CONTRACTIONS = (*FORWARD, *DGRAD, *WGRAD)

# Each has a template of its own name.
OWN_LOOPS = (
    *("nn.max_pool", "nn.max_pool_dgrad", "nn.avg_pool", "nn.avg_pool_dgrad"),
    *("nn.transpose", "nn.slice", "nn.reshape", "nn.pack", "nn.concat", "nn.pad"),
    *("nn.bias_grad", "nn.scale_grad", "nn.mul_sum", "nn.reduce_sum"),
    *("nn.batch_norm_statistics", "nn.mean_square", "nn.lrn", "nn.lrn_room", "nn.lrn_dgrad"),
    *("nn.row_statistics", "nn.row_norm_sums", "bfp.row_tops"),
    *("nn.attention", "nn.attention_row_error"),
    *("nn.attention_query_rows", "nn.attention_key_sums", "nn.attention_value_sums"),
    *("nn.cross_entropy", "nn.mean_squared_error"),
)

BY_ELEMENT = Rule(CONTRACTIONS, "by_element")
"""Contractions in plain loops over row-major operands, whatever their shape and the width of their sums."""

COMMON = (
    BY_ELEMENT,
    *(Rule((name,), name.split(".")[-1]) for name in OWN_LOOPS),
    Rule(("nn.row_scale_grad",), "scale_grad"),
    Rule([op.name for op in (*NN, *BFP)], POINTWISE),
)


def is_depthwise(op: NnOp) -> bool:
    """Whether every channel is a group, with one filter."""
    return isinstance(op, ConvolutionOp) and op.is_depthwise


def sums_in_int64(op: NnOp) -> bool:
    """Whether check-range has found sums beyond int32 that are no weight gradient."""
    return isinstance(op, ConvolutionOp | ProductOp) and op.name not in WGRAD and element_of(op.results[0]) == i64
