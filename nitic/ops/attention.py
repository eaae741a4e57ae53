"""Attention: softmax(scale * q . k^T) . v, without a tensor of scores. docs/transformers.md has the formulas.

q is (N, T, H, d), k and v are (N, S, G, d) and (N, S, G, n): heads lie between time and features, as a linear layer
leaves them. G divides H: heads h of q share the head h // (H / G) of k and v (grouped queries). Beside the result the
forward pass keeps the largest score of a row and the sum of its softmax, from which the backward pass computes it anew.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np
from xdsl.dialects.builtin import I64, Float64Type, FloatAttr, IntegerAttr
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def, var_operand_def
from xdsl.utils.exceptions import VerifyException

from nitic.arithmetic import attention, integers, rows
from nitic.arithmetic.integers import Array
from nitic.ir.op import E, Exponents, Gradients, Insert, NnOp, NoGradient, is_float, like
from nitic.ir.traits import Pointwise, WideSums
from nitic.ir.types import element_of, exponent, f32, i16, i32, i64, shape_of, tensor, with_element
from nitic.ops.arrays import exact_matmul
from nitic.ops.bfp import ExpAddOp, ExponentOfOp
from nitic.ops.rows import check_rows, requantised_rows, row_shape

LONGEST, MOST_FEATURES = 2**15, 1024
SCORE = integers.INT8_LIMIT**2


class Heads(NamedTuple):
    """The sizes of an attention."""

    batch: int
    rows: int
    columns: int
    heads: int
    groups: int
    features: int

    @property
    def shared(self) -> int:
        """How many heads of q share one of k and v."""
        return self.heads // self.groups


def heads_of(q: SSAValue, k: SSAValue) -> Heads:
    """Raises VerifyException where q and k do not fit each other."""
    (n, t, h, d), (m, s, g, features) = shape_of(q, 4), shape_of(k, 4)
    if n != m or d != features or h % g:
        raise VerifyException(f"queries of {shape_of(q)} do not fit keys of {shape_of(k)}")
    if s > LONGEST or d > MOST_FEATURES:
        raise VerifyException(f"{s} keys of {d} features are beyond {LONGEST} of {MOST_FEATURES}, which fit 64 bits")
    return Heads(n, t, s, h, g, d)


def by_head(x: Array, heads: int) -> Array:
    """(N, T, G, d) as (N, heads, T, d), each head of G as often as it is shared."""
    return x.transpose(0, 2, 1, 3).repeat(heads // x.shape[2], 1)


def from_heads(x: Array, groups: int) -> Array:
    """The adjoint of by_head: heads that are shared are summed."""
    n, h, t, d = x.shape
    return x.reshape(n, groups, h // groups, t, d).sum(2).transpose(0, 2, 1, 3)


class ScoresOp(NnOp):
    """What all parts share: operands 0 and 1 are q and k, the scale of their scores, and whether these are masked."""

    scale = prop_def(FloatAttr[Float64Type])
    causal = prop_def(IntegerAttr[I64])

    @property
    def sizes(self) -> Heads:
        return heads_of(self.operands[0], self.operands[1])

    @property
    def values(self) -> dict[str, float | int]:
        """The properties."""
        return {"scale": self.scale.value.data, "causal": self.causal.value.data}

    @property
    def constants(self) -> tuple[int, int, int, int]:
        return attention.softmax_constants(self.scale.value.data)

    def mask(self) -> Array | None:
        sizes = self.sizes
        return attention.causal(sizes.rows, sizes.columns) if self.causal.value.data else None

    def check_scores(self, *rows_of: SSAValue) -> None:
        """Raises VerifyException where something of rows does not have one element for each of q."""
        if not 0 < self.scale.value.data < np.inf:
            raise VerifyException(f"the scale of scores must be positive, not {self.scale.value.data}")
        sizes = self.sizes
        check_rows(self.operands[0], *rows_of)
        if self.causal.value.data and sizes.rows > sizes.columns:
            raise VerifyException(f"{sizes.rows} causal rows need as many keys, not {sizes.columns}")

    def scores(self, q: Array, k: Array) -> Array:
        """q . k^T, (N, H, T, S)."""
        heads = q.shape[2]
        return exact_matmul(by_head(q, heads), by_head(k, heads).transpose(0, 1, 3, 2))

    def softmax(self, q: Array, k: Array, top: Array, e: int) -> tuple[Array, Array]:
        """(u, Z) of integers."""
        c, e_c, _, _ = self.constants
        return attention.softmax(self.scores(q, k), e, of_rows(top), c, e_c, self.mask())

    def probabilities(self, q: Array, k: Array) -> Array:
        """Of floats."""
        scores = self.masked_scores(q, k)
        p = np.exp(scores - scores.max(-1, keepdims=True))
        return p / p.sum(-1, keepdims=True)

    def masked_scores(self, q: Array, k: Array) -> Array:
        """Of floats, scaled."""
        scores, mask = self.scores(q, k) * self.scale.value.data, self.mask()
        return scores if mask is None else np.where(mask, scores, -np.inf)

    def int64_bound(self, operands: Sequence[int]) -> int:
        """A distance of scores times the constant."""
        return (2 * SCORE * self.sizes.features) << attention.LOG_SCALE_BITS


def of_rows(x: Array) -> Array:
    """(N, T, H, 1) as (N, H, T, 1), and the other way."""
    return integers.wide(x).transpose(0, 2, 1, 3)


@irdl_op_definition
class AttentionOp(ScoresOp):
    """(o, the largest score of each row, the sum of its softmax); in integers with the exponent of the scores.

    o is int16 at the exponent of v less 8.
    """

    name = "nn.attention"
    traits = traits_def(WideSums())
    q = operand_def()
    k = operand_def()
    v = operand_def()
    e = var_operand_def(exponent)
    o = result_def()
    top = result_def()
    total = result_def()
    ASIDE: ClassVar[Sequence[int]] = (1, 2)

    def infer_types(self) -> Sequence[Attribute]:
        self.check_scores()
        if shape_of(self.v)[:3] != shape_of(self.k)[:3]:
            raise VerifyException(f"values of {shape_of(self.v)} do not fit keys of {shape_of(self.k)}")
        if shape_of(self.v)[3] > MOST_FEATURES:
            raise VerifyException(f"values of {shape_of(self.v)[3]} features are beyond {MOST_FEATURES}")
        real = element_of(self.q) == f32
        if len(self.e) != (0 if real else 1):
            raise VerifyException("integers come with the exponent of their scores, floats with none")
        row = tensor(row_shape(self.q), f32 if real else i32)
        shape = (*shape_of(self.q)[:3], shape_of(self.v)[3])
        return [tensor(shape, f32 if real else i16), row, row]

    def reference(self, *operands: Array) -> tuple[Array, ...]:
        q, k, v, *e = operands
        values = by_head(v, q.shape[2])
        if is_float(q):
            scores = self.masked_scores(q, k)
            top = scores.max(-1, keepdims=True)
            p = np.exp(scores - top)
            total = p.sum(-1, keepdims=True)
            return tuple(each.transpose(0, 2, 1, 3) for each in (p / total @ values, top, total))
        c, e_c, _, _ = self.constants
        scores, mask = self.scores(q, k), self.mask()
        top = attention.largest_scores(scores, mask)
        u, total = attention.softmax(scores, int(e[0]), top, c, e_c, mask)
        o = attention.normalised_product(exact_matmul(u, values), total)
        return tuple(each.transpose(0, 2, 1, 3) for each in (o, top, total))

    def to_integer(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        q, k, v = operands
        return AttentionOp.of(q, k, v, scores_exponent(q, k, insert), **self.values)

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.add(e.of(self.v), e.const(-8)), None, None]

    def result_bounds(self, operands: Sequence[int]) -> Sequence[int | None]:
        sizes = self.sizes
        return [attention.OUTPUT_LIMIT, SCORE * sizes.features, attention.U8_LIMIT * sizes.columns]

    def least_divisor(self) -> int:
        return 1

    def backward(self, grad: Gradients) -> None:
        dy = grad.of(self.o)
        operands = (self.q, self.k, self.v, dy, self.top, self.total)
        grad.add(self.q, QueryGradOp.of(*operands, **self.values))
        grad.add(self.k, KeyGradOp.of(*operands, **self.values))
        grad.add(self.v, ValueGradOp.of(*operands, **self.values))


def scores_exponent(q: SSAValue, k: SSAValue, insert: Insert) -> SSAValue:
    return insert(ExpAddOp.of(insert(ExponentOfOp.of(q)), insert(ExponentOfOp.of(k))))


class AttentionGradOp(ScoresOp):
    """An error of attention in floats; its integer form is made of the parts below."""

    q = operand_def()
    k = operand_def()
    v = operand_def()
    dy = operand_def()
    top = operand_def()
    total = operand_def()
    ACCUMULATORS: ClassVar[Sequence[int]] = (4, 5)
    OF: ClassVar[int]
    """The operand whose error it is."""

    def infer_types(self) -> Sequence[Attribute]:
        self.check_scores(self.top, self.total)
        if element_of(self.q) != f32:
            raise VerifyException("it is an operator of floats: integers have one for each of its parts")
        return [like(self.operands[self.OF])]

    def reference(self, *operands: Array) -> Array:
        q, k, v, dy, _, _ = operands
        heads, groups = q.shape[2], k.shape[2]
        p, error = self.probabilities(q, k), by_head(dy, heads)
        return self.error(p, error, by_head(q, heads), by_head(k, heads), by_head(v, heads), groups)

    @abstractmethod
    def error(self, p: Array, dy: Array, q: Array, k: Array, v: Array, groups: int) -> Array:
        """The error, from the probabilities and operands by head."""

    def error_of_scores(self, p: Array, dy: Array, v: Array) -> Array:
        dp = dy @ v.transpose(0, 1, 3, 2)
        return p * (dp - (p * dp).sum(-1, keepdims=True)) * self.scale.value.data

    def backward(self, grad: Gradients) -> None:
        raise NoGradient


@irdl_op_definition
class QueryGradOp(AttentionGradOp):
    """dq = ds . k."""

    name = "nn.attention_query_grad"
    dx = result_def()
    OF: ClassVar[int] = 0

    def error(self, p: Array, dy: Array, q: Array, k: Array, v: Array, groups: int) -> Array:
        return from_heads(self.error_of_scores(p, dy, v) @ k, q.shape[1])

    def to_integer(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        parts = rows_of_error(self, operands, insert)
        return requantised_rows(insert(QueryRowsOp.of(*parts.operands, **self.values)), parts.error.h, insert)


@irdl_op_definition
class KeyGradOp(AttentionGradOp):
    """dk = ds^T . q."""

    name = "nn.attention_key_grad"
    dx = result_def()
    OF: ClassVar[int] = 1

    def error(self, p: Array, dy: Array, q: Array, k: Array, v: Array, groups: int) -> Array:
        return from_heads(self.error_of_scores(p, dy, v).transpose(0, 1, 3, 2) @ q, groups)

    def to_integer(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        parts = rows_of_error(self, operands, insert)
        weighted = insert(requantised_rows(operands[0], parts.error.h, insert, attention.PLANES_LIMIT))
        return KeySumsOp.of(*parts.operands, weighted, **self.values)


@irdl_op_definition
class ValueGradOp(AttentionGradOp):
    """dv = p^T . dy."""

    name = "nn.attention_value_grad"
    dx = result_def()
    OF: ClassVar[int] = 2

    def error(self, p: Array, dy: Array, q: Array, k: Array, v: Array, groups: int) -> Array:
        return from_heads(p.transpose(0, 1, 3, 2) @ dy, groups)

    def to_integer(self, operands: Sequence[SSAValue], insert: Insert) -> NnOp:
        q, k, _, dy, top, total = operands
        weights, h = insert(RowWeightsOp.of(dy, total)), insert(RowExponentsOp.of(total))
        w = insert(requantised_rows(weights, h, insert, attention.PLANES_LIMIT))
        return ValueSumsOp.of(q, k, w, top, scores_exponent(q, k, insert), **self.values)


class Parts(NamedTuple):
    """What the sums of an error are made of: the operands that both have, and the statistics of rows."""

    operands: tuple[SSAValue, ...]
    error: "RowErrorOp"


def rows_of_error(op: AttentionGradOp, operands: Sequence[SSAValue], insert: Insert) -> Parts:
    """The statistics of the error of the scores, which the errors of q and k share."""
    q, k, v, dy, top, total = operands
    known = [use.operation for use in dy.uses if isinstance(use.operation, RowErrorOp)]
    error = next((each for each in known if (each.q, each.k, each.v) == (q, k, v)), None)
    if error is None:
        error = RowErrorOp.of(q, k, v, dy, top, total, scores_exponent(q, k, insert), **op.values)
        insert(error)
    return Parts((q, k, v, dy, top, total, error.mean, error.shift, error.e), error)


class PartOp(ScoresOp):
    """A part of the errors in integers, which has no error itself."""

    def backward(self, grad: Gradients) -> None:
        raise NoGradient


class ErrorOp(PartOp):
    """A part that knows the error of the scores: ds, int8 with all bits in every row. Its operands begin alike."""

    @property
    def known(self) -> Sequence[SSAValue]:
        """v, dy, and the largest score and the sum of each row."""
        return self.operands[2:6]

    def check_operands(self, *rows_of: SSAValue) -> None:
        v, dy, top, total = self.known
        self.check_scores(top, total, *rows_of)
        if shape_of(dy) != (*shape_of(self.operands[0])[:3], shape_of(v)[3]):
            raise VerifyException(f"an error of {shape_of(dy)} does not fit values of {shape_of(v)}")

    def exponent_of_scores(self, e: Exponents[E]) -> E:
        """That of ds, whose rows are beside it by h."""
        constant = e.const(self.constants[3] - 8)
        v, dy, *_ = self.known
        return e.add(e.add(e.of(dy), e.of(v)), constant)

    def products(self, q: Array, k: Array, v: Array, dy: Array, top: Array, e: Array) -> tuple[Array, Array]:
        """(u, dp) by head."""
        u, _ = self.softmax(q, k, top, int(e))
        heads = q.shape[2]
        return u, exact_matmul(by_head(dy, heads), by_head(v, heads).transpose(0, 1, 3, 2))

    def error_of_scores(self, *operands: Array) -> Array:
        q, k, v, dy, top, total, mean, shift, e = operands[:9]
        u, dp = self.products(q, k, v, dy, top, e)
        unrounded = attention.unrounded_error(u, of_rows(total), dp, of_rows(mean), self.constants[2])
        return attention.rounded_error(unrounded, of_rows(shift))

    def int64_bound(self, operands: Sequence[int]) -> int:
        """The sum of u * dp with 8 bits more; u, an error with 8 bits more, and the reciprocal times the scale."""
        product = SCORE * shape_of(self.known[0])[3]
        total = attention.U8_LIMIT * self.sizes.columns * product << 8
        return max(super().int64_bound(operands), total, attention.U8_LIMIT * (product << 9) << 16)

    def least_divisor(self) -> int:
        return 1


@irdl_op_definition
class RowErrorOp(ErrorOp):
    """Of each row of the error of the scores: (the mean of dp with 8 bits more, the shift to int8, its exponent h)."""

    name = "nn.attention_row_error"
    q = operand_def()
    k = operand_def()
    v = operand_def()
    dy = operand_def()
    top = operand_def()
    total = operand_def()
    e = operand_def(exponent)
    mean = result_def()
    shift = result_def()
    h = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        self.check_operands()
        return [tensor(row_shape(self.q), element) for element in (i64, i32, i32)]

    def reference(self, *operands: Array) -> tuple[Array, ...]:
        q, k, v, dy, top, total, e = operands
        u, dp = self.products(q, k, v, dy, top, e)
        total = of_rows(total)
        mean = attention.error_mean(u, total, dp)
        shift, h = attention.error_shifts(attention.unrounded_error(u, total, dp, mean, self.constants[2]), total)
        return of_rows(mean), of_rows(shift), of_rows(h)

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [None, None, None]

    def result_bounds(self, operands: Sequence[int]) -> Sequence[int | None]:
        return [SCORE * shape_of(self.v)[3] << 8, 62, -rows.NO_EXPONENT]


class ErrorSumsOp(ErrorOp):
    """Sums of products with the error of the scores; behind the other operands come what is known of its rows."""

    LIKE: ClassVar[int]
    ELEMENT: ClassVar[Attribute]

    def infer_types(self) -> Sequence[Attribute]:
        self.check_operands(*self.operands[6:8])
        return [with_element(like(self.operands[self.LIKE]), self.ELEMENT)]


@irdl_op_definition
class QueryRowsOp(ErrorSumsOp):
    """ds . k, rows with the exponents of ds."""

    name = "nn.attention_query_rows"
    q = operand_def()
    k = operand_def()
    v = operand_def()
    dy = operand_def()
    top = operand_def()
    total = operand_def()
    mean = operand_def()
    shift = operand_def()
    e = operand_def(exponent)
    dx = result_def()
    LIKE: ClassVar[int] = 0
    ELEMENT: ClassVar[Attribute] = i32

    def reference(self, *operands: Array) -> Array:
        q, k = operands[:2]
        return exact_matmul(self.error_of_scores(*operands), by_head(k, q.shape[2])).transpose(0, 2, 1, 3)

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.add(self.exponent_of_scores(e), e.of(self.k))]

    def accumulator_bound(self) -> int:
        return SCORE * self.sizes.columns


@irdl_op_definition
class KeySumsOp(ErrorSumsOp):
    """ds^T . x, where x is q with the exponents of the rows of ds in it, as int16."""

    name = "nn.attention_key_sums"
    q = operand_def()
    k = operand_def()
    v = operand_def()
    dy = operand_def()
    top = operand_def()
    total = operand_def()
    mean = operand_def()
    shift = operand_def()
    e = operand_def(exponent)
    x = operand_def()
    dx = result_def()
    LIKE: ClassVar[int] = 1
    ELEMENT: ClassVar[Attribute] = i64

    def reference(self, *operands: Array) -> Array:
        k, x = operands[1], operands[9]
        ds = self.error_of_scores(*operands).transpose(0, 1, 3, 2)
        return from_heads(exact_matmul(ds, by_head(x, x.shape[2])), k.shape[2])

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.add(self.exponent_of_scores(e), e.of(self.x))]

    def result_bounds(self, operands: Sequence[int]) -> Sequence[int | None]:
        sizes = self.sizes
        return [integers.INT8_LIMIT * attention.PLANES_LIMIT * sizes.rows * sizes.shared]


@irdl_op_definition
class ValueSumsOp(PartOp):
    """u^T . w, where w is dy with the reciprocals of the rows in it, as int16."""

    name = "nn.attention_value_sums"
    q = operand_def()
    k = operand_def()
    w = operand_def()
    top = operand_def()
    e = operand_def(exponent)
    dv = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        self.check_scores(self.top)
        return [tensor((*shape_of(self.k)[:3], shape_of(self.w)[3]), i64)]

    def reference(self, *operands: Array) -> Array:
        q, k, w, top, e = operands
        u, _ = self.softmax(q, k, top, int(e))
        return from_heads(exact_matmul(u.transpose(0, 1, 3, 2), by_head(w, q.shape[2])), k.shape[2])

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.of(self.w)]

    def result_bounds(self, operands: Sequence[int]) -> Sequence[int | None]:
        sizes = self.sizes
        return [attention.U8_LIMIT * attention.PLANES_LIMIT * sizes.rows * sizes.shared]


@irdl_op_definition
class RowWeightsOp(NnOp):
    """dy / total, rows with the exponents of nn.attention_row_exponents, and at that of dy less 15."""

    name = "nn.attention_row_weights"
    traits = traits_def(Pointwise())
    dy = operand_def()
    total = operand_def()
    x = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        check_rows(self.dy, self.total)
        return [with_element(like(self.dy), i32)]

    def reference(self, *operands: Array) -> Array:
        dy, total = operands
        return integers.wide(dy) * rows.row_reciprocal(total)[0]

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [e.add(e.of(self.dy), e.const(-15))]

    def accumulator_bound(self) -> int:
        return integers.INT8_LIMIT << 16

    def int64_bound(self, operands: Sequence[int]) -> int:
        """The division of the reciprocal."""
        return 1 << 49

    def least_divisor(self) -> int:
        return 1

    def backward(self, grad: Gradients) -> None:
        raise NoGradient


@irdl_op_definition
class RowExponentsOp(NnOp):
    """Less the bit length of the sum of a row's softmax."""

    name = "nn.attention_row_exponents"
    traits = traits_def(Pointwise())
    total = operand_def()
    h = result_def()

    def infer_types(self) -> Sequence[Attribute]:
        return [with_element(like(self.total), i32)]

    def reference(self, *operands: Array) -> Array:
        return -rows.row_reciprocal(operands[0])[1]

    def exponents(self, e: Exponents[E]) -> Sequence[E | None]:
        return [None]

    def result_bounds(self, operands: Sequence[int]) -> Sequence[int | None]:
        return [32]

    def backward(self, grad: Gradients) -> None:
        raise NoGradient
