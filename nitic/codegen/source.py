"""The C source of a program: constant tables of tensors, buffers and kernel calls (runtime/nitic.h)."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute

from nitic.codegen.tir import Kernel
from nitic.ir.buffers import named_tensors, place_tensors, tensor_bytes
from nitic.ir.function import Label, functions
from nitic.ir.types import dtype_of, is_tensor, shape_of
from nitic.ops.fused import FusedOp, phase_of
from nitic.program import Program, arena_bytes, state_size
from nitic.version import VERSION

FUNCTIONS = ("train_step", "eval_step", "predict", "calibrate")
MAX_RANK = 6
DTYPES = {"uint8": "NITIC_U8", "int8": "NITIC_I8", "int16": "NITIC_I16", "int32": "NITIC_I32", "int64": "NITIC_I64"}

Kernels = Mapping[str, Mapping[str, Kernel]]
"""By variant and by the name that select-kernels gave."""


def symbol(variant: str, kernel: str) -> str:
    """The name of a kernel's function in the object files."""
    return f"nitic_{variant}_{kernel}"


def program_source(program: Program, kernels: Kernels, state: Path, description: Path) -> str:
    """program.c. The state and the description are read by the assembler from these files."""
    parts = [
        '#include "nitic.h"',
        _embed("nitic_initial_state", state, ".rodata"),
        'extern const uint8_t nitic_initial_state[] __attribute__((visibility("hidden")));',
        # Not loaded into memory: only `nitic inspect` reads it, from the file.
        _embed("nitic_description", description, '.nitic,"",@progbits'),
    ]
    for variant, module in program.variants.items():
        parts += _kernels(variant, kernels[variant])
        parts += [_function(variant, func, kernels[variant]) for func in functions(module)]
    parts += [_tensors(program), _variants(program), _program(program)]
    return "\n".join(parts)


def c_string(text: str | Path) -> str:
    """A string literal of C, and of the assembler, whatever bytes are in it.

    They are octal: three digits end by themselves, where \\x would take in what follows, and no ?? is left to make a
    trigraph, which -std=c11 reads.
    """
    return '"' + "".join(map(_c_character, str(text).encode("utf-8", "surrogateescape"))) + '"'


def _c_character(byte: int) -> str:
    plain = 0x20 <= byte < 0x7F and byte not in b"\"'\\?"
    return chr(byte) if plain else f"\\{byte:03o}"


def _embed(label: str, path: Path, section: str) -> str:
    """A file's bytes, put in place by the assembler."""
    text = f".section {section}\n.balign 64\n{label}:\n.incbin {c_string(path)}\n.previous\n"
    return f"__asm__({c_string(text)});"


def _kernels(variant: str, kernels: Mapping[str, Kernel]) -> Iterator[str]:
    for name, kernel in kernels.items():
        function, count = symbol(variant, name), len(kernel.parameters)
        types = ", ".join([*["void *"] * count, "int32_t", "int32_t", "int32_t"])
        values = ", ".join([*(f"b[{i}]" for i in range(count)), "c->thread", "c->begin", "c->end"])
        yield f"int32_t {function}({types});"
        yield f"static int32_t call_{function}(void *const b[], const nitic_ctx *c) {{ return {function}({values}); }}"


def _function(variant: str, func: FuncOp, kernels: Mapping[str, Kernel]) -> str:
    name = f"{variant}_{func.sym_name.data}"
    lines: list[str] = []
    calls: list[str] = []
    phase = 0
    for i, group in enumerate(op for op in func.body.block.ops if isinstance(op, FusedOp)):
        assert group.kernel is not None
        assert group.buffers is not None
        kernel, offsets = kernels[group.kernel.data], list(group.buffers.get_values())
        lines.append(f"static const uint64_t {name}_{i}[] = {{{', '.join(map(str, offsets))}}};")
        thunk = f"call_{symbol(variant, group.kernel.data)}"
        label = c_string(group.kernel.data)
        starts = int(phase_of(group) > phase)
        phase = phase_of(group)
        calls.append(f"  {{{thunk}, {label}, {name}_{i}, {len(offsets)}, {kernel.units}, {starts}}},")
    return "\n".join([*lines, f"static const nitic_call {name}[] = {{", *calls, "};"])


def _tensors(program: Program) -> str:
    places, _ = place_tensors(program.module)
    tensors = sorted(named_tensors(program.module).items(), key=lambda item: places[item[0].name])
    lines = [_tensor(label, type_, places[label.name][0]) for label, type_ in tensors]
    return "\n".join(["static const nitic_tensor tensors[] = {", *lines, "};"])


def _tensor(label: Label, type_: Attribute, offset: int) -> str:
    shape = shape_of(type_) if is_tensor(type_) else ()
    dims = ", ".join(map(str, shape or (0,)))
    dtype, role = DTYPES[dtype_of(type_).__name__], f"NITIC_{label.role.upper()}"
    return f"  {{{c_string(label.name)}, {role}, {dtype}, {len(shape)}, {{{dims}}}, {offset}, {tensor_bytes(type_)}}},"


def _variants(program: Program) -> str:
    lines = ["static const nitic_variant variants[] = {"]
    for variant, module in program.variants.items():
        sizes = {f.sym_name.data: sum(isinstance(op, FusedOp) for op in f.body.block.ops) for f in functions(module)}
        tables = ", ".join(f"{{{variant}_{name}, {sizes[name]}}}" for name in FUNCTIONS)
        lines.append(f"  {{{c_string(variant)}, {arena_bytes(module)}, {tables}}},")
    return "\n".join([*lines, "};"])


def _program(program: Program) -> str:
    state_bytes = state_size(next(iter(program.variants.values())))
    fields = {
        "abi_version": "NITIC_ABI_VERSION",
        "model": c_string(program.model),
        "recipe": c_string(program.recipe),
        "identity": c_string(program.identity),
        "compiler": c_string(f"nitic {VERSION}"),
        "momentum": int(program.has_momentum),
        "batch": program.batch,
        "classes": program.classes,
        "normalised": int(program.normalised),
        "tensors": "tensors",
        "tensor_count": "sizeof tensors / sizeof *tensors",
        "variants": "variants",
        "variant_count": "sizeof variants / sizeof *variants",
        "initial_state": "nitic_initial_state",
        "initial_bytes": len(program.state_bytes()),
        "state_bytes": state_bytes,
        "squared_error": int(program.has_squared_error),
    }
    lines = [f"  .{key} = {value}," for key, value in fields.items()]
    return "\n".join(
        ['__attribute__((visibility("default"))) const nitic_program nitic_program_instance = {', *lines, "};", ""]
    )
