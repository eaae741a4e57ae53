"""The launch table of a program: all that a host needs, besides the kernels, to run its functions on a GPU.

Behind the arena that plan-memory gave lies the scratch memory of the kernels: each call has its own, and what is kept
from step to step comes last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute

from nitic.codegen.core.kernel import Kernel
from nitic.codegen.output.cuda.gather import gather_launch
from nitic.ir.buffers import ALIGNMENT, named_tensors, range_area, tensor_bytes, tensor_extents
from nitic.ir.function import Label, functions
from nitic.ir.types import dtype_of, is_tensor, shape_of
from nitic.ops.fused import FusedOp, phase_of
from nitic.program import Program, arena_bytes, state_size


def launch_table(program: Program, module: ModuleOp, kernels: Mapping[str, Kernel]) -> dict[str, Any]:
    """The table of a planned module. Offsets are bytes of one arena; each function begins by making the ranges zero."""
    extents, _ = tensor_extents(module)
    tensors = sorted(named_tensors(module).items(), key=lambda item: extents[item[0].name])
    offset, size = range_area(module)
    kept, end, scratch = _allocate_scratch(module, kernels)
    return {
        "model": program.model,
        "recipe": program.recipe,
        "identity": program.identity,
        "batch": program.batch,
        "arena": end,
        "state": state_size(module),
        "ranges": {"offset": offset, "bytes": size},
        "kept": {"offset": kept, "bytes": end - kept},
        "tensors": [_tensor(label, type_, extents[label.name][0]) for label, type_ in tensors],
        "gather": gather_launch(program.input_shape),
        "functions": {
            func.sym_name.data: [
                _launch(op, kernel, stage, scratch) for op, kernel in _calls(func, kernels) for stage in kernel.stages
            ]
            for func in functions(module)
        },
    }


def _tensor(label: Label, type_: Attribute, offset: int) -> dict[str, Any]:
    return {
        "name": label.name,
        "role": label.role,
        "dtype": dtype_of(type_).__name__,
        "shape": list(shape_of(type_)) if is_tensor(type_) else [],
        "offset": offset,
        "bytes": tensor_bytes(type_),
    }


def _calls(func: FuncOp, kernels: Mapping[str, Kernel]) -> Iterator[tuple[FusedOp, Kernel]]:
    for op in func.body.block.ops:
        if isinstance(op, FusedOp):
            assert op.kernel is not None
            yield op, kernels[op.kernel.data]


Areas = Mapping[tuple[FusedOp, str], tuple[int, int]]
"""Offset and bytes of each scratch memory of each call."""


def _allocate_scratch(module: ModuleOp, kernels: Mapping[str, Kernel]) -> tuple[int, int, Areas]:
    """(offset of the scratch memory that is kept, end of all, the areas)"""
    every = [(op, kernel) for func in functions(module) for op, kernel in _calls(func, kernels)]
    areas: dict[tuple[FusedOp, str], tuple[int, int]] = {}
    top = kept = arena_bytes(module)
    for is_kept in (False, True):
        kept = top
        for op, kernel in every:
            for name, scratch in kernel.scratch.items():
                if scratch.kept == is_kept:
                    areas[op, name] = top, scratch.count * np.dtype(scratch.dtype).itemsize
                    top += -(-areas[op, name][1] // ALIGNMENT) * ALIGNMENT
    return kept, top, areas


def _launch(group: FusedOp, kernel: Kernel, stage: Kernel, scratch: Areas) -> dict[str, Any]:
    assert group.kernel is not None
    assert group.buffers is not None
    sizes = [tensor_bytes(value.type) for value in group.parameters]
    areas = [*zip(group.buffers.get_values(), sizes, strict=True), *(scratch[group, name] for name in kernel.scratch)]
    area_of = dict(zip(kernel.parameters, areas, strict=True))
    offsets, zeroed = [offset for offset, _ in areas], [area_of[name] for name in stage.zeroed]
    order = {"phase": phase_of(group), "follows": stage is not kernel.stages[0]}
    return {"group": group.kernel.data, **order, **launch_entry(stage), "buffers": offsets, "zeroed": zeroed}


def launch_entry(kernel: Kernel) -> dict[str, Any]:
    """How a kernel starts, whatever its buffers: they are its parameters, in order, and then the units."""
    assert kernel.launch is not None
    return {"kernel": kernel.name, **asdict(kernel.launch), "units": kernel.units}
