"""Dependencies point one way, and heavy packages are imported only where they are needed."""

import importlib
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from nitic.ir.op import NnOp
from nitic.ops.bfp import BfpOp
from nitic.paths import FREESTANDING as FREESTANDING_FOLDERS
from tools.rooms import (
    FILES,
    HEAVY,
    INCLUDES,
    PACKAGE,
    ROOMS,
    RUNTIME,
    crossings,
    files_of,
    imported_modules,
    included_folders,
)

# Where an operator is at home, besides nitic.ops: what imports, exports and computes it, and what targets have.
HOMES = (
    *("nitic.frontend.operators", "nitic.export.operators"),
    *("nitic.codegen.operators", "nitic.codegen.contractions", "nitic.targets"),
)
# Who else may name operators of networks, and why. All others ask for traits (nitic.ir.traits).
ABOUT_OPERATORS = {
    "nitic.export.qdq": "rounds what batch norms normalise, and what concats join",
    "nitic.frontend.builder": "moves what ONNX lays out as NCHW: inserts reshapes and transposes",
    "nitic.passes.frontend.fold_batch_norm": "makes batch norms part of the layers before them",
    "nitic.passes.training.canonicalise": "merges reshapes and transposes by their rules",
    "nitic.passes.training.insert_loss": "inserts the losses, draws dropouts' masks and takes batch norms' statistics",
    "nitic.passes.training.insert_backward": "inserts the sums of the errors that meet at a fork",
    "nitic.passes.training.insert_update": "inserts the update rules",
    "nitic.passes.training.join_slices": "makes one concat of the pads of a sum",
    "nitic.passes.integers.insert_rounding": "inserts the map from samples to mantissas",
    "nitic.passes.kernels.assign_layouts": "inserts packed copies",
}


def within(module: str, names: Sequence[str]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


def test_every_file_belongs_to_one_room() -> None:
    found = [path for room in ROOMS for path in files_of(room)]
    assert sorted(found) == sorted(PACKAGE.rglob("*.py"))
    assert all(map(files_of, ROOMS)), "a room without files"
    assert FILES.keys() <= ROOMS.keys()


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_what_the_table_allows(room: str) -> None:
    found = crossings(room)
    assert [each for other in found if other not in ROOMS[room] for each in found[other]] == []
    assert [other for other in ROOMS[room] if other not in found] == [], f"{room} needs less than tools/rooms.py allows"


def test_dependencies_point_one_way() -> None:
    order = list(ROOMS)
    assert [(room, other) for room in order for other in ROOMS[room] if order.index(other) >= order.index(room)] == []


@pytest.mark.parametrize("package", HEAVY)
def test_heavy_packages_are_imported_only_where_they_are_needed(package: str) -> None:
    found = {
        room for room in ROOMS for path in files_of(room) for name in imported_modules(path) if within(name, [package])
    }
    assert found == set(HEAVY[package])


def test_every_folder_of_the_runtime_has_its_rule() -> None:
    assert {path.name for path in RUNTIME.iterdir() if path.is_dir()} == INCLUDES.keys()
    assert [path.name for path in RUNTIME.iterdir() if path.is_file()] == ["nitic.h"]


@pytest.mark.parametrize("folder", INCLUDES)
def test_includes_of_the_runtime_point_one_way(folder: str) -> None:
    """Their paths are relative to runtime/, so that each names its folder."""
    found, order = included_folders(folder), list(INCLUDES)
    assert [each for other in found if other not in INCLUDES[folder] for each in found[other]] == []
    assert [other for other in INCLUDES[folder] if other not in found] == [], "an entry that nobody needs"
    assert all(order.index(other) < order.index(folder) for other in INCLUDES[folder])


def operators_named(path: Path) -> list[str]:
    """The classes of network operators that a file imports."""
    found: list[str] = []
    for name in imported_modules(path):
        module, _, member = name.rpartition(".")
        if module.startswith("nitic.ops."):
            kind = getattr(importlib.import_module(module), member)
            if isinstance(kind, type) and issubclass(kind, NnOp) and not issubclass(kind, BfpOp):
                found.append(member)
    return found


SYSTEM_HEADERS = ("posix", "cuda")
ISO_C = {
    f"{name}.h"
    for name in [
        "errno",
        "limits",
        "signal",
        "stdarg",
        "stdbool",
        "stddef",
        "stdint",
        "stdio",
        "stdlib",
        "string",
        "time",
    ]
}


def test_only_one_folder_knows_the_operating_system() -> None:
    for path in RUNTIME.rglob("*.[ch]"):
        if path.relative_to(RUNTIME).parts[0] not in SYSTEM_HEADERS:
            assert set(re.findall(r"^#include <(.*)>", path.read_text(), re.MULTILINE)) <= ISO_C, path


FREESTANDING = {"stdarg.h", "stdbool.h", "stddef.h", "stdint.h"}


@pytest.mark.parametrize("folder", FREESTANDING_FOLDERS)
def test_what_firmware_links_needs_no_libc(folder: str) -> None:
    for path in (RUNTIME / folder).rglob("*.[ch]"):
        assert set(re.findall(r"^#include <(.*)>", path.read_text(), re.MULTILINE)) <= FREESTANDING, path


def test_generic_machinery_names_no_operator_of_a_network() -> None:
    """It may name those of the number format (bfp) and groups (nn.fused), for which its passes exist."""
    modules = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
    others = [name for name in sorted(modules) if not within(name, ("nitic.ops", *HOMES))]
    found = {name: named for name in others if (named := operators_named(modules[name]))}
    assert {name: named for name, named in found.items() if name not in ABOUT_OPERATORS} == {}
    assert sorted(found) == sorted(ABOUT_OPERATORS), "an exception that nobody needs"


def test_the_command_line_starts_without_heavy_imports() -> None:
    heavy = ("tvm", "onnx", "sklearn", "xdsl", "numpy", "networkx", "PIL")
    program = f"import sys, nitic.cli; print([name for name in {heavy!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
