"""Builds the toy program (toy_program.c) with the runtime, in several forms, once for all test processes."""

import fcntl
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from nitic.codegen.output.source import requirements
from nitic.paths import runtime_folder, runtime_sources
from nitic.targets import VARIANTS

HERE = Path(__file__).parent
NEEDS = ",".join(requirements(VARIANTS["avx512vnni"]))
FLAGS = [
    *("-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC"),
    *(f"-I{runtime_folder()}", f"-DTOY_AVX512VNNI={NEEDS}"),
]
SANITIZERS = {
    "": [],
    "memory": ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1"],
    "thread": ["-fsanitize=thread", "-g", "-O1"],
}


def shape_macros(*shape: int) -> list[str]:
    """What makes the toy take samples of this shape."""
    elements, channels = 1, shape[-1] if len(shape) == 3 else 1
    for length in shape:
        elements *= length
    lengths = ",".join(map(str, shape))
    return [f"-DTOY_SHAPE={lengths}", f"-DTOY_RANK={len(shape) + 1}", f"-DTOY_F={elements}", f"-DTOY_C={channels}"]


MACROS: dict[str, list[str]] = {
    "plain": [],
    "niti": ["-DTOY_GB"],
    "slow": ["-DTOY_SLEEP=10000"],
    "failing": ["-DTOY_FAIL"],
    "other": ['-DTOY_ID="ffee"'],
    "batch": ["-DTOY_N=8", '-DTOY_ID="ffee"'],
    "recipe": ["-DTOY_GB", '-DTOY_ID="ffee"'],
    "shape": [*shape_macros(2, 3, 3), '-DTOY_ID="ffee"'],
    "slow-eval": ["-DTOY_METRICS_SLEEP=50000"],
    "portable": ["-DTOY_ONLY_PORTABLE"],
    "rgb": shape_macros(2, 3, 3),
    "cube": shape_macros(3, 3, 3),
    "sequence": shape_macros(1, 4, 3),
    "flat": shape_macros(6),
    "cifar": shape_macros(32, 32, 3),
}


@dataclass(frozen=True)
class Toolchain:
    """Makes binaries in `folder`, which several processes may share."""

    folder: Path

    def toy(self, form: str = "plain", sanitizer: str = "") -> Path:
        """The toy as an executable."""
        return self._make(f"toy-{form}{sanitizer}", ["toy_program.c"], MACROS[form], sanitizer, without="")

    def library(self, form: str = "plain") -> Path:
        """The toy as a shared library."""
        return self._make(f"toy-{form}.so", ["toy_program.c"], ["-shared", *MACROS[form]])

    def fuzzer(self) -> Path:
        """fuzz.c with the toy, under the address and undefined-behaviour sanitizers."""
        return self._make("fuzz", ["fuzz.c", "toy_program.c"], [], "memory")

    def _make(
        self, name: str, sources: list[str], flags: list[str], sanitizer: str = "", without: str = "cli-main"
    ) -> Path:
        output = self.folder / name
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not output.exists():
                objects = [path for path in self._runtime(sanitizer) if path.stem != without]
                inputs = [str(path) for path in (*(HERE / source for source in sources), *objects)]
                made = self.folder / f"{name}.new"
                self.cc([*FLAGS, *SANITIZERS[sanitizer], *flags, *inputs, "-pthread", "-o", str(made)])
                made.rename(output)
        return output

    def _runtime(self, sanitizer: str) -> list[Path]:
        folder = self.folder / f"runtime-{sanitizer}"
        sources = {f"{source.parent.name}-{source.stem}.o": source for source in runtime_sources()}
        if not folder.exists():
            new = self.folder / "new"
            new.mkdir()
            flags = [*FLAGS, *SANITIZERS[sanitizer], "-c"]
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                commands = [[*flags, str(source), "-o", str(new / name)] for name, source in sources.items()]
                list(pool.map(self.cc, commands))
            new.rename(folder)
        return [folder / name for name in sources]

    @staticmethod
    def cc(arguments: list[str]) -> None:
        """The C compiler, which must succeed."""
        compiler = os.environ.get("CC") or shutil.which("cc") or "gcc"
        done = subprocess.run([*compiler.split(), *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
