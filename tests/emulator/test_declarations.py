"""The declarations of runtime/cuda/driver.h are those of NVIDIA's header, where that is installed."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from nitic.paths import runtime_folder
from tests.emulator.emulator import COMPILER, FOLDER

HEADERS = [
    *(Path(os.environ[name]) / "include" for name in ("CUDA_HOME", "CUDA_PATH") if name in os.environ),
    *sorted(Path("/usr/local").glob("cuda*/include")),
]
INCLUDE = next((folder for folder in HEADERS if (folder / "cuda.h").exists()), None)
needs_header = pytest.mark.skipif(INCLUDE is None or COMPILER is None, reason="no cuda.h")
# What of a parameter decides how it is passed; handles are pointers.
SIZES = {"size_t": 8, "CUdeviceptr": 8, "cu_address": 8, "unsigned long long": 8, "cuuint64_t": 8, "unsigned char": 1}
NUMBERS = ("int", "unsigned", "unsigned int", "CUdevice", "CUresult", "CUdevice_attribute", "CUfunction_attribute")


def ours() -> dict[str, str]:
    """Parameters by symbol."""
    text = (runtime_folder() / "cuda" / "driver.h").read_text().replace("\\\n", " ")
    return dict(re.findall(r"F\(\w+,\s*(\w+),\s*\(([^()]*)\)\)", text))


def theirs() -> dict[str, str]:
    command = [str(COMPILER), "-x", "c", "-E", "-P", str(INCLUDE and INCLUDE / "cuda.h")]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {name: values.replace("\n", " ") for name, values in re.findall(r"\bCUresult (cu\w+)\(([^()]*)\);", text)}


def kinds(parameters: str) -> list[int | str]:
    return [kind(re.sub(r"\bconst\b", "", each).strip()) for each in parameters.split(",")]


def kind(parameter: str) -> int | str:
    if "*" in parameter:
        return "pointer"
    type_ = parameter.rpartition(" ")[0].strip()
    return SIZES.get(type_) or (4 if type_ in NUMBERS else "pointer")


@needs_header
def test_structures_are_the_same() -> None:
    command = ["cc", "-std=c11", "-fsyntax-only", "-I", str(INCLUDE), "-I", str(runtime_folder())]
    subprocess.run([*command, str(FOLDER / "declarations.c")], check=True)


@needs_header
def test_functions_are_the_same() -> None:
    """Under the names that the header's macros lead to, such as cuMemAlloc_v2 for cuMemAlloc."""
    declared, found = theirs(), ours()
    assert len(found) == 40
    assert {name: kinds(parameters) for name, parameters in found.items()} == {
        name: kinds(declared[name]) for name in found
    }
