"""What Python mirrors of nitic.h, structures and numbers, is what a C compiler makes of the header."""

import ctypes
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nitic import abi
from nitic.arithmetic import requantisation
from nitic.codegen.output import source
from nitic.codegen.output.link import compiler
from nitic.errors import ExitCode
from nitic.ir.buffers import MAX_THREADS
from nitic.paths import runtime_folder

Structure = type[ctypes.Structure]

NUMBERS = (ctypes.c_int32, ctypes.c_int64, ctypes.c_uint32, ctypes.c_uint64)

STRUCTURES = {name: each for name, each in vars(abi).items() if isinstance(each, type(ctypes.Structure))}
EXIT_CODES = {
    ExitCode.OK: "NITIC_OK",
    ExitCode.RUN_TIME: "NITIC_RUNTIME",
    ExitCode.USAGE: "NITIC_USAGE",
    ExitCode.UNSUPPORTED_MODEL: "NITIC_UNSUPPORTED",
    ExitCode.DATA_MISMATCH: "NITIC_MISMATCH",
    ExitCode.INTERRUPTED: "NITIC_INTERRUPTED",
}
DTYPES = {np.uint8: "U8", np.int8: "I8", np.int16: "I16", np.int32: "I32", np.int64: "I64"}
KINDS = {"train_step": "TRAIN_STEP", "eval_step": "EVAL_STEP", "predict": "LOGITS", "calibrate": "CALIBRATION"}


def mirrored(name: str, structure: Structure) -> dict[str, int]:
    """Size, offset and sign of each field by the C expression for it."""
    struct = f"nitic_{name.lower()}"
    found = {f"sizeof({struct})": ctypes.sizeof(structure)}
    for field, type_, *_ in structure._fields_:
        member: str = f"(({struct} *)0)->{field}"
        element: Any = type_
        found[f"offsetof({struct}, {field})"] = getattr(structure, field).offset
        found[f"sizeof({member})"] = ctypes.sizeof(type_)
        if issubclass(type_, ctypes.Array):
            member, element = f"{member}[0]", type_._type_
            found[f"sizeof({member})"] = ctypes.sizeof(element)
        if element in NUMBERS:
            found[f"(__typeof__({member}))-1 < 0"] = int(element(-1).value < 0)
    return found


def numbers() -> dict[str, int]:
    """Constants by their name in C."""
    return {
        "NITIC_MAX_RANK": abi.MAX_RANK,
        "NITIC_MAX_THREADS": MAX_THREADS,
        "NITIC_NEVER": requantisation.NEVER,
        **{f"NITIC_{DTYPES[dtype]}": i for i, dtype in enumerate(abi.DTYPES)},
        "NITIC_KINDS": len(source.FUNCTIONS),
        **{f"NITIC_{KINDS[function]}": i for i, function in enumerate(source.FUNCTIONS)},
        **{name: int(code) for code, name in EXIT_CODES.items()},
    }


def differences(expected: Mapping[str, int], folder: Path) -> list[str]:
    """The expressions of which C says something else."""
    lines = "".join(f'  printf("%lld\\n", (long long)({expression}));\n' for expression in expected)
    program = folder / "program.c"
    program.write_text(f'#include <stdio.h>\n#include "nitic.h"\nint main(void) {{\n{lines}  return 0;\n}}\n')
    command = [*compiler(), "-std=gnu11", "-I", str(runtime_folder()), str(program), "-o", str(folder / "program")]
    subprocess.run(command, check=True)
    told = subprocess.run([folder / "program"], capture_output=True, text=True, check=True).stdout.split()
    found = dict(zip(expected, map(int, told), strict=True))
    return [f"{each}: {c} in C, {expected[each]} in Python" for each, c in found.items() if c != expected[each]]


@pytest.mark.parametrize("name", STRUCTURES)
def test_structures_are_those_of_the_header(name: str, tmp_path: Path) -> None:
    assert differences(mirrored(name, STRUCTURES[name]), tmp_path) == []


def test_numbers_are_those_of_the_header(tmp_path: Path) -> None:
    assert differences(numbers(), tmp_path) == []


FIELDS = list(abi.Metrics._fields_)
WRONG = {
    "fields change places": [FIELDS[1], FIELDS[0], FIELDS[2]],
    "a field is missing": FIELDS[:2],
    "a field is narrower": [*FIELDS[:2], ("count", ctypes.c_int32)],
    "a field has no sign": [*FIELDS[:2], ("count", ctypes.c_uint64)],
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_structure_is_found(fault: str, tmp_path: Path) -> None:
    wrong: Structure = type("Wrong", (ctypes.Structure,), {"_fields_": WRONG[fault]})
    assert differences(mirrored("Metrics", wrong), tmp_path) != []
