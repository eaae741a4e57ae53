"""The command line: what it hands to the driver, and how it fails."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest

from nitic import cli, targets
from nitic.errors import CompileError, ExitCode
from nitic.options import BatchNorm, CompileOptions, Emit, Init, Layout, OptOptions, Restore
from nitic.state import Normalisation


@dataclass
class Asked:
    """What the driver was last asked for."""

    options: CompileOptions | OptOptions | None = None

    def compile_model(self, options: CompileOptions) -> Path:
        self.options = options
        return options.output or Path("made")

    def transform_file(self, options: OptOptions) -> None:
        self.options = options

    def describe(self, binary: Path) -> str:
        return f"about {binary}\n"

    def draw(self, binary: Path, output: Path) -> Path:
        return output.with_stem(f"{output.stem}-of-{binary}")


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    asked = Asked()
    for module in ("compile", "launch"):
        monkeypatch.setattr(f"nitic.driver.{module}.compile_model", asked.compile_model)
    monkeypatch.setattr("nitic.driver.opt.transform_file", asked.transform_file)
    monkeypatch.setattr("nitic.driver.inspect.describe", asked.describe)
    monkeypatch.setattr("nitic.driver.inspect.draw", asked.draw)
    return asked


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of `nitic ARGUMENTS`."""
    monkeypatch.setattr(sys, "argv", ["nitic", *arguments])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return int(end.value.code or 0)


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == "nitic 0.1.0\n"


def test_compile_with_defaults(monkeypatch: pytest.MonkeyPatch, asked: Asked) -> None:
    assert run(monkeypatch, "compile", "m.onnx") == 0
    assert asked.options == CompileOptions(Path("m.onnx"))


def test_compile_with_every_option(
    monkeypatch: pytest.MonkeyPatch, asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (
        "compile m.onnx -o out --recipe niti --option bits=6 --option rule=plain --batch-size 64 --emit lib"
        " --target x86-64 --seed 3 --init xavier --mean 0.5,.25 --std 1,2 --dump-ir dumps --print-before fuse"
        " --freeze conv* --freeze fc.* --batch-norm freeze"
        " --print-after fuse --print-after plan-memory --no-cache"
    )
    assert run(monkeypatch, *text.split()) == 0
    assert asked.options == CompileOptions(
        model=Path("m.onnx"),
        output=Path("out"),
        recipe="niti",
        recipe_options={"bits": "6", "rule": "plain"},
        batch_size=64,
        emit=Emit.LIB,
        target="x86-64",
        seed=3,
        init=Init.XAVIER,
        mean=(0.5, 0.25),
        std=(1.0, 2.0),
        freeze=("conv*", "fc.*"),
        batch_norm=BatchNorm.FREEZE,
        dump_ir=Path("dumps"),
        print_before=("fuse",),
        print_after=("fuse", "plan-memory"),
        cache=False,
    )
    assert capsys.readouterr().out == "out\n"


def test_opt_and_inspect(monkeypatch: pytest.MonkeyPatch, asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "opt", "m.mlir", "--passes=insert-rounding{bits=7},track-exponents") == 0
    assert asked.options == OptOptions(CompileOptions(Path("m.mlir")), "insert-rounding{bits=7},track-exponents")
    given = "opt m.onnx -o m.mlir --layout nhwc --input-shape 3,4,5 --output-name y --restore biases --batch-size 4"
    assert run(monkeypatch, *given.split(), "--print-after", "fuse") == 0
    expected = CompileOptions(
        model=Path("m.onnx"),
        output=Path("m.mlir"),
        batch_size=4,
        layout=Layout.NHWC,
        input_shape=(3, 4, 5),
        output_name="y",
        restore=Restore.BIASES,
        print_after=("fuse",),
    )
    assert asked.options == OptOptions(expected)
    assert run(monkeypatch, "inspect", "lenet") == 0
    assert capsys.readouterr().out == "about lenet\n"
    assert run(monkeypatch, "inspect", "lenet", "--graph", "calls.svg") == 0
    assert capsys.readouterr().out == "calls-of-lenet.svg\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("compile", "Missing argument 'MODEL'"),
        ("frobnicate", "No such command 'frobnicate'"),
        ("compile m.onnx --batch-size 0", "greater than or equal to 1"),
        ("compile m.onnx --mean 0.5,x", "'0.5,x' is not a list of numbers such as 0.49,0.48,0.45"),
        ("compile m.onnx --option bits", "'bits' is not of the form KEY=VALUE"),
        ("compile m.onnx --emit c", "--emit"),
    ],
)
def test_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: str, sentence: str
) -> None:
    assert run(monkeypatch, *arguments.split()) == ExitCode.USAGE
    output = capsys.readouterr()
    assert sentence in output.err
    assert output.out == ""


def test_errors_are_one_sentence_with_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(options: CompileOptions) -> NoReturn:
        raise CompileError("m.onnx: node 'a' (Elu)", "unsupported operator", "raised by import")

    monkeypatch.setattr("nitic.driver.compile.compile_model", refuse)
    assert run(monkeypatch, "compile", "m.onnx") == ExitCode.UNSUPPORTED_MODEL
    expected = "m.onnx: node 'a' (Elu): unsupported operator\n  note: raised by import\n"
    assert capsys.readouterr().err == expected


def test_an_unwritable_path_is_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(options: CompileOptions) -> NoReturn:
        raise PermissionError(13, "Permission denied", "/out/m")

    monkeypatch.setattr("nitic.driver.compile.compile_model", fail)
    assert run(monkeypatch, "compile", "m.onnx") == ExitCode.RUN_TIME
    assert capsys.readouterr().err == "/out/m: Permission denied\n"


def test_train_becomes_the_binary_with_its_options(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    binary = tmp_path / "model"
    binary.write_bytes(b"the binary")

    def become(program: int, words: list[str]) -> NoReturn:
        assert os.read(program, 100) == b"the binary"
        assert words == [str(binary), "train", "--seed", "5", "--data", "d", "--lr", "0.01"]
        raise SystemExit(ExitCode.DATA_MISMATCH)

    monkeypatch.setattr("nitic.driver.launch.become", become)
    code = run(monkeypatch, "train", "m.onnx", "-o", str(binary), "--seed", "5", "--data", "d", "--lr", "0.01")
    assert code == ExitCode.DATA_MISMATCH


def test_python_may_use_the_words_of_the_command_line() -> None:
    words: dict[str, Any] = {"emit": "lib", "target": "x86-64", "init": "xavier"}
    options = CompileOptions(Path("m.onnx"), **words)
    assert (options.emit, options.target, options.init) == (Emit.LIB, "x86-64", Init.XAVIER)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"batch_size": 0}, "--batch-size: a batch has at least 1 sample, not 0"),
        ({"batch_size": -3}, "--batch-size: a batch has at least 1 sample, not -3"),
        ({"seed": -1}, "--seed: a seed is not negative, but this is -1"),
        (
            {"target": "arm"},
            f"--target: unknown target 'arm'; the choices are {', '.join(targets.names())}",
        ),
        ({"init": "zero"}, "--init: unknown init 'zero'; the choices are keep, xavier"),
        ({"emit": None}, "--emit: unknown emit None; the choices are exe, lib, obj, ir, cuda, ptx, cubin"),
        ({"emit": "ptx"}, "--emit: ptx is for --target=cuda, not native"),
        ({"batch_norm": "drop"}, "--batch-norm: unknown batch-norm 'drop'; the choices are train, freeze, fold"),
        ({"std": (1.0,)}, "--std: a standard deviation needs its mean: give --mean too"),
    ],
)
def test_wrong_options_from_python(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CompileError) as caught:
        CompileOptions(Path("m.onnx"), **options)
    assert str(caught.value) == sentence
    assert caught.value.exit_code == ExitCode.USAGE


TOO_EXTREME = "gives a multiplier of 2^21 / (255 std) that is not in 1..2^31 - 1"


@pytest.mark.parametrize(
    ("mean", "std", "sentence"),
    [
        ([float("nan")], [1.0], "--mean: nan is not finite"),
        ([0.5, float("-inf"), 0.5], [1.0], "--mean: 0.5,-inf,0.5 is not finite"),
        ([0.5], [float("inf")], "--std: inf is not finite"),
        ([0.5, 0.5], [1.0], "--mean: give one value, or one for each of the input's 3 channels, not 2"),
        ([0.5], [], "--std: give one value, or one for each of the input's 3 channels, not 0"),
        ([0.5], [0.0], f"--std: 0 {TOO_EXTREME}"),
        ([0.5], [1.0, -1.0, 1.0], f"--std: 1,-1,1 {TOO_EXTREME}"),
        ([0.5], [1e-7], f"--std: 1e-07 {TOO_EXTREME}"),
        ([0.5], [1e9], f"--std: 1e+09 {TOO_EXTREME}"),
        ([1e9], [1.0], "--mean: 1e+09 with --std 1 gives an offset, 2^21 mean / std, that is not below 2^31"),
    ],
)
def test_a_normalisation_that_int32_does_not_hold(mean: list[float], std: list[float], sentence: str) -> None:
    with pytest.raises(CompileError) as caught:
        Normalisation(mean, std).maps(3)
    assert str(caught.value) == sentence
    assert caught.value.exit_code == ExitCode.USAGE


def test_a_normalisation() -> None:
    multiplier, offset, exponent = Normalisation([0.5, 0.25, 0], [1.0]).maps(3)
    assert exponent == -5
    assert multiplier.tolist() == [8224, 8224, 8224]  # 2^21 / 255
    assert offset.tolist() == [-1048560, -524280, 0]


def test_a_traceback_has_an_exit_code_to_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fault(options: OptOptions) -> NoReturn:
        raise KeyError(options.passes)

    monkeypatch.setattr("nitic.driver.opt.transform_file", fault)
    assert run(monkeypatch, "opt", "m.mlir") == ExitCode.BUG
    assert capsys.readouterr().err.startswith("Traceback")


# ---- signals and streams


def test_what_ends_a_job_ends_a_compilation_and_its_temporary_files(tmp_path: Path) -> None:
    """And one that is ignored, as nohup asks for, does not."""
    code = (
        "import signal, tempfile, time, nitic.cli as c\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "def app():\n"
        "    with tempfile.TemporaryDirectory(): print('ready', flush=True); time.sleep(20)\n"
        "c.app = app\n"
        "try: c.main()\n"
        "except KeyboardInterrupt: raise SystemExit(130)"  # as typer does
    )
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGXCPU):
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, env=os.environ | {"TMPDIR": str(tmp_path)}
        )
        assert process.stdout
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        time.sleep(0.1)
        process.send_signal(number)
        assert process.wait(10) == ExitCode.INTERRUPTED
        process.stdout.close()
        assert list(tmp_path.iterdir()) == []


def test_a_closed_stream_is_nobody_elses(tmp_path: Path) -> None:
    """What is said must not land in a file that was opened since."""
    file = tmp_path / "file"
    code = (
        "import sys; from nitic.signals import open_standard_streams; open_standard_streams(); "
        f"file = open('{file}', 'w'); print('said'); print('said', file=sys.stderr, flush=True); file.write('data')"
    )
    command = '"$0" -c "$1" <&- >&- 2>&-'
    assert subprocess.run(["sh", "-c", command, sys.executable, code], check=False).returncode == 0
    assert file.read_text() == "data"
