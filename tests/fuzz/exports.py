"""Random networks, trained a little and exported in integers: onnxruntime beside the interpreter, bit for bit.

    python -m tests.fuzz.exports [--count 500] [--seed 0] [--first 0] [--jobs 1] [--keep build/fuzz]

At every optimisation level, with 1 and 2 threads, and in onnx.reference.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from traceback import format_exc

import numpy as np
import onnx

from nitic.driver.build import import_model, program_of
from nitic.errors import CompileError
from nitic.export.integer import integer_model
from nitic.interpret import run_function
from nitic.ir.function import function
from nitic.options import CompileOptions
from tests.export.predictions import by_onnxruntime, by_reference
from tests.fuzz.campaign import CLEAN, Campaign, refused
from tests.fuzz.networks import Case, draw, samples, usual, wild
from tests.support.bits import Run

STEPS, RATE_SHIFT = 2, 4


def case_of(seed: int, number: int) -> Case:
    """Every fourth network has numbers of any size."""
    return draw(seed, number, wild if number % 4 == 3 else usual)


def examine(case: Case) -> str:
    """`clean`, the reason of a refusal, or what is wrong."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        onnx.save(case.model, path)
        try:
            return next(wrong(path, case), CLEAN)
        except CompileError as error:
            return refused(error)
        except Exception:  # noqa: BLE001  a traceback is what is looked for
            return f"it ends in a traceback:\n{format_exc()}"


def wrong(path: Path, case: Case) -> Iterator[str]:
    """A sentence for each way to run the file that differs from @predict. Raises CompileError."""
    options = CompileOptions(path, batch_size=case.batch, **case.options)
    program = program_of(import_model(options), options)
    x = samples(case, (STEPS, *program.input_shape))
    y = np.random.default_rng(case.number).integers(0, program.classes, (STEPS, program.batch))
    run = Run(program, RATE_SHIFT)
    run.normalise(x.reshape(-1, *program.input_shape[1:]))
    run.state.update(run_function(function(program.module, "calibrate"), run.inputs(x[0], y[0])))
    for i in range(STEPS):
        run.step(x[i], y[i])
    predict = function(program.module, "predict")
    model = integer_model("net", predict, run.state, {})
    onnx.checker.check_model(model, full_check=True)
    wanted = run_function(predict, run.inputs(x[0], y[0]))["logits"]
    for i, found in enumerate(by_onnxruntime(model, x[0])):
        if not np.array_equal(found, wanted):
            yield f"run {i} by onnxruntime: {(found != wanted).sum()} of {wanted.size} differ"
    if not np.array_equal(by_reference(model, x[0]), wanted):
        yield "onnx.reference differs"


if __name__ == "__main__":
    Campaign(case_of, examine, limit_s=300).main(str(__doc__), count=500)
