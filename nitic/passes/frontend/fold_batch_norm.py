"""fold-batch-norm: each batch normalisation becomes part of the layer before it, which then trains with a bias."""

from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import BlockArgument, Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from nitic.errors import CompileError
from nitic.ir.function import Label, Signature, arguments, function, new_function, return_of, set_arguments, set_results
from nitic.ir.initial_values import add_initial_values
from nitic.ir.op import NnOp, set_origin
from nitic.ir.types import shape_of
from nitic.ops.conv import ConvOp
from nitic.ops.elementwise import AddOp, BiasOp
from nitic.ops.gemm import GemmOp
from nitic.ops.norm import BatchNormScaleOp, NormaliseOp
from nitic.ops.product import MulOp, NegOp
from nitic.ops.reshape import ReshapeOp
from nitic.ops.statistics import BatchNormInverseOp, BatchNormRecallOp
from nitic.passes.base import NiticPass
from nitic.passes.invariants import only_predict


@dataclass(frozen=True)
class FoldBatchNorm(NiticPass):
    """Makes every batch normalisation of @predict part of the convolution or linear layer before it.

    w' = w * gamma / sqrt(variance + epsilon), b' = (b - mean) * gamma / sqrt(variance + epsilon) + beta

    The layer's bias takes b'; a layer without one takes beta for its bias. The values of w' and b' follow by the
    function @fold_batch_norm in @initial_values (ir/initial_values.py): from then on the weights and biases of @predict
    mean the new values. Refuses a module with a batch normalisation that cannot be folded, and says why for each.
    """

    name = "fold-batch-norm"
    requires = (only_predict,)

    def apply(self, module: ModuleOp) -> None:
        func = function(module, "predict")
        values, refusals = _Values(func), list[str]()
        for op in [op for op in func.body.block.ops if isinstance(op, BatchNormScaleOp)]:
            try:
                _fold(_Chain.ending_in(op), values)
            except _Refusal as refusal:
                refusals.append(f"node '{op.source}': {refusal}")
        if refusals:
            message = f"cannot fold {len(refusals)} of the batch normalisations"
            raise CompileError(self.name, message, "\n".join(refusals))
        if values.new:
            add_initial_values(module, values.finish())
            _drop_arguments(func, values.read)


class _Refusal(Exception):
    """Why a batch normalisation cannot be folded."""


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
        if not isinstance(norm, NormaliseOp) or norm.mean is None:
            raise _Refusal("no running statistics normalise what it scales")
        inverse, recall = norm.inverse.owner, norm.mean.owner
        if not (isinstance(inverse, BatchNormInverseOp) and isinstance(recall, BatchNormRecallOp)):
            raise _Refusal("no running statistics normalise what it scales")
        bias = norm.x.owner if isinstance(norm.x.owner, BiasOp) else None
        layer = bias.acc.owner if bias else norm.x.owner
        if not isinstance(layer, ConvOp | GemmOp):
            raise _Refusal("no convolution and no linear layer comes before it")
        chain = cls(layer, bias, recall, inverse, norm, scale)
        chain.check_parameters()
        chain.check_readers()
        return chain

    @property
    def changed(self) -> tuple[SSAValue, SSAValue]:
        """The weight and the bias of the folded layer."""
        return self.layer.w, self.bias.b if self.bias else self.scale.beta

    def check_parameters(self) -> None:
        """All parameters must be arguments: new values can be computed for those, not for what other nodes compute."""
        parameters = (*self.changed, self.scale.gamma, self.scale.beta, self.recall.mean, self.recall.variance)
        if not all(isinstance(value, BlockArgument) for value in parameters):
            raise _Refusal("a weight, a factor or a statistic of it is computed by other nodes")

    def check_readers(self) -> None:
        """Nothing else may read what folding changes."""
        if _readers(self.norm.x) != {self.norm, self.recall} or (self.bias and len(_readers(self.bias.acc)) != 1):
            raise _Refusal("other nodes, too, read the result of the layer before it")
        if any(len(_readers(value)) != 1 for value in self.changed):
            raise _Refusal("the weight or bias that it would change serves several nodes")


def _readers(value: SSAValue) -> set[Operation]:
    return {use.operation for use in value.uses}


class _Values:
    """The function that computes the new values: its arguments are the parameters that it reads."""

    def __init__(self, predict: FuncOp) -> None:
        self.labels: dict[SSAValue, Label] = {arg: label for label, arg in arguments(predict)}
        self.func = new_function("fold_batch_norm", [])
        self.func.body.block.add_op(ReturnOp())
        self.signature = Signature(self.func)
        self.new: dict[SSAValue, SSAValue] = {}
        self.read = set[SSAValue]()

    def of(self, parameter: SSAValue) -> SSAValue:
        """The value of an argument of @predict."""
        self.read.add(parameter)
        return self.new.get(parameter) or self.signature.add(self.labels[parameter], parameter.type)

    def insert(self, op: NnOp, chain: _Chain) -> SSAValue:
        set_origin(op, chain.scale.location)
        Rewriter.insert_op(op, InsertPoint.before(return_of(self.func)))
        return op.result

    def finish(self) -> FuncOp:
        self.signature.write()
        set_results(self.func, [(self.labels[parameter], value) for parameter, value in self.new.items()])
        return self.func


def _fold(chain: _Chain, values: _Values) -> None:
    def insert(op: NnOp) -> SSAValue:
        return values.insert(op, chain)

    weight, bias = chain.changed
    epsilon = chain.inverse.epsilon.value.data
    inverse = insert(BatchNormInverseOp.of(values.of(chain.recall.variance), epsilon=epsilon))
    factor = insert(MulOp.of(values.of(chain.scale.gamma), inverse))
    per_filter = insert(ReshapeOp.of(factor, shape=(*shape_of(factor), *[1] * (len(shape_of(weight)) - 1))))
    centred = insert(NegOp.of(values.of(chain.recall.mean)))
    if chain.bias:
        centred = insert(AddOp.of(values.of(bias), centred))
    scaled = insert(MulOp.of(centred, factor))
    new_bias = insert(AddOp.of(scaled, values.of(chain.scale.beta)))
    values.new[weight] = insert(MulOp.of(values.of(weight), per_filter))
    values.new[bias] = new_bias
    _rewrite(chain)


def _rewrite(chain: _Chain) -> None:
    """Puts the layer's result with its bias in place of the normalised one."""
    biased = chain.norm.x
    if chain.bias is None:
        bias = BiasOp.of(chain.layer.acc, chain.scale.beta)
        set_origin(bias, chain.scale.location)
        Rewriter.insert_op(bias, InsertPoint.after(chain.layer))
        biased = bias.y
    Rewriter.replace_op(chain.scale, [], [biased])
    for op in (chain.norm, chain.inverse, chain.recall):
        Rewriter.erase_op(op)


def _drop_arguments(func: FuncOp, candidates: set[SSAValue]) -> None:
    """Takes away those arguments that nothing reads any more."""
    kept: list[Label] = []
    for label, arg in arguments(func):
        if arg in candidates and arg.first_use is None:
            func.body.block.erase_arg(arg)
        else:
            kept.append(label)
    set_arguments(func, kept)
