"""Random networks with numbers of any size: the integers against the float stage, operator by operator.

    python -m tests.fuzz.numbers [--count 2000] [--seed 0] [--first 0] [--jobs 1] [--keep build/fuzz]

insert-rounding makes of each operator of the float stage one of integers. Here every operator of a calibration, a
prediction and a training step gets, as real numbers, the very mantissas that its integer form gets, and the two results
are compared. So an error does not spread, and whatever is reported is the fault of the operator that it names.

What rounding explains. A tensor has one exponent, and its largest mantissa 7 bits: a result may be off by one unit of
the last of them, 2^-6 of the largest magnitude of the exact result (TOLERANCE), and its rounding, which is compared by
itself, by as much. That goes by the result alone, whatever the scales of the operands: what is lost, clipped or at a
wrong exponent is off by more. What docs/numerics.md states besides is in `limit`, where it says that a result is
clipped, and in EXPLAINED, where it says that a result is within one unit of an exponent that does not follow from the
result. Parameters are compared with those of the file in the same way.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from traceback import format_exc
from typing import Any

import numpy as np
import onnx
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import BlockArgument, OpResult, SSAValue

from nitic import state
from nitic.arithmetic import integers, norms, requantisation, updates
from nitic.arithmetic.inputs import fitted, input_statistics
from nitic.arithmetic.integers import Array
from nitic.errors import CompileError
from nitic.frontend.importer import ImportedModel, import_onnx
from nitic.interpret import ExponentValues, run_function
from nitic.ir.function import argument, argument_labels, arguments, functions
from nitic.ir.op import NnOp
from nitic.ir.types import element_of, f32, i8, shape_of
from nitic.ops.activation import ActivationDgradOp, ClipDgradOp
from nitic.ops.norm import NormaliseOp
from nitic.ops.power import LogOp, PowerOp
from nitic.ops.statistics import BatchNormInverseOp, BatchNormRecallOp, BatchNormRunningOp, MeasureOp
from nitic.ops.update import UpdateOp
from nitic.passes.integers.insert_rounding import InsertRounding, Quantiser, takes_ranges
from nitic.pipeline import ORDER, Stage, run_passes, training_passes
from nitic.recipe import RECIPES
from tests.fuzz.campaign import CLEAN, Campaign, refused
from tests.fuzz.networks import Case, draw, samples, wild
from tests.support.bits import HYPERS

TOLERANCE = 2.0**-6
FUNCTIONS = ("calibrate", "predict", "train_step")
STATISTICS = (MeasureOp, BatchNormRecallOp, BatchNormInverseOp)  # compared with what is normalised by them
VELOCITY_BITS = 8
KEPT = integers.INT8_LIMIT * 2.0 ** (norms.NORMALISED_EXPONENT + norms.NARROWING)  # deviations, in the backward pass
SLOPE_ERROR = 2.0**-8  # docs/numerics.md: of a table's derivative, at most
EXPLAINED = {
    "nn.cross_entropy": "rounded by running sums, each element up or down",
    "nn.update_momentum": "rounded by chance into a state whose last place does not follow the gradient",
    "nn.batch_norm_running": "exponent -32, however small the statistics are: an epsilon is far larger",
    "nn.bias": "within one unit of the accumulator, which has few bits now and then, and none where it is zero",
    "nn.batch_norm_scale": "the same",
    "nn.channel_mean": "of errors, within one unit of 2^-8 of theirs",
    "nn.normalise": "exponent -9, also where epsilon makes everything small",
    "nn.concat in inference": "within one unit of the largest exponent, whose mantissas may have few bits",
    "nn.activation": "the constant that a function tends to, where it is below a unit of the argument",
    "nn.activation_dgrad": "a derivative below 2^-15 is zero",
    "nn.log": "exponent -21, however small the logarithms are",
    "nn.add in inference": "static exponents do not know that an operand is zero in this batch",
    "nn.clip": "a bound is rounded to a unit of what it bounds",
    "the rounding of nn.normalise": "exponent -5, also where epsilon makes everything small",
}
"""Operators whose results may be off by two units of their own, and why."""


class Traced(Quantiser):
    """Keeps which integer values each operator of the float stage became a reader of."""

    def __init__(self, options: InsertRounding, old: FuncOp, stored: set[str]) -> None:
        super().__init__(options, old, stored)
        self.used: dict[NnOp, list[SSAValue]] = {}

    def operands(self, op: NnOp) -> list[SSAValue]:
        self.used[op] = super().operands(op)
        return self.used[op]


def traced(module: ModuleOp, options: InsertRounding) -> dict[str, Traced]:
    """What insert-rounding makes of every function of the float stage."""
    stored, found = set[str](), dict[str, Traced]()
    for func in sorted(functions(module), key=takes_ranges):
        each = Traced(replace(options, errors=options.rounding_of_errors(func)), func, stored)
        each.run()
        if not takes_ranges(func):
            stored |= each.names
        found[func.sym_name.data] = each
    return found


class Checked:
    """One run of a function in integers. `exact` has the values that are not compared themselves, but with readers."""

    def __init__(self, trace: Traced, values: dict[SSAValue, Array]) -> None:
        self.trace, self.values = trace, values
        self.exponents = ExponentValues(values)
        self.exact: dict[SSAValue, Array] = {}
        functions = [op for op in trace.old.body.block.ops if isinstance(op, PowerOp)]
        self.has_poles = any(op.numerator.value.data < 0 for op in functions)

    def differences(self) -> Iterator[str]:
        """A sentence for every operator and every rounding that is off by more than rounding explains."""
        for op in self.trace.old.body.block.ops:
            if isinstance(op, NnOp):
                yield from self.of_operator(op)

    def of_operator(self, op: NnOp) -> Iterator[str]:
        exact = self.reference(op)
        for result, value in zip(op.results, exact if isinstance(exact, tuple) else (exact,), strict=True):
            unit = self.unit(self.trace.raw[result]) if element_of(result) == f32 else None
            if unit is None:
                continue
            most = limit(op, result.index) * unit
            held = np.clip(value, -most, most)
            if isinstance(op, STATISTICS):
                self.exact[result] = np.rint(held / unit) * unit if isinstance(op, BatchNormRecallOp) else held
            else:
                yield from self.of_result(op, result, held, unit)

    def reference(self, op: NnOp) -> Array | tuple[Array, ...]:
        """What an operator gives for real numbers, with constants rounded as docs/numerics.md rounds them."""
        new = self.trace.used[op]
        operands = [self.real(old, each) for old, each in zip(op.operands, new, strict=True)]
        match op:
            case BatchNormInverseOp():  # an epsilon at the exponent of the variance, and at least one unit
                unit = self.unit(new[0]) or 0
                return 1 / np.sqrt(operands[0] + max(1, round(op.epsilon.value.data / unit)) * unit)
            case BatchNormRunningOp():  # a fraction in 2^-15
                most = norms.RUNNING_LIMIT * 2.0**norms.RUNNING_EXPONENT
                change = np.clip(self.values[new[1]] * (self.unit(new[1]) or 0), -most, most) - operands[0]
                return operands[0] + change * norms.running_rate(op.momentum.value.data) / 2**15
            case ActivationDgradOp():  # 0 counts as positive
                return op.reference(operands[0], np.where(operands[1] == 0, np.finfo(np.float64).tiny, operands[1]))
            case PowerOp() | LogOp():  # what has no value counts as half a unit
                half, x = (self.unit(new[0]) or 0) / 2, operands[0]
                signed = isinstance(op, PowerOp) and bool(op.signed.value.data)
                pole = isinstance(op, LogOp) or op.numerator.value.data < 0
                return op.reference(np.where((x == 0) | ((x < 0) & (not signed)), half, x) if pole else x)
            case ClipDgradOp():  # bounds as mantissas of what they bound
                unit = self.unit(new[1]) or 0
                low, high = (None if bound is None else half_away(bound / unit) * unit for bound in op.bounds())
                below = np.zeros(()) if low is None else operands[1] <= low
                above = np.zeros(()) if high is None else operands[1] >= high
                return np.where(np.logical_or(below, above), 0, operands[0])
            case _:
                return op.reference(*operands)

    def of_result(self, op: NnOp, result: OpResult, exact: Array, unit: float) -> Iterator[str]:
        raw, place = self.trace.raw[result], f"{op.name} ({op.source})"
        found = self.values[raw] * unit
        kind = f"{op.name} in inference" if self.trace.static else op.name
        slack = 0.0
        if isinstance(op, ActivationDgradOp):
            slack = SLOPE_ERROR * float(np.abs(self.real(op.operands[0], self.trace.used[op][0])).max(initial=0))
        yield from difference(place, kind if kind in EXPLAINED else op.name, found, exact, unit, slack=slack)
        tolerance = 2 * TOLERANCE if self.trace.static else TOLERANCE  # the statistic of a range is rounded up
        for rounded in (self.trace.narrow, self.trace.narrow16):
            narrow: SSAValue = rounded.get(result, raw)
            if narrow is not raw and (own := self.unit(narrow)) is not None:
                kept = KEPT if isinstance(op, NormaliseOp) else np.inf
                if self.trace.static and self.has_poles:  # near one, another exponent of x makes y another number
                    kept = (integers.INT8_LIMIT if element_of(narrow) == i8 else integers.INT16_LIMIT) * own
                held = np.clip(found, -kept, kept)
                kind = f"the rounding of {op.name}"
                slack = own / 2 if self.trace.static and self.has_poles else 0
                at = f"{kind} ({op.source})"
                yield from difference(at, kind, self.values[narrow] * own, held, own, tolerance, slack)

    def real(self, old: SSAValue, new: SSAValue) -> Array:
        """What an integer value stands for."""
        if old in self.exact:
            return self.exact[old]
        unit = self.unit(new) if element_of(old) == f32 else None
        return self.values[new] if unit is None else self.values[new] * unit

    def unit(self, value: SSAValue) -> float | None:
        """2^exponent; None for what has none."""
        if isinstance(value, OpResult):
            assert isinstance(value.op, NnOp)
            index = value.index
            if isinstance(value.op, UpdateOp):
                return self.updated_unit(value.op, index)
            e = value.op.exponents(self.exponents)[index]
            return None if e is None else 2.0**e
        assert isinstance(value, BlockArgument)
        label = argument_labels(self.trace.func)[value.index]
        match label.role:
            case "statistic":
                return 2.0**norms.RUNNING_EXPONENT
            case "velocity":
                master = label.name.removesuffix(".velocity")
                return 2.0 ** int(self.values[argument(self.trace.func, f"{master}.exponent")] - VELOCITY_BITS)
            case _:
                return 2.0 ** self.exponents.of(value)

    def updated_unit(self, op: UpdateOp, index: int) -> float:
        """Of a master after its update, or of its velocity."""
        master, r = (int(self.values[value]) for value in op.operands[-3:-1])
        return 2.0 ** (master + updates.growth(r, updates.FULL_MASTER) - VELOCITY_BITS * index)


def half_away(x: float) -> float:
    """Rounded as R rounds, where NumPy's rint takes the even neighbour."""
    return float(np.copysign(np.floor(abs(x) + 0.5), x))


def limit(op: NnOp, index: int) -> float:
    """Where docs/numerics.md says that a result is clipped, in its units."""
    match op:
        case UpdateOp():  # a master until its exponent has grown, by one bit a step
            return (integers.INT16_LIMIT, updates.VELOCITY_LIMIT)[index]
        case NormaliseOp():
            return integers.INT16_LIMIT
        case _:
            return np.inf


def difference(
    place: str, kind: str, found: Array, exact: Array, unit: float, tolerance: float = TOLERANCE, slack: float = 0
) -> Iterator[str]:
    """A sentence, if the two differ by more than rounding and `slack` explain."""
    error, largest = (float(np.abs(values).max(initial=0)) for values in (found - exact, exact))
    if not error <= max(tolerance * largest, slack, 2 * unit if kind in EXPLAINED else 0):
        yield f"{place}: off by {error:.3g} where the largest is {largest:.3g} and a unit {unit:.3g}"


def compared(model: ImportedModel, case: Case) -> Iterator[str]:
    """A sentence for each operator, rounding and parameter that is off by more than rounding explains, in order."""
    leading = state.leading_exponents(model.module, model.parameters)
    passes = training_passes(RECIPES["niti16"])
    count = sum(stage == Stage.TRAINING for _, stage, _ in ORDER)
    run_passes(model.module, passes[:count], verify="end")
    traces = traced(model.module.clone(), InsertRounding())
    run_passes(model.module, passes[count:], verify="end")
    initial = state.initial_state(model.module, model.parameters, leading)
    yield from parameters_differ(model.parameters, initial)
    values: dict[str, Any] = {**initial, **step_inputs(case, shape_of(argument(traces["predict"].func, "input")))}
    for label in (label for trace in traces.values() for label, _ in arguments(trace.func)):
        values.setdefault(label.name, requantisation.NEVER)  # of a statistic that the program drops as nobody reads it
    for name in FUNCTIONS:
        if name == "predict" and any(v == requantisation.NEVER for k, v in values.items() if k.endswith(".top")):
            continue  # what has been zero up to now has no range, and counts as below 1
        checked, outputs = run(traces[name], values)
        yield from (f"@{name}: {text}" for text in checked.differences())
        values |= {key: value for key, value in outputs.items() if key in values}


def step_inputs(case: Case, shape: tuple[int, ...]) -> dict[str, Any]:
    """Samples and their map, labels, and a learning rate from 1 to 2^-30."""
    x, rng = samples(case, shape), np.random.default_rng([case.seed, case.number, 2])
    maps = fitted(*input_statistics(x if x.ndim == 4 else x[..., None]))
    inputs = {f"input.{name}": value for name, value in zip(("multiplier", "offset", "exponent"), maps, strict=True)}
    rate = {"rate_m": 1, "rate_k": int(rng.integers(0, 31))}
    return {**HYPERS, **rate, **inputs, "input": x, "label": rng.integers(0, 2, case.batch), "step": 0}


def run(trace: Traced, values: Mapping[str, Array | int]) -> tuple[Checked, dict[str, Array]]:
    """A run with everything that it computes, and its results."""
    seen: dict[SSAValue, Array] = {arg: np.asarray(values[label.name]) for label, arg in arguments(trace.func)}

    def keep(result: OpResult, value: Array) -> Array:
        seen[result] = value
        return value

    outputs = run_function(trace.func, values, keep)
    return Checked(trace, seen), outputs


def parameters_differ(exact: Mapping[str, Array], found: Mapping[str, Array]) -> Iterator[str]:
    for name, value in exact.items():
        statistic = f"{name}.exponent" not in found
        unit = 2.0 ** int(norms.RUNNING_EXPONENT if statistic else found[f"{name}.exponent"])
        most = norms.RUNNING_LIMIT * unit if statistic else np.inf
        kind = "nn.batch_norm_running" if statistic else "parameter"
        held = np.clip(value.astype(np.float64), -most, most)
        yield from difference(f"parameter '{name}'", kind, found[name] * unit, held, unit)


def case_of(seed: int, number: int) -> Case:
    return draw(seed, number, wild)


def examine(case: Case) -> str:
    """`clean`, the reason of a refusal, or what is wrong."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        onnx.save(case.model, path)
        try:
            return next(compared(import_onnx(path, case.batch), case), CLEAN)
        except CompileError as error:
            return refused(error)
        except Exception:  # noqa: BLE001  a traceback is what is looked for
            return f"it ends in a traceback:\n{format_exc()}"


if __name__ == "__main__":
    Campaign(case_of, examine, limit_s=120).main(str(__doc__), count=2000)
