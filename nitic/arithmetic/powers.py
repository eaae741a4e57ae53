"""Powers and the logarithm as tables of mantissas: (m * 2^e)^p = m^p * 2^(e p). docs/numerics.md has the formulas.

Floats appear only where a table is made, and in the float stage.
"""

from dataclasses import dataclass
from functools import cached_property
from math import ceil, log, log2

import numpy as np

from nitic.arithmetic.integers import Array, wide

MANTISSAS = 128
"""Entries of a row: those of 0 to 127."""
RESULT_BITS, SLOPE_BITS, LOG_BITS = 29, 22, 21
SMALLEST, LARGEST, MOST_ROWS = -1, 16, 10
"""The powers that keep enough bits, and the largest denominator of one."""
FARTHEST = 2**20
"""No exponent beyond it makes a difference; times the numerator of a power it is an int32."""
FAR_LOG = 200
HALF = 0.5
"""What a mantissa of 0 counts as beside a pole."""
TINY = 2.0**-126
"""The same in the float stage."""


@dataclass(frozen=True)
class Power:
    """factor * x^(numerator / denominator), whose table holds up to 2^bits.

    Where x is not `signed`, a negative one counts as 0. Where it `vanishes`, the value at 0 is 0 whatever the power.
    """

    numerator: int
    denominator: int
    signed: bool
    factor: float = 1.0
    bits: int = RESULT_BITS
    vanishes: bool = False

    @property
    def exponent(self) -> float:
        return self.numerator / self.denominator

    @property
    def is_odd(self) -> bool:
        return self.signed and self.numerator % 2 == 1

    @cached_property
    def _real(self) -> Array:
        """The table before it is scaled: a row for each rest of numerator * e by the denominator."""
        k = np.arange(MANTISSAS, dtype=np.float64)
        k[0] = HALF if self.numerator < 0 or self.vanishes else 0
        rest = 2.0 ** (np.arange(self.denominator) / self.denominator)
        real = self.factor * k**self.exponent * rest[:, None]
        real[:, 0] *= not self.vanishes
        return real

    @cached_property
    def scale(self) -> int:
        """S: the entries are at exponent -S."""
        return self.bits - ceil(log2(np.abs(self._real).max()))

    @cached_property
    def entries(self) -> Array:
        return np.rint(self._real * 2.0**self.scale).astype(np.int64)

    @property
    def bound(self) -> int:
        return int(np.abs(self.entries).max())

    def value(self, x: Array) -> Array:
        """In floats."""
        magnitude = np.abs(x) if self.signed else np.maximum(x, 0)
        y = self.factor * np.maximum(magnitude, TINY) ** self.exponent
        y = np.where(magnitude == 0, 0, y) if self.vanishes or self.numerator > 0 else y
        return np.where((x < 0) & self.is_odd, -y, y)

    def evaluate(self, m: Array, e: int) -> Array:
        """Of int8 mantissas at exponent e, at exponent floor(numerator * e / denominator) - scale."""
        m, row = wide(m), self.numerator * int(np.clip(e, -FARTHEST, FARTHEST)) % self.denominator
        y = self.entries[row][np.abs(m) if self.signed else np.maximum(m, 0)]
        return np.where((m < 0) & self.is_odd, -y, y)


def log_table() -> tuple[Array, int]:
    """ln of the mantissas 0 to 127, of which 0 counts as 1/2, and ln 2, at exponent -21."""
    k = np.arange(MANTISSAS, dtype=np.float64)
    k[0] = HALF
    return np.rint(np.log(k) * 2**LOG_BITS).astype(np.int64), round(log(2) * 2**LOG_BITS)


def logarithm(m: Array, e: int) -> Array:
    """Of int8 mantissas at exponent e, at exponent -21."""
    table, of_two = log_table()
    return table[np.maximum(wide(m), 0)] + int(np.clip(e, -FAR_LOG, FAR_LOG)) * of_two
