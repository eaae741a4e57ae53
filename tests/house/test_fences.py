"""Dependencies point one way, and heavy packages are imported only where they are needed."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

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


def test_the_command_line_starts_without_heavy_imports() -> None:
    heavy = ("tvm", "onnx", "sklearn", "xdsl", "numpy", "PIL")
    program = f"import sys, nitic.cli; print([name for name in {heavy!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
