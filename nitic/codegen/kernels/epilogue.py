"""What a contraction does with its accumulators before they reach memory: bias, relu, range, store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nitic.codegen import integer, tir
from nitic.codegen.tir import Expr, Function, Register


@dataclass
class Epilogue:
    """Works on scalars and on vectors of consecutive channels (`lanes`); one object serves one function.

    `open` before the loops, `channels` once per tile and vector of channels, `store` per accumulator, `close` after the loops.
    Parameters: bias (int8, one per channel) with bias_exponent and exponent to align it; out (int32); range (int64[64]).
    """

    bias: bool = False
    relu: bool = False
    ranged: bool = False
    lanes: int = 1
    _align: integer.Rounding | None = field(default=None, init=False)
    _top: Register | None = field(default=None, init=False)
    _function: Function | None = field(default=None, init=False)

    def parameters(self) -> Mapping[str, str]:
        bias = {"bias": "int8", "bias_exponent": "int32", "exponent": "int32"} if self.bias else {}
        return {**bias, "out": "int32", **({"range": "int64"} if self.ranged else {})}

    def open(self, function: Function) -> None:
        self._function = function
        if self.bias:
            exponents = (function[name].load(0) for name in ("bias_exponent", "exponent"))
            self._align = integer.align(*map(tir.let, exponents), lanes=self.lanes)
        if self.ranged:
            self._top = tir.register("int32", 0, self.lanes)

    def channels(self, channel: Expr, valid: int) -> Expr:
        """The aligned bias of `lanes` channels, of which the first `valid` exist."""
        if self._align is None or self._function is None:
            return None
        bias = self._function["bias"].load(channel, self.lanes, valid)
        return tir.let(self._align(tir.cast(bias, "int32")))

    def store(self, acc: Expr, index: Expr, bias: Expr, valid: int) -> None:
        """Finish the accumulators of consecutive channels that start at a flat index of the result."""
        assert self._function is not None
        value = acc if bias is None else tir.let(acc + bias)
        if self.relu:
            value = tir.let(tir.maximum(value, tir.constant(0, "int32", self.lanes)))
        if self._top is not None:
            self._top.set(tir.maximum(self._top.value, tir.absolute(value)))
        self._function["out"].store(index, value, valid)

    def close(self) -> None:
        """Every thread writes its own slot of the range, one with nothing to do as well."""
        if self._top is None or self._function is None:
            return
        top = self._top.value
        for lane in range(1, self.lanes):
            first = top if lane > 1 else tir.extract(self._top.value, 0)
            top = tir.let(tir.maximum(first, tir.extract(self._top.value, lane)))
        self._function["range"].store(self._function.thread, tir.cast(top, "int64"))
