"""Runs the kernel of a group of operators and compares it, exactly, with the operators' integer references."""

import ctypes
import itertools
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import StringAttr
from xdsl.ir import Attribute, Block, Region, SSAValue

from nitic import targets
from nitic.arithmetic.integers import Array
from nitic.codegen.c99.text import c99_text
from nitic.codegen.core.kernel import Kernel
from nitic.codegen.cuda.text import cuda_text, prologue
from nitic.codegen.emitters import emit
from nitic.codegen.output.cuda.launch import launch_entry
from nitic.codegen.output.generate import parse_group
from nitic.codegen.output.objects import write_object
from nitic.ir.buffers import MAX_THREADS
from nitic.ir.layout import SLACK, Layout, ceildiv, parse_layout
from nitic.ir.op import NnOp, Property
from nitic.ir.types import dtype_of, element_of, is_tensor, range_, shape_of, tensor, tensor_type
from nitic.ops.fused import FLAT, FusedOp, YieldOp
from nitic.passes.kernels.select_kernels import select
from nitic.paths import runtime_folder
from nitic.targets import VARIANTS
from nitic.targets.base import Machine
from tests.emulator.emulator import COMPILER, ORDERS, Emulated
from tests.kernels.elsewhere import ELSEWHERE, Split
from tests.support.operators import type_of

GARBAGE = 0x55
C99_FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
CUDA, C99 = "cuda", "c"
FOR_CPUS = [name for name, variant in VARIANTS.items() if variant.machine and variant.machine.architecture == "x86_64"]
_counter = itertools.count()

Build = Callable[..., Sequence[NnOp]]
Types = Sequence[Attribute]


def runs_here(variant: str) -> bool:
    """On this processor, in the emulator, or on a machine that does it for this one."""
    if variant in (CUDA, C99):
        return COMPILER is not None
    return variant in ELSEWHERE or targets.runs_here(VARIANTS[variant])


def each(names: Iterable[str]) -> pytest.MarkDecorator:
    """A test for each of these variants; it is skipped for those that this machine does not run."""
    absent = {name: pytest.mark.skipif(not runs_here(name), reason=f"this machine runs no {name}") for name in names}
    return pytest.mark.parametrize("variant", [pytest.param(name, marks=mark) for name, mark in absent.items()])


variants = each([*FOR_CPUS, C99, CUDA])
# For templates that all targets share: what sse2 and portable make of them, for the same machine, is the same code.
machines = each(name for name in [*FOR_CPUS, CUDA] if name != "sse2")
by_dots = each(name for name in FOR_CPUS if name != "portable")


def examples(count: int) -> settings:
    """Each example compiles a kernel: some dozens are many, and half of them are what a usual run has time for."""
    thorough = bool(os.environ.get("NITIC_THOROUGH"))
    return settings(
        max_examples=count if thorough else ceildiv(count, 2),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )


@dataclass(frozen=True)
class Data:
    """Values of one character from a seed."""

    seed: int
    character: str

    def integers(self, shape: Sequence[int], limit: int, dtype: type[np.generic]) -> Array:
        rng = np.random.default_rng(self.seed)
        match self.character:
            case "extreme":
                return (rng.integers(0, 2, shape) * 2 * limit - limit).astype(dtype)
            case "largest":
                return np.full(shape, limit, dtype)
            case "sparse":
                values = rng.integers(-limit, limit + 1, shape) * (rng.integers(0, 8, shape) == 0)
                return values.astype(dtype)
            case _:
                return rng.integers(-limit, limit + 1, shape).astype(dtype)

    def i8(self, *shape: int) -> Array:
        return self.integers(shape, 127, np.int8)

    def i32(self, *shape: int, limit: int = 2**30) -> Array:
        return self.integers(shape, limit, np.int32)

    def other(self, salt: int) -> "Data":
        """Other values of the same character."""
        return Data(self.seed + salt, self.character)


data = st.builds(Data, st.integers(0, 2**31), st.sampled_from(("random", "extreme", "sparse", "largest")))
threads = st.integers(1, 3)


def one(op: type[NnOp], **properties: Property) -> Build:
    """Builds a single operator."""
    return lambda *operands: [op.of(*operands, **properties)]


def scalar(value: int, dtype: type[np.generic] = np.int32) -> Array:
    return np.asarray(value, dtype)


def make_group(build: Build, types: Types, keep: Sequence[tuple[int, int]] = ()) -> FusedOp:
    """A group of the operators that `build` makes of operands of these types.

    It yields every result that no member reads, and those of `keep`: (position of the operator, number of its result).
    """
    block, source = Block(arg_types=types), Block(arg_types=types)
    ops = list(build(*block.args))
    kept = {ops[i].results[j] for i, j in keep}
    outputs = [r for op in ops for r in op.results if r.first_use is None or r in kept]
    block.add_ops([*ops, YieldOp.create(operands=outputs)])
    group = FusedOp.create(operands=source.args, result_types=[r.type for r in outputs], regions=[Region(block)])
    source.add_op(group)
    return group


def packed_types(build: Build, types: Types, variant: str, nonnegative: bool) -> list[Attribute]:
    """The types, with the layouts that the first operator wants of its operands."""
    block = Block(arg_types=types)
    first = build(*block.args)[0]
    wanted = dict(zip(first.operands, VARIANTS[variant].layouts(first, nonnegative), strict=True))
    return [with_layout(arg.type, wanted.get(arg)) for arg in block.args]


def with_layout(type_: Attribute, layout: Layout | None) -> Attribute:
    return tensor(shape_of(type_), element_of(type_), StringAttr(str(layout))) if layout else type_


def reference(group: FusedOp, operands: Sequence[Array]) -> list[Array]:
    """What the group yields, by the references of its members; the bytes where it has a layout."""
    return [stored(v.type, value) for v, value in zip(group.yielded, meaning(group, operands), strict=True)]


def meaning(group: FusedOp, operands: Sequence[Array]) -> list[Array]:
    """What the group yields, by the references of its members, whatever the layout."""
    values: dict[SSAValue, Array] = dict(zip(group.block.args, operands, strict=True))
    for op in group.members:
        assert isinstance(op, NnOp)
        results = op.reference(*(values[v] for v in op.operands))
        values.update(zip(op.results, results if isinstance(results, tuple) else (results,), strict=True))
    return [values[v] for v in group.yielded]


def stored(type_: Attribute, value: Array) -> Array:
    """The bytes of a value where its type has a layout."""
    layout = layout_of(type_)
    return layout.pack(value)[:-SLACK] if layout else value


Change = Callable[[str], str]


def run(group: FusedOp, variant: str, operands: Sequence[Array], threads: int = 1, change: Change = str) -> list[Array]:
    """What the kernel computes when its units are split between threads, which here come one after the other.

    On a GPU the units decide about the threads, and their number here about the order of blocks and warps; `change`
    is done to its text.
    """
    return compiled(group, variant, change)(operands, threads)


def kernel_of(group: FusedOp, name: str, variant: str = "portable") -> Kernel:
    """By the template that the variant's rules select."""
    select([group], VARIANTS[variant])
    return emit(group, name, variant)


def machine(variant: str) -> Machine:
    """What LLVM makes code for."""
    found = VARIANTS[variant].machine
    assert found is not None
    return found


Launch = Callable[[Sequence[Array], int], None]


def compiled(group: FusedOp, variant: str, change: Change = str) -> Callable[[Sequence[Array], int], list[Array]]:
    """The kernel, as a function of operands and the number of threads."""
    launch = _emulated(kernel_of(group, "kernel", variant), change) if variant == CUDA else _by_cpu(group, variant)
    slots = 1 if variant == CUDA else MAX_THREADS

    def call(operands: Sequence[Array], threads: int) -> list[Array]:
        memory = [to_memory(arg.type, value, slots) for arg, value in zip(group.block.args, operands, strict=True)]
        updates = group.updates()
        memory += [blank(value.type) for i, value in enumerate(group.yielded) if i not in updates]
        launch(memory, threads)
        fresh = iter(memory[len(operands) :])
        out = [memory[updates[i]] if i in updates else next(fresh) for i in range(len(group.yielded))]
        return [from_memory(value.type, m) for value, m in zip(group.yielded, out, strict=True)]

    return call


def _by_cpu(group: FusedOp, variant: str) -> Launch:
    select([group], VARIANTS[variant])
    split, units = _made(group.meaning, variant, ELSEWHERE.get(variant, _here))
    units = (group.made_by == FLAT and group.size) or units
    return lambda memory, threads: split(memory, [units * t // threads for t in range(threads + 1)])


@cache
def _made(meaning: str, variant: str, runner: Callable[[Kernel, Path], Split]) -> tuple[Split, int]:
    """The machine code of every group with this meaning, and the units of work that the text tells."""
    kernel = emit(parse_group(meaning), f"kernel_{next(_counter)}", variant)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "kernel.o"
        if variant == C99:
            return _by_c(kernel, Path(folder)), kernel.units
        write_object([kernel], machine(variant), made)
        return runner(kernel, made), kernel.units


def _here(kernel: Kernel, made: Path) -> Split:
    library = made.with_suffix(".so")
    subprocess.run(["cc", "-shared", "-nostdlib", "-o", library, made], check=True)
    function = getattr(ctypes.CDLL(str(library)), kernel.name)

    def split(memory: Sequence[Array], edges: Sequence[int]) -> None:
        pointers = [m.ctypes.data_as(ctypes.c_void_p) for m in memory]
        for thread, (begin, end) in enumerate(itertools.pairwise(edges)):
            assert function(*pointers, thread, begin, end) == 0

    return split


class Context(ctypes.Structure):
    """nitic_ctx."""

    _fields_ = (("thread", ctypes.c_int32), ("begin", ctypes.c_int32), ("end", ctypes.c_int32))


def _by_c(kernel: Kernel, folder: Path) -> Split:
    source, library = folder / "kernel.c", folder / "kernel.so"
    source.write_text('#include "core/kernel.h"\n' + c99_text(kernel))
    command = ["cc", *C99_FLAGS, "-O1", "-shared", "-fPIC", "-I", runtime_folder(), source, "-o", library]
    subprocess.run(command, check=True)
    function = getattr(ctypes.CDLL(str(library)), kernel.name)

    def split(memory: Sequence[Array], edges: Sequence[int]) -> None:
        pointers = (ctypes.c_void_p * len(memory))(*(m.ctypes.data for m in memory))
        for thread, (begin, end) in enumerate(itertools.pairwise(edges)):
            assert function(pointers, ctypes.byref(Context(thread, begin, end))) == 0

    return split


def _emulated(kernel: Kernel, change: Change) -> Launch:
    with tempfile.TemporaryDirectory() as folder:
        library = Emulated(change(prologue("test") + cuda_text(kernel.stages)), Path(folder))
    sizes = [(each.count * 8 + SLACK, each.kept) for each in kernel.scratch.values()]
    scratch = [np.full(size, 0 if kept else GARBAGE, np.uint8) for size, kept in sizes]

    def launch(memory: Sequence[Array], threads: int) -> None:
        each = [*memory, *scratch]
        for stage in kernel.stages:
            for name, bytes_ in zip(kernel.parameters, each, strict=True):
                if name in stage.zeroed:
                    bytes_[:-SLACK] = 0
            library.launch(launch_entry(stage), [m.ctypes.data for m in each], ORDERS[threads % len(ORDERS)])

    return launch


def to_memory(type_: Attribute, value: Array, slots: int = MAX_THREADS) -> Array:
    """The bytes of an operand, with slack behind it. A range lies in one of the slots that the machine reads."""
    if type_ == range_:
        tops = np.zeros(MAX_THREADS, np.int64)
        tops[int(value) % slots] = value
        return tops.view(np.uint8)
    if layout := layout_of(type_):
        packed = layout.pack(value)
        packed[-SLACK:] = GARBAGE
        return packed
    raw = np.ascontiguousarray(np.asarray(value).astype(dtype_of(type_))).reshape(-1).view(np.uint8)
    return np.concatenate([raw, np.full(SLACK, GARBAGE, np.uint8)])


def blank(type_: Attribute) -> Array:
    """Memory for a result, full of garbage; the slots of a range are zero until a thread writes its own."""
    if type_ == range_:
        return np.zeros(MAX_THREADS * 8, np.uint8)
    count = int(np.prod(shape_of(type_))) if is_tensor(type_) else 1
    layout = layout_of(type_)
    size = layout.size(shape_of(type_)) if layout else count * np.dtype(dtype_of(type_)).itemsize + SLACK
    return np.full(size, GARBAGE, np.uint8)


def from_memory(type_: Attribute, memory: Array) -> Array:
    """A result as an array, or the bytes of a packed one. Fails where a kernel wrote behind its end."""
    if type_ == range_:
        return np.asarray(memory.view(np.int64).max())
    assert (memory[-SLACK:] == GARBAGE).all(), "written behind the end"
    if layout_of(type_):
        return memory[:-SLACK]
    values = memory[:-SLACK].view(dtype_of(type_))
    return values.reshape(shape_of(type_)) if is_tensor(type_) else values.reshape(())


def layout_of(type_: Attribute) -> Layout | None:
    encoding = tensor_type(type_).encoding if is_tensor(type_) else None
    return parse_layout(encoding.data) if isinstance(encoding, StringAttr) else None


def check_group(group: FusedOp, variant: str, operands: Sequence[Array], threads: int = 1) -> None:
    for found, expected in zip(run(group, variant, operands, threads), reference(group, operands), strict=True):
        np.testing.assert_array_equal(found, expected)


def check(
    build: Build,
    operands: Sequence[Array],
    variant: str,
    threads: int = 1,
    types: Mapping[int, str] | None = None,
    nonnegative: bool = False,
    keep: Sequence[tuple[int, int]] = (),
) -> None:
    """The kernel of `build` on these operands. Those that are no tensors have their types named: exponent or range."""
    named = types or {}
    found = [type_of(named.get(i, operand)) for i, operand in enumerate(operands)]
    check_group(make_group(build, packed_types(build, found, variant, nonnegative), keep), variant, operands, threads)
