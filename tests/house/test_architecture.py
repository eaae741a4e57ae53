"""docs/architecture.md is true: its picture, its list of rooms, the functions that it names, and what it quotes."""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from models.mlp import mlp
from nitic.codegen.core.kernel import Kernel
from nitic.codegen.output import source
from nitic.driver.build import build_program, import_model
from nitic.driver.compile import compile_model
from nitic.driver.watcher import Watcher
from nitic.ir.text import print_module
from nitic.options import CompileOptions
from nitic.passes.base import NiticPass
from nitic.pipeline import run_passes, target_passes
from nitic.state import leading_exponents
from tests.runtime.helpers import succeed, write_npy
from tools import draw_architecture
from tools.draw_architecture import PAGE, PICTURE
from tools.rooms import CHECKOUT

REDRAW = "run `python -m tools.draw_architecture`"
NAMED = re.findall(r"`([\w/]+\.(?:py|c|h)):([\w.]+)`", PAGE.read_text())
FILES_NAMED = re.findall(r"`((?:nitic|runtime|tests|tools)/[\w/]+\.(?:py|c|h))", PAGE.read_text())
EXPONENT = "fc1.weight.exponent"


def test_the_picture_shows_the_code() -> None:
    assert PICTURE.read_text() == draw_architecture.picture(), REDRAW


def test_the_list_of_rooms_is_the_table() -> None:
    page = PAGE.read_text()
    assert page == draw_architecture.with_rooms(page), REDRAW


def test_an_arrow_is_left_out_where_a_longer_way_leads() -> None:
    graph = {"a": {"b", "c", "d"}, "b": {"c"}, "c": {"d"}, "d": set[str]()}
    assert draw_architecture.reduced(graph) == {"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": set()}
    assert draw_architecture.layers_of(graph) == {"a": 3, "b": 2, "c": 1, "d": 0}


def test_boxes_do_not_overlap() -> None:
    for graph in (draw_architecture.imports(), draw_architecture.includes()):
        drawing = draw_architecture.Drawing(draw_architecture.reduced(graph))
        for layer in drawing.layers:
            for left, right in pairwise(layer):
                assert right.x - left.x >= left.half + right.half - 1e-6


def definitions(tree: ast.AST, prefix: str = "") -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield prefix + node.name
            yield from definitions(node, f"{prefix}{node.name}.")


def test_the_page_names_functions() -> None:
    assert len(NAMED) > 20
    assert len(FILES_NAMED) >= len(NAMED)


@pytest.mark.parametrize("path", sorted(set(FILES_NAMED)))
def test_files_that_the_page_names_exist(path: str) -> None:
    assert (CHECKOUT / path).is_file()


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_functions_that_the_page_names_exist(path: str, name: str) -> None:
    text = (CHECKOUT / path).read_text()
    if path.endswith(".py"):
        assert name in definitions(ast.parse(text))
    else:
        assert re.search(rf"^\w[\w *]*\b{name}\(.*\{{", text, re.MULTILINE)


@dataclass
class Printed(Watcher):
    """Keeps the IR after each pass."""

    text: str = ""

    def __call__(self, each: NiticPass, module: ModuleOp, done: bool) -> None:
        self.text += print_module(module) if done else ""


def quoted(language: str) -> list[str]:
    """The lines of the page's blocks in a language."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def assert_quoted(language: str, text: str) -> None:
    lines = quoted(language)
    assert lines
    for line in lines:
        pattern = ".*".join(re.escape(part) for part in line.split("..."))
        assert re.search(pattern, text), f"nobody prints: {line}"


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> CompileOptions:
    """What the commands of the page ask for."""
    folder = tmp_path_factory.mktemp("architecture")
    mlp().save(folder / "mlp.onnx")
    return CompileOptions(folder / "mlp.onnx", output=folder / "mlp", batch_size=16, target="x86-64-portable")


def test_the_exponent_of_the_page_is_that_of_the_model(options: CompileOptions) -> None:
    model, page = import_model(options), PAGE.read_text()
    assert f"{np.abs(model.parameters['fc1.weight']).max():.6f}" in page
    leading = leading_exponents(model.module, model.parameters)["fc1.weight"]
    assert f"L = {leading}." in page
    assert f"{leading} - 15 + 2 = {int(build_program(options).state[EXPONENT])}" in page


def test_quoted_ir_and_tables(options: CompileOptions) -> None:
    watch = Printed()
    program = build_program(options, watch)
    run_passes(program.module, target_passes("portable"), watch)
    assert_quoted("mlir", watch.text)
    variant = source.describe("portable", program.module)
    kernels = {"portable": {name: Kernel(name, {}, 1) for name in variant.kernels}}
    written = source.write_program(program, [variant], kernels, options.model.parent)
    assert_quoted("c", written.read_text())


@pytest.mark.slow
def test_quoted_run_and_checkpoint(options: CompileOptions) -> None:
    binary, folder = compile_model(options), options.model.parent
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        write_npy(folder, split, rng.integers(0, 256, (32, 64), dtype=np.uint8), rng.integers(0, 10, 32))
    checkpoint = folder / "mlp.ckpt"
    succeed(binary, "train", "--data", str(folder), "--epochs", "1", "--save", str(checkpoint))
    assert_quoted("text", succeed(binary, "info"))
    assert_quoted("text", succeed(binary, "info", "--load", str(checkpoint)))
    content = checkpoint.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    assert_quoted("json", content[8:end].decode())
    begin, _ = json.loads(content[8:end])[EXPONENT]["data_offsets"]
    assert int.from_bytes(content[end + begin : end + begin + 4], "little", signed=True) == -15
