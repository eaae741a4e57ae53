"""Local response normalisation over neighbouring channels, and its gradient."""

from collections.abc import Sequence

from xdsl.dialects.builtin import I64, Float64Type, FloatAttr, IntegerAttr
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def, var_operand_def
from xdsl.utils.exceptions import VerifyException

from nitic.arithmetic import integers
from nitic.arithmetic.integers import Array
from nitic.arithmetic.lrn import FACTOR_BITS, ROOM, Response, common_of_room
from nitic.ir.op import E, Exponents, Gradients, Insert, NnOp, NoGradient, accumulator, is_float
from nitic.ir.traits import KeepsSign
from nitic.ir.types import element_of, exponent, f32, i32, range_, shape_of, with_element
from nitic.ops.bfp import BfpOp, ExponentOfOp, RangeOp, ScalarOp

MAX_SIZE, MAX_BETA = 1024, 16


class ConstantsOp(NnOp):
    """An operator with the constants of a local response normalisation."""

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

    def check_constants(self) -> None:
        """Raises VerifyException where the formulas have no bounds."""
        response = self.response
        if not 1 <= response.size <= MAX_SIZE:
            raise VerifyException(f"a window has 1 to {MAX_SIZE} channels, not {response.size}")
        if min(response.alpha, response.bias) <= 0 or not 0 <= response.beta <= MAX_BETA:
            raise VerifyException(
                f"alpha and bias must be positive and beta at most {MAX_BETA}, not {response.alpha}, "
                f"{response.bias} and {response.beta}"
            )


class ResponseOp(ConstantsOp):
    """What the normalisation and its gradient share; in integers the exponent of x comes last but one.

    The last is the power of two that no factor exceeds, beside that of the bias (Response.largest).
    """

    def infer_types(self) -> Sequence[Attribute]:
        self.check_constants()
        first = self.operands[0]
        others = [value for value in self.operands if value.type != exponent]
        if any(shape_of(value) != shape_of(first) for value in others):
            raise VerifyException(f"an error of {shape_of(first)} does not fit an input of {shape_of(others[-1])}")
        if len(self.operands) - len(others) != (0 if element_of(first) == f32 else 2):
            raise VerifyException("integers are normalised with the exponents of x and of the factors, floats without")
        return [accumulator(first)]

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        largest = e.add(e.const(self.response.largest - FACTOR_BITS), e.shift(self.operands[-1]))
        return [e.add(e.of(self.operands[0]), largest)]


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
        e, common = (int(v) for v in scale)
        return integers.wide(x) * r.factor(r.squares(x), e, common)

    def to_integer(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        e = insert(ExponentOfOp.of(operands[0]))
        return LrnOp.of(*operands, e, insert(LrnCommonOp.of(e, **self.values)), **self.values)

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
            return r.gradient(dy, x, *(int(v) for v in scale))
        u = r.bias + r.alpha / r.size * r.sum(x**2)
        return dy * u**-r.beta - 2 * r.alpha * r.beta / r.size * x * r.adjoint(dy * x * u ** (-r.beta - 1))

    def to_integer(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        e = insert(ExponentOfOp.of(operands[1]))
        room = insert(RangeOp.of(insert(LrnRoomOp.of(*operands, e, **self.values))))
        return LrnDgradOp.of(*operands, e, insert(LrnCommonOfRoomOp.of(room)), **self.values)

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


@irdl_op_definition
class LrnCommonOp(ConstantsOp, ScalarOp):
    """The power of two that no factor of nn.lrn exceeds, by the exponent of x: that of a window of one unit.

    It does not go by a range, since inference has none; where x is 0, the factor does not count.
    """

    name = "nn.lrn_common"
    x = operand_def(exponent)
    common = result_def(exponent)

    def infer_types(self) -> Sequence[Attribute]:
        self.check_constants()
        return super().infer_types()

    def scalar(self, *operands: int) -> int:
        return self.response.common(operands[0])

    def int64_bound(self, operands: Sequence[int]) -> int:
        """As of the factors."""
        return self.response.int64_bound()


@irdl_op_definition
class LrnRoomOp(ConstantsOp, BfpOp):
    """For nn.lrn_dgrad: its range tells the largest factor of an error that is not 0."""

    name = "nn.lrn_room"
    dy = operand_def()
    x = operand_def()
    scale = operand_def(exponent)
    room = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        self.check_constants()
        if shape_of(self.dy) != shape_of(self.x):
            raise VerifyException(f"an error of {shape_of(self.dy)} does not fit an input of {shape_of(self.x)}")
        return [with_element(self.dy.type, i32)]

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [None]

    def reference(self, *operands: Array) -> Array:
        dy, x, scale = operands
        return self.response.room(dy, x, int(scale))

    def accumulator_bound(self) -> int:
        return ROOM

    def int64_bound(self, operands: Sequence[int]) -> int:
        """As of the factors."""
        return self.response.int64_bound()


@irdl_op_definition
class LrnCommonOfRoomOp(ScalarOp):
    """The power of two that no factor of nn.lrn_dgrad exceeds, by the range of nn.lrn_room."""

    name = "nn.lrn_common_of_room"
    r = operand_def(range_)
    common = result_def(exponent)

    def scalar(self, *operands: int) -> int:
        return common_of_room(operands[0])
