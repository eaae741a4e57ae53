"""`--target c`: a folder that any C compiler makes a training program of, with the bits of every other target."""

import platform
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nitic.driver.compile import compile_model
from nitic.driver.launch import compile_and_train
from nitic.errors import CompileError
from nitic.options import CompileOptions, Emit
from tests.kernels.harness import C99_FLAGS
from tests.networks.stages import WRITERS, samples
from tests.runtime.helpers import fail, succeed, write_npy

pytestmark = pytest.mark.xdist_group("c99")  # one process makes what all of them read
BATCH, STEPS = 16, 6
SANITIZED = "-O1 -fsanitize=address,undefined -fno-sanitize-recover=all"
OUTSIDE = {"memcpy", "memset", "memmove", "memcmp"}  # what compilers call by themselves


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> CompileOptions:
    folder = tmp_path_factory.mktemp("c99")
    WRITERS["digits_cnn"]().save(folder / "net.onnx")
    write_npy(folder, "train", *samples((8, 8, 1), BATCH * STEPS))
    return CompileOptions(folder / "net.onnx", folder / "sources", batch_size=BATCH, target="c")


@pytest.fixture(scope="module")
def sources(options: CompileOptions) -> Path:
    return compile_model(options)


def training(folder: Path, checkpoint: Path) -> list[str | Path]:
    return ["train", "--data", folder, "--epochs", "2", "--seed", "3", "--schedule", "constant", "--save", checkpoint]


@pytest.mark.slow
def test_the_program_trains_to_the_same_bytes(options: CompileOptions, sources: Path, tmp_path: Path) -> None:
    """Under the sanitizers, which find what C leaves undefined; and a run goes on in the other program."""
    subprocess.run(["make", "-s", "-C", sources, "-j2", f"CFLAGS={SANITIZED}"], check=True)
    here = compile_model(replace(options, output=tmp_path / "program", target="native"))
    data = options.model.parent
    for name, program in (("c", sources / "program"), ("here", here)):
        succeed(program, *training(data, tmp_path / name))
        succeed(program, *training(data, tmp_path / f"half-{name}"), "--epochs", "1")
    assert (tmp_path / "c").read_bytes() == (tmp_path / "here").read_bytes()
    for name, program in (("c", here), ("here", sources / "program")):
        resumed = tmp_path / f"half-{name}"
        succeed(program, "train", "--data", data, "--resume", resumed, "--epochs", "2", "--save", resumed)
        assert resumed.read_bytes() == (tmp_path / name).read_bytes()
    outputs = [tmp_path / "c.npy", tmp_path / "here.npy"]
    for output, program in zip(outputs, (sources / "program", here), strict=True):
        succeed(program, "predict", "--data", data, "--split", "train", "--load", tmp_path / "c", "--output", output)
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    assert "no threads but one" in fail(2, sources / "program", *training(data, tmp_path / "no"), "--threads", "2")


def test_what_firmware_links_needs_no_libc(sources: Path, tmp_path: Path) -> None:
    shutil.copytree(sources, tmp_path / "sources")
    subprocess.run(["make", "-s", "-B", "-C", tmp_path / "sources", "CFLAGS=-O1 -ffreestanding", "bare.a"], check=True)
    whole = ["-Wl,--whole-archive", tmp_path / "sources/bare.a"]
    subprocess.run(["cc", "-nostdlib", "-r", *whole, "-o", tmp_path / "bare.o"], check=True)
    found = subprocess.run(["nm", "-u", tmp_path / "bare.o"], capture_output=True, text=True, check=True).stdout
    assert {line.split()[-1] for line in found.splitlines()} - {"_GLOBAL_OFFSET_TABLE_"} <= OUTSIDE


def test_kernels_are_loops_with_ends(sources: Path) -> None:
    """No call but of small functions of kernel.h, no loop but `for` with a bound, no memory but arrays on the stack."""
    text = (sources / "kernels.c").read_text()
    helpers = set(re.findall(r"static inline \w+ (\w+)\(", (sources / "runtime/core/kernel.h").read_text()))
    defined = set(re.findall(r"^static int32_t (\w+)\(", text, re.MULTILINE))
    words = {"if", "for", "return", "void", "INT64_C", "UINT64_C"}
    called = set(re.findall(r"\b([A-Za-z_]\w*)\(", text)) - words - helpers
    assert defined
    assert called == defined | {name.removesuffix("_body") for name in defined}
    for name in defined:
        assert len(re.findall(rf"\b{name}\(", text)) == 2, "its definition, and the function that calls it"
    assert not re.search(r"\b(while|goto|float|double|malloc)\b", text)
    heads = re.findall(r"for \((.*)\) \{", text)
    assert heads
    assert all(re.fullmatch(r"int\d+_t (\w+) = .*; \1 < .*; \1\+\+", head) for head in heads)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the C compiler of zig for this machine's cc")
def test_other_compilers_and_byte_orders_compile_it(sources: Path, tmp_path: Path) -> None:
    for target in ("s390x-linux-musl", "powerpc-linux-musleabi"):
        command = [sys.executable, "-m", "ziglang", "cc", "-target", target, *C99_FLAGS, "-O1", "-c"]
        kernels = ["-I", sources / "runtime", sources / "kernels.c", "-o", tmp_path / "kernels.o"]
        subprocess.run([*command, *kernels], check=True)


def test_a_folder_of_others_is_kept(options: CompileOptions, sources: Path, tmp_path: Path) -> None:
    (sources / "notes").write_text("kept")
    compile_model(options)  # over its own
    assert (sources / "notes").read_text() == "kept"
    (tmp_path / "mine").write_text("")
    (tmp_path / "program.c").write_text("int main(void) { return 0; }")
    with pytest.raises(CompileError, match="the folder holds other files"):
        compile_model(replace(options, output=tmp_path))
    with pytest.raises(CompileError, match="sources are a folder, and this is a file"):
        compile_model(replace(options, output=tmp_path / "mine"))
    assert (tmp_path / "mine").read_text() == ""


def test_there_is_no_library_of_it(options: CompileOptions) -> None:
    with pytest.raises(CompileError, match="c is a folder of sources, so there is no lib of it"):
        replace(options, emit=Emit.LIB)


def test_other_machines_programs_are_not_run_here(options: CompileOptions) -> None:
    with pytest.raises(CompileError, match="aarch64-linux is for other machines"):
        compile_and_train(replace(options, target="aarch64-linux"), [])
