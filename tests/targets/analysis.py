"""The folder of `--target c` under tools that read C: gcc's analyser, clang-tidy, and valgrind while it trains.

clang-tidy comes from PyPI, valgrind is a package of Debian that is unpacked.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from nitic.driver.compile import compile_model
from nitic.ir.function import argument, function
from nitic.ir.types import shape_of
from nitic.options import CompileOptions
from tests.kernels.harness import C99_FLAGS
from tests.networks.stages import WRITERS, imported
from tests.targets.bochs import unpacked

TIDY = Path(sys.executable).parent / "clang-tidy"
# Left out: arguments of one type that could change places, of which every function on numbers has some, and shifts of
# signed numbers, which kernels are made of (runtime/core/kernel.h says what they ask of a compiler).
CHECKS = "-*,bugprone-*,-bugprone-easily-swappable-parameters,-bugprone-signed-bitwise"
NETWORKS = ("lenet", "resnet8")
BATCH = 16


def sources(network: str, folder: Path) -> Path:
    """The folder that nitic writes."""
    folder.mkdir(parents=True, exist_ok=True)
    WRITERS[network]().save(folder / f"{network}.onnx")
    options = CompileOptions(folder / f"{network}.onnx", folder / "c99", batch_size=BATCH, target="c")
    return compile_model(options).resolve()


def shape(network: str) -> tuple[int, ...]:
    """Of a sample."""
    return shape_of(argument(function(imported(network, BATCH).module, "predict"), "input"))[1:]


def analysed(made: Path) -> list[str]:
    """What gcc's analyser says, and the compiler."""
    flags = [*C99_FLAGS, "-O1", "-fanalyzer", "-Iruntime", "-c", "-o", "/dev/null"]
    return [line for path in _files(made) for line in _said(made, ["gcc", *flags, path])]


def tidied(made: Path) -> list[str]:
    """What clang-tidy says."""
    command = [TIDY, "--quiet", f"--checks={CHECKS}", "--warnings-as-errors=*", *_files(made)]
    return _said(made, [*command, "--", "-std=c99", "-Iruntime"])


def checked(made: Path, folder: Path, data: Path) -> list[str]:
    """What valgrind finds wrong in an epoch of training that is saved, and in predictions with what was saved."""
    root = unpacked(folder / "valgrind", ("valgrind",))
    subprocess.run(["make", "-s", "-B", "-C", made, "CFLAGS=-O1 -g"], check=True)
    environment = {**os.environ, "VALGRIND_LIB": str(root / "usr/libexec/valgrind")}
    valgrind = [root / "usr/bin/valgrind.bin", "-q", "--error-exitcode=9", "--leak-check=full", made / "program"]
    checkpoint = made / "checkpoint"
    checkpoint.unlink(missing_ok=True)
    runs = (
        ["train", "--data", data, "--epochs", "1", "--save", checkpoint],
        ["predict", "--data", data, "--split", "train", "--load", checkpoint, "--output", made / "logits.npy"],
    )
    return [line for words in runs for line in _said(made, [*valgrind, *words], environment)]


def _files(made: Path) -> list[str]:
    return [str(path.relative_to(made)) for path in sorted(made.rglob("*.c"))]


def _said(made: Path, command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> list[str]:
    """The complaints of a command; one that fails without a word has one, too."""
    done = subprocess.run(command, cwd=made, env=environment, capture_output=True, text=True, check=False)
    lines = [*done.stdout.splitlines(), *done.stderr.splitlines()]
    found = [line for line in lines if re.search(r"(warning|error):|^==\d+== \S", line)]
    return found or ([f"{command[0]} ended with {done.returncode}"] if done.returncode else [])
