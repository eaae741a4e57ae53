"""The part of program.c that only a program for GPUs has: its launches, and its machine code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nitic.codegen.cuda.compiler import Code
from nitic.codegen.source import FUNCTIONS, Variant, c_string, embed

Table = Mapping[str, Any]
"""A launch table, or a part of one: nitic/codegen/cuda/launch.py."""


def complete(variant: Variant, table: Table, codes: Sequence[Code], folder: Path) -> Variant:
    """The variant with what the launch table says, in C, and with the codes, which are written into the folder."""
    functions: Mapping[str, Sequence[Table]] = table["functions"]
    tables = [line for name, launches in functions.items() for line in _function(name, launches)]
    tables += [_code(f"code_{i}", code, folder / f"code-{i}.bin") for i, code in enumerate(codes)]
    tables += _list(
        "nitic_code codes", (f"{_kind(c)}, {c.architecture.rstrip('a')}, code_{i}" for i, c in enumerate(codes))
    )
    ranges, gather = table["ranges"], _start(table["gather"])
    of_all = f"{ranges['offset']}, {ranges['bytes']}, {{{gather}}}, codes, {len(codes)}"
    tables.append(f"static const nitic_gpu gpu = {{{of_all}}};")
    entries = ", ".join(f"{{{name}, {len(functions[name])}, {name}_launches}}" for name in FUNCTIONS)
    return replace(
        variant,
        arena=table["arena"],
        description=_resources(functions, codes) + variant.description,
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
        calls.append(f"NULL, {c_string(launch['group'])}, {buffers}, {launch['units']}, {begins}")
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


def _kind(code: Code) -> str:
    """Of nitic_code_kind."""
    own = code.architecture.endswith("a")
    return "NITIC_PTX" if code.is_ptx else "NITIC_OWN_MACHINE_CODE" if own else "NITIC_MACHINE_CODE"


def _code(label: str, code: Code, path: Path) -> str:
    path.write_bytes(code.content + (b"\0" if code.is_ptx else b""))
    return embed(label, path)


def _resources(functions: Mapping[str, Sequence[Table]], codes: Sequence[Code]) -> str:
    """A comment of the IR for each kernel, for nitic/report.py: shared memory, and by architecture registers+spills."""
    launches = {_label(launch): launch for each in functions.values() for launch in each}
    return "".join(f"// kernel {label} {_taken(each, codes)}\n" for label, each in launches.items())


def _label(launch: Table) -> str:
    """The group, and what the kernel's name has behind its digest."""
    return launch["group"] + re.sub(r"^nitic_[0-9a-f]+", "", launch["kernel"])


def _taken(launch: Table, codes: Sequence[Code]) -> str:
    found = {f"sm_{c.architecture}": c.resources[launch["kernel"]] for c in codes if launch["kernel"] in c.resources}
    shared = launch["shared"] + max((each.shared for each in found.values()), default=0)
    counts = [f"{name}={each.registers}+{each.spills}" for name, each in found.items()]
    return " ".join([f"shared={shared}", *counts])
