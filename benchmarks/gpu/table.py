"""The results of a run as Markdown."""

from collections.abc import Iterator, Sequence
from math import nan
from pathlib import Path
from typing import Any

Line = dict[str, Any]
Parts = dict[str, list[Line]]
"""The lines of the last run of each part."""
LONGEST = 40  # kernels that are shown
NITI = "VGG-small-7, recipe niti"


def markdown(lines: Sequence[Line]) -> str:
    """A section for each part."""
    parts = {part: of_last_run(lines, part) for part in TITLES}
    return "\n".join(line for part, found in parts.items() if found for line in section(part, found, parts))


def of_last_run(lines: Sequence[Line], part: str) -> list[Line]:
    last = max((line["run"] for line in lines if line["part"] == part), default=None)
    return [line for line in lines if line["part"] == part and line["run"] == last]


def section(part: str, lines: Sequence[Line], parts: Parts) -> Iterator[str]:
    yield f"## {TITLES[part]}\n"
    yield from (f"{each.get('side', part)} failed: {each['error']}\n" for each in lines if "error" in each)
    yield from TABLES[part]([each for each in lines if "error" not in each], parts)
    yield ""


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    every = [columns, ["---"] * len(columns), *rows]
    return [f"| {' | '.join(map(str, row))} |" for row in every] if rows else []


def rows_of(lines: Sequence[Line], *columns: str) -> list[str]:
    """A table of the lines that have all of these."""
    return table(columns, [[line[name] for name in columns] for line in lines if all(name in line for name in columns)])


def lenet(lines: Sequence[Line], _: Parts) -> Iterator[str]:
    yield from rows_of(lines, "program", "seconds", "sha256")
    yield from (f"\nThe same checkpoint: {each['equal']} ({each['data']} data)." for each in lines if "equal" in each)


def peak(lines: Sequence[Line], _: Parts) -> Iterator[str]:
    for each in lines:
        if "gpu" in each:
            yield f"{each['gpu']}, driver of CUDA {each['driver']}, clock {each['clock_khz']} kHz\n"
    yield from rows_of(lines, "kernel", "tops")
    yield from (f"\nA copy: {each['copy_gb_per_second']} GB/s." for each in lines if "copy_gb_per_second" in each)


def step(lines: Sequence[Line], _: Parts) -> Iterator[str]:
    yield from rows_of(lines, "side", "milliseconds")
    for each in lines:
        if "against" in each:
            rounds = f"(rounds {each['least']} to {each['most']})"
            yield f"\nnitic is {each['speed_up']} times as fast as {each['against']} {rounds}."


def kernels(lines: Sequence[Line], parts: Parts) -> Iterator[str]:
    most = max((each["tops"] for each in parts["peak"] if "tops" in each), default=0)
    rated = [{**each, "of the peak": share(each["tops"], most)} for each in lines if "node" in each]
    yield from rows_of(rated, "node", "microseconds", "tops", "of the peak")
    yield ""
    alone = sorted((each for each in lines if "group" in each), key=lambda each: -each["microseconds"])
    yield from rows_of(alone[:LONGEST], "kernel", "group", "microseconds")
    for each in lines:
        if "kernels" in each:
            yield f"\nOne after another: {each['kernels']} kernels in {each['step_milliseconds']} ms."


def plot_curve(lines: Sequence[Line], path: Path) -> None:
    from benchmarks.accuracy.tables import plot  # needs matplotlib

    accuracy = of_last_run(lines, "curve")[-1]["accuracy"]
    plot({NITI: [nan if value is None else value for value in accuracy]}, path)


def share(tops: float, most: float) -> str:
    return f"{100 * tops / most:.1f} %" if most else "not measured"


def curve(lines: Sequence[Line], _: Parts) -> Iterator[str]:
    for each in lines:
        accuracy = each["accuracy"]
        last = f", last {accuracy[-1]} %" if len(accuracy) == each["epochs"] else ""
        yield f"{len(accuracy)} of {each['epochs']} epochs: best {each['best']} %{last}\n"
        tens = [[f"{i + 1} to {i + 10}", *accuracy[i : i + 10]] for i in range(0, len(accuracy), 10)]
        yield from table(("epochs", *[""] * 10), tens)


def sanitizer(lines: Sequence[Line], _: Parts) -> Iterator[str]:
    yield from rows_of(lines, "case", "tool", "clean", "seconds")


TABLES = {"lenet": lenet, "peak": peak, "step": step, "kernels": kernels, "curve": curve, "sanitizer": sanitizer}
TITLES = {
    "lenet": "LeNet, one epoch",
    "peak": "What the GPU can do",
    "step": "A training step",
    "kernels": "Kernels of a training step",
    "curve": "Accuracy by epoch, in percent",
    "sanitizer": "compute-sanitizer, one step",
}
