"""Traits: what an operator says of itself in its class, and what generic machinery may do because of it.

A pass that treats some operators alike asks for a trait (`op.has_trait(Cheap)`), so that a new operator joins them by
one word in its own class. A trait that derives from another implies it. What concerns single operands (which are
accumulators, which are written in place) is a class variable of nitic.ir.op.NnOp instead.
"""

from xdsl.traits import OpTrait


class Packs(OpTrait):
    """The result is operand 0 in another physical layout. Behind an anchor, the anchor's own emitter writes it."""


class Scales(OpTrait):
    """An element of the result is one of operand 0, or the sum of few, times a constant or zero.

    Its result of a CoarseError is a coarse error, too (insert-rounding).
    """


class TakesInt64(OpTrait):
    """Its accumulator operands may be int64: check-range may widen the operators that make them."""


class Bounded(OpTrait):
    """Its own bound holds whatever its accumulator operands are: check-range does not add their bounds."""


class KeepsSign(OpTrait):
    """No element of the results is negative where no element of operand 0 is. `NnOp.is_nonnegative` asks for it."""


class Moves(Scales, KeepsSign, TakesInt64):
    """The result has the elements of operand 0, each exactly once, in another order or shape.

    insert-rounding lets it move accumulators where every reader of the result takes accumulators, and int16 mantissas
    where every reader takes those. A parameter behind such operators still counts as that parameter.
    """


class View(Moves):
    """The result is the memory of operand 0 under another shape: there is no kernel, and no buffer of its own."""


class Contraction(OpTrait):
    """Sums of products of two operands. Its kernels take longest to generate, so they come first."""


class Pointwise(OpTrait):
    """It computes element by element. In a kernel that begins with it, the operators behind it may broadcast (fuse)."""


class OfShape(OpTrait):
    """What it computes of an element depends on the shape of its tensor: it is in no kernel that serves every shape."""


class OnMantissas(Pointwise):
    """It works on int8 mantissas: fuse may put it behind the rounding of operand 0, or behind another such operator."""


class Gate(OnMantissas):
    """Each element of the result is that of operand 0, or zero. No range is taken of it: operand 0 may be a guess."""


class Sum(OnMantissas):
    """It adds operands 0 and 1, whose exponents follow as operands; fuse may put it behind the later of the two."""


class Repeatable(OpTrait):
    """A kernel that guessed the shift of a rounding wrong may compute it a second time (fuse with speculation)."""


class Cheap(Pointwise, Repeatable):
    """It is cheaper to compute twice than to store.

    recompute-pointwise makes a copy of it for the rounding of its result, and fuse puts the rounding behind the copy.
    """


class Intermediate(OpTrait):
    """It is computed in the kernel of the Cheap operator that reads its result, and copied together with it."""


class Epilogue(OpTrait):
    """It ends the kernel that makes operand 0. (It is point-wise, too, but hardly ever begins a kernel.)"""


class Clamp(Epilogue):
    """It keeps operand 0 within bounds. recompute-pointwise copies it together with a Cheap operator before it."""


class Bias(OpTrait):
    """It adds operand 1 to the result of a layer. A parameter of zeros as operand 1 has the exponent of that weight."""


class BatchStatistics(OpTrait):
    """It takes the mean and variance of a batch: insert-rounding dithers the errors of a function that has one."""


class WideSums(OpTrait):
    """In a function that has one, sums are taken of int16 mantissas, and errors are dithered (insert-rounding).

    What passes by all blocks of a transformer, and its error, would lose too much where each sum left it 8 bits.
    """


class RunningStatistics(OpTrait):
    """It recalls running statistics, which insert-loss replaces by those of the batch. Each batch norm has one."""


class Loss(OpTrait):
    """The forward pass ends with it, and the errors begin with its first result."""


class SquaredError(Loss):
    """The loss is a sum of squares in Q16. A loss without this trait is a cross-entropy, in bits and Q8."""


class CoarseError(Loss):
    """Its errors are int8 without a rounding operator, and most of them are 0 or 1.

    Where they are rounded again, insert-rounding rounds them stochastically.
    """
