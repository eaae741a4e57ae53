"""Dependencies point one way, and heavy packages are imported only where they are needed."""

import ast
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
    "interpret.py": ("nitic.passes", "nitic.codegen", "nitic.frontend", "nitic.pipeline", "nitic.driver"),
    "cli.py": ("nitic.passes", "nitic.codegen", "nitic.frontend", "nitic.ops", "nitic.ir", "onnx", "tvm"),
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


def test_the_command_line_starts_without_heavy_imports() -> None:
    heavy = ("tvm", "onnx", "sklearn", "xdsl", "numpy", "PIL")
    program = f"import sys, nitic.cli; print([name for name in {heavy!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
