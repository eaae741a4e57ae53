"""The commands for real: every kind of output, the compilers that link it, and what is refused without harm."""

import ctypes
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest

from nitic.codegen.output.source import c_string
from nitic.frontend.demo import digits_cnn
from nitic.frontend.writer import NetworkWriter
from nitic.program import DESCRIPTION_MAGIC
from nitic.session import TrainingSession, compile_program
from tests.networks.stages import digits

BATCH = 32
Finished = subprocess.CompletedProcess[str]


def nitic(*arguments: str | Path, folder: Path, env: Mapping[str, str] | None = None) -> Finished:
    command = [sys.executable, "-m", "nitic", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=env)


def succeed(*arguments: str | Path, folder: Path, env: Mapping[str, str] | None = None) -> str:
    done = nitic(*arguments, folder=folder, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo network as ONNX, its binary, and digits to train on."""
    folder = tmp_path_factory.mktemp("commands")
    digits_cnn().save(folder / "cnn.onnx")
    x, y = digits()
    for split, rows in (("train", slice(0, 640)), ("test", slice(640, 960))):
        np.save(folder / f"x_{split}.npy", x[rows])
        np.save(folder / f"y_{split}.npy", y[rows])
    assert succeed("compile", "cnn.onnx", "--batch-size", str(BATCH), folder=folder) == "cnn\n"
    return folder


def test_executable_is_small_and_needs_only_libc(folder: Path) -> None:
    weights = 2 * (16 * 9 + 16 + 32 * 16 * 9 + 32 + 10 * 512 + 10)
    assert (folder / "cnn").stat().st_size - weights < 400_000
    linked = subprocess.run(["ldd", folder / "cnn"], capture_output=True, text=True, check=True).stdout
    assert "libc" in linked
    assert "tvm" not in linked
    assert "stdc++" not in linked


def test_inspect(folder: Path) -> None:
    text = succeed("inspect", "cnn", folder=folder)
    assert "parameters 9,930 in 6 tensors" in text
    assert "exponent   fc.weight.exponent               !bfp.exp   = -16" in text
    assert "variant sse2: arena" in text
    assert "conv_bias_relu_range_1" in text
    assert re.search(r"@train_step: \d+ kernel calls in \d+ phases, \d+ operators", text)
    assert re.search(r"critical path: \d+ calls, [\d,]+ of the [\d,]+ bytes", text)


def test_inspect_draws_the_calls(folder: Path) -> None:
    assert succeed("inspect", "cnn", "--graph", "cnn.dot", folder=folder) == "cnn.dot\n"
    text = (folder / "cnn.dot").read_text()
    assert "conv_bias_relu_range_1" in text
    assert [name for name in ("predict", "train_step") if f'"cluster_{name}"' not in text] == []
    done = nitic("inspect", "cnn", "--graph", "cnn.png", folder=folder)
    message = "cnn.png: a graph is written as .dot or as .svg, which the file's name must end in\n"
    assert (done.returncode, done.stderr) == (2, message)


def test_inspect_refuses_other_files(folder: Path) -> None:
    done = nitic("inspect", "cnn.onnx", folder=folder)
    assert (done.returncode, done.stderr) == (2, "cnn.onnx: it holds no nitic program\n")


def test_library_and_object(folder: Path) -> None:
    succeed("compile", "cnn.onnx", "--emit", "lib", "--target", "x86-64-portable", "-o", "libcnn.so", folder=folder)
    assert ctypes.c_char.in_dll(ctypes.CDLL(str(folder / "libcnn.so")), "nitic_program_instance")
    assert (folder / "nitic.h").exists()
    succeed("compile", "cnn.onnx", "--emit", "obj", "--target", "x86-64-portable", "-o", "cnn.o", folder=folder)
    (folder / "main.c").write_text(
        '#include "nitic.h"\nint main(void) { return nitic_program_instance.abi_version != NITIC_ABI_VERSION; }\n'
    )
    subprocess.run(["cc", "main.c", "cnn.o", "-pthread", "-o", "embedded"], cwd=folder, check=True)
    subprocess.run([folder / "embedded"], check=True)


def test_ir_goes_through_opt_again(folder: Path) -> None:
    succeed("compile", "cnn.onnx", "--emit", "ir", "-o", "cnn.mlir", folder=folder)
    printed = succeed("opt", "cnn.mlir", folder=folder)
    (folder / "printed.mlir").write_text(printed)
    assert succeed("opt", "printed.mlir", folder=folder) == printed
    fused = nitic("opt", "cnn.mlir", "--passes=fuse", "--print-before=fuse", folder=folder)
    assert fused.returncode == 0
    assert "nn.fused" in fused.stdout
    assert fused.stderr.startswith("// before fuse{")


def test_dump_ir_writes_every_stage(folder: Path) -> None:
    succeed("compile", "cnn.onnx", "--dump-ir", "dumps", "--target", "x86-64-portable", "-o", "dumped", folder=folder)
    names = sorted(path.name for path in (folder / "dumps").iterdir())
    assert names[0] == "01-canonicalise.mlir"
    assert "08-insert-rounding.mlir" in names
    assert any(name.endswith("-fuse.mlir") and name[0].isdigit() for name in names), "the same for every variant"
    assert "portable-05-plan-memory.mlir" in names


def test_train_compiles_and_trains(folder: Path) -> None:
    options = ["--data", ".", "--epochs", "2", "--threads", "1", "--save", "cnn.ckpt"]
    out = succeed("train", "cnn.onnx", "--batch-size", str(BATCH), *options, folder=folder)
    assert "epoch 2" in out
    assert (folder / "cnn.ckpt").exists()


def test_zig_links_where_there_is_no_compiler(folder: Path, tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    env = {**os.environ, "PATH": str(tools), "NITIC_CACHE": str(tmp_path / "cache")}
    env.pop("CC", None)
    succeed("compile", "cnn.onnx", "--target", "x86-64-portable", "-o", "zigged", folder=folder, env=env)
    out = subprocess.run([folder / "zigged", "info"], capture_output=True, text=True, check=True).stdout
    assert "portable" in out


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["compile", "none.onnx"], 1, "none.onnx: "),
        (["compile", "broken.onnx"], 1, "broken.onnx: is truncated or not an ONNX file"),
        (["compile", "cnn.onnx", "-o", "missing/cnn"], 1, "missing/cnn: cannot write it: its folder does not exist"),
        (
            ["compile", "cnn.onnx", "--recipe", "fp32"],
            2,
            "--recipe: unknown recipe 'fp32'; the recipes are",
        ),
        (["compile", "cnn.onnx", "--option", "bits=9"], 2, "insert-rounding: an int8 mantissa has 2 to 7 bits, not 9"),
        (["opt", "cnn.onnx", "--passes=melt"], 2, "--passes: unknown pass 'melt'"),
        (["compile", "hardmax.onnx"], 3, "hardmax.onnx: node 's' (Hardmax): operator Hardmax is not supported"),
        (["compile", "cnn.onnx", "-o", "cnn.onnx"], 2, "cnn.onnx: the output would overwrite the model itself"),
        (["compile", "bare"], 2, "bare: the output would overwrite the model itself"),
        (["opt", "cnn.onnx", "-o", "link"], 2, "link: the output would overwrite the model itself"),
        (
            ["compile", "external.onnx", "-o", "weights.data"],
            2,
            "weights.data: the output would overwrite a file of the model's weights",
        ),
        (
            ["compile", "cnn.onnx", "--emit", "lib", "-o", "other/cnn.so"],
            2,
            "other/nitic.h: another file lies where the library's header would",
        ),
        (["compile", "cnn.onnx", "--print-after", "melt"], 2, "--print-after: unknown pass 'melt'; the passes are"),
        (["opt", "latin.mlir"], 2, "latin.mlir: is no IR: its byte 2 is not of a UTF-8 text"),
        (["opt", "cnn.onnx", "-o", "missing/cnn.mlir"], 1, "missing/cnn.mlir: cannot write it: "),
        (["inspect", "torn"], 2, "torn: it holds no nitic program"),
    ],
)
def test_refusals_say_why_and_overwrite_nothing(folder: Path, arguments: list[str], code: int, sentence: str) -> None:
    add_bad_files(folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    done = nitic(*arguments, folder=folder)
    assert done.returncode == code, done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def add_bad_files(folder: Path) -> None:
    """What the refusals are about."""
    (folder / "broken.onnx").write_bytes(b"no model at all")
    unsupported = NetworkWriter("hardmax", (3,)).model()
    unsupported.graph.node.append(onnx.helper.make_node("Hardmax", ["input"], ["y"], name="s"))
    unsupported.graph.output[0].name = "y"
    onnx.save(unsupported, folder / "hardmax.onnx")
    (folder / "bare").write_bytes((folder / "cnn.onnx").read_bytes())
    (folder / "link").unlink(missing_ok=True)
    (folder / "link").symlink_to("cnn.onnx")
    (folder / "weights.data").unlink(missing_ok=True)
    model = onnx.load(folder / "cnn.onnx")
    onnx.save(model, folder / "external.onnx", save_as_external_data=True, location="weights.data", size_threshold=0)
    (folder / "other").mkdir(exist_ok=True)
    (folder / "other" / "nitic.h").write_text("/* of another version */\n")
    (folder / "latin.mlir").write_bytes("//é".encode("latin-1"))
    (folder / "torn").write_bytes(DESCRIPTION_MAGIC + bytes([4, *[0] * 7]) + b"torn")


def test_text_is_written_in_one_go(folder: Path) -> None:
    (folder / "once.mlir").write_text("old")
    limit = f"ulimit -f 1; exec {sys.executable} -m nitic opt cnn.onnx -o once.mlir"
    bash = shutil.which("bash") or "bash"
    done = subprocess.run([bash, "-c", limit], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert (folder / "once.mlir").read_text() == "old"
    assert not list(folder.glob(".once.mlir*"))
    (folder / "once.mlir").chmod(0o644)
    succeed("opt", "cnn.onnx", "-o", "once.mlir", folder=folder)
    assert (folder / "once.mlir").read_text().startswith("builtin.module")
    succeed("opt", "once.mlir", "-o", "once.mlir", folder=folder)  # in place, as its text is read before
    succeed("opt", "once.mlir", "-o", "/dev/null", folder=folder)
    assert not Path("/dev/null").is_file()


def test_a_cache_that_cannot_be_used_and_an_empty_cc(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    env = {**os.environ, "NITIC_CACHE": str(tmp_path / "cache"), "CC": ""}
    options = ["--target", "x86-64-portable", "--emit", "obj"]
    succeed("compile", "cnn.onnx", *options, "-o", tmp_path / "cnn.o", folder=folder, env=env)
    done = nitic("compile", "cnn.onnx", *options, "-o", "none.o", folder=folder, env={**env, "CC": "no-such-cc"})
    assert done.returncode == 1
    assert done.stderr.endswith("no-such-cc: cannot run the C compiler: No such file or directory\n")
    assert "Traceback" not in done.stderr


def test_full_disk_leaves_the_old_binary(folder: Path) -> None:
    old = (folder / "cnn").read_bytes()
    limit = f"ulimit -f 4; exec {sys.executable} -m nitic compile cnn.onnx --target x86-64 --no-cache -o cnn"
    bash = shutil.which("bash") or "bash"
    done = subprocess.run([bash, "-c", limit], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "disk" in done.stderr
    assert "Traceback" not in done.stderr
    assert (folder / "cnn").read_bytes() == old


def test_names_of_any_bytes_come_through_the_c_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = NetworkWriter("names", (12,))
    names = ["a\U0001f600b", "\x01\x1f\x7f", '??/"??=\\1', "%s 'é"]
    for name in names:
        net.linear(name, 5)
    (folder := tmp_path / os.fsdecode(b"f\"??=\xe9'\\")).mkdir()
    net.save(folder / "m??=é.onnx")
    (folder / "m??=é.onnx").rename(path := folder / os.fsdecode(b"m??=\xe9.onnx"))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))  # the assembler reads the state from there
    monkeypatch.setenv("NITIC_CACHE", str(folder / "cache"))
    compiled = compile_program(path, batch_size=4, target="x86-64-portable")
    state = TrainingSession(compiled, threads=1).state_dict()
    expected = compiled.program.state
    assert {f"{name}.weight" for name in names} < set(state)
    for name, value in expected.items():
        np.testing.assert_array_equal(state[name], value)
    assert c_string("é??/\n1") == '"\\303\\251\\077\\077/\\0121"'
