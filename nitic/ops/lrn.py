"""Local response normalisation over neighbouring channels, and its gradient."""

from collections.abc import Sequence

from xdsl.dialects.builtin import I64, Float64Type, FloatAttr, IntegerAttr
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def, var_operand_def
from xdsl.utils.exceptions import VerifyException

from nitic.arithmetic import integers
from nitic.arithmetic.integers import Array
from nitic.arithmetic.lrn import FACTOR_BITS, Response
from nitic.ir.op import E, Exponents, Gradients, Insert, NnOp, NoGradient, accumulator, is_float
from nitic.ir.traits import KeepsSign
from nitic.ir.types import element_of, exponent, f32, shape_of
from nitic.ops.bfp import ExponentOfOp

MAX_SIZE, MAX_BETA = 1024, 16


class ResponseOp(NnOp):
    """What the normalisation and its gradient share; in integers the exponent of x comes last."""

    size = prop_def(IntegerAttr[I64])
    alpha = prop_def(FloatAttr[Float64Type])
    beta = prop_def(FloatAttr[Float64Type])
    bias = prop_def(FloatAttr[Float64Type])

    @property
    def response(self) -> Response:
        return Response(self.size.value.data, *(each.value.data for each in (self.alpha, self.beta, self.bias)))

    @property
    def values(self) -> dict[str, float | int]:
        """The properties."""
        response = self.response
        return {"size": response.size, "alpha": response.alpha, "beta": response.beta, "bias": response.bias}

    def infer_types(self) -> Sequence[Attribute]:
        response, first = self.response, self.operands[0]
        if not 1 <= response.size <= MAX_SIZE:
            raise VerifyException(f"a window has 1 to {MAX_SIZE} channels, not {response.size}")
        if min(response.alpha, response.bias) <= 0 or not 0 <= response.beta <= MAX_BETA:
            raise VerifyException(
                f"alpha and bias must be positive and beta at most {MAX_BETA}, not {response.alpha}, "
                f"{response.bias} and {response.beta}"
            )
        others = [value for value in self.operands if value.type != exponent]
        if any(shape_of(value) != shape_of(first) for value in others):
            raise VerifyException(f"an error of {shape_of(first)} does not fit an input of {shape_of(others[-1])}")
        if (element_of(first) == f32) != (len(others) == len(self.operands)):
            raise VerifyException("integers are normalised with the exponent of x, floats without")
        return [accumulator(first)]

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.add(e.of(self.operands[0]), e.const(self.response.largest - FACTOR_BITS))]


@irdl_op_definition
class LrnOp(ResponseOp):
    """y = x / (bias + alpha / size * the sum of squares over the window of channels)^beta."""

    name = "nn.lrn"
    traits = traits_def(KeepsSign())
    x = operand_def()
    scale = var_operand_def(exponent)
    y = result_def()

    def reference(self, *operands: Array) -> Array:
        x, *scale = operands
        r = self.response
        if is_float(x):
            return x * (r.bias + r.alpha / r.size * r.sum(x**2)) ** -r.beta
        return integers.wide(x) * r.factor(r.denominator(x, int(scale[0])), int(scale[0]))

    def to_integer(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        return LrnOp.of(*operands, insert(ExponentOfOp.of(operands[0])), **self.values)

    def accumulator_bound(self) -> int:
        return 127 << FACTOR_BITS

    def int64_bound(self, operands: Sequence[int]) -> int:
        """As of its factors."""
        return self.response.int64_bound()

    def backward(self, grad: Gradients) -> None:
        grad.add(self.x, LrnDgradOp.of(grad.of(self.y), self.x, **self.values))


@irdl_op_definition
class LrnDgradOp(ResponseOp):
    """The gradient of nn.lrn with respect to its input."""

    name = "nn.lrn_dgrad"
    dy = operand_def()
    x = operand_def()
    scale = var_operand_def(exponent)
    dx = result_def()

    def reference(self, *operands: Array) -> Array:
        dy, x, *scale = operands
        r = self.response
        if not is_float(dy):
            return r.gradient(dy, x, int(scale[0]))
        u = r.bias + r.alpha / r.size * r.sum(x**2)
        return dy * u**-r.beta - 2 * r.alpha * r.beta / r.size * x * r.adjoint(dy * x * u ** (-r.beta - 1))

    def to_integer(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        return LrnDgradOp.of(*operands, insert(ExponentOfOp.of(operands[1])), **self.values)

    def accumulator_bound(self) -> int:
        return self.response.gradient_bound(shape_of(self.dx)[-1])

    def least_divisor(self) -> int:
        """A denominator is a sum of squares and a bias of at least 1."""
        return 1

    def int64_bound(self, operands: Sequence[int]) -> int:
        """As of its quotients and their sums."""
        return self.response.gradient_int64_bound(shape_of(self.dx)[-1])

    def backward(self, grad: Gradients) -> None:
        raise NoGradient
