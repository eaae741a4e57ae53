"""From the meaning of groups to kernels: out of the cache, or newly generated on every processor.

Only what has to be generated needs tvm.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xdsl.dialects.builtin import StringAttr
from xdsl.ir import Block

from nitic.codegen.core.kernel import Kernel, Kernels
from nitic.codegen.output.cache import KernelCache, symbol
from nitic.codegen.output.processes import in_processes
from nitic.ir.text import parse_region
from nitic.ir.traits import Contraction
from nitic.ops import NN, context
from nitic.ops.fused import FusedOp
from nitic.progress import Progress

Meanings = Mapping[str, Mapping[str, str]]
"""Groups as text: by variant, then by the name that name-kernels gave."""
COSTLY = tuple(op.name for op in NN if op.has_trait(Contraction))
"""What takes longest to generate comes first, so that no process is left with one at the end."""


@dataclass(frozen=True)
class Generated:
    """Kernels by variant and name, their object files, and how many are new; the others come from the cache."""

    kernels: Kernels
    objects: Sequence[Path]
    new: int

    def __str__(self) -> str:
        kept = len(self.objects) - self.new
        return f"{len(self.objects)} kernels: {self.new} generated, {kept} from the cache"


@dataclass(frozen=True)
class Wanted:
    """A group to generate a kernel of."""

    variant: str
    label: str
    meaning: str

    @property
    def costly(self) -> bool:
        return any(operator in self.meaning for operator in COSTLY)


def generate(meanings: Meanings, folder: Path, cache: KernelCache, jobs: int | None = None) -> Generated:
    """Every kernel once; its object file is put into `folder`. Raises CompileError."""
    names = {v: {name: symbol(v, text) for name, text in groups.items()} for v, groups in meanings.items()}
    wanted = {names[v][name]: Wanted(v, name, text) for v, groups in meanings.items() for name, text in groups.items()}
    made: dict[str, Kernel] = {}
    for name in wanted:
        if found := cache.load(name):
            made[name], code = found
            _code(folder, name).write_bytes(code)
    missing = sorted((name for name in wanted if name not in made), key=lambda name: not wanted[name].costly)
    if missing:
        made |= _compile(missing, wanted, folder, cache, jobs)
        cache.trim(missing)
    kernels = {v: {name: made[each] for name, each in named.items()} for v, named in names.items()}
    return Generated(kernels, [_code(folder, name) for name in wanted], len(missing))


def _compile(
    missing: Sequence[str],
    wanted: Mapping[str, Wanted],
    folder: Path,
    cache: KernelCache,
    jobs: int | None,
) -> dict[str, Kernel]:
    # What every process needs is made once, before there are several.
    from nitic.codegen import emitters
    from nitic.codegen.output.objects import write_code

    context()

    def work(i: int) -> Kernel:
        gc.enable()  # generating many kernels leaves much garbage
        name = missing[i]
        group = wanted[name]
        kernel = emitters.emit(parse_group(group.meaning), name, group.variant, group.label)
        write_code(kernel, group.variant, _code(folder, name))
        described = kernel.described()
        cache.store(described, _code(folder, name).read_bytes())
        return described

    with Progress("kernels", len(missing), sys.stderr.isatty()) as progress:
        made = in_processes(work, len(missing), jobs, progress.show)
    return dict(zip(missing, made, strict=True))


def _code(folder: Path, name: str) -> Path:
    return folder / f"{name}.o"


def parse_group(meaning: str) -> FusedOp:
    """A group from its text; its operands are arguments of a block of its own."""
    template, _, text = meaning.partition("\n")
    body = parse_region(text, context())
    last = body.block.last_op
    assert last is not None
    source = Block(arg_types=body.block.arg_types)
    properties = {"template": StringAttr(template)}
    group = FusedOp.create(operands=source.args, result_types=last.operand_types, properties=properties, regions=[body])
    source.add_op(group)
    return group
