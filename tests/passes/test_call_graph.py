"""The call graph of a function: as few phases as there can be, the critical path, and the picture of them."""

import re
import shutil
import stat
from pathlib import Path

import networkx as nx
import pytest
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, i64
from xdsl.dialects.func import FuncOp

from models.vgg_small import vgg_small
from nitic.driver.graph_view import as_file, dot_text
from nitic.errors import CompileError, ExitCode
from nitic.ir.function import function, functions
from nitic.ir.text import parse_module
from nitic.ops import context
from nitic.ops.fused import phase_of
from nitic.passes.kernels.call_graph import CallGraph, moved_bytes
from nitic.passes.kernels.plan_memory import PlanMemory
from nitic.pipeline import parse_passes, run_passes, training_passes
from nitic.program import arena_bytes
from nitic.recipe import RECIPES
from tests.networks.stages import WRITERS, imported_from


def in_program_order(func: FuncOp) -> None:
    """Numbers the phases of calls that stay where they are: one ends before a call that waits for a call of it."""
    graph, phases = CallGraph(func), [0]
    for i in graph.waits:
        begins = any(phases[before] == phases[-1] for before in graph.waits.pred[i])
        phases[i:] = [phases[-1] + begins]
        graph.calls[i].phase = IntegerAttr(phases[i], i64)


BATCHES = {"lenet": 64, "vgg_small": 256, "resnet8": 32, "mobile": 32, "densenet": 32, "inception": 32}


@pytest.mark.slow
@pytest.mark.parametrize("network", BATCHES)
def test_a_schedule_has_as_few_phases_as_can_be_and_needs_no_more_memory(network: str) -> None:
    """With -s it prints the table of docs/performance.md."""
    module = imported_from({**WRITERS, "vgg_small": vgg_small}[network](), BATCHES[network]).module
    before = parse_passes(
        "recompute-pointwise,fuse,select-kernels{variant=avx512vnni},assign-layouts{variant=avx512vnni},name-kernels"
    )
    run_passes(module, [*training_passes(RECIPES["niti16"]), *before])
    unmoved = module.clone()
    for func in functions(unmoved):
        in_program_order(func)
    PlanMemory().run(unmoved)
    run_passes(module, parse_passes("schedule-calls,plan-memory"))
    for func in functions(module):
        graph = CallGraph(func)
        phases = [phase_of(call) for call in graph.calls]
        assert phases == sorted(phases)
        assert all(phases[before] < phases[after] for before, after in graph.waits.edges)
        assert set(phases) == set(range(len(nx.dag_longest_path(graph.waits))))
    assert arena_bytes(module) <= arena_bytes(unmoved)
    print()
    for what, each in (("in program order", unmoved), ("scheduled", module)):
        calls = CallGraph(function(each, "train_step")).calls
        print(f"{network}, {what}: {len(calls)} calls, {phase_of(calls[-1]) + 1} phases, {arena_bytes(each):,} bytes")


CALLS = """
func.func @train_step(%w: tensor<4x3xi8> {nn.name = "w", nn.role = "weight"}, %x: tensor<2x3xi8> {nn.name = "x", nn.role = "input"}, %dw: tensor<4x3xi32> {nn.name = "dw", nn.role = "input"}, %gb: tensor<i32> {nn.name = "gb", nn.role = "hyper"}) -> (tensor<4x3xi8> {nn.name = "w", nn.role = "weight"}, tensor<8xi32> {nn.name = "output", nn.role = "output"}) {
  %acc = nn.gemm %x, %w : (tensor<2x3xi8>, tensor<4x3xi8>) -> tensor<2x4xi32>
  %view = nn.reshape %acc shape = [8] : (tensor<2x4xi32>) -> tensor<8xi32>
  %y = nn.relu %view : (tensor<8xi32>) -> tensor<8xi32>
  %r = bfp.range %dw : (tensor<4x3xi32>) -> !bfp.range
  %new = nn.update_niti %w, %dw, %gb, %r, %r round = pseudo_stochastic : (tensor<4x3xi8>, tensor<4x3xi32>, tensor<i32>, !bfp.range, !bfp.range) -> tensor<4x3xi8>
  func.return %new, %y : tensor<4x3xi8>, tensor<8xi32>
}
"""  # noqa: E501


@pytest.fixture(scope="module")
def calls() -> ModuleOp:
    """A product, something of a view of it, a range, and an update of what the product reads."""
    module = parse_module(CALLS, context())
    run_passes(module, parse_passes("fuse,select-kernels,name-kernels,schedule-calls,plan-memory"))
    return module


def test_who_waits_for_whom(calls: ModuleOp) -> None:
    graph = CallGraph(function(calls, "train_step"))
    assert [call.kernel and call.kernel.data for call in graph.calls] == [
        "gemm_1",
        "range_1",
        "relu_1",
        "update_niti_1",
    ]
    waits = {(before, after): len(values) for before, after, values in graph.waits.edges(data="values", default=())}
    assert waits == {(0, 2): 1, (0, 3): 0, (1, 3): 1}


def test_the_critical_path_is_the_longest_in_bytes(calls: ModuleOp) -> None:
    graph = CallGraph(function(calls, "train_step"))
    costs = [moved_bytes(call) for call in graph.calls]
    assert costs == [6 + 12 + 32, 48 + 512, 32 + 32, 12 + 48 + 4 + 512]
    assert graph.longest_path(costs) == [1, 3]
    assert graph.longest_path([9, 1, 9, 1]) == [0, 2]


def test_the_graph_in_dot(calls: ModuleOp) -> None:
    text = dot_text("portable", calls)
    assert '"train_step 0" [label="0 gemm_1\\n50 bytes"]' in text
    assert '"train_step 3" [label="3 update_niti_1\\n576 bytes", style=bold]' in text
    assert '{rank=same; "train_step phase 1"; "train_step 2"; "train_step 3"}' in text
    assert '"train_step phase 0" -> "train_step phase 1" [style=invis]' in text
    assert '"train_step 0" -> "train_step 2" [label="view 32 bytes", style=solid]' in text
    assert '"train_step 0" -> "train_step 3" [label="", style=dashed]' in text
    assert re.search(r'"train_step 1" -> "train_step 3" \[label="\w+ 512 bytes", style=bold\]', text)
    assert text.count("{") == text.count("}")


def test_a_file_is_dot_or_svg_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert as_file("digraph {}", Path("a.dot")) == "digraph {}"
    with pytest.raises(CompileError, match=r"a\.png: a graph is written as \.dot or as \.svg") as caught:
        as_file("digraph {}", Path("a.png"))
    assert caught.value.exit_code == ExitCode.USAGE
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CompileError, match=r"a\.svg: Graphviz, which draws SVG, is not there") as caught:
        as_file("digraph {}", Path("a.svg"))
    assert caught.value.exit_code == ExitCode.RUN_TIME


@pytest.mark.parametrize(
    ("script", "complaint"), [("exec cat", ""), ("echo no >&2; exit 1", "'dot' failed\n  note: no")]
)
def test_svg_is_what_dot_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, complaint: str) -> None:
    """A stand-in for Graphviz, which need not be installed."""
    program, shell = tmp_path / "dot", shutil.which("sh")
    program.write_text(f"#!{shell}\n[ $1 = -Tsvg ] || exit 2\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    if complaint:
        with pytest.raises(CompileError) as caught:
            as_file("digraph {}", Path("a.svg"))
        assert str(caught.value).endswith(complaint)
    else:
        assert as_file("digraph {}", Path("a.svg")) == "digraph {}"
