"""Writes docs/writers.md from what was measured."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.zoo.writers.files import File

Record = Mapping[str, Any]

HEADER = """# Writers

ONNX files as their writers write them, each by a script of `benchmarks/zoo/writers/scripts` with pinned versions:
small networks with random or briefly trained weights, for samples of 28x28 or 32x32 pixels, of 12 to 64 steps, or of
features. `python -m benchmarks.zoo.writers` has them written, measures them, and writes this page.

- **error**: of the floats that nitic reads, beside onnxruntime on the file, over 256 samples as the file takes them:
  the largest difference of a class's value by the largest such value, of logits less their mean. In quantised files
  nitic leaves the roundings of activations out.
- **trained**: the mean loss of the first and the last of 24 rounds over 64 samples, in batches of 16, at the rate 2^-6
  with momentum 0.9; where it does not fall, at half that rate, as the row says.
- **integer**: logits of the exported file in onnxruntime that differ from `predict`, over the 256 samples. **qdq** and
  **float**: how often the exported file names the class that `predict` does.

What is blank was not measured yet: `python -m benchmarks.zoo.writers` goes on there.

"""
COLUMNS = ("network", "form", "error", "trained", "integer", "qdq", "float")


def write_table(files: Sequence[File], records: Sequence[Record], path: Path) -> None:
    """A section for each writer, of the files of which something is known."""
    latest = {(record.get("writer"), record.get("file"), record["stage"]): record for record in records}
    scripts = {record["script"]: record for record in records if record["stage"] == "write"}
    known = [file for file in files if file.failure or (file.writer, file.name, "float") in latest]
    lines = [_summary(known, latest), ""]
    for writer in dict.fromkeys(file.writer for file in known):
        own = [file for file in known if file.writer == writer]
        versions = ", ".join(scripts.get(writer, {}).get("requirements", ())).replace("==", " ")
        lines += [f"## {writer}", "", versions, "", _row(COLUMNS), _row(["---"] * len(COLUMNS))]
        lines += [_row(_cells(file, latest)) for file in own]
        lines.append("")
    for name, script in scripts.items():
        if "problem" in script:
            lines += [f"`{name}` did not run: {script['problem']}.", ""]
    path.write_text(HEADER + "\n".join(lines).rstrip() + "\n")


def _summary(files: Sequence[File], latest: Mapping[tuple[Any, Any, str], Record]) -> str:
    """How many files are in order, by what their writers and nitic said of them."""
    count = Counter[str]()
    for file in files:
        found, trained = (latest.get((file.writer, file.name, stage), {}) for stage in ("float", "train"))
        is_listed = bool(found.get("listed")) and bool(trained)
        count["written"] += not file.failure
        count["unrun"] += "unrun" in found
        count["read"] += "error" in found or "unrun" in found
        count["right"] += bool(found.get("right"))
        count["tried"] += bool(trained)
        count["trained"] += learns(trained)
        count["listed"] += is_listed
        count["listed and trained"] += is_listed and learns(trained)
    share = 100 * count["listed and trained"] / max(1, count["listed"])
    return (
        f"Of {count['written']} files nitic reads {count['read']}: {count['right']} as onnxruntime does, and "
        f"{count['unrun']} that onnxruntime does not run. With {count['tried']} of them training was tried, and the "
        f"loss of {count['trained']} falls: of those {count['listed']} whose operators [operators.md](operators.md) "
        f"names, of {count['listed and trained']} ({share:.0f} %)."
    )


def learns(trained: Record) -> bool:
    return "last_loss" in trained and trained["last_loss"] < trained["first_loss"]


def _cells(file: File, latest: Mapping[tuple[Any, Any, str], Record]) -> list[str]:
    found, trained = (latest.get((file.writer, file.name, stage), {}) for stage in ("float", "train"))
    name = [file.network, " ".join([file.form, *(f"`--{key} {_words(value)}`" for key, value in file.options.items())])]
    said = found.get("problem") or trained.get("problem")
    if file.failure or said:
        return [*name, f"not written: {file.failure}" if file.failure else f"refused: {said}", *[""] * 4]
    unrun = f"onnxruntime does not run it: {found['unrun']}" if "unrun" in found else None
    error = found.get("fault") or unrun or f"{found['error']:.0e}{'' if found['right'] else ' **wrong**'}"
    if "last_loss" not in trained:
        return [*name, error, trained.get("fault", ""), *[""] * 3]
    loss = f"{trained['first_loss']:.2f} to {trained['last_loss']:.2f}"
    loss += f"{', at half the rate' if trained.get('halved') else ''}{'' if learns(trained) else ' **no**'}"
    return [*name, error, loss, *(_agreement(trained, form) for form in ("integer", "qdq", "float"))]


def _words(value: Any) -> str:
    return ",".join(f"{each:g}" for each in value) if isinstance(value, list) else str(value)


def _agreement(trained: Record, form: str) -> str:
    if form not in trained:
        return trained.get(f"{form}_problem", "")
    return f"{trained[form]}" if form == "integer" else f"{100 * trained[form]:.1f} %"


def _row(cells: Sequence[str]) -> str:
    escaped = (cell.replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"
