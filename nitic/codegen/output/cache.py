"""Kernels and plans on disk, across compilations: files named by a digest of everything that decides their content.

A file is complete or not there, whoever writes beside: it is renamed into place. One that is damaged counts as missing.
A cache saves time, but nothing depends on it, so errors of the disk are passed over. To clear it, delete the folder.
The digest finds damage, not malice: a folder in which others may write is not used.
"""

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nitic.codegen.core.kernel import Kernel, Launch, Scratch
from nitic.targets import VARIANTS
from nitic.version import VERSION

OTHERS_WRITE = 0o022  # permissions of a group and of everyone
FOLDERS = 256  # of each kind, by the last two digits of a name
SHARE = 2**30 // FOLDERS  # bytes of a folder; beyond it the files that were not used for longest go
_PACKAGE = Path(__file__).resolve().parents[2]
# What code generation imports, and what the passes do besides: tests/kernels/test_kernel_cache.py asks Python.
_LEAVES = ("errors.py", "options.py", "paths.py", "program.py", "progress.py", "signals.py", "version.py")
_KERNELS = ("arithmetic", "codegen", "ir", "ops", "targets", *_LEAVES)
_PLANS = (*_KERNELS, "passes", "pipeline.py", "recipe.py")
_TVM = ("apache-tvm", "apache-tvm-ffi")


def cache_folder() -> Path | None:
    """$NITIC_CACHE, or a folder of the user's cache; None where the user has no home."""
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return None
    return Path(os.environ.get("NITIC_CACHE") or Path(base) / "nitic")


def symbol(variant: str, meaning: str) -> str:
    """The name of the function for a group: equal ones are the same code."""
    key = f"{code_digest(_KERNELS)}\n{variant} {VARIANTS[variant].machine}\n{meaning}"
    return "nitic_" + sha256(key.encode()).hexdigest()[:32]


def plan_name(identity: str, variants: Sequence[str]) -> str:
    """The name of the plan for how these variants run the program of that identity."""
    return sha256("\n".join([code_digest(_PLANS), identity, *variants]).encode()).hexdigest()[:32]


@cache
def code_digest(deciding: Sequence[str]) -> str:
    """The digest of these parts of the compiler, TVM, and the LLVM within it."""
    digest = sha256("\n".join([VERSION, *map(version, _TVM), *_libraries()]).encode())
    for path in sources(deciding):
        digest.update(f"\n{path.relative_to(_PACKAGE)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def sources(deciding: Sequence[str]) -> list[Path]:
    """The files of these parts, in a fixed order."""
    return [path for name in deciding for path in sorted((_PACKAGE / name).rglob("*.py")) or [_PACKAGE / name]]


@cache
def _libraries() -> list[str]:
    """TVM's shared libraries, by size and time: what a build of one's own has instead of a version. Imports nothing."""
    spec = find_spec("tvm")
    folders = spec.submodule_search_locations if spec else None
    paths = sorted(path for folder in folders or () for path in Path(folder).rglob("libtvm*"))
    return [f"{path.name} {(at := path.stat()).st_size} {at.st_mtime_ns}" for path in paths]


@dataclass(frozen=True)
class Cache:
    """A folder of files. Without a folder nothing is found and nothing is kept."""

    folder: Path | None

    def read(self, kind: str, name: str) -> bytes | None:
        """What was written under the name, which then counts as used."""
        path = self._place(kind, name)
        if path is None:
            return None
        with suppress(OSError, ValueError):
            digest, content = path.read_bytes().split(b"\n", 1)
            if digest == _digest(content):
                os.utime(path)
                return content
        return None

    def write(self, kind: str, name: str, content: bytes) -> None:
        """Keeps the content, if that is possible."""
        if self.folder is None:
            return
        with suppress(OSError):
            for folder in self._folders(self.folder, kind, name):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if path := self._place(kind, name):
                write_at_once(path, _digest(content) + b"\n" + content)

    def trim(self, written: Sequence[str], limit: int = SHARE) -> None:
        """Removes what was not used for longest from the folders of a few of the names that were written.

        A look at every file would take seconds where there are many. The digits of a digest are as good as random, so
        each folder is looked at once in 16 of its files, whatever is compiled.
        """
        if self.folder is None:
            return
        with suppress(OSError):
            for name in written[::16]:
                files = [(path, path.stat()) for path in self.folder.glob(f"*/{name[-2:]}/*") if path.is_file()]
                left = sum(stat.st_size for _, stat in files)
                for path, stat in sorted(files, key=lambda item: item[1].st_mtime_ns):
                    if left <= limit:
                        break
                    path.unlink(missing_ok=True)
                    left -= stat.st_size

    def _place(self, kind: str, name: str) -> Path | None:
        """The path of a file; none, where somebody else could have put it there: it becomes code that the user runs."""
        if self.folder is None:
            return None
        folders = self._folders(self.folder, kind, name)
        for folder in filter(Path.exists, folders):
            stat = folder.stat()
            if stat.st_uid != os.geteuid() or stat.st_mode & OTHERS_WRITE:
                _say_refused(folder)
                return None
        return folders[-1] / name

    @staticmethod
    def _folders(folder: Path, kind: str, name: str) -> tuple[Path, Path, Path]:
        return folder, folder / kind, folder / kind / name[-2:]


@cache
def _say_refused(folder: Path) -> None:
    """Once."""
    print(f"nitic: {folder}: is no cache, since it belongs to another user or others may write there", file=sys.stderr)


def _digest(content: bytes) -> bytes:
    return sha256(content).hexdigest().encode()


@dataclass(frozen=True)
class KernelCache(Cache):
    """Kernels and their object files by the name of their function."""

    def load(self, name: str) -> tuple[Kernel, bytes] | None:
        content = self.read("kernels", name)
        with suppress(ValueError, KeyError, TypeError):
            header, code = (content or b"").split(b"\n", 1)
            return _described(json.loads(header)), code
        return None

    def store(self, kernel: Kernel, code: bytes) -> None:
        """Keeps a kernel, if that is possible."""
        header = json.dumps(asdict(kernel.described()))
        self.write("kernels", kernel.name, header.encode() + b"\n" + code)


def _described(fields: dict[str, Any]) -> Kernel:
    launch = fields["launch"] and Launch(**fields["launch"])
    scratch = {name: Scratch(**each) for name, each in fields["scratch"].items()}
    tuples = {"zeroed": tuple(fields["zeroed"]), "before": tuple(map(_described, fields["before"]))}
    return Kernel(**{**fields, **tuples, "launch": launch, "scratch": scratch})


def write_at_once(path: Path, content: bytes) -> None:
    """A file that is there as a whole or not at all. Raises OSError."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as beside:
        try:
            beside.write(content)
            beside.flush()
            Path(beside.name).replace(path)
        except BaseException:
            Path(beside.name).unlink()
            raise
