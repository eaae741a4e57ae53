"""Random networks: the compiled library against the interpreter, bit for bit.

    python -m tests.fuzz.programs [--count 1000] [--seed 0] [--first 0] [--jobs 1] [--keep build/fuzz]

Each network is compiled as TrainingSession compiles it, and its whole state and its predictions are compared after a
calibration and after every step, for the variants that this machine runs, with 1 and 3 threads. A network that fails is
made smaller and kept as an ONNX file, and the report names the first kernels that differ. One network of three is
compiled as users compile it, the others without LLVM's optimiser, in half of the time. Networks that are refused are
counted by reason; a refusal is one sentence. Number 17 alone: --first 17 --count 1.
"""

import os
import tempfile
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx

import nitic
from nitic.arithmetic import requantisation
from nitic.arithmetic.integers import Array
from nitic.codegen import emitters
from nitic.codegen.output import objects
from nitic.driver.check import check_model
from nitic.errors import CompileError, ExitCode
from nitic.interpret import run_function
from nitic.ir.function import function
from nitic.options import CompileOptions
from nitic.pipeline import run_passes, target_passes
from nitic.program import Program
from nitic.session import CompiledProgram
from tests.fuzz.campaign import CLEAN, Campaign, refused
from tests.fuzz.networks import Case, draw, samples, usual, wild
from tests.support.bits import Run, differing, session, supported
from tests.support.first_difference import differences

FUNCTIONS = ("calibrate", "train_step", "train_step", "train_step")
RATE_SHIFT, THREADS = 2, (1, 3)
OPTIONS: Sequence[dict[str, Any]] = (
    *({}, {}, {"recipe": "niti"}, {"recipe": "niti"}),
    *({"loss": "mse"}, {"batch_norm": "freeze"}, {"batch_norm": "fold"}, {"recipe": "niti", "loss": "mse"}),
    *({"recipe": "niti16{rule=iadam}"}, {"recipe": "niti16{rule=ilion}"}),
)
assert emitters  # heavy, and imported once, before there are processes


def case_of(seed: int, number: int) -> Case:
    """Every fourth network has numbers of any size."""
    return draw(seed, number, wild if number % 4 == 3 else usual, OPTIONS)


def examine(case: Case) -> str:
    """`clean`, the reason of a refusal, or what is wrong."""
    with tempfile.TemporaryDirectory() as folder, redirect_stderr(StringIO()):
        path = Path(folder) / "network.onnx"
        onnx.save(case.model, path)
        try:
            compiled = nitic.compile(path, batch_size=case.batch, **case.options)
        except CompileError as error:
            return refusal(error, CompileOptions(path, batch_size=case.batch, **case.options))
        except Exception:  # noqa: BLE001  a traceback is what is looked for
            return f"compiling ends in a traceback:\n{traceback.format_exc()}"
        try:
            return next(compared(compiled, case), CLEAN)
        except Exception:  # noqa: BLE001
            return f"running ends in a traceback:\n{traceback.format_exc()}"


def refusal(error: CompileError, options: CompileOptions) -> str:
    """The reason by which refusals are counted; a fault where it is no sentence, or where `nitic check` says yes."""
    if error.exit_code != ExitCode.UNSUPPORTED_MODEL or "\n" in error.message or not error.message:
        return f"it is refused, but not in one sentence: {error!r}"
    if not check_model(options).problems:
        return f"compile refuses what check takes: {error}"
    return refused(error)


def compared(compiled: CompiledProgram, case: Case) -> Iterator[str]:
    """A sentence and the first kernel that differs, for each difference of a way to run the library from the
    interpreter."""
    program = compiled.program
    x = samples(case, (len(FUNCTIONS), *program.input_shape))
    y = np.random.default_rng(case.number).integers(0, program.classes, (len(FUNCTIONS), program.batch))
    run, everything = Run(program, RATE_SHIFT), x.reshape(-1, *program.input_shape[1:])
    run.normalise(everything)
    sessions = {
        (variant, threads): session(compiled, variant, RATE_SHIFT, as_in_onnx(everything), threads)
        for variant in supported(program)
        for threads in THREADS
    }
    for i, name in enumerate(FUNCTIONS):
        before = run.inputs(x[i], y[i])
        _interpret(run, name, x[i], y[i])
        expected = dict(run.state)
        if untrained(run.state):  # as with only zeros so far: a session that predicts calibrates first
            _interpret(run, "calibrate", x[i], y[i])
        after = run.inputs(x[i], y[i])
        logits = run_function(function(program.module, "predict"), after)
        for (variant, threads), each in sessions.items():
            place = f"behind {name} {i} of {variant} with {threads} threads: "
            given = as_in_onnx(x[i])
            _ = each.calibrate(given) if name == "calibrate" else each.train_step(given, y[i])
            if wrong := differing(each.state_dict(), expected):
                found = first_difference(program, name, before, variant)
                yield f"{place}{len(wrong)} tensors differ, among them {wrong[:3]}\n{found}"
            with warnings.catch_warnings(action="ignore"):
                mantissas, exponent = each.predict(given)
            if not np.array_equal(logits["logits"], mantissas) or logits["logits.exponent"] != exponent:
                found = first_difference(program, "predict", after, variant)
                yield f"{place}the predictions differ\n{found}"


def untrained(values: Mapping[str, Array]) -> bool:
    return all(value == requantisation.NEVER for name, value in values.items() if name.endswith(".top"))


def as_in_onnx(x: Array) -> Array:
    """Samples in ONNX's order of axes, which a session prefers where both orders fit."""
    return x.transpose(0, 3, 1, 2) if x.ndim == 4 else x


def _interpret(run: Run, name: str, x: Array, y: Array) -> None:
    if name == "train_step":
        run.step(x, y)
    else:
        run.state.update(run_function(function(run.program.module, name), run.inputs(x, y)))


def first_difference(program: Program, name: str, inputs: dict[str, Array | int], variant: str) -> str:
    """The first kernel of a function that gives something else than its operators' references."""
    module = program.module.clone()
    run_passes(module, target_passes(variant))
    return next(differences(function(module, name), inputs, variant), "no kernel differs by itself")


def in_own_process(case: Case) -> str:
    """`examine`, for which two of three processes give up LLVM's optimiser, and the cache, which cannot tell."""
    if case.number % 3:
        objects.OPTIMISATION = 0
        os.environ["NITIC_CACHE"] = str(Path("build/fuzz/unoptimised").absolute())
    return examine(case)


if __name__ == "__main__":
    Campaign(case_of, in_own_process, limit_s=300).main(str(__doc__), count=1000)
