"""The state a program starts from: parameters as mantissas and exponents, statistics that nothing has set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import frexp, prod
from types import MappingProxyType

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import BlockArgument, Operation, OpResult, SSAValue

from nitic.arithmetic import inputs, integers, norms, requantisation
from nitic.arithmetic.integers import Array
from nitic.errors import CompileError, ExitCode
from nitic.ir.function import STATE_ROLES, argument_labels, arguments, function
from nitic.ir.op import NnOp
from nitic.ir.traits import Bias, Moves
from nitic.ir.types import dtype_of, is_tensor, shape_of

MASTER_BITS, HEAD_ROOM, WEIGHT_BITS = 15, 2, 7


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation per channel of samples scaled to 0..1."""

    mean: Sequence[float]
    std: Sequence[float]

    def maps(self, channels: int) -> tuple[Array, Array, int]:
        """(multiplier, offset, exponent) of nn.input_map. Raises CompileError."""
        mean, std = (np.asarray(v, np.float64) for v in (self.mean, self.std))
        for option, values in (("--mean", self.mean), ("--std", self.std)):
            if len(values) not in (1, channels):
                message = f"give one value, or one for each of the input's {channels} channels, not {len(values)}"
                raise CompileError(option, message, exit_code=ExitCode.USAGE)
            if not np.isfinite(values).all():
                raise CompileError(option, f"{_listed(values)} is not finite", exit_code=ExitCode.USAGE)
        multiplier, offset = inputs.normalising(mean, np.broadcast_to(std, channels))
        self._check_range(multiplier, offset)
        return inputs.fitted(multiplier.astype(np.int64), offset.astype(np.int64))

    def _check_range(self, multiplier: Array, offset: Array) -> None:
        multipliers, offsets = inputs.are_int32(multiplier, offset)
        if not multipliers:
            message = f"{_listed(self.std)} gives a multiplier of 2^21 / (255 std) that is not in 1..2^31 - 1"
            raise CompileError("--std", message, exit_code=ExitCode.USAGE)
        if not offsets:
            values = f"{_listed(self.mean)} with --std {_listed(self.std)}"
            message = f"{values} gives an offset, 2^21 mean / std, that is not below 2^31"
            raise CompileError("--mean", message, exit_code=ExitCode.USAGE)


def _listed(values: Sequence[float]) -> str:
    return ",".join(f"{value:g}" for value in values)


def xavier(module: ModuleOp, parameters: Mapping[str, Array], seed: int) -> dict[str, Array]:
    """New initial values: uniform in +-sqrt(6 / (fan in + fan out)) for weights, zero for biases and running means, one
    for gamma, running variances and factors. What is frozen stays."""
    rng, func = np.random.default_rng(seed), function(module, "predict")
    values = {name: _xavier(value.shape, rng) for name, value in parameters.items()}
    names: dict[SSAValue, str] = {arg: label.name for label, arg in arguments(func)}
    ops = [op for op in func.body.block.ops if isinstance(op, NnOp)]
    factors = {_viewed(op.operands[i]) for op in ops for i in op.FACTORS}
    values |= {name: np.ones_like(values[name]) for arg, name in names.items() if arg in factors and name in values}
    return values | {name: parameters[name] for name in frozen_names(module)}


def frozen_names(module: ModuleOp) -> list[str]:
    return [label.name for label in argument_labels(function(module, "predict")) if label.role == "frozen"]


def _xavier(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    if len(shape) < 2:
        return np.zeros(shape, np.float32)
    bound = np.sqrt(6 / (prod(shape[1:-1]) * (shape[0] + shape[-1])))
    return rng.uniform(-bound, bound, shape).astype(np.float32)


def leading_exponent(w: Array, of_zero: int = 0) -> int:
    """L = ceil(log2 max|w|), and `of_zero` for a zero tensor."""
    mantissa, exponent = frexp(float(np.abs(w).max(initial=0)))
    return exponent - (mantissa == 0.5) if mantissa else of_zero


def leading_exponents(module: ModuleOp, parameters: Mapping[str, Array]) -> dict[str, int]:
    """L of every parameter of @predict in floats. A bias of zeros, which says nothing of the size that it will have,
    takes that of its layer's weight, unless it is frozen."""
    func = function(module, "predict")
    names: dict[SSAValue, str] = {a: label.name for label, a in arguments(func) if label.role in ("weight", "frozen")}
    of_zero = {
        names[op.operands[1]]: leading_exponent(parameters[names[weight]])
        for op in func.body.block.ops
        if op.has_trait(Bias) and op.operands[1] in names and (weight := _weight_before(op, names)) is not None
    }
    frozen = frozen_names(module)
    return {name: leading_exponent(v, 0 if name in frozen else of_zero.get(name, 0)) for name, v in parameters.items()}


def _weight_before(op: Operation, names: Mapping[SSAValue, str]) -> SSAValue | None:
    """The first parameter among the operands of the operator that makes operand 0."""
    acc = op.operands[0]
    layer = acc.op if isinstance(acc, OpResult) else None
    weights = [v for v in map(_viewed, layer.operands) if v in names] if layer else []
    return weights[0] if weights else None


def _viewed(value: SSAValue) -> SSAValue:
    """The value before all operators that only move values."""
    while isinstance(value, OpResult) and value.op.has_trait(Moves):
        value = value.op.operands[0]
    return value


def initial_state(
    module: ModuleOp,
    parameters: Mapping[str, Array],
    leading: Mapping[str, int],
    normalisation: Normalisation | None = None,
    ranges: Mapping[str, float] = MappingProxyType({}),
) -> dict[str, Array]:
    """The state of an integer program by name: what @train_step takes besides samples, labels and hypers.

    ranges: the largest magnitudes of activations, by the nodes that give them. Where they are all known, a quantised
    network predicts by them before its first step, and nothing is calibrated.
    """
    func = function(module, "train_step")
    roles = {label.name: label.role for label in argument_labels(func)}
    state: dict[str, Array] = {}
    for label, arg in arguments(func):
        if label.role in STATE_ROLES:
            value = _initial_value(label.name, roles, arg, parameters, leading)
            state[label.name] = value.astype(dtype_of(arg))
    tops = [name for name in state if name.endswith(".top") and name not in parameters]
    if all(name.removesuffix(".top") in ranges for name in tops):
        for name in tops:
            largest = ranges[name.removesuffix(".top")]
            state[name] = np.asarray(requantisation.top_of(largest), state[name].dtype)
    if normalisation:
        channels = len(state["input.multiplier"])
        for each, value in zip(("multiplier", "offset", "exponent"), normalisation.maps(channels), strict=True):
            state[f"input.{each}"] = np.asarray(value, np.int32)
    return state


def _initial_value(
    name: str,
    roles: Mapping[str, str],
    arg: BlockArgument,
    parameters: Mapping[str, Array],
    leading: Mapping[str, int],
) -> Array:
    match roles[name]:
        case "weight" | "master" | "frozen":
            limit = integers.INT16_LIMIT if roles[name] == "master" else integers.INT8_LIMIT
            return mantissas(parameters[name], parameter_exponent(roles[name], leading[name]), limit)
        case "exponent" if roles[name.removesuffix(".exponent")] == "input":
            return np.asarray(inputs.INPUT_EXPONENT)
        case "exponent" if name.removesuffix(".exponent") in leading:
            owner = name.removesuffix(".exponent")
            return np.asarray(parameter_exponent(roles[owner], leading[owner]))
        case "statistic" if name in parameters:
            return mantissas(parameters[name], norms.RUNNING_EXPONENT, norms.RUNNING_LIMIT)
        case "statistic" if name.endswith(".top"):
            return np.asarray(requantisation.NEVER)
        case _:
            return np.zeros(shape_of(arg) if is_tensor(arg) else (), np.int64)


def parameter_exponent(role: str, leading: int) -> int:
    """The exponent of a parameter's mantissas: 2 bits of head-room for an int16 master, none for int8 weights."""
    return leading - MASTER_BITS + HEAD_ROOM if role == "master" else leading - WEIGHT_BITS


def mantissas(w: Array, e: int, limit: int) -> Array:
    """w * 2^-e to nearest, halves away from zero, saturated."""
    x = np.asarray(w, np.float64) * 2.0**-e
    return integers.saturate(np.sign(x) * np.floor(np.abs(x) + 0.5), limit).astype(np.int64)
