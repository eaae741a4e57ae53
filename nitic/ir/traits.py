"""Traits: what an operator says of itself in its class, and what generic machinery may do because of it.

A pass that treats some operators alike asks for a trait (`op.has_trait(Cheap)`), so that a new operator joins them by
one word in its own class. A trait that derives from another implies it. What concerns single operands (which are
accumulators, which are written in place) is a class variable of nitic.ir.op.NnOp instead.
"""

from xdsl.traits import OpTrait


class Packs(OpTrait):
    """The result is operand 0 in another physical layout: behind an anchor, the anchor's own emitter writes it."""


class Scales(OpTrait):
    """An element of the result is one of operand 0, or the sum of few, times a constant or zero.

    To insert-rounding, what it makes of a CoarseError is as coarse.
    """


class TakesInt64(OpTrait):
    """Its accumulators may be int64: check-range may widen what they come from."""


class Bounded(OpTrait):
    """Its own bound holds whatever accumulators it is given: check-range does not add theirs."""


class KeepsSign(OpTrait):
    """No element of the results is negative where none of operand 0 is. The default of `NnOp.is_nonnegative`."""


class Moves(Scales, KeepsSign, TakesInt64):
    """Each element of the result is one of operand 0, and each of operand 0 is there once.

    insert-rounding moves accumulators where all who read the result take them, and int16 mantissas where all take
    those; a parameter behind such operators is still that parameter.
    """


class View(Moves):
    """The result is the memory of operand 0 under another shape: there is no kernel, and no buffer of its own."""


class Contraction(OpTrait):
    """Sums of products of two operands. Its kernels take longest to generate, so they come first."""


class Pointwise(OpTrait):
    """It goes from element to element: what fuse puts behind it, in a kernel that it begins, may broadcast."""


class OnMantissas(Pointwise):
    """It works on int8 mantissas: fuse may put it behind the rounding that makes operand 0, or behind its like."""


class Gate(OnMantissas):
    """Its result is the mantissas of operand 0, or zeros: no range is taken of it, so those may be guessed."""


class Sum(OnMantissas):
    """a + b of operands 0 and 1 by the exponents behind them: fuse may put it behind the later of the two."""


class Repeatable(OpTrait):
    """A kernel may do it a second time, where it guessed the shift of a rounding wrong (fuse with speculation)."""


class Cheap(Pointwise, Repeatable):
    """It is cheaper to compute twice than to store.

    recompute-pointwise gives the rounding of its result a copy of it, and fuse puts that rounding behind it.
    """


class Intermediate(OpTrait):
    """It is computed where a Cheap operator reads its result: copied along with that reader, and in its kernel."""


class Epilogue(OpTrait):
    """It ends the kernel of whatever makes operand 0. (Point-wise too, but it hardly ever begins a kernel.)"""


class Clamp(Epilogue):
    """Operand 0 within bounds: it is computed again with a Cheap operator before it."""


class Bias(OpTrait):
    """It adds operand 1 to what a layer makes: a parameter there has at least the exponent of the layer's weight."""


class NormalisedScale(OpTrait):
    """It scales and shifts what is normalised: the leading exponent L of a parameter of it is at least 0."""


class BatchStatistics(OpTrait):
    """It takes the mean and variance of a batch: insert-rounding dithers the errors of a function that has it."""


class RunningStatistics(OpTrait):
    """It normalises by running statistics until insert-loss takes those of the batch: one for each batch norm."""


class Loss(OpTrait):
    """The forward pass ends with it, and the errors begin with its first result."""


class SquaredError(Loss):
    """The loss is a sum of squares in Q16; without it, it is cross-entropy, in bits and Q8."""


class CoarseError(Loss):
    """The errors are int8 without a rounding of their own, most of them 0 or 1.

    insert-rounding rounds them stochastically where they are rounded again.
    """
