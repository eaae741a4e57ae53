"""IR from outside: any names come through it, and damaged text is one sentence, in bounded time and memory."""

import os
import random
import re
import signal
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest
from xdsl.dialects.builtin import ModuleOp, NameLoc, NoneAttr, StringAttr

from nitic.driver.build import build_program
from nitic.driver.inspect import describe
from nitic.driver.opt import transform_file
from nitic.driver.plan import plan
from nitic.errors import CompileError, ExitCode
from nitic.frontend.writer import NetworkWriter
from nitic.ir import text
from nitic.ir.function import Label, argument_labels, function, new_function
from nitic.ir.text import parse_module, print_module
from nitic.ir.types import f32, tensor
from nitic.ops import context
from nitic.options import CompileOptions, OptOptions
from nitic.program import DESCRIPTION_MAGIC, Program

NAMES = [
    "café.weight",
    "свёртка",
    "日本/語",
    "\U0001f600",
    "é\"\\'",
    "\x01\x7f\n",
    "%x = 1 // {",
    "e\u0301",
    "\u2028",
    "é" * 300,
    "",
]


@pytest.fixture(autouse=True)
def deadline() -> Iterator[None]:
    """Text on which the parser does not end fails its test, and does not stop the others."""

    def stop(*_: object) -> None:
        raise TimeoutError("the parser does not end")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(100)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", NAMES)
def test_names_of_any_letters(name: str) -> None:
    """Of parameters, and of the nodes that locations name."""
    func = new_function("predict", [(Label(name, "weight"), tensor((2, 3), f32))])
    func.location = NameLoc(StringAttr(name), NoneAttr())
    printed = print_module(ModuleOp([func]), locations=True)
    assert printed.isascii()
    again = parse_module(printed, context())
    assert print_module(again, locations=True) == printed
    assert argument_labels(function(again, "predict")) == [Label(name, "weight")]
    assert function(again, "predict").location == func.location


def test_bytes_that_are_no_text_are_no_name(tmp_path: Path) -> None:
    (tmp_path / "m.mlir").write_text('func.func @predict(%w: tensor<2xf32> {nn.name = "\\FF", nn.role = "weight"}) {}')
    with pytest.raises(CompileError):
        transform_file(OptOptions(ir(tmp_path), "infer-shapes,insert-loss"))


def ir(folder: Path) -> CompileOptions:
    return CompileOptions(folder / "m.mlir", folder / "out")


def attribute(value: str) -> str:
    return f"module attributes {{a = {value}}} {{}}"


# What may take unbounded time or memory elsewhere is refused by its kind, so that small examples show it.
REFUSED = {
    "dense": attribute("dense<0> : tensor<2xi8>"),
    "hexadecimal dense": attribute('dense<"0x00"> : tensor<1xi8>'),
    "wide type": attribute("1 : i65"),
    "wide unsigned type": attribute("1 : ui65"),
    "long number": attribute("1" * 21 + " : i64"),
    "long hexadecimal number": attribute("0x1" + "0" * 16),
    "open text": attribute('"a'),
    "open text with escapes": attribute('"\\41'),
    "many dimensions": attribute(f"tensor<{'1x' * 600}i8>"),
    "nested lists": attribute("[" * 2000),
    "nested types": attribute("tuple<i8>"),
    "nested modules": "module {" * 2000,
    "nested locations": "module {} loc(" + '"a"(' * 2000,
    "aliases": "#a = 1\n" + attribute("#a"),
    "type aliases": "!a = i8\n" + attribute("!a"),
    "blocks": "func.func @f() {^b0:\n^b1:\n}",
    "many results": '%0:3 = "nn.relu"() : () -> ()',
    "undefined values": "func.func @f() { func.return %a, %b : i32 }",
    "huge pool": """func.func @f(%x: tensor<1x4000000000x1x1xf32>) {
        %p = nn.max_pool %x kernel = [1, 1] strides = [1, 1] pads = [0, 0, 0, 0]
            : (tensor<1x4000000000x1x1xf32>) -> tensor<1x4000000000x1x1xf32>
        func.return
    }""",
    "control characters": "\x1b[31m",
    "nothing": "",
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_ir_of_nitic_has_not_is_refused(tmp_path: Path, case: str) -> None:
    (tmp_path / "m.mlir").write_text(REFUSED[case])
    with pytest.raises(CompileError) as caught:
        transform_file(OptOptions(ir(tmp_path), "eliminate-dead-code"))
    assert is_sentence(caught.value)


def is_sentence(error: CompileError) -> bool:
    said = f"{error.location}: {error.message}"
    return said.isprintable() and len(error.message) <= 500 and not isinstance(error.__cause__, MemoryError)


def test_a_text_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "MAX_BYTES", 100)
    for path in (Path("/dev/zero"), tmp_path / "m.mlir"):
        if path.parent == tmp_path:
            path.write_text("//" * 51)
        with pytest.raises(CompileError, match="is longer than the 100 bytes that IR may have"):
            transform_file(OptOptions(CompileOptions(path)))


HUGE = ("0", "-1", "4294967296", "9223372036854775808", "9" * 30, "0x" + "f" * 40, "1e400", "1000000000000")


def damaged(rng: random.Random, whole: str) -> str:
    """A text with a bit flipped, a line lost or doubled, a number made huge, a word exchanged, or an end cut off."""
    lines, words = whole.split("\n"), [*re.finditer(r"[\w.%@!\"-]+", whole)]
    at = rng.randrange(len(lines))
    match rng.randrange(6):
        case 0:
            content = bytearray(whole.encode())
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
            return content.decode(errors="replace")
        case 1:
            return "\n".join(lines[:at] + lines[at + 1 :])
        case 2:
            return "\n".join([*lines[: at + 1], *lines[at:]])
        case 3:
            number = rng.choice([*re.finditer(r"\d+", whole)])
            return whole[: number.start()] + rng.choice(HUGE) + whole[number.end() :]
        case 4:
            word, other = rng.choice(words), rng.choice(words)
            return whole[: word.start()] + other.group() + whole[word.end() :]
        case _:
            return whole[: rng.randrange(len(whole))]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A small network with a pool, whose names are beyond ASCII."""
    net = NetworkWriter("small", (2, 4, 4))
    net.conv("é", 3, 3, pad=1)
    net.max_pool()
    net.linear("fc", 2)
    net.save(path := tmp_path_factory.mktemp("ir") / "small.onnx")
    return build_program(CompileOptions(path, batch_size=2, target="x86-64-portable"))


PASSES = (
    "",
    "fuse",
    "eliminate-dead-code",
    "insert-rounding",
    "track-exponents,check-range",
    "recompute-pointwise,fuse",
)


@pytest.mark.parametrize("passes", PASSES)
def test_damaged_text_is_one_sentence(program: Program, tmp_path: Path, passes: str) -> None:
    whole, rng = print_module(program.module, locations=True), random.Random(passes)
    path, refusals = tmp_path / "m.mlir", list[CompileError]()
    for _ in range(8):
        path.write_text(damaged(rng, whole))
        try:
            transform_file(OptOptions(CompileOptions(path, tmp_path / "out"), passes))
        except CompileError as error:
            refusals.append(error)
    assert refusals
    assert [str(error) for error in refusals if not is_sentence(error)] == []


def binary(path: Path, description: str) -> Path:
    """A file in which `nitic inspect` finds the description."""
    packed = zlib.compress(description.encode())
    path.write_bytes(b"code" + DESCRIPTION_MAGIC + len(packed).to_bytes(8, "little") + packed)
    return path


def test_damaged_binaries(program: Program, tmp_path: Path) -> None:
    variants = {variant.name: variant.description for variant in plan(program)}
    packed = program.description(variants)
    (tmp_path / "whole").write_bytes(packed)
    assert "é.weight" in describe(tmp_path / "whole")
    whole, rng = zlib.decompress(packed[len(DESCRIPTION_MAGIC) + 8 :]).decode(), random.Random(0)
    said: set[str] = set()
    for _ in range(8):
        path = binary(tmp_path / "b", damaged(rng, whole))
        try:
            describe(path)
        except CompileError as error:
            said.add(str(error))
    assert said == {f"{tmp_path / 'b'}: it holds no nitic program"}


def test_what_is_no_binary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe and a device, which may have no end; nothing; a length beyond the file; what unpacks to megabytes."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "length").write_bytes(DESCRIPTION_MAGIC + b"\xff" * 8 + zlib.compress(b"//")[:-1])
    binary(tmp_path / "bomb", "//" * 10**6)
    monkeypatch.setattr("nitic.program.MAX_BYTES", 10**6)
    for path in (Path("/dev/zero"), *sorted(tmp_path.iterdir())):
        with pytest.raises(CompileError, match="it holds no nitic program") as caught:
            describe(path)
        assert caught.value.exit_code == ExitCode.USAGE


def test_opt_reads_a_file_as_its_options_say(tmp_path: Path) -> None:
    """The sizes of a sample, which the file leaves open, and another batch."""
    net = NetworkWriter("m", (3, 6, 5))
    net.conv("first", 4, 3)
    net.linear("fc", 3)
    model = net.model()
    for dim in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        dim.ClearField("value")
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(CompileError, match="only the batch may be open"):
        transform_file(OptOptions(CompileOptions(tmp_path / "m.onnx", tmp_path / "out")))
    options = CompileOptions(tmp_path / "m.onnx", tmp_path / "out", input_shape=(3, 6, 5), batch_size=7)
    transform_file(OptOptions(options, "infer-shapes"))
    assert "%input: tensor<7x6x5x3xf32>" in (tmp_path / "out").read_text()


@pytest.mark.parametrize(
    "given",
    [{"layout": "nhwc"}, {"input_shape": (3, 4)}, {"output_name": "y"}, {"restore": "biases"}, {"batch_size": 2}],
    ids=str,
)
def test_how_a_model_is_read_says_nothing_of_ir(tmp_path: Path, given: dict[str, Any]) -> None:
    with pytest.raises(CompileError, match="says how an ONNX file is imported, but 'm") as caught:
        transform_file(OptOptions(CompileOptions(Path("m.mlir"), **given)))
    assert caught.value.exit_code == ExitCode.USAGE
    assert caught.value.location == f"--{next(iter(given)).replace('_', '-')}"
