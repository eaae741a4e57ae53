"""Object files and C sources to an executable, a library or one object, by the system's C compiler or by zig."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

from nitic.codegen.output.cache import Cache
from nitic.codegen.output.processes import processors
from nitic.errors import CompileError, ExitCode
from nitic.options import Emit
from nitic.paths import runtime_folder, runtime_sources
from nitic.targets.base import HERE, Platform, Target

FLAGS = [
    *("-std=c11", "-D_GNU_SOURCE", "-O1", "-pipe", "-fPIC", "-fvisibility=hidden"),
    *("-ffunction-sections", "-fdata-sections"),
    "-fno-asynchronous-unwind-tables",  # nothing unwinds a stack of C
]
# Level 2 takes half as long again as level 1, and gains something only where the pixels of every sample pass.
PIXELS, PIXELS_FLAGS = "data", ["-O2"]
STEP_SOURCES = (
    "core/step.c",
    "cpu/device.c",
    "bare/device.c",
    "posix/pool.c",
    "cuda/device.c",
    "cuda/graph.c",
    "cuda/store.c",
)
COMMAND_LINE = "cli"  # the folder that only an executable needs
LINK_FLAGS = {
    Emit.EXE: ["-Wl,--gc-sections", "-s"],
    Emit.LIB: ["-shared", "-Wl,--gc-sections", "-s"],
    Emit.OBJ: ["-r", "-nostdlib"],
}
LIBRARIES = {"cpu": [], "cuda": ["-ldl"]}


def compiler(platform: Platform = HERE) -> list[str]:
    """The command of a C compiler for a platform: of this machine, $CC, cc, or zig from the `cross` extra; of others,
    zig. Raises CompileError."""
    if platform.zig:
        return [*_zig(f"no C compiler for {platform.zig}"), "-target", platform.zig]
    if command := os.environ.get("CC", "").split():
        return command
    for name in ("cc", "gcc", "clang"):
        if found := shutil.which(name):
            return [found]
    return _zig("no C compiler to link the program with")


def _zig(otherwise: str, tool: str = "cc") -> list[str]:
    """The C compiler of zig, or another of its tools. Raises CompileError where it is not installed."""
    if find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", tool]
    raise CompileError("", otherwise, "install one, or: pip install 'nitic[cross]'", ExitCode.RUN_TIME)


def runtime_objects(emit: Emit, folder: Path, cache: Cache, target: Target) -> list[Path]:
    """The runtime compiled for a target, or taken out of the cache: objects in `folder`. Raises CompileError.

    One processor is left to those who do something else meanwhile.
    """
    found = runtime_sources(target.device, target.platform.system)
    sources = [path for path in found if emit == Emit.EXE or path.parent.name != COMMAND_LINE]
    common = _common_digest(target.platform)
    with ThreadPoolExecutor(max(1, processors() - 1)) as pool:
        return list(pool.map(lambda each: _runtime_object(each, folder, cache, target.platform, common), sources))


def link(objects: Sequence[Path], source: Path, emit: Emit, output: Path, target: Target) -> None:
    """Writes the program: these objects, and the tables in `source`.

    The output appears only when it is complete. Raises CompileError.
    """
    platform = target.platform
    command = compiler(platform)
    with tempfile.TemporaryDirectory(prefix="nitic-") as folder:
        program = Path(folder) / "program.o"
        _run([*command, *FLAGS, *platform.flags, "-I", str(runtime_folder()), "-c", str(source), "-o", str(program)])
        libraries = [*platform.link, *LIBRARIES[target.device]] if emit != Emit.OBJ else []
        made = Path(folder) / output.name
        inputs = Path(folder) / "inputs"  # there may be more than a command line holds
        inputs.write_bytes(os.fsencode("\n".join(map(_quoted, (*objects, program)))))
        _run([*command, f"@{inputs}", *LINK_FLAGS[emit], *libraries, "-o", str(made)])
        install(made, output)


def archive(objects: Sequence[Path], source: Path, output: Path, target: Target) -> None:
    """Writes a static library: these objects, and the tables in `source`. Raises CompileError."""
    program = source.with_suffix(".o")
    command, flags = compiler(target.platform), [*FLAGS, *target.platform.flags]
    _run([*command, *flags, "-I", str(runtime_folder()), "-c", str(source), "-o", str(program)])
    inputs = source.with_name("inputs")
    inputs.write_bytes(os.fsencode("\n".join(map(_quoted, (*objects, program)))))
    _run([*_zig("no archiver for this target", "ar"), "rcsD", str(output), f"@{inputs}"])


def _quoted(path: Path) -> str:
    """A path as a file of compiler arguments holds it."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def install(made: Path, output: Path) -> None:
    """Moves a finished file to where it was asked for, in one go. Raises CompileError."""
    try:
        if output.exists() and not output.is_file():
            output.write_bytes(made.read_bytes())  # a device or a pipe, such as /dev/null, stays what it is
            return
        with tempfile.NamedTemporaryFile(dir=output.parent, prefix=f".{output.name}.", delete=False) as beside:
            try:
                shutil.copyfile(made, beside.name)
                shutil.copymode(made, beside.name)
                Path(beside.name).replace(output)
            except BaseException:
                Path(beside.name).unlink()
                raise
    except OSError as error:
        raise CompileError(str(output), f"cannot write it: {error.strerror}", exit_code=ExitCode.RUN_TIME) from error


def write(content: bytes, output: Path) -> Path:
    """Writes a file in one go; gives its path. Raises CompileError."""
    with tempfile.TemporaryDirectory(prefix="nitic-") as folder:
        made = Path(folder) / output.name
        made.write_bytes(content)
        install(made, output)
    return output


def _runtime_object(source: Path, folder: Path, cache: Cache, platform: Platform, common: bytes) -> Path:
    """A C file of the runtime as an object in the folder, made once per compiler and version of the sources.

    common: the digest of what all these files have in common.
    """
    part = source.parent.name  # two devices have files of the same names
    flags = [*FLAGS, *platform.flags, *(PIXELS_FLAGS if part == PIXELS else [])]
    flags += platform.step_flags if f"{part}/{source.name}" in STEP_SOURCES else []
    name = f"{part}-{source.stem}-{_digest(source, flags, common)}"
    made = folder / f"{name}.o"
    if content := cache.read("runtime", name):
        made.write_bytes(content)
    else:
        _run([*compiler(platform), *flags, "-I", str(runtime_folder()), "-c", str(source), "-o", str(made)])
        cache.write("runtime", name, made.read_bytes())
    return made


def _digest(source: Path, flags: list[str], common: bytes) -> str:
    """The digest of everything that decides what the object is."""
    return hashlib.sha256(f"{flags}".encode() + common + source.read_bytes()).hexdigest()[:16]


def _common_digest(platform: Platform) -> bytes:
    """The digest of the C compiler and of every header."""
    command = compiler(platform)
    spec = find_spec("ziglang") if "ziglang" in command else None
    executable = Path(spec.origin or "") if spec else Path(command[0])
    stamp = f"{command} {executable.stat().st_mtime_ns if executable.exists() else 0}"
    headers = [path.read_bytes() for path in sorted(runtime_folder().rglob("*.h"))]
    return hashlib.sha256(os.fsencode(stamp) + b"".join(headers)).digest()


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        message = f"cannot run the C compiler: {error.strerror}"
        raise CompileError(command[0], message, exit_code=ExitCode.RUN_TIME) from error
    if done.returncode:
        text = done.stderr.strip() or done.stdout.strip()
        raise CompileError(" ".join(command[:3]), "the C compiler failed", text, ExitCode.RUN_TIME)
