"""How the operands of contractions lie for the tensor cores of a GPU: sixteen neighbours in memory are sixteen
neighbours of the sum."""

from nitic.ir.layout import CHUNK, BatchLast, Layout, Runs
from nitic.ir.op import NnOp
from nitic.ir.types import shape_of
from nitic.ops.conv import ConvDgradOp, ConvolutionOp
from nitic.ops.gemm import GemmDgradOp
from nitic.targets.base import Layouts

MOST_JOINED = 64  # inputs


def batch_last(*_: object) -> Layouts:
    """The layouts of weight gradients, whose sums go over the batch."""
    return BatchLast(), BatchLast()


def weights(op: NnOp, _: bool) -> Layouts:
    """The runs of the filters, unless those of row-major weights are whole chunks."""
    runs = runs_of(op)
    whole = runs.shape(shape_of(op.operands[1]))[2] % CHUNK == 0 and not runs.flipped and runs.joined == 1
    return None, None if whole else runs


def writes_batch_last(op: NnOp, layout: Layout) -> bool:
    """Whether the kernel of an operator can write its final values in this layout, too."""
    return isinstance(layout, BatchLast) and shape_of(op.results[0])[0] % CHUNK == 0


def runs_of(op: NnOp) -> Runs:
    """The layout of the weights of a contraction, which row-major weights may already have."""
    flipped = isinstance(op, ConvDgradOp | GemmDgradOp)
    if not isinstance(op, ConvolutionOp):
        return Runs(False, flipped)
    if (groups := op.window.groups) > 1:
        return Runs(True, flipped, groups, joined_groups(groups, shape_of(op.operands[0])[3] // groups))
    spread = isinstance(op, ConvDgradOp) and op.window.strides[1] > 1 and op.kernel_size[1] > 1
    return Runs(spread or op.has_taps, flipped)


def joined_groups(groups: int, inputs: int) -> int:
    """How many groups a tensor core takes as one, so that their inputs of a pixel are whole chunks, but few of them."""
    fitting = [n for n in range(1, groups + 1) if groups % n == 0 and n * inputs % CHUNK == 0]
    return fitting[0] if fitting and fitting[0] * inputs <= MOST_JOINED else 1
