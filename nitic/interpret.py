"""Runs any stage of a program in NumPy, through each operator's reference: the meaning of the IR.

Floats are float64. Integers are exact: a result that does not fit its type is an error, not a wrap-around.
"""

from collections.abc import Callable, Mapping

import numpy as np
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, BlockArgument, Operation, OpResult, SSAValue

from nitic.arithmetic.integers import Array
from nitic.ir.function import argument, argument_labels, arguments, result_labels, return_of
from nitic.ir.op import NnOp
from nitic.ir.types import is_tensor, shape_of, store
from nitic.ops.bfp import ExponentOfOp
from nitic.ops.fused import FusedOp

Environment = dict[SSAValue, Array]
Change = Callable[[OpResult, Array], Array]
"""Gives the value that an experiment puts in place of an operator's result, before others read it."""


def run_function(
    func: FuncOp, inputs: Mapping[str, Array | int | float], change: Change | None = None
) -> dict[str, Array]:
    """The results of a function by name. Raises KeyError for a missing argument, ValueError for one of
    another shape, OverflowError where a value does not fit its type."""
    env: Environment = {arg: _argument(label.name, inputs[label.name], arg) for label, arg in arguments(func)}
    _run_block(func.body.block, env, change)
    values = [env[value] for value in return_of(func).operands]
    return {label.name: value for label, value in zip(result_labels(func), values, strict=True)}


def known_values(func: FuncOp, inputs: Mapping[str, Array | int | float]) -> Environment:
    """Every value of a function that follows from some of its arguments alone: those named in `inputs`."""
    env: Environment = {
        arg: _argument(label.name, inputs[label.name], arg) for label, arg in arguments(func) if label.name in inputs
    }
    for op in func.body.block.ops:
        if all(operand in env for operand in op.operands):
            env.update(zip(op.results, _run_operation(op, env), strict=True))
    return env


def _argument(name: str, value: Array | int | float, arg: BlockArgument) -> Array:
    array = np.asarray(value)
    if array.shape != (shape_of(arg) if is_tensor(arg) else ()):
        raise ValueError(f"argument '{name}' has shape {array.shape}, but its type is {arg.type}")
    return store(array, arg.type)


def _run_block(block: Block, env: Environment, change: Change | None = None) -> None:
    """Adds the results of the operators to the values, and drops a tensor where its last reader has run."""
    last_readers = {operand: op for op in block.ops for operand in op.operands if is_tensor(operand)}
    for op in block.ops:
        for result, value in zip(op.results, _run_operation(op, env), strict=True):
            env[result] = change(result, value) if change else value
        if op is not block.last_op:
            for operand in {v for v in op.operands if last_readers.get(v) is op}:
                del env[operand]


def _run_operation(op: Operation, env: Environment) -> list[Array]:
    match op:
        case FusedOp():
            return _run_group(op, env)
        case ExponentOfOp():
            return [store(np.asarray(ExponentValues(env).of(op.x)), op.e.type)]
        case NnOp():
            outputs = op.reference(*(env[operand] for operand in op.operands))
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            return [_store(op, value, result) for value, result in zip(outputs, op.results, strict=True)]
        case _:
            return []  # terminators


def _store(op: NnOp, value: Array, result: OpResult) -> Array:
    try:
        return store(value, result.type)
    except OverflowError as error:
        raise OverflowError(f"{op.name} ({op.source or 'no source'}): {error}") from None


def _run_group(group: FusedOp, env: Environment) -> list[Array]:
    inner: Environment = {arg: env[v] for arg, v in zip(group.block.args, group.operands, strict=True)}
    _run_block(group.block, inner)
    return [inner[value] for value in group.yielded]


class ExponentValues:
    """The exponent rule of the operators, computed on the numbers of one run."""

    def __init__(self, env: Environment) -> None:
        self.env = env

    def of(self, value: SSAValue) -> int:
        if isinstance(value, OpResult):
            assert isinstance(value.op, NnOp)
            exponent = value.op.exponents(self)[value.index]
            assert exponent is not None, f"{value.op.name} gives no exponent"
            return exponent
        return int(self.env[exponent_argument(value)])

    def shift(self, value: SSAValue) -> int:
        return int(self.env[value])

    def const(self, value: int) -> int:
        return value

    def add(self, a: int, b: int) -> int:
        return a + b

    def multiple(self, a: int, numerator: int, denominator: int) -> int:
        return numerator * a // denominator

    def clamp(self, a: int, low: int, high: int) -> int:
        return min(max(a, low), high)


def exponent_argument(value: SSAValue) -> BlockArgument:
    """The argument that holds the exponent of a parameter."""
    assert isinstance(value, BlockArgument)
    func = value.block.parent_op()
    assert isinstance(func, FuncOp)
    return argument(func, argument_labels(func)[value.index].name + ".exponent")
