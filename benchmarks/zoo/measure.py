"""Whole networks: what they are, that their integers are exact, that they learn, and what a step costs.

    python -m benchmarks.zoo.measure                                  all of them, then docs/models.md
    python -m benchmarks.zoo.measure --models 'light_*,resnet18-*'    those of some names

The models are the nine of the onnx wheel and those that export_models.py writes. Three stages for each: `program`
lowers it, `bits` compares 3 training steps with the interpreter's, and `train` takes 50 steps on 64 fixed samples.
Models that come to one program, but for the names in it, share the last two.

One JSON line per stage goes to --log; stages that passed are not repeated, so an interrupted call goes on. Delete that
file after a change of the compiler: the results in it are those of the programs as they were.
"""

import argparse
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
import onnx

import nitic
from benchmarks.zoo.table import write_table
from nitic.arithmetic.integers import Array
from nitic.errors import CompileError
from nitic.frontend.importer import import_onnx
from nitic.ir.function import function
from nitic.ops.fused import FusedOp
from nitic.pipeline import run_passes, target_passes, training_passes
from nitic.program import Program, arena_bytes
from nitic.recipe import RECIPES
from nitic.session import CompiledProgram
from tests.support.bits import check_steps, trained

LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"
# At the usual rate int16 masters do not see the first gradients of deep networks without batch norm.
BITS_STEPS, BITS_BATCH, BITS_RATE_SHIFT = 3, 2, 2
TRAIN_STEPS, TRAIN_BATCH, SAMPLES, CLASSES = 50, 8, 64, 10
TRAIN_RATE_SHIFT = 6
LOWER_RATES = {"light_bvlc_alexnet": 8}  # it diverges at the rate of the others
THREADS = 2
# Nodes that are no work: what they give is known when the model is read.
CONSTANTS = {"Constant", "ConstantOfShape", "Shape", "Identity"}
Record = dict[str, Any]


@dataclass(frozen=True)
class Model:
    """A network, and how to get its file."""

    name: str
    size: int
    folder: Path

    @property
    def is_light(self) -> bool:
        return self.name.startswith("light_")

    def path(self) -> Path:
        if self.is_light:
            return LIGHT / f"{self.name}.onnx"
        from benchmarks.zoo.export_models import Export

        return Export.parse(f"{self.name}-{self.size}").write(self.folder)

    def compiled(self, batch: int, **options: bool) -> CompiledProgram:
        return nitic.compile(self.path(), batch_size=batch, init="xavier", **options)


def models(size: int, folder: Path) -> list[Model]:
    from benchmarks.zoo.export_models import exports

    light = [Model(path.stem, 224, folder) for path in sorted(LIGHT.glob("light_*.onnx"))]
    return light + [Model(export.name.rpartition("-")[0], size, folder) for export in exports(size)]


def samples(shape: tuple[int, ...], count: int) -> tuple[Array, Array]:
    """Coarse patterns, one for each of CLASSES, under noise; uint8 NHWC."""
    rng, (h, w, c) = np.random.default_rng(0), shape
    patterns = rng.integers(64, 192, (CLASSES, -(-h // 16), -(-w // 16), c)).repeat(16, 1).repeat(16, 2)[:, :h, :w]
    y = np.arange(count) % CLASSES
    return (patterns[y] + rng.integers(-64, 64, (count, h, w, c))).astype(np.uint8), y


def program(model: Model) -> Record:
    """A digest of what is computed: in the order of their first use, names are numbers."""
    module = import_onnx(model.path(), BITS_BATCH).module
    run_passes(module, training_passes(RECIPES["niti16"]))
    numbers: dict[str, str] = {}
    text = re.sub(r'"[^"]*"|%[\w.]+', lambda name: numbers.setdefault(name[0], str(len(numbers))), str(module))
    return {"digest": sha256(text.encode()).hexdigest()}


def bits(model: Model) -> Record:
    """Both variants and the interpreter. Raises AssertionError where they differ."""
    compiled = model.compiled(BITS_BATCH)
    x, y = samples(compiled.program.input_shape[1:], BITS_STEPS * BITS_BATCH)
    check_steps(compiled, x, y, BITS_RATE_SHIFT)
    return {"steps": BITS_STEPS, "batch": BITS_BATCH}


def train(model: Model, warm: bool = False) -> Record:
    """Losses over the samples, first and last time round, and costs. Raises AssertionError if it does not fall."""
    model.path()
    start = time.perf_counter()
    compiled = model.compiled(TRAIN_BATCH, cache=warm)
    compile_seconds = None if warm else time.perf_counter() - start
    losses, seconds = losses_and_seconds(compiled, LOWER_RATES.get(model.name, TRAIN_RATE_SHIFT))
    once = SAMPLES // TRAIN_BATCH
    first, last = fmean(losses[:once]), fmean(losses[-once:])
    assert last < first, f"the loss went from {first:.3f} to {last:.3f}"
    return {
        "batch": TRAIN_BATCH,
        "compile_seconds": compile_seconds,
        "step_seconds": median(seconds),
        "first_loss": first,
        "last_loss": last,
        **description(model, compiled.program),
    }


def losses_and_seconds(compiled: CompiledProgram, rate_shift: int) -> tuple[list[float], list[float]]:
    """Of every step."""
    x, y = samples(compiled.program.input_shape[1:], SAMPLES)
    session = nitic.TrainingSession(compiled, threads=THREADS)
    session.configure(lr=f"2^-{rate_shift}", momentum="0.9", schedule="constant")
    session.set_statistics(x)
    session.begin_epoch(0)
    losses, seconds = list[float](), list[float]()
    for step in range(TRAIN_STEPS):
        rows = np.arange(TRAIN_BATCH) + step * TRAIN_BATCH % SAMPLES
        start = time.perf_counter()
        losses.append(session.train_step(x[rows], y[rows]).nats)
        seconds.append(time.perf_counter() - start)
    return losses, seconds


def description(model: Model, program: Program) -> Record:
    nodes = [node.op_type for node in onnx.load(model.path(), load_external_data=False).graph.node]
    module = program.module.clone()
    run_passes(module, target_passes(program.variants[0]))
    calls = [op for op in function(module, "train_step").body.block.ops if isinstance(op, FusedOp)]
    return {
        "operators": sum(node not in CONSTANTS for node in nodes),
        "calls": len(calls),
        "kernels": len({call.kernel for call in calls}),
        "parameters": sum(program.state[name].size for name in trained(program)),
        "arena_bytes": arena_bytes(module),
    }


STAGES: dict[str, Callable[[Model], Record]] = {
    "program": program,
    "bits": bits,
    "train": train,
    "train-warm": partial(train, warm=True),
}


def run_stage(stage: str, model: Model) -> Record:
    """What a stage found, or its problem."""
    try:
        found = STAGES[stage](model)
    except (CompileError, AssertionError, OverflowError) as error:
        found = {"problem": str(error)}
    return {"model": model.name, "size": model.size, "stage": stage.removesuffix("-warm"), **found}


def run_all(chosen: list[Model], stages: list[str], log: Path) -> None:
    """Each stage in a process of its own, which takes its memory with it."""
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        for model in chosen:
            for stage in ["program", *stages]:
                if has_passed(model, stage.removesuffix("-warm"), list(recorded(log))):
                    continue
                line = json.dumps(pool.submit(run_stage, stage, model).result())
                print(line, flush=True)
                with log.open("a") as file:
                    file.write(line + "\n")


def has_passed(model: Model, stage: str, records: list[Record]) -> bool:
    """Whether the model, or another one that comes to the same program, is through with a stage."""
    digests = digests_of(records)
    own = model.name, model.size
    twins = {own} if stage == "program" else {other for other in digests if digests[other] == digests.get(own)}
    return any(r["stage"] == stage and "problem" not in r and (r["model"], r["size"]) in twins for r in records)


def digests_of(records: Iterable[Record]) -> dict[tuple[str, int], str]:
    return {(r["model"], r["size"]): r["digest"] for r in records if "digest" in r}


def recorded(log: Path) -> Iterator[Record]:
    lines = log.read_text().splitlines() if log.exists() else []
    return map(json.loads, lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="*", help="names or patterns, separated by commas")
    parser.add_argument("--stages", default="bits,train", help="train-warm takes kernels from the cache")
    parser.add_argument("--size", type=int, default=224, help="of the exported models' images")
    parser.add_argument("--folder", type=Path, default=Path("build/models"), help="where the exported models go")
    parser.add_argument("--log", type=Path, default=Path("build/models.jsonl"))
    parser.add_argument("--table", type=Path, default=Path("docs/models.md"))
    options = parser.parse_args()
    options.log.parent.mkdir(parents=True, exist_ok=True)
    patterns = options.models.split(",")
    everything = models(options.size, options.folder.resolve())
    chosen = [model for model in everything if any(fnmatch(model.name, pattern) for pattern in patterns)]
    run_all(chosen, options.stages.split(","), options.log.resolve())
    sizes = {model.name: model.size for model in everything}
    records = [record for record in recorded(options.log) if record["size"] == sizes.get(record["model"])]
    write_table(list(sizes), records, options.table)


if __name__ == "__main__":
    main()
