"""Dependencies point one way, and heavy packages are imported only where they are needed."""

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from nitic.ir.op import NnOp
from nitic.ops.bfp import BfpOp

PACKAGE = Path(__file__).resolve().parents[2] / "nitic"

# What no file of a part may import, by the beginning of the module's name.
FORBIDDEN = {
    "ir": ("nitic.ops", "nitic.passes", "nitic.codegen", "nitic.frontend", "nitic.pipeline", "nitic.driver"),
    "ops": ("nitic.passes", "nitic.codegen", "nitic.frontend", "nitic.pipeline", "nitic.driver"),
    "passes": ("nitic.codegen", "nitic.frontend", "nitic.pipeline", "nitic.driver", "nitic.cli", "onnx", "tvm"),
    "codegen": ("nitic.passes", "nitic.frontend", "nitic.pipeline", "nitic.driver", "nitic.cli", "onnx"),
    "frontend": ("nitic.codegen", "nitic.pipeline", "nitic.driver", "nitic.cli", "tvm"),
    "data": ("nitic.ir", "nitic.ops", "nitic.passes", "nitic.codegen", "nitic.frontend", "nitic.driver", "onnx", "tvm"),
    "interpret.py": ("nitic.passes", "nitic.codegen", "nitic.frontend", "nitic.pipeline", "nitic.driver"),
    "cli.py": ("nitic.passes", "nitic.codegen", "nitic.frontend", "nitic.ops", "nitic.ir", "onnx", "tvm"),
}

RUNTIME = PACKAGE.parent / "runtime"

# What the files of a folder of the runtime may include of others. All know nitic.h.
RUNTIME_INCLUDES = {
    "core": (),
    "data": ("core",),
    "checkpoint": ("core",),
    "cli": ("core", "data", "checkpoint"),
    "cpu": ("core",),
    "cuda": ("core",),
}

# Where an operator is at home, besides nitic.ops: what imports it, what computes it, and which target has what for it.
HOMES = ("nitic.frontend.operators", "nitic.codegen.operators", "nitic.codegen.contractions", "nitic.targets")
# Who else may name operators of networks, and why. All others ask for traits (nitic.ir.traits).
ABOUT_OPERATORS = {
    "nitic.frontend.builder": "moves what ONNX lays out as NCHW: inserts reshapes and transposes",
    "nitic.passes.frontend.fold_batch_norm": "makes batch norms part of the layers before them",
    "nitic.passes.training.canonicalise": "merges reshapes and transposes by their rules",
    "nitic.passes.training.insert_loss": "inserts the losses, draws dropouts' masks and takes batch norms' statistics",
    "nitic.passes.training.insert_backward": "inserts the sums of the errors that meet at a fork",
    "nitic.passes.training.insert_update": "inserts the update rules",
    "nitic.passes.integers.insert_rounding": "inserts the map from samples to mantissas",
    "nitic.passes.kernels.assign_layouts": "inserts packed copies",
}


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(module: str, names: Sequence[str]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


@pytest.mark.parametrize("part", FORBIDDEN)
def test_dependencies_point_one_way(part: str) -> None:
    root = PACKAGE / part
    files = [root] if root.is_file() else sorted(root.rglob("*.py"))
    assert files
    crossings = [
        f"{path.relative_to(PACKAGE)} imports {module}"
        for path in files
        for module in imported_modules(path)
        if within(module, FORBIDDEN[part])
    ]
    assert crossings == []


def test_every_folder_of_the_runtime_has_its_rule() -> None:
    assert {path.name for path in RUNTIME.iterdir() if path.is_dir()} == RUNTIME_INCLUDES.keys()
    assert [path.name for path in RUNTIME.iterdir() if path.is_file()] == ["nitic.h"]


@pytest.mark.parametrize("folder", RUNTIME_INCLUDES)
def test_includes_of_the_runtime_point_one_way(folder: str) -> None:
    """Their paths are relative to runtime/, so that each names its folder."""
    allowed = {f"{each}/" for each in (folder, *RUNTIME_INCLUDES[folder])}
    crossings = [
        f"{path.relative_to(RUNTIME)} includes {header}"
        for path in sorted((RUNTIME / folder).rglob("*.[ch]"))
        for header in re.findall(r'^#include "(.*)"', path.read_text(), re.MULTILINE)
        if header != "nitic.h" and not header.startswith(tuple(allowed))
    ]
    assert crossings == []


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
