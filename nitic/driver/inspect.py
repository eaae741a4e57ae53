"""`nitic inspect`: what a binary holds, read from the IR inside it."""

import re
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path

from xdsl.dialects.builtin import ModuleOp

from nitic.driver.graph_view import as_file, dot_text
from nitic.errors import CompileError, ExitCode
from nitic.ir.buffers import tensor_bytes
from nitic.ir.function import STATE_ROLES, arguments, function, functions
from nitic.ir.text import parse_module
from nitic.ir.types import element_of, is_tensor, shape_of
from nitic.ops import context
from nitic.ops.fused import FusedOp, phase_of
from nitic.passes.kernels.call_graph import CallGraph, moved_bytes
from nitic.program import arena_bytes, read_description, state_size


def describe(binary: Path) -> str:
    """Parameters, then for every variant its memory, operators and calls. Raises CompileError."""
    with _reading(binary):
        return "\n".join(_lines(read_description(binary))) + "\n"


def draw(binary: Path, output: Path) -> Path:
    """`nitic inspect --graph`: the calls of a binary's best variant as a graph; gives its path. Raises CompileError."""
    from nitic.codegen.output import link

    with _reading(binary):
        name, module = next(iter(variant_modules(read_description(binary)).items()))
    link.write(as_file(dot_text(name, module), output).encode(), output)
    return output


@contextmanager
def _reading(binary: Path) -> Generator[None]:
    """Makes a CompileError of what reading a binary's description raises."""
    try:
        yield
    except OSError:
        raise
    except Exception:  # noqa: BLE001  what is read may be any file, and any text in it
        raise CompileError(str(binary), "it holds no nitic program", exit_code=ExitCode.USAGE) from None


def _lines(description: str) -> Iterator[str]:
    head, *variants = re.split(r"^// variant (\S+)\n", description, flags=re.MULTILINE)
    exponents = dict(re.findall(r"^// (.+) = (-?\d+)$", head, flags=re.MULTILINE))
    texts = dict(zip(variants[::2], variants[1::2], strict=True))
    modules = variant_modules(description)
    yield from _state(next(iter(modules.values())), exponents)
    for name, module in modules.items():
        yield from _variant(name, module)
        yield from _resources(texts[name])


def variant_modules(description: str) -> dict[str, ModuleOp]:
    """The planned module of each variant, best first. Raises ValueError where there is none."""
    _, *variants = re.split(r"^// variant (\S+)\n", description, flags=re.MULTILINE)
    if not variants:
        raise ValueError("no variants")
    pairs = zip(variants[::2], variants[1::2], strict=True)
    return {name: parse_module(text, context(), name) for name, text in pairs}


def _state(module: ModuleOp, exponents: Mapping[str, str]) -> Iterator[str]:
    """What a checkpoint holds."""
    state = [(label, arg) for label, arg in arguments(function(module, "train_step")) if label.role in STATE_ROLES]
    trained = [prod(shape_of(arg)) for label, arg in state if label.role in ("weight", "master")]
    frozen = [prod(shape_of(arg)) for label, arg in state if label.role == "frozen"]
    others = f", frozen {sum(frozen):,} in {len(frozen)} tensors" if frozen else ""
    yield f"parameters {sum(trained):,} in {len(trained)} tensors{others}, state {state_size(module):,} bytes"
    for label, arg in state:
        shape = "x".join(map(str, shape_of(arg))) if is_tensor(arg) else ""
        value = f"= {exponents[label.name]}" if label.name in exponents else ""
        yield f"  {label.role:10} {label.name:32} {element_of(arg)!s:10} {shape}{value}"


def _variant(name: str, module: ModuleOp) -> Iterator[str]:
    yield f"\nvariant {name}: arena {arena_bytes(module):,} bytes"
    for func in functions(module):
        graph = CallGraph(func)
        groups, costs = graph.calls, [moved_bytes(group) for group in graph.calls]
        operators = Counter(member.name for group in groups for member in group.members)
        phases = len({phase_of(group) for group in groups})
        yield f"  @{func.sym_name.data}: {len(groups)} kernel calls in {phases} phases, {operators.total()} operators"
        yield "    " + ", ".join(f"{count} {operator}" for operator, count in sorted(operators.items()))
        critical = graph.longest_path(costs)
        share = f"{sum(costs[i] for i in critical):,} of the {sum(costs):,} bytes that all calls read and write"
        yield f"    critical path: {len(critical)} calls, {share}; they are marked * behind their phase"
        for i, group in enumerate(groups):
            yield f"    {i:3} {phase_of(group):3}{'*' if i in critical else ' '} {_call(group)}"


def _resources(text: str) -> Iterator[str]:
    """What each kernel takes of a GPU, from the lines before a variant's IR."""
    kernels = [line.split() for line in re.findall(r"^// kernel (.*)$", text, flags=re.MULTILINE)]
    if not kernels:
        return
    architectures = [word.partition("=")[0] for word in kernels[0][2:]]
    yield f"  kernels, shared memory of a block, registers of a thread (+ bytes spilled): {' '.join(architectures)}"
    for label, shared, *counts in kernels:
        numbers = " ".join(f"{word.partition('=')[2].removesuffix('+0'):>7}" for word in counts)
        yield f"    {label:36} {int(shared.partition('=')[2]):7,} {numbers}"


def _call(group: FusedOp) -> str:
    """A kernel call: name, template, and buffers as offset+bytes."""
    assert group.kernel is not None
    assert group.buffers is not None
    offsets = group.buffers.get_values()
    buffers = [f"{at}+{tensor_bytes(v.type)}" for at, v in zip(offsets, group.parameters, strict=True)]
    return f"{group.kernel.data:36} {group.made_by:18} {' '.join(buffers)}"
