"""The part of program.c that only a program for GPUs has: its launches, and the image of its kernels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nitic.codegen.output.cuda.compiler import Image
from nitic.codegen.output.source import FUNCTIONS, Variant, c_string, embed

Table = Mapping[str, Any]
"""A launch table, or a part of one: nitic/codegen/output/cuda/launch.py."""


def complete(variant: Variant, table: Table, image: Image, folder: Path) -> Variant:
    """The variant with what the launch table says, in C, and with the image, which is written into the folder."""
    functions: Mapping[str, Sequence[Table]] = table["functions"]
    tables = [line for name, launches in functions.items() for line in _function(name, launches)]
    (folder / "image.fatbin").write_bytes(image.content)
    ranges, gather = table["ranges"], _start(table["gather"])
    tables.append(embed("image", folder / "image.fatbin"))
    tables.append(f"static const nitic_gpu gpu = {{{ranges['offset']}, {ranges['bytes']}, {{{gather}}}, image}};")
    entries = ", ".join(f"{{{name}, {len(functions[name])}, {name}_launches}}" for name in FUNCTIONS)
    return replace(
        variant,
        arena=table["arena"],
        description=_resources(functions, image) + variant.description,
        tables="\n".join(tables),
        functions=f"{{{entries}}}",
        gpu="&gpu",
    )


def _function(name: str, launches: Sequence[Table]) -> Iterator[str]:
    """The calls and how they start: the tables belong together, entry by entry."""
    calls: list[str] = []
    starts: list[str] = []
    for i, launch in enumerate(launches):
        begins = int(i > 0 and launch["phase"] > launches[i - 1]["phase"])
        zeroed = [number for pair in launch["zeroed"] for number in pair]
        yield _numbers(f"{name}_buffers_{i}", launch["buffers"])
        yield _numbers(f"{name}_zeroed_{i}", zeroed or [0])
        buffers = f"{name}_buffers_{i}, {len(launch['buffers'])}"
        calls.append(f"NULL, {c_string(launch['group'])}, {buffers}, {launch['units']}, 1, {begins}")
        starts.append(f"{_start(launch)}, {int(launch['follows'])}, {name}_zeroed_{i}, {len(zeroed) // 2}")
    yield from _list(f"nitic_call {name}", calls)
    yield from _list(f"nitic_launch {name}_launches", starts)


def _start(launch: Table) -> str:
    """The first members of a nitic_launch."""
    return f"{c_string(launch['kernel'])}, {launch['blocks']}, {launch['threads']}, {launch['shared']}"


def _numbers(name: str, numbers: Sequence[int]) -> str:
    return f"static const uint64_t {name}[] = {{{', '.join(map(str, numbers))}}};"


def _list(declaration: str, entries: Iterable[str]) -> Iterator[str]:
    yield f"static const {declaration}[] = {{"
    yield from (f"  {{{entry}}}," for entry in entries)
    yield "};"


def _resources(functions: Mapping[str, Sequence[Table]], image: Image) -> str:
    """A comment of the IR for each kernel, for `nitic inspect`: shared memory, and by architecture registers+spills."""
    launches = {_label(launch): launch for each in functions.values() for launch in each}
    return "".join(f"// kernel {label} {_taken(each, image)}\n" for label, each in launches.items())


def _label(launch: Table) -> str:
    """The name of the group, and the end of the kernel's name behind the digest."""
    return launch["group"] + re.sub(r"^nitic_[0-9a-f]+", "", launch["kernel"])


def _taken(launch: Table, image: Image) -> str:
    found = {name: of[launch["kernel"]] for name, of in image.resources.items() if launch["kernel"] in of}
    shared = launch["shared"] + max((each.shared for each in found.values()), default=0)
    counts = [f"{name}={each.registers}+{each.spills}" for name, each in found.items()]
    return " ".join([f"shared={shared}", *counts])
