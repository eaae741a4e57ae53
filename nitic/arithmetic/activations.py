"""Activation functions as integer tables: the definition that every kernel must reproduce bit for bit.

The formulas are those of docs/numerics.md. Floats appear only where a table is made, and in the float stage.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from math import erf, pi

import numpy as np

from nitic.arithmetic.integers import Array, wide
from nitic.arithmetic.rounding import round_nearest

TABLE_BITS = 15
POSITION_BITS = 12  # of |x|, up to REACH
REACH = 8
ENTRY_BITS = 7  # of a position within an entry of a table
ENTRIES = REACH << POSITION_BITS >> ENTRY_BITS
GATE_LIMIT = -4  # up to this exponent every int8 mantissa lies within REACH
FAR = 200  # no exponent beyond it makes a difference
BEYOND = 100.0  # where every function is at its limit
SIXTH = 1 / 6  # the slope of the hard sigmoid in a hard swish
NEAR = 1e-9  # for limits at 0
HIGHEST_POWER = 155 / 32  # from here on exp is a constant: its slope, at most 128, is 127 here, and an entry lies here

Curve = Callable[[Array], Array]


@dataclass(frozen=True)
class Function:
    """f and its derivative, and how integers compute it.

    A `gated` one is x times a table of f(x) / x, and the tables of the others hold f(x) less its `ramp`, max(x, 0).
    `bounded` says for negative and for positive x whether a gated f tends to a constant. The result is at the exponent
    of x, clamped to `exponents`, less 15.
    """

    value: Curve
    slope: Curve
    gated: bool = True
    bounded: tuple[bool, bool] = (False, False)
    ramp: bool = False
    exponents: tuple[int, int] = (-(2**31), 2**31 - 1)

    @cached_property
    def tables(self) -> tuple[Array, Array]:
        """For negative and positive x: f(x) / x, or f(x) less its ramp."""
        return self._table(-1), self._table(1)

    @cached_property
    def slopes(self) -> tuple[Array, Array]:
        """For negative and positive x: the derivative."""
        negative, positive = (_entries(self.slope(sign * _points())) for sign in (-1, 1))
        return negative, positive

    def _table(self, sign: int) -> Array:
        x = sign * _points()
        if not self.gated:
            return _entries(self.value(x) - np.maximum(x, 0) * self.ramp)
        y = self.value(x) / x
        y[-1] *= BEYOND / REACH if self.bounded[sign > 0] else 1
        return _entries(y)

    @property
    def is_nonnegative(self) -> bool:
        return not self.gated and all(bool((table >= 0).all()) for table in self.tables)

    @property
    def bound(self) -> int:
        """Of |result| over all mantissas."""
        largest = max(int(np.abs(table).max()) for table in self.tables)
        return 127 * largest if self.gated else largest + (127 << TABLE_BITS) * self.ramp

    @property
    def slope_bound(self) -> int:
        return max(int(np.abs(table).max()) for table in self.slopes)


def _points() -> Array:
    """|x| of the entries, with the limits at both ends."""
    x = np.arange(ENTRIES + 1) * REACH / ENTRIES
    x[0], x[-1] = NEAR, BEYOND
    return x


def _entries(y: Array) -> Array:
    return np.rint(y * 2**TABLE_BITS).astype(np.int64)


def position(m: Array, e: int) -> Array:
    """|x| in Q12, up to 8."""
    return np.minimum(round_nearest(np.abs(wide(m)), max(-POSITION_BITS - e, -15)), REACH << POSITION_BITS)


def interpolate(tables: tuple[Array, Array], m: Array, t: Array) -> Array:
    """The entries around a position, by the sign of m."""
    i = t >> ENTRY_BITS
    both = [table[i] + round_nearest(_step(table, i) * (t & (1 << ENTRY_BITS) - 1), ENTRY_BITS) for table in tables]
    return np.where(wide(m) < 0, *both)


def _step(table: Array, i: Array) -> Array:
    return table[np.minimum(i + 1, ENTRIES)] - table[i]


def evaluate(f: Function, m: Array, e: int) -> Array:
    """f of int8 mantissas at exponent e, at the clamped exponent less 15."""
    m, e = wide(m), int(np.clip(e, -FAR, FAR))
    b, t = int(np.clip(e, *f.exponents)), position(m, e)
    v = interpolate(f.tables, m, t)
    if not f.gated:
        return round_nearest(v, b) + round_nearest(np.maximum(m, 0) << TABLE_BITS, b - e) * f.ramp
    if e <= GATE_LIMIT:
        return m * v
    bounded = np.where(m < 0, *f.bounded)
    return np.where(bounded, np.sign(m) * round_nearest(t * v, b + POSITION_BITS), m * v)


def derivative(f: Function, m: Array, e: int) -> Array:
    """f' in Q15."""
    e = int(np.clip(e, -FAR, FAR))
    return interpolate(f.slopes, m, position(m, e))


# The functions, in float64


def _sigmoid(x: Array) -> Array:
    return np.exp(-np.logaddexp(0, -x))


def _softplus(x: Array) -> Array:
    return np.logaddexp(0, x)


def _erf(x: Array) -> Array:
    return np.vectorize(erf, otypes=[float])(x)


def _normal(x: Array) -> Array:
    """The distribution function of the normal distribution."""
    return (1 + _erf(x / np.sqrt(2))) / 2


def _normal_density(x: Array) -> Array:
    return np.exp(-x * x / 2) / np.sqrt(2 * pi)


def _sech2(x: Array) -> Array:
    return 1 - np.tanh(x) ** 2


def _hard(x: Array, alpha: float, beta: float) -> Array:
    return np.clip(alpha * x + beta, 0, 1)


def _inside(x: Array, alpha: float, beta: float) -> Array:
    """Where a hard sigmoid is no constant."""
    return (alpha * x + beta > 0) & (alpha * x + beta < 1)


def sigmoid() -> Function:
    return Function(_sigmoid, lambda x: _sigmoid(x) * _sigmoid(-x), gated=False, exponents=(0, 0))


def hard_sigmoid(alpha: float, beta: float) -> Function:
    """Raises ValueError where its kinks are not within the tables."""
    if alpha <= 0 or max(abs(beta), abs(1 - beta)) > REACH * alpha:
        raise ValueError(f"a hard sigmoid saturates within +-{REACH}, not one of alpha {alpha} and beta {beta}")
    return Function(
        lambda x: _hard(x, alpha, beta), lambda x: alpha * _inside(x, alpha, beta), gated=False, exponents=(0, 0)
    )


def tanh() -> Function:
    return Function(np.tanh, _sech2, bounded=(True, True), exponents=(-(2**31), 0))


def error_function() -> Function:
    return Function(_erf, lambda x: 2 / np.sqrt(pi) * np.exp(-x * x), bounded=(True, True), exponents=(-(2**31), 0))


def exponential() -> Function:
    return Function(
        lambda x: np.exp(np.minimum(x, HIGHEST_POWER)),
        lambda x: np.exp(np.minimum(x, HIGHEST_POWER)) * (x <= HIGHEST_POWER),
        gated=False,
        exponents=(0, 0),
    )


def hard_swish() -> Function:
    return Function(
        lambda x: x * _hard(x, SIXTH, 0.5), lambda x: _hard(x, SIXTH, 0.5) + x * SIXTH * _inside(x, SIXTH, 0.5)
    )


def swish() -> Function:
    return Function(lambda x: x * _sigmoid(x), lambda x: _sigmoid(x) * (1 + x * _sigmoid(-x)))


def selu(alpha: float, gamma: float) -> Function:
    """gamma * (x > 0 ? x : alpha * (exp(x) - 1))."""
    return Function(
        lambda x: gamma * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
        lambda x: gamma * np.where(x > 0, 1, alpha * np.exp(np.minimum(x, 0))),
        bounded=(True, False),
    )


def elu(alpha: float) -> Function:
    return selu(alpha, 1.0)


def softplus() -> Function:
    return Function(_softplus, _sigmoid, gated=False, ramp=True, exponents=(0, 2**31 - 1))


def softsign() -> Function:
    """x / (1 + |x|), which is still far from its limit where the tables end: beyond it is a constant."""
    return Function(
        lambda x: np.clip(x, -REACH, REACH) / (1 + np.minimum(np.abs(x), REACH)),
        lambda x: (np.abs(x) < REACH) / (1 + np.abs(x)) ** 2,
        bounded=(True, True),
        exponents=(-(2**31), 0),
    )


def gelu() -> Function:
    return Function(lambda x: x * _normal(x), lambda x: _normal(x) + x * _normal_density(x))


def gelu_tanh() -> Function:
    """x/2 (1 + tanh(u)), u = sqrt(2/pi) (x + 0.044715 x^3)."""
    scale, cubic = np.sqrt(2 / pi), 0.044715

    def inner(x: Array) -> Array:
        return scale * (x + cubic * x**3)

    def slope(x: Array) -> Array:
        u = inner(x)
        return (1 + np.tanh(u)) / 2 + x / 2 * _sech2(u) * scale * (1 + 3 * cubic * x * x)

    return Function(lambda x: x / 2 * (1 + np.tanh(inner(x))), slope)


def mish() -> Function:
    """x tanh(softplus(x))."""
    return Function(
        lambda x: x * np.tanh(_softplus(x)), lambda x: np.tanh(_softplus(x)) + x * _sech2(_softplus(x)) * _sigmoid(x)
    )


FUNCTIONS: dict[str, Callable[..., Function]] = {
    "elu": elu,
    "erf": error_function,
    "exp": exponential,
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "hard_sigmoid": hard_sigmoid,
    "hard_swish": hard_swish,
    "mish": mish,
    "selu": selu,
    "sigmoid": sigmoid,
    "softplus": softplus,
    "softsign": softsign,
    "swish": swish,
    "tanh": tanh,
}
"""By name, from the constants that each has."""


@cache
def function(name: str, *constants: float) -> Function:
    """By name. Raises ValueError or TypeError where it is unknown, or its constants are wrong."""
    if name not in FUNCTIONS:
        raise ValueError(f"unknown function '{name}'; the functions are {', '.join(FUNCTIONS)}")
    return FUNCTIONS[name](*constants)
