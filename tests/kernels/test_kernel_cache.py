"""Kernels and plans on disk: the same bytes again, whatever happens to the files, and none of another compiler."""

import errno
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from xdsl.ir import Attribute

from nitic import targets
from nitic.codegen.core.kernel import Kernel
from nitic.codegen.output import cache, link, processes
from nitic.codegen.output.cache import Cache, KernelCache
from nitic.codegen.output.generate import Generated, generate
from nitic.driver.build import build_program
from nitic.driver.plan import plan
from nitic.driver.watcher import Watcher
from nitic.frontend.demo import digits_cnn
from nitic.ir.op import NnOp
from nitic.ir.types import i8, i32, tensor
from nitic.ops.bfp import RangeOp
from nitic.ops.elementwise import ReluOp
from nitic.options import CompileOptions, Emit
from nitic.passes.kernels.select_kernels import select
from nitic.progress import QUIET_SECONDS, Progress
from nitic.targets import VARIANTS
from tests.kernels.harness import make_group, one

KERNEL, CODE = Kernel("nitic_0123", {"a0": "int8", "r0": "int64"}, 7), bytes(range(256))
GROUPS: list[tuple[type[NnOp], list[Attribute]]] = [(RangeOp, [tensor((9, 9), i8)]), (ReluOp, [tensor((9, 9), i32)])]
MADE = {op.name: make_group(one(op), types) for op, types in GROUPS}
select(MADE.values(), VARIANTS["portable"])
MEANINGS = {"portable": {name: group.meaning for name, group in MADE.items()}}


def made(folder: Path, kept: Path | None) -> Generated:
    folder.mkdir()
    return generate(MEANINGS, folder, KernelCache(kept))


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def contents(generated: Generated) -> list[bytes]:
    return [path.read_bytes() for path in generated.objects]


@pytest.fixture
def stored(tmp_path: Path) -> KernelCache:
    kept = KernelCache(tmp_path / "cache")
    kept.store(KERNEL, CODE)
    return kept


def test_what_is_stored_is_found(stored: KernelCache) -> None:
    assert stored.load(KERNEL.name) == (KERNEL, CODE)
    assert stored.load("nitic_4567") is None


def test_a_hit_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (made(tmp_path / name, tmp_path / "cache") for name in "ab")
    assert (first.new, second.new) == (2, 0)
    assert contents(first) == contents(second)
    assert first.kernels == second.kernels
    assert str(second) == "2 kernels: 0 generated, 2 from the cache"


@pytest.mark.parametrize("place", [0, 70, 200, -1])
def test_a_changed_byte_is_noticed(stored: KernelCache, tmp_path: Path, place: int) -> None:
    (path,) = files(tmp_path / "cache")
    damaged = bytearray(path.read_bytes())
    damaged[place] ^= 1
    path.write_bytes(damaged)
    assert stored.load(KERNEL.name) is None


@pytest.mark.parametrize("left", [0, 1, 64, 65, 100])
def test_half_a_file_is_noticed_and_made_again(tmp_path: Path, left: int) -> None:
    first = made(tmp_path / "a", tmp_path / "cache")
    path = files(tmp_path / "cache")[0]
    path.write_bytes(path.read_bytes()[:left])
    second, third = (made(tmp_path / name, tmp_path / "cache") for name in "bc")
    assert (second.new, third.new) == (1, 0)
    assert contents(first) == contents(second) == contents(third)


def test_a_cache_that_cannot_be_used_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder would be")
    assert made(tmp_path / "a", tmp_path / "cache").new == 2
    assert made(tmp_path / "b", None).new == 2


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775, 0o702])
@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_folder_in_which_others_may_write_is_refused(
    stored: KernelCache, tmp_path: Path, mode: int, level: int, capfd: pytest.CaptureFixture[str]
) -> None:
    (path,) = files(tmp_path / "cache")
    folder = [path.parents[2], path.parents[1], path.parent][level]
    folder.chmod(mode)
    path.write_bytes(path.read_bytes())
    before = path.read_bytes()
    assert stored.load(KERNEL.name) is None
    stored.store(Kernel(KERNEL.name, {}, 1), b"other code")
    assert path.read_bytes() == before
    said = f"nitic: {folder}: is no cache, since it belongs to another user or others may write there\n"
    assert capfd.readouterr().err == said
    folder.chmod(0o755)
    assert stored.load(KERNEL.name) == (KERNEL, CODE)


def test_a_folder_of_another_user_is_refused(
    stored: KernelCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert stored.load(KERNEL.name) is None


def test_the_folder_is_made_for_its_user_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        KernelCache(tmp_path / "deep" / "cache").store(KERNEL, CODE)
    finally:
        os.umask(before)
    (path,) = files(tmp_path)
    assert [folder.stat().st_mode & 0o777 for folder in path.parents[:3]] == [0o700] * 3
    assert KernelCache(tmp_path / "deep" / "cache").load(KERNEL.name) == (KERNEL, CODE)


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_under_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the file, at its folder, and at the end of writing: what is compiled is compiled, and no half file is left."""
    monkeypatch.setattr(Path, "replace", full)
    assert made(tmp_path / "a", tmp_path / "cache").new == 2
    assert files(tmp_path / "cache") == []
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", full)
    assert made(tmp_path / "b", tmp_path / "cache").new == 2
    (tmp_path / "c").mkdir()
    monkeypatch.setattr(Path, "mkdir", full)
    assert generate(MEANINGS, tmp_path / "c", KernelCache(tmp_path / "none")).new == 2


def runtime(folder: Path, kept: Cache) -> list[bytes]:
    folder.mkdir()
    return [path.read_bytes() for path in link.runtime_objects(Emit.OBJ, folder, kept, targets.native())]


def test_objects_of_the_runtime_are_checked_like_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flipped bit, half a file and an empty one are compiled again."""
    kept = Cache(tmp_path / "cache")
    expected = runtime(tmp_path / "a", kept)
    damaged = files(tmp_path / "cache")[:3]
    for path, damage in zip(damaged, (flipped, lambda b: b[: len(b) // 2], lambda b: b""), strict=True):
        path.write_bytes(damage(path.read_bytes()))
    compiled: list[list[str]] = []
    run = link._run
    monkeypatch.setattr(link, "_run", lambda command: (compiled.append(command), run(command)))
    assert runtime(tmp_path / "b", kept) == expected
    assert len(compiled) == 3
    assert runtime(tmp_path / "c", kept) == expected
    assert len(compiled) == 3


def flipped(content: bytes) -> bytes:
    return content[:-100] + bytes([content[-100] ^ 1]) + content[-99:]


def test_another_version_has_kernels_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = cache.symbol("portable", "{}")
    monkeypatch.setattr(cache, "code_digest", cache.code_digest.__wrapped__)
    assert cache.symbol("portable", "{}") == ours
    monkeypatch.setattr(cache, "VERSION", "another")
    assert cache.symbol("portable", "{}") != ours


def test_another_machine_has_kernels_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where the variant keeps its name."""
    before, other = cache.symbol("portable", "{}"), replace(VARIANTS["portable"], machine=VARIANTS["avx2"].machine)
    monkeypatch.setitem(VARIANTS, "portable", other)
    assert cache.symbol("portable", "{}") != before


def test_each_source_that_decides_the_code_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for part in cache._PLANS:
        source = tmp_path / part if part.endswith(".py") else tmp_path / part / "deep" / "a.py"
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_text("")
    monkeypatch.setattr(cache, "_PACKAGE", tmp_path)
    monkeypatch.setattr(cache, "code_digest", cache.code_digest.__wrapped__)
    kernels: set[str] = set()
    plans: set[str] = set()
    for path in [None, *files(tmp_path)]:
        if path:
            path.write_text("changed")
        kernels.add(cache.symbol("portable", "{}"))
        plans.add(cache.plan_name("0", ["portable"]))
    assert (len(kernels), len(plans)) == (1 + len(cache._KERNELS), 1 + len(cache._PLANS))


IMPORTED = """
import importlib, pkgutil, sys
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    for each in pkgutil.walk_packages(getattr(package, "__path__", ()), name + "."):
        importlib.import_module(each.name)
print(*(module.__file__ for name, module in sys.modules.items() if name.startswith("nitic.") and module.__file__))
"""


@pytest.mark.parametrize(
    ("deciding", "packages"),
    [(cache._KERNELS, ["nitic.codegen"]), (cache._PLANS, ["nitic.codegen", "nitic.passes", "nitic.pipeline"])],
    ids=["kernels", "plans"],
)
def test_every_module_that_decides_is_in_the_digest(deciding: tuple[str, ...], packages: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTED, *packages], capture_output=True, text=True, check=True)
    imported = {Path(name) for name in done.stdout.split()}
    assert imported - set(cache.sources(deciding)) == set()


def test_what_was_not_used_for_longest_goes(tmp_path: Path) -> None:
    kept = KernelCache(tmp_path)
    names = [f"nitic_{i:02}_ab" for i in range(4)]
    elsewhere = "nitic_00_cd"
    for name in [*names, elsewhere]:
        kept.store(Kernel(name, {}, 1), CODE)
    size = files(tmp_path)[0].stat().st_size
    assert kept.load(names[0])
    kept.trim([names[3]], 2 * size)
    assert [name for name in names if kept.load(name)] == [names[0], names[3]]
    assert kept.load(elsewhere)  # another folder


def compile_it(folder: Path, name: str, *options: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-X", "importtime", "-m", "nitic", "compile", "cnn.onnx", "-o", name, *options]
    target = ["--target", "x86-64-portable", "--batch-size", "4"]
    return subprocess.Popen([*command, *target], cwd=folder, text=True, stderr=subprocess.PIPE, stdout=subprocess.PIPE)


def test_whole_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two at once, then one from the cache, which imports no tvm, and one without the cache."""
    monkeypatch.setenv("NITIC_CACHE", str(tmp_path / "cache"))
    digits_cnn().save(tmp_path / "cnn.onnx")
    both = [compile_it(tmp_path, name) for name in "ab"]
    said = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    before = files(tmp_path / "cache")
    third, fourth = compile_it(tmp_path, "c"), compile_it(tmp_path, "d", "--no-cache")
    cached, fresh = third.communicate()[1], fourth.communicate()[1]
    assert "kernels: 0 generated" in cached
    assert "0 from the cache" in fresh
    assert " tvm" in fresh
    assert " tvm" not in cached
    assert files(tmp_path / "cache") == before
    binaries = [(tmp_path / name).read_bytes() for name in "abcd"]
    assert binaries.count(binaries[0]) == 4


def test_progress_is_silent_when_quick_and_short_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    for terminal, expected in ((False, "nitic: kernels 2/3\n"), (True, "\r\x1b[Kkernels 2/3\r\x1b[K")):
        with Progress("kernels", 3, terminal) as progress:
            progress.show(1)
            progress._next -= QUIET_SECONDS
            progress.show(2)
            progress.show(3)
        assert capsys.readouterr().err == expected


def test_one_process_plans_as_several_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    digits_cnn().save(tmp_path / "cnn.onnx")
    program = build_program(CompileOptions(tmp_path / "cnn.onnx", batch_size=2, target="x86-64-avx512vnni"))
    several = plan(program)
    monkeypatch.setattr(processes, "processors", lambda: 1)
    assert plan(program) == several


def test_a_plan_out_of_the_cache_is_that_plan(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NITIC_CACHE", str(tmp_path / "cache"))
    digits_cnn().save(tmp_path / "cnn.onnx")
    program = build_program(CompileOptions(tmp_path / "cnn.onnx", batch_size=2, target="x86-64-portable"))
    made = plan(program, use_cache=True)
    (path,) = files(tmp_path / "cache")
    monkeypatch.setattr("nitic.driver.plan._compute", lambda program, watch: [])
    assert plan(program, use_cache=True) == made
    assert plan(program) == []
    assert plan(program, Watcher(after=("fuse",)), use_cache=True) == []
    path.write_bytes(path.read_bytes()[:-1])
    assert plan(program, use_cache=True) == []
