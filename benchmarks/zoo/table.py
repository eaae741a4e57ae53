"""Writes docs/models.md from the records of measure.py."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Record = Mapping[str, Any]

HEADER = """# Models

Whole networks as users have them: the nine `light_*` models of the onnx wheel, and torchvision's and timm's definitions
through both of PyTorch's exporters (`legacy`: training form, opset 17; `dynamo`: inference form, `optimize=False`), for
images of 224x224. `make models` writes this table. Models in one row come to one program, but for names; the numbers
are those of the first one that ran.

- **exact**: after each of 3 training steps of 2 samples, every variant that the machine runs has the interpreter's
  state, bit for bit, and at the end every trainable tensor or its velocity has changed.
- **loss**: recipe `niti16`, Xavier weights, momentum 0.9, learning rate 2^-6 (AlexNet, which diverges there: 2^-8):
  mean training loss in nats over 64 fixed samples (10 classes, patterns under noise), the first time round and the last
  within 50 steps of 8.
- **operators** are the ONNX nodes that compute; a step's **calls** share so many **kernels**.
- **compile** is that of all variants at batch 8 with an empty cache (nothing where kernels came from the cache), and
  **step** the median of 50 steps on 2 threads.

"""
COLUMNS = (
    "model",
    "operators",
    "parameters",
    "exact",
    "loss",
    "calls (kernels)",
    "compile, s",
    "step, ms",
    "arena, MiB",
)


def write_table(names: Sequence[str], records: Sequence[Record], path: Path) -> None:
    """One row per program of which something is known; of several records of a stage the last counts."""
    latest = {(record["model"], record["stage"]): record for record in records}
    programs: dict[str, list[str]] = {}
    for name in names:
        if found := latest.get((name, "program")):
            programs.setdefault(found.get("digest", name), []).append(name)
    rows = [_cells(models, latest) for models in programs.values()]
    lines = [_row(COLUMNS), _row(["---"] * len(COLUMNS)), *map(_row, rows)]
    path.write_text(HEADER + "\n".join(lines) + "\n")


def _cells(models: Sequence[str], latest: Mapping[tuple[str, str], Record]) -> list[str]:
    bits, train = (_found(models, stage, latest) for stage in ("bits", "train"))
    exact = "" if not bits else "no" if "problem" in bits else "yes"
    name = ", ".join(models)
    if "last_loss" not in train:
        return [name, "", "", exact, "no" if train else "", *[""] * 4]
    return [
        name,
        f"{train['operators']}",
        f"{train['parameters']:,}",
        exact,
        f"{train['first_loss']:.2f} to {train['last_loss']:.2f}",
        f"{train['calls']} ({train['kernels']})",
        f"{train['compile_seconds']:.0f}" if train["compile_seconds"] else "",
        f"{1000 * train['step_seconds']:.0f}",
        f"{train['arena_bytes'] / 2**20:.0f}",
    ]


def _found(models: Sequence[str], stage: str, latest: Mapping[tuple[str, str], Record]) -> Record:
    """What a stage found for the first of the models that it has run for, if any."""
    return next((latest[model, stage] for model in models if (model, stage) in latest), {})


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
