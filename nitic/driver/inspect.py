"""`nitic inspect`: what a binary holds, read from the IR inside it."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path

from xdsl.dialects.builtin import ModuleOp
from xdsl.utils.exceptions import ParseError

from nitic.errors import CompileError, ExitCode
from nitic.ir.buffers import tensor_bytes
from nitic.ir.function import STATE_ROLES, arguments, function, functions
from nitic.ir.text import parse_module
from nitic.ir.types import element_of, is_tensor, shape_of
from nitic.ops import Bfp, Nn
from nitic.ops.fused import FusedOp
from nitic.program import arena_bytes, read_description, state_size


def describe(binary: Path) -> str:
    """Parameters, then for every variant its memory, operators and calls. Raises CompileError."""
    try:
        return "\n".join(_lines(read_description(binary.read_bytes()))) + "\n"
    except (ValueError, LookupError, ParseError):
        raise CompileError(str(binary), "it holds no nitic program", exit_code=ExitCode.USAGE) from None


def _lines(description: str) -> Iterator[str]:
    head, *variants = re.split(r"^// variant (\S+)\n", description, flags=re.MULTILINE)
    exponents = dict(re.findall(r"^// (.+) = (-?\d+)$", head, flags=re.MULTILINE))
    texts = dict(zip(variants[::2], variants[1::2], strict=True))
    modules = {name: parse_module(text, [Nn, Bfp], name) for name, text in texts.items()}
    if not modules:
        raise ValueError("no variants")
    yield from _state(next(iter(modules.values())), exponents)
    for name, module in modules.items():
        yield from _variant(name, module)
        yield from _resources(texts[name])


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
        groups = [op for op in func.body.block.ops if isinstance(op, FusedOp)]
        operators = Counter(member.name for group in groups for member in group.members)
        yield f"  @{func.sym_name.data}: {len(groups)} kernel calls, {operators.total()} operators"
        yield "    " + ", ".join(f"{count} {operator}" for operator, count in sorted(operators.items()))
        for i, group in enumerate(groups):
            yield f"    {i:3} {_call(group)}"


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
