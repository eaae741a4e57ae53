"""Whole programs against the interpreter: the state after every training step, bit for bit."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

import nitic
from nitic import targets
from nitic.arithmetic import updates
from nitic.arithmetic.inputs import fitted, input_statistics
from nitic.arithmetic.integers import Array
from nitic.interpret import run_function
from nitic.ir.function import argument_labels, function
from nitic.program import Program
from nitic.session import CompiledProgram

HYPERS = {"momentum": 230, "decay": 80, "gb": 4, "seed": 1}
DECAY_SHIFT = 3  # of a rule with moments
State = dict[str, Array]


@dataclass
class Run:
    """A program that the interpreter trains at the rate 2^-rate_shift."""

    program: Program
    rate_shift: int
    state: State = field(init=False)
    steps: int = 0

    def __post_init__(self) -> None:
        self.state = dict(self.program.state)

    def normalise(self, x: Array) -> None:
        """Takes the statistics of samples, unless the program has a standardisation of its own."""
        if self.program.normalised:
            return
        maps = fitted(*input_statistics(x if x.ndim == 4 else x[..., None]))
        for each, value in zip(("multiplier", "offset", "exponent"), maps, strict=True):
            self.state[f"input.{each}"] = np.asarray(value, np.int32)

    def inputs(self, x: Array, y: Array) -> dict[str, Array | int]:
        """What @train_step takes."""
        rate_m, rate_k = updates.scaled_rate(1, self.rate_shift, len(x))
        rates = {"rate_m": rate_m, "rate_k": rate_k, "lr_m": 1, "lr_k": self.rate_shift}
        hypers = {**HYPERS, **rates, "shrink": 1 << 24 - self.rate_shift - DECAY_SHIFT}
        return {**self.state, **hypers, "input": x, "label": y, "step": self.steps}

    def step(self, x: Array, y: Array) -> None:
        outputs = run_function(function(self.program.module, "train_step"), self.inputs(x, y))
        self.state.update({name: value for name, value in outputs.items() if name in self.state})
        self.steps += 1


def session(
    compiled: CompiledProgram, variant: str, rate_shift: int, x: Array, threads: int = 2
) -> nitic.TrainingSession:
    """A session with the rate and the input map of a Run."""
    made = nitic.TrainingSession(compiled, threads=threads, variant=variant)
    made.configure(lr=f"2^-{rate_shift}", schedule="constant")
    if compiled.program.has_momentum:
        made.configure(momentum="0.9")
    if compiled.program.has_moments:
        made.configure(weight_decay=f"2^-{DECAY_SHIFT}", warmup="0")
    made.set_statistics(x)
    made.begin_epoch(0)
    return made


def differing(found: State, expected: State) -> list[str]:
    return [name for name in expected if not np.array_equal(found[name], expected[name])]


def supported(program: Program) -> list[str]:
    """The variants that this machine runs."""
    return [name for name in program.variants if targets.runs_here(targets.VARIANTS[name])]


def trained(program: Program) -> list[str]:
    return [label.name for label in argument_labels(program.train_step) if label.role in ("weight", "master")]


def moves(name: str, before: Mapping[str, Array], after: Mapping[str, Array]) -> bool:
    """Whether a parameter has changed, or what gathers small gradients before it follows."""
    kept = [each for each in (name, f"{name}.velocity", f"{name}.first_moment") if each in before]
    return any((before[each] != after[each]).any() for each in kept)


def check_steps(compiled: CompiledProgram, x: Array, y: Array, rate_shift: int) -> None:
    """One step per batch of x. Raises AssertionError with the step and the tensors where a variant differs, or with the
    parameters that no step has moved."""
    program = compiled.program
    run = Run(program, rate_shift)
    run.normalise(x)
    sessions = {name: session(compiled, name, rate_shift, x) for name in supported(program)}
    for begin in range(0, len(x), program.batch):
        rows = slice(begin, begin + program.batch)
        run.step(x[rows], y[rows])
        for variant, each in sessions.items():
            each.train_step(x[rows], y[rows])
            wrong = differing(each.state_dict(), run.state)
            assert not wrong, f"step {run.steps} of {variant}: {len(wrong)} tensors differ, first {wrong[:5]}"
    still = [name for name in trained(program) if not moves(name, program.state, run.state)]
    assert not still, f"{len(still)} parameters have not moved: {still[:5]}"
