"""The rooms of the house: which of them may import which.

This table is the rule. tests/house/test_fences.py holds the code against it, tools/draw_architecture.py draws it, and
docs/architecture.md lists it.
"""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
PACKAGE, RUNTIME = CHECKOUT / "nitic", CHECKOUT / "runtime"

# What a room may import, besides itself. A room stands behind all that it imports.
ROOMS: Mapping[str, Sequence[str]] = {
    "basics": (),
    "arithmetic": (),
    "data": ("basics", "arithmetic"),
    "ir": ("basics", "arithmetic"),
    "ops": ("arithmetic", "ir"),
    "interpret": ("arithmetic", "ir", "ops"),
    "program": ("basics", "arithmetic", "ir"),
    "frontend": ("basics", "arithmetic", "ir", "ops"),
    "export": ("basics", "arithmetic", "ir", "ops", "interpret", "frontend"),
    "targets": ("basics", "ir", "ops"),
    "options": ("basics", "targets"),
    "passes": ("basics", "ir", "ops"),
    "passes/frontend": ("basics", "ir", "ops", "passes"),
    "passes/training": ("basics", "arithmetic", "ir", "ops", "passes"),
    "passes/integers": ("arithmetic", "ir", "ops", "passes", "passes/training"),
    "passes/kernels": ("basics", "arithmetic", "ir", "ops", "targets", "passes"),
    "pipeline": (
        *("basics", "targets"),
        *("passes", "passes/frontend", "passes/training", "passes/integers", "passes/kernels"),
    ),
    "codegen/core": ("basics", "arithmetic", "ir", "ops"),
    "codegen/loops": ("ir", "ops", "codegen/core"),
    "codegen/cuda": ("basics", "ir", "ops", "codegen/core"),
    "codegen/c99": ("codegen/core",),
    "codegen/operators": ("basics", "arithmetic", "ir", "ops", "codegen/core", "codegen/loops", "codegen/cuda"),
    "codegen/contractions": ("ir", "ops", "targets", "codegen/core", "codegen/loops", "codegen/cuda"),
    "codegen/emitters": (
        *("basics", "ops", "targets"),
        *("codegen/core", "codegen/cuda", "codegen/operators", "codegen/contractions"),
    ),
    "codegen/output": (
        *("basics", "ir", "ops", "program", "targets", "options"),
        *("codegen/core", "codegen/c99", "codegen/cuda", "codegen/emitters"),
    ),
    "driver": (
        *("basics", "arithmetic", "ir", "ops", "interpret", "program", "frontend", "export", "targets", "options"),
        *("passes", "passes/frontend", "passes/kernels", "pipeline", "codegen/output"),
    ),
    "session": ("basics", "arithmetic", "ir", "program", "frontend", "options", "driver"),
    "cli": ("basics", "data", "options", "driver"),
}

# The rooms that are files: the first one says what the room is. Every other room is the folder of its name.
FILES: Mapping[str, Sequence[str]] = {
    "basics": ("errors.py", "paths.py", "progress.py", "signals.py", "version.py"),
    "interpret": ("interpret.py",),
    "program": ("program.py", "state.py", "checkpoint.py", "delta.py"),
    "options": ("options.py",),
    "passes": ("passes/__init__.py", "passes/base.py", "passes/invariants.py", "passes/dead_code.py"),
    "pipeline": ("pipeline.py", "recipe.py"),
    "codegen/emitters": ("codegen/emitters.py", "codegen/__init__.py"),
    "session": ("session.py", "abi.py", "__init__.py"),
    "cli": ("cli.py", "__main__.py"),
}

# The only rooms that import a package that is heavy, or that not everybody installs.
HEAVY: Mapping[str, Sequence[str]] = {
    "onnx": ("frontend", "export"),
    "tvm": ("codegen/core", "codegen/contractions", "codegen/cuda", "codegen/output"),
    "tvm_ffi": (),
    "sklearn": ("driver",),
    "PIL": ("data",),
    "torch": ("frontend",),
}

# The folders of the runtime, and whose headers each may include, besides nitic.h and its own.
INCLUDES: Mapping[str, Sequence[str]] = {
    "core": (),
    "bare": ("core",),
    "hosted": ("core",),
    "data": ("core",),
    "checkpoint": ("core", "hosted"),
    "cli": ("core", "hosted", "data"),
    "cpu": ("core",),
    "cuda": ("core",),
    "posix": ("core", "hosted"),
    "standard": ("core", "hosted"),
}


def files_of(room: str) -> list[Path]:
    if room in FILES:
        return [PACKAGE / name for name in FILES[room]]
    return sorted((PACKAGE / room).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(CHECKOUT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


ROOM_OF = {module_name(path): room for room in ROOMS for path in files_of(room)}
"""The room of each module."""


def imported_modules(path: Path) -> Iterator[str]:
    """The names that a file imports: modules, or members of modules."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(name: str) -> str | None:
    """The room of a module, or of a member of one; None where it is not ours."""
    while name not in ROOM_OF and "." in name:
        name = name.rpartition(".")[0]
    return ROOM_OF.get(name)


def crossings(room: str) -> dict[str, list[str]]:
    """Where the files of a room import those of others: sentences, by the other room."""
    found: dict[str, list[str]] = {}
    for path in files_of(room):
        for name in imported_modules(path):
            other = room_of(name)
            if other not in (None, room):
                found.setdefault(other, []).append(f"{path.relative_to(CHECKOUT)} imports {name}")
    return found


def included_folders(folder: str) -> dict[str, list[str]]:
    """As `crossings`, of the folders of the runtime. Paths of headers are relative to runtime/."""
    found: dict[str, list[str]] = {}
    for path in sorted((RUNTIME / folder).rglob("*.[ch]")):
        for header in re.findall(r'^#include "(.*)"', path.read_text(), re.MULTILINE):
            other = header.rpartition("/")[0].partition("/")[0]
            if header != "nitic.h" and other != folder:
                found.setdefault(other, []).append(f"{path.relative_to(CHECKOUT)} includes {header}")
    return found
