"""insert-loss: from @predict the functions that train and evaluate."""

from dataclasses import dataclass
from itertools import count

from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import BlockArgument, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from nitic.errors import CompileError
from nitic.ir.function import (
    Label,
    Signature,
    add_argument,
    arguments,
    function,
    results,
    return_of,
    set_results,
)
from nitic.ir.op import NnOp, location, set_origin
from nitic.ir.types import i32, i64, shape_of, tensor
from nitic.ops.activation import ActivationOp
from nitic.ops.concat import PadOp
from nitic.ops.elementwise import DropoutOp
from nitic.ops.loss import CrossEntropyOp, LossOp, MeanSquaredErrorOp
from nitic.ops.reshape import ReshapeOp, TransposeOp
from nitic.ops.statistics import BatchNormRecallOp, BatchNormRunningOp, BatchNormStatisticsOp
from nitic.passes.base import NiticPass, option_error
from nitic.passes.invariants import unrounded

STATISTICS = ("batch", "running")
LOSSES: dict[str, type[LossOp]] = {"cross-entropy": CrossEntropyOp, "mse": MeanSquaredErrorOp}


@dataclass(frozen=True)
class InsertLoss(NiticPass):
    """Adds @train_step and @eval_step: @predict with labels and a loss. Dropout stays in @train_step only.

    Cross-entropy takes a single logit z of two classes as the logits 0 and z, without the sigmoid of it.

    statistics: what a training step normalises by, those of its `batch` or the `running` ones, which then stay as they
    are.
    """

    loss: str = "cross-entropy"
    statistics: str = "batch"
    name = "insert-loss"
    requires = (unrounded,)

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise option_error(self, f"unknown loss '{self.loss}'; the losses are {', '.join(LOSSES)}")
        if self.statistics not in STATISTICS:
            raise option_error(self, f"unknown statistics '{self.statistics}'; they are {' or '.join(STATISTICS)}")

    def apply(self, module: ModuleOp) -> None:
        predict = function(module, "predict")
        if len(shape := shape_of(results(predict)[0][1])) != 2:
            raise CompileError("", f"the network's output is {list(shape)} but {self.loss} needs (batch, classes)")
        if shape[1] == 1 and self.loss == "cross-entropy":
            make_two_classes(predict)
        for name in ("train_step", "eval_step"):
            func = predict.clone()
            func.properties["sym_name"] = StringAttr(name)
            module.body.block.insert_op_before(func, predict)
            add_loss(func, LOSSES[self.loss], draws=name == "train_step")
        draw_masks(function(module, "train_step"))
        if self.statistics == "batch":
            take_statistics(function(module, "train_step"))
        for name in ("eval_step", "predict"):
            remove_dropout(function(module, name))


def make_two_classes(func: FuncOp) -> None:
    """Softmax of 0 and z is 1 - s and s, where s is the sigmoid of z."""
    label, value = results(func)[0]
    made: list[NnOp] = [ReshapeOp.of(z, shape=shape_of(value))] if (z := argument_of_sigmoid(value)) else []
    made.append(PadOp.of(made[0].results[0] if made else value, before=(0, 1), after=(0, 0), between=(0, 0)))
    for op in made:
        set_origin(op, value.owner.location if isinstance(value.owner, NnOp) else location(""))
        Rewriter.insert_op(op, InsertPoint.before(return_of(func)))
    set_results(func, [(label, made[-1].results[0])])


def argument_of_sigmoid(value: SSAValue) -> SSAValue | None:
    """What a sigmoid is taken of whose results, all of them, are the value in another shape."""
    while isinstance(op := value.owner, ReshapeOp | TransposeOp):
        value = op.x
    return op.x if isinstance(op, ActivationOp) and op.function.data == "sigmoid" else None


def add_loss(func: FuncOp, kind: type[LossOp], draws: bool) -> None:
    logits = results(func)[0][1]
    label = add_argument(func, Label("label", "label"), tensor(shape_of(logits)[:1], i32))
    signature = Signature(func)
    loss = kind.of(logits, label, *(random_numbers(signature) if draws and kind.DRAWS else ()))
    signature.write()
    set_origin(loss, loss.location)
    Rewriter.insert_op(loss, InsertPoint.before(return_of(func)))
    _, total, correct = loss.results
    set_results(func, [(Label("loss", "metric"), total), (Label("correct", "metric"), correct)])


def draw_masks(func: FuncOp) -> None:
    """Gives every dropout the random numbers of the step, each from a stream of its own."""
    streams, signature = count(1), Signature(func)
    for op in [op for op in func.body.block.ops if isinstance(op, DropoutOp)]:
        drawn = DropoutOp.of(op.x, *random_numbers(signature), p=op.p.value.data, stream=next(streams))
        set_origin(drawn, op.location)
        Rewriter.replace_op(op, drawn)
    signature.write()


def take_statistics(func: FuncOp) -> None:
    """Normalises by the statistics of the batch, and lets the running ones follow."""
    kept = results(func)
    labels = {arg: label for label, arg in arguments(func)}
    for op in [op for op in func.body.block.ops if isinstance(op, BatchNormRecallOp)]:
        batch = BatchNormStatisticsOp.of(op.x)
        set_origin(batch, op.location)
        Rewriter.insert_op(batch, InsertPoint.before(op))
        for running, new in ((op.mean, batch.mean), (op.variance, batch.variance)):
            assert isinstance(running, BlockArgument)
            updated = BatchNormRunningOp.of(running, new, momentum=op.momentum.value.data)
            set_origin(updated, op.location)
            Rewriter.insert_op(updated, InsertPoint.before(op))
            kept.append((labels[running], updated.updated))
        Rewriter.replace_op(op, [], list(batch.results))
    set_results(func, kept)


def random_numbers(signature: Signature) -> tuple[BlockArgument, BlockArgument]:
    """The arguments that all random numbers come from: the seed of the run and the number of the step."""
    seed = signature.add(Label("seed", "hyper"), tensor((), i64))
    return seed, signature.add(Label("step", "hyper"), tensor((), i32))


def remove_dropout(func: FuncOp) -> None:
    for op in [op for op in func.body.block.ops if isinstance(op, DropoutOp)]:
        Rewriter.replace_op(op, [], [op.x])
