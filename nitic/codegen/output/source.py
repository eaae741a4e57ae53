"""The C source of a program: constant tables of tensors, buffers and kernel calls (runtime/nitic.h)."""

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute

from nitic import targets
from nitic.codegen.core.kernel import BLOCK, Kernel, Kernels
from nitic.ir.buffers import named_tensors, tensor_bytes
from nitic.ir.function import Label, functions
from nitic.ir.text import print_module
from nitic.ir.types import dtype_of, is_tensor, shape_of
from nitic.ops.fused import FLAT, FusedOp, phase_of
from nitic.program import Program, arena_bytes
from nitic.targets import VARIANTS
from nitic.targets.base import HERE, Code, Platform
from nitic.version import VERSION

BYTES_OF_LINE = 32
COMPILER = f"nitic {VERSION}"
FUNCTIONS = ("train_step", "eval_step", "predict", "calibrate")
DTYPES = {"uint8": "NITIC_U8", "int8": "NITIC_I8", "int16": "NITIC_I16", "int32": "NITIC_I32", "int64": "NITIC_I64"}


@dataclass(frozen=True)
class Variant:
    """What the files of a program hold of one variant's module, as text, which processes can send each other.

    description: its IR. kernels: the meaning of each group by the name that name-kernels gave. tables: its calls in
    C; functions and gpu: initialisers, the latter of what only a variant for GPUs has.
    """

    name: str
    arena: int
    description: str
    kernels: Mapping[str, str]
    tables: str
    functions: str
    gpu: str = "NULL"


def describe(name: str, module: ModuleOp) -> Variant:
    """The variant of a planned module."""
    groups = {label_of(op): op for func in functions(module) for op in calls(func)}
    meanings = {label: group.meaning for label, group in groups.items()}
    tables = [_function(name, func) for func in functions(module)]
    sizes = {func.sym_name.data: sum(1 for _ in calls(func)) for func in functions(module)}
    entries = ", ".join(f"{{{name}_{func}, {sizes[func]}, NULL}}" for func in FUNCTIONS)
    return Variant(name, arena_bytes(module), print_module(module), meanings, "\n".join(tables), f"{{{entries}}}")


def pack(variants: Sequence[Variant]) -> bytes:
    """The variants as bytes, for the cache."""
    return zlib.compress(json.dumps([asdict(variant) for variant in variants]).encode())


def unpack(packed: bytes) -> list[Variant]:
    return [Variant(**fields) for fields in json.loads(zlib.decompress(packed))]


def calls(func: FuncOp) -> Iterator[FusedOp]:
    return (op for op in func.body.block.ops if isinstance(op, FusedOp))


def call_name(variant: str, label: str) -> str:
    """The function behind a call of a kernel, a nitic_kernel."""
    return f"nitic_{variant}_{label}"


def label_of(group: FusedOp) -> str:
    """The name of a group's kernel in its program."""
    assert group.kernel is not None
    return group.kernel.data


def write_program(
    program: Program,
    variants: Sequence[Variant],
    kernels: Kernels,
    folder: Path,
    platform: Platform = HERE,
) -> Path:
    """program.c, and beside it what the assembler reads for it: the state and the description."""
    source, described = folder / "program.c", description(program, variants)
    if platform.incbin:
        files = {name: folder / f"{name}.bin" for name in ("state", "description")}
        files["state"].write_bytes(program.state_bytes())
        files["description"].write_bytes(described)
        # The description is not loaded into memory: only `nitic inspect` reads it, from the file.
        embedded = [
            embed("nitic_initial_state", files["state"]),
            _incbin("nitic_description", files["description"], '.nitic,"",%progbits'),
        ]
    else:
        kept = "extern const uint8_t nitic_description[];\n__attribute__((used)) const uint8_t nitic_description[]"
        embedded = [state_array(program), byte_array(kept, described)]
    source.write_text("\n".join(['#include "nitic.h"', *embedded, program_source(program, variants, kernels)]))
    return source


def description(program: Program, variants: Sequence[Variant]) -> bytes:
    """What a program holds for `nitic inspect`, which finds it wherever it lies in a file."""
    return program.description({variant.name: variant.description for variant in variants})


def state_array(program: Program) -> str:
    """The initial state in C."""
    return byte_array("static const uint8_t nitic_initial_state[]", program.state_bytes())


def constant_array(program: Program) -> str:
    """The frozen parameters that are no part of the arena, in C; kernels read numbers of up to 8 bytes."""
    declared = "static const union { uint8_t bytes[%d]; uint64_t aligned; } nitic_constants"
    content = program.constant_bytes()
    return byte_array(declared % len(content), content, "{{", "}}") if content else ""


def byte_array(declared: str, content: bytes, opened: str = "{", closed: str = "}") -> str:
    """Bytes as an array in C, for compilers that include no files."""
    lines = (content[i : i + BYTES_OF_LINE] for i in range(0, len(content), BYTES_OF_LINE))
    return "\n".join([f"{declared} = {opened}", *(",".join(map(str, line)) + "," for line in lines), f"{closed};"])


def constants(program: Program, variants: Sequence[Variant]) -> str:
    """The sizes of a program, for the header of those who have to give it memory."""
    values = {
        "BATCH": (program.batch, "samples of a step"),
        "SAMPLE_BYTES": (sum(part.size for part in program.inputs), ""),
        "CLASSES": (program.classes, "mantissas of a sample's logits"),
        "ARENA_BYTES": (max(variant.arena for variant in variants), "state, batch, scratch"),
        "CONSTANT_BYTES": (len(program.constant_bytes()), "frozen parameters, which stay in flash"),
    }
    lines = [f"#define NITIC_{key} {value}{f' /* {says} */' * bool(says)}" for key, (value, says) in values.items()]
    lines.append("#define NITIC_PROGRAM_BYTES (NITIC_ARENA_BYTES + NITIC_SESSION_BYTES) /* nitic_session_bytes */")
    return "\n".join([f"/* ---- {program.model.replace('*/', '')}, recipe {program.recipe} */", "", *lines, ""])


def program_source(program: Program, variants: Sequence[Variant], kernels: Kernels) -> str:
    """The tables of program.c, behind the initial state. Kernels for a GPU are in no object that is linked with it."""
    parts: list[str] = []
    for variant in variants:
        parts += [*_kernels(variant.name, kernels.get(variant.name, {})), variant.tables]
    parts += [constant_array(program), _inputs(program), _tensors(program), _variants(variants), _program(program)]
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


def embed(label: str, path: Path) -> str:
    """A file's bytes as a constant array of uint8_t."""
    return f'{_incbin(label, path, ".rodata")}\nextern const uint8_t {label}[] __attribute__((visibility("hidden")));'


def _incbin(label: str, path: Path, section: str) -> str:
    """A file's bytes, included by the assembler."""
    text = f".section {section}\n.balign 64\n{label}:\n.incbin {c_string(path)}\n.previous\n"
    return f"__asm__({c_string(text)});"


def _kernels(variant: str, kernels: Mapping[str, Kernel]) -> Iterator[str]:
    """Each function, and under the name of its group a call through an array of buffers and its units of work."""
    if VARIANTS[variant].code == Code.C99:  # they have these names, and take buffers in this way
        yield from (f"nitic_kernel {call_name(variant, name)};" for name in kernels)
        yield from (f"enum {{ units_{variant}_{name} = {kernel.units} }};" for name, kernel in kernels.items())
        return
    for name, kernel in kernels.items():
        count = len(kernel.parameters)
        types = ", ".join([*["void *"] * count, "int32_t", "int32_t", "int32_t"])
        values = ", ".join([*(f"b[{i}]" for i in range(count)), "c->thread", "c->begin", "c->end"])
        yield f"int32_t {kernel.name}({types});"
        body = f"{{ return {kernel.name}({values}); }}"
        yield f"static int32_t {call_name(variant, name)}(void *const b[], const nitic_ctx *c) {body}"
        yield f"enum {{ units_{variant}_{name} = {kernel.units} }};"


def _function(variant: str, func: FuncOp) -> str:
    name = f"{variant}_{func.sym_name.data}"
    lines: list[str] = []
    entries: list[str] = []
    phase = 0
    for i, group in enumerate(calls(func)):
        assert group.buffers is not None
        label, offsets = label_of(group), list(group.buffers.get_values())
        kernel = f"{variant}_{label}"
        lines.append(f"static const uint64_t {name}_{i}[] = {{{', '.join(map(str, offsets))}}};")
        starts = int(phase_of(group) > phase)
        phase = phase_of(group)
        units = f"{group.size}, {BLOCK}" if group.made_by == FLAT else f"units_{kernel}, 1"
        entries.append(
            f"  {{{call_name(variant, label)}, {c_string(label)}, {name}_{i}, {len(offsets)}, {units}, {starts}}},"
        )
    return "\n".join([*lines, f"static const nitic_call {name}[] = {{", *entries, "};"])


def _inputs(program: Program) -> str:
    lines, offset = list[str](), 0
    for part in program.inputs:
        dims = ", ".join(map(str, part.shape))
        lines.append(f"  {{{c_string(part.name)}, {len(part.shape)}, {{{dims}}}, {offset}, {part.size}}},")
        offset += part.size
    return "\n".join(["static const nitic_input inputs[] = {", *lines, "};"])


def _tensors(program: Program) -> str:
    extents, _ = program.extents
    tensors = sorted(named_tensors(program.module).items(), key=lambda item: extents[item[0].name])
    lines = [_tensor(label, type_, extents[label.name][0]) for label, type_ in tensors]
    return "\n".join(["static const nitic_tensor tensors[] = {", *lines, "};"])


def _tensor(label: Label, type_: Attribute, offset: int) -> str:
    shape = shape_of(type_) if is_tensor(type_) else ()
    dims = ", ".join(map(str, shape or (0,)))
    dtype, role = DTYPES[dtype_of(type_).__name__], f"NITIC_{label.role.upper()}"
    return f"  {{{c_string(label.name)}, {role}, {dtype}, {len(shape)}, {{{dims}}}, {offset}, {tensor_bytes(type_)}}},"


def _variants(variants: Sequence[Variant]) -> str:
    needs: list[str] = []
    lines: list[str] = []
    for each in variants:
        required = requirements(VARIANTS[each.name])
        if required:
            needs.append(f"static const nitic_requirement {each.name}_needs[] = {{{', '.join(required)}}};")
        array = f"{each.name}_needs, {len(required)}" if required else "NULL, 0"
        lines.append(f"  {{{c_string(each.name)}, {each.arena}, {each.functions}, {each.gpu}, {array}}},")
    return "\n".join([*needs, "static const nitic_variant variants[] = {", *lines, "};"])


def requirements(variant: targets.Variant) -> list[str]:
    """What the runtime asks of a processor before it runs a variant: an initialiser of nitic_requirement each."""
    return [f"{{{r.source}, {r.bits:#x}, {r.leaf}, {r.subleaf}, {r.register}}}" for r in variant.needs]


def _program(program: Program) -> str:
    _, state_bytes = program.extents
    fields = {
        "abi_version": "NITIC_ABI_VERSION",
        "model": c_string(program.model),
        "recipe": c_string(program.recipe),
        "identity": c_string(program.identity),
        "compiler": c_string(COMPILER),
        "momentum": int(program.has_momentum),
        "batch": program.batch,
        "classes": program.classes,
        "normalised": int(program.normalised),
        "inputs": "inputs",
        "input_count": "sizeof inputs / sizeof *inputs",
        "tensors": "tensors",
        "tensor_count": "sizeof tensors / sizeof *tensors",
        "variants": "variants",
        "variant_count": "sizeof variants / sizeof *variants",
        "initial_state": "nitic_initial_state",
        "initial_bytes": len(program.state_bytes()),
        "state_bytes": state_bytes,
        "squared_error": int(program.has_squared_error),
        "constants": "nitic_constants.bytes" if program.constant_bytes() else "NULL",
    }
    lines = [f"  .{key} = {value}," for key, value in fields.items()]
    return "\n".join(["const nitic_program nitic_program_instance = {", *lines, "};", ""])
