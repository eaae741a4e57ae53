"""Folds batch normalisation into the layer before it, in floats: what is left trains as a layer with a bias."""

from dataclasses import dataclass, replace

import numpy as np
from xdsl.dialects.func import FuncOp
from xdsl.ir import BlockArgument, Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from nitic.arithmetic.integers import Array
from nitic.errors import CompileError
from nitic.frontend.importer import ImportedModel
from nitic.ir.function import arguments, function, set_arguments
from nitic.ir.op import place
from nitic.ops.conv import ConvOp
from nitic.ops.elementwise import BiasOp
from nitic.ops.gemm import GemmOp
from nitic.ops.norm import BatchNormInverseOp, BatchNormRecallOp, BatchNormScaleOp, NormaliseOp


class _Refusal(Exception):
    """Why a batch normalisation cannot be folded."""


def fold_batch_norm(model: ImportedModel) -> ImportedModel:
    """The model with every batch normalisation folded. Raises CompileError that lists those that cannot be.

    w' = w * gamma / sqrt(variance + epsilon), b' = (b - mean) * gamma / sqrt(variance + epsilon) + beta
    """
    func, parameters = function(model.module, "predict"), dict(model.parameters)
    refusals: list[str] = []
    for op in [op for op in func.body.block.ops if isinstance(op, BatchNormScaleOp)]:
        try:
            _fold(_Chain.ending_in(op), _names(func), parameters)
        except _Refusal as refusal:
            refusals.append(f"node '{op.source}': {refusal}")
    if refusals:
        what = f"--batch-norm fold cannot fold {len(refusals)} of the batch normalisations"
        raise CompileError(model.name, what, "\n".join(refusals))
    _drop_unused_arguments(func)
    kept = [label.name for label, _ in arguments(func) if label.name in parameters]
    return replace(
        model,
        parameters={name: parameters[name] for name in kept},
        layouts={name: model.layouts[name] for name in kept},
    )


def _names(func: FuncOp) -> dict[SSAValue, str]:
    return {arg: label.name for label, arg in arguments(func)}


@dataclass(frozen=True)
class _Chain:
    """A layer, its bias where it has one, and the operators of the batch normalisation behind it."""

    layer: ConvOp | GemmOp
    bias: BiasOp | None
    recall: BatchNormRecallOp
    inverse: BatchNormInverseOp
    norm: NormaliseOp
    scale: BatchNormScaleOp

    @classmethod
    def ending_in(cls, scale: BatchNormScaleOp) -> "_Chain":
        """Raises _Refusal where the batch normalisation cannot be part of one layer."""
        norm = scale.xhat.owner
        assert isinstance(norm, NormaliseOp)
        inverse, recall = norm.inverse.owner, norm.mean.owner
        assert isinstance(inverse, BatchNormInverseOp)
        assert isinstance(recall, BatchNormRecallOp)
        bias = norm.x.owner if isinstance(norm.x.owner, BiasOp) else None
        layer = bias.acc.owner if bias else norm.x.owner
        if not isinstance(layer, ConvOp | GemmOp):
            raise _Refusal("no convolution and no linear layer comes before it")
        chain = cls(layer, bias, recall, inverse, norm, scale)
        chain.check_readers()
        return chain

    def check_readers(self) -> None:
        """What folding changes must be read by nothing else."""
        if _readers(self.norm.x) != {self.norm, self.recall} or (self.bias and len(_readers(self.bias.acc)) != 1):
            raise _Refusal("other nodes, too, read the result of the layer before it")
        for value in (self.layer.w, self.bias.b if self.bias else self.scale.beta):
            if not isinstance(value, BlockArgument) or len(_readers(value)) != 1:
                raise _Refusal("the weight or bias that it would change serves several nodes")


def _readers(value: SSAValue) -> set[Operation]:
    return {use.operation for use in value.uses}


def _fold(chain: _Chain, names: dict[SSAValue, str], parameters: dict[str, Array]) -> None:
    def array(value: SSAValue) -> Array:
        return parameters[names[value]].astype(np.float64)

    factor = array(chain.scale.gamma) / np.sqrt(array(chain.recall.variance) + chain.inverse.epsilon.value.data)
    weight, before = array(chain.layer.w), array(chain.bias.b) if chain.bias else 0.0
    bias = (before - array(chain.recall.mean)) * factor + array(chain.scale.beta)
    parameters[names[chain.layer.w]] = (weight * factor.reshape(-1, *[1] * (weight.ndim - 1))).astype(np.float32)
    parameters[names[chain.bias.b if chain.bias else chain.scale.beta]] = bias.astype(np.float32)
    _rewrite(chain)


def _rewrite(chain: _Chain) -> None:
    """The layer's biased result takes the place of the normalised one."""
    biased = chain.norm.x
    if chain.bias is None:
        bias = BiasOp.of(chain.layer.acc, chain.scale.beta)
        place(bias, chain.scale.location)
        Rewriter.insert_op(bias, InsertPoint.after(chain.layer))
        biased = bias.y
    Rewriter.replace_op(chain.scale, [], [biased])
    for op in (chain.norm, chain.inverse, chain.recall):
        Rewriter.erase_op(op)


def _drop_unused_arguments(func: FuncOp) -> None:
    kept = [(label, arg) for label, arg in arguments(func) if label.role == "input" or arg.first_use is not None]
    for _, arg in arguments(func):
        if arg not in [value for _, value in kept]:
            func.body.block.erase_arg(arg)
    set_arguments(func, [label for label, _ in kept])
