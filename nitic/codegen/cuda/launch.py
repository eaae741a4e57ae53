"""The launch table of a program: all that a host needs, besides the kernels, to run its functions on a GPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute

from nitic.codegen.kernel import Kernel
from nitic.ir.buffers import named_tensors, place_tensors, range_area, tensor_bytes
from nitic.ir.function import Label, functions
from nitic.ir.types import dtype_of, is_tensor, shape_of
from nitic.ops.fused import FusedOp, phase_of
from nitic.program import Program, arena_bytes, state_size


def launch_table(program: Program, module: ModuleOp, kernels: Mapping[str, Kernel]) -> dict[str, Any]:
    """Of the planned module. Offsets are bytes of one arena; each function begins by making the ranges zero."""
    places, _ = place_tensors(module)
    tensors = sorted(named_tensors(module).items(), key=lambda item: places[item[0].name])
    offset, size = range_area(module)
    return {
        "model": program.model,
        "recipe": program.recipe,
        "identity": program.identity,
        "batch": program.batch,
        "arena": arena_bytes(module),
        "state": state_size(module),
        "ranges": {"offset": offset, "bytes": size},
        "tensors": [_tensor(label, type_, places[label.name][0]) for label, type_ in tensors],
        "functions": {func.sym_name.data: _launches(func, kernels) for func in functions(module)},
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


def _launches(func: FuncOp, kernels: Mapping[str, Kernel]) -> list[dict[str, Any]]:
    return [_launch(op, kernels) for op in func.body.block.ops if isinstance(op, FusedOp)]


def _launch(group: FusedOp, kernels: Mapping[str, Kernel]) -> dict[str, Any]:
    assert group.kernel is not None
    assert group.buffers is not None
    kernel, offsets = kernels[group.kernel.data], list(group.buffers.get_values())
    places = {name: (i, value) for i, (name, value) in enumerate(zip(kernel.parameters, group.parameters, strict=True))}
    zeroed = [(offsets[i], tensor_bytes(value.type)) for i, value in map(places.__getitem__, kernel.zeroed)]
    order = {"phase": phase_of(group), "follows": False}
    return {"group": group.kernel.data, **order, **launch_entry(kernel), "buffers": offsets, "zeroed": zeroed}


def launch_entry(kernel: Kernel) -> dict[str, Any]:
    """How a kernel starts, whatever its buffers: they are its parameters, in order, and then the units."""
    assert kernel.launch is not None
    return {"kernel": kernel.name, **asdict(kernel.launch), "units": kernel.units}
