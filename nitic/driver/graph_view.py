"""`nitic inspect --graph`: the kernel calls of a binary as a picture, in Graphviz's language DOT or as SVG."""

import shutil
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue

from nitic.errors import CompileError, ExitCode
from nitic.ir.buffers import tensor_bytes
from nitic.ir.function import functions
from nitic.ops.fused import phase_of
from nitic.passes.kernels.call_graph import CallGraph, moved_bytes


def as_file(graph: str, output: Path) -> str:
    """What a file is to hold for a graph in DOT, by the ending of its name. Raises CompileError."""
    if output.suffix == ".dot":
        return graph
    if output.suffix != ".svg":
        message = "a graph is written as .dot or as .svg, which the file's name must end in"
        raise CompileError(str(output), message, exit_code=ExitCode.USAGE)
    program = shutil.which("dot")
    if program is None:
        message = "Graphviz, which draws SVG, is not there: install it so that 'dot' is on PATH, or ask for a .dot"
        raise CompileError(str(output), message, exit_code=ExitCode.RUN_TIME)
    done = subprocess.run([program, "-Tsvg"], input=graph, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise CompileError(str(output), "Graphviz's 'dot' failed", done.stderr.strip(), ExitCode.RUN_TIME)
    return done.stdout


def dot_text(variant: str, module: ModuleOp) -> str:
    """A planned module in DOT: a cluster for each function, a node for each call, a rank for each phase.

    An edge is what a call reads of another one; it is dashed where a call updates in place what the other one reads,
    and so has to wait. Bytes are those of all buffers of a call: by them the critical path, in bold, is the longest.
    """
    lines = [f"digraph {_quoted(variant)} {{", "  newrank=true", "  node [shape=box]"]
    for func in functions(module):
        lines += [f"  {line}" for line in _cluster(func)]
    return "\n".join([*lines, "}", ""])


def _cluster(func: FuncOp) -> Iterator[str]:
    name, graph = func.sym_name.data, CallGraph(func)
    costs = [moved_bytes(call) for call in graph.calls]
    path = graph.longest_path(costs)
    bold, followed = set(path), set(pairwise(path))
    yield f"subgraph {_quoted(f'cluster_{name}')} {{"
    yield f"  label={_quoted(f'@{name}')}"
    phases: dict[int, list[str]] = {}
    for i, call in enumerate(graph.calls):
        assert call.kernel is not None
        node = _quoted(f"{name} {i}")
        phases.setdefault(phase_of(call), []).append(node)
        label = _quoted(f"{i} {call.kernel.data}\n{costs[i]:,} bytes")
        yield f"  {node} [label={label}{', style=bold' if i in bold else ''}]"
    for phase, nodes in phases.items():
        axis = _quoted(f"{name} phase {phase}")
        yield f"  {axis} [label={_quoted(f'phase {phase}')}, shape=plaintext]"
        yield f"  {{rank=same; {'; '.join([axis, *nodes])}}}"
    for before, after in pairwise(phases):
        yield f"  {_quoted(f'{name} phase {before}')} -> {_quoted(f'{name} phase {after}')} [style=invis]"
    for before, after, values in graph.waits.edges(data="values", default=()):
        style = "bold" if (before, after) in followed else "solid" if values else "dashed"
        label = _quoted("\n".join(map(_tensor, dict.fromkeys(values))))
        yield f"  {_quoted(f'{name} {before}')} -> {_quoted(f'{name} {after}')} [label={label}, style={style}]"
    yield "}"


def _tensor(value: SSAValue) -> str:
    return f"{value.name_hint or ''} {tensor_bytes(value.type):,} bytes".strip()


def _quoted(text: str) -> str:
    """A string of DOT, in which \\n is the end of a line."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
