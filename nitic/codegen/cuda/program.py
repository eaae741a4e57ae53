"""The part of program.c that only a program for GPUs has: its launches, and its machine code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nitic.codegen.cuda.compiler import Code
from nitic.codegen.kernel import Kernel
from nitic.codegen.source import GPU, c_string, embed


def gpu_source(table: Mapping[str, Any], kernels: Mapping[str, Kernel], codes: Sequence[Code], folder: Path) -> str:
    """C, to come before the variant's tables of calls. The codes are written into the folder."""
    lines = [f"enum {{ call_{GPU}_{name} = 0, units_{GPU}_{name} = {k.units} }};" for name, k in kernels.items()]
    for function, launches in table["functions"].items():
        lines += _launches(f"{GPU}_{function}_launches", launches)
    lines += [_code(f"{GPU}_code_{i}", code, folder / f"code-{i}.bin") for i, code in enumerate(codes)]
    entries = [f"  {{{_kind(c)}, {c.architecture.rstrip('a')}, {GPU}_code_{i}}}," for i, c in enumerate(codes)]
    ranges = table["ranges"]
    gpu = f"{ranges['offset']}, {ranges['bytes']}, {GPU}_codes, {len(codes)}"
    lines += [f"static const nitic_code {GPU}_codes[] = {{", *entries, "};"]
    return "\n".join([*lines, f"static const nitic_gpu {GPU}_gpu = {{{gpu}}};"])


def resources_text(kernels: Mapping[str, Kernel], codes: Sequence[Code]) -> str:
    """A comment of the IR for each kernel, for nitic/report.py: shared memory, and by architecture registers+spills."""
    return "".join(f"// kernel {label} {_resources(kernel, codes)}\n" for label, kernel in kernels.items())


def _resources(kernel: Kernel, codes: Sequence[Code]) -> str:
    assert kernel.launch is not None
    found = {f"sm_{code.architecture}": code.resources[kernel.name] for code in codes if kernel.name in code.resources}
    shared = kernel.launch.shared + max((each.shared for each in found.values()), default=0)
    counts = [f"{name}={each.registers}+{each.spills}" for name, each in found.items()]
    return " ".join([f"shared={shared}", *counts])


def _launches(name: str, launches: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    entries: list[str] = []
    for i, launch in enumerate(launches):
        zeroed = [number for pair in launch["zeroed"] for number in pair]
        if zeroed:
            yield f"static const uint64_t {name}_{i}[] = {{{', '.join(map(str, zeroed))}}};"
        size = f"{launch['blocks']}, {launch['threads']}, {launch['shared']}"
        pointer = f"{name}_{i}" if zeroed else "NULL"
        entries.append(f"  {{{c_string(launch['kernel'])}, {size}, {pointer}, {len(zeroed) // 2}}},")
    yield "\n".join([f"static const nitic_launch {name}[] = {{", *entries, "};"])


def _kind(code: Code) -> str:
    """Of nitic_code_kind."""
    own = code.architecture.endswith("a")
    return "NITIC_PTX" if code.is_ptx else "NITIC_OWN_MACHINE_CODE" if own else "NITIC_MACHINE_CODE"


def _code(label: str, code: Code, path: Path) -> str:
    path.write_bytes(code.content + (b"\0" if code.is_ptx else b""))
    return embed(label, path)
