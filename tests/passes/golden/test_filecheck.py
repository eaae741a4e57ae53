"""The golden tests: each tests/passes/golden/<pass>/*.mlir says which passes run on it and what they leave, or refuse.

    // RUN: nitic opt --passes=insert-loss,insert-rounding{bits=6}
    // CHECK: what filecheck finds in the output

or, for a refusal, lines `// ERROR: text` that the message holds, instead of the CHECK lines.
"""

import inspect
import io
import re
from pathlib import Path

import pytest
from filecheck.finput import FInput
from filecheck.matcher import Matcher
from filecheck.options import Options
from filecheck.parser import Parser, pattern_for_opts

from nitic.errors import CompileError
from nitic.ir.text import parse_module, print_module
from nitic.ops import context
from nitic.passes.base import NiticPass
from nitic.pipeline import PASSES, parse_passes, run_passes

FOLDER = Path(__file__).parent
FILES = sorted(FOLDER.glob("*/*.mlir"))
RUN = re.compile(r"^// RUN: nitic opt --passes=(.*)$", re.MULTILINE)
ERROR = re.compile(r"^// ERROR: (.*)$", re.MULTILINE)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_golden(path: Path) -> None:
    text = path.read_text()
    expected = ERROR.findall(text)
    if not expected:
        check(path, text, output_of(text))
        return
    with pytest.raises(CompileError) as caught:
        output_of(text)
    for message in expected:
        assert message in str(caught.value)


def output_of(text: str) -> str:
    """What the passes of the RUN line make of a file; it must survive the way through text."""
    run = RUN.search(text)
    assert run, "the file has no RUN line"
    module = parse_module(text, context())
    run_passes(module, parse_passes(run[1]))
    output = print_module(module)
    assert print_module(parse_module(output, context())) == output
    return output


def check(path: Path, text: str, output: str) -> None:
    options = Options(match_filename=str(path))
    checks = Parser(options, io.StringIO(text), *pattern_for_opts(options))
    matcher = Matcher(options, FInput("output", output), checks)
    matcher.stderr = complaint = io.StringIO()
    assert matcher.run() == 0, f"{complaint.getvalue()}\n{output}"


def files_of(name: str, *, refused: bool) -> list[Path]:
    return [path for path in FILES if path.parent.name == name and bool(ERROR.search(path.read_text())) == refused]


@pytest.mark.parametrize("name", PASSES)
def test_every_pass_has_a_golden_test(name: str) -> None:
    assert files_of(name, refused=False)


def can_refuse(kind: type[NiticPass]) -> bool:
    """Whether a pass asks for invariants, or raises an error in its file."""
    source = inspect.getsource(inspect.getmodule(kind) or kind)
    return bool(kind.requires) or bool(re.search(r"raise (CompileError|error_at|option_error)\(", source))


@pytest.mark.parametrize("name", [name for name, kind in PASSES.items() if can_refuse(kind)])
def test_every_pass_that_can_refuse_has_a_test_of_it(name: str) -> None:
    assert files_of(name, refused=True)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_golden_test_runs_the_pass_of_its_folder(path: Path) -> None:
    run = RUN.search(path.read_text())
    assert run
    assert path.parent.name in re.split(r"[,{]", run[1])
