"""How passes and recipes are spelt, what is said of a wrong spelling, and whole pipelines over odd modules."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest

from nitic.driver.build import parse_recipe
from nitic.driver.watcher import Watcher
from nitic.errors import CompileError, ExitCode
from nitic.frontend.importer import import_onnx
from nitic.frontend.nodes import unique_names
from nitic.frontend.writer import NetworkWriter
from nitic.interpret import run_function
from nitic.ir.function import function
from nitic.ir.text import parse_module
from nitic.ops import context
from nitic.passes.base import NiticPass
from nitic.passes.frontend.fold_batch_norm import FoldBatchNorm
from nitic.passes.frontend.freeze import Freeze
from nitic.passes.integers.check_range import CheckRange
from nitic.passes.integers.insert_rounding import ROUNDINGS, InsertRounding
from nitic.passes.kernels.assign_layouts import AssignLayouts
from nitic.passes.kernels.fuse import Fuse
from nitic.passes.training.insert_update import InsertUpdate
from nitic.pipeline import (
    ORDER,
    PASSES,
    Stage,
    frontend_passes,
    parse_passes,
    run_passes,
    target_passes,
    training_passes,
)
from nitic.recipe import RECIPES, recipe
from nitic.session import CompiledProgram, TrainingSession, compile_program
from tests.networks.stages import imported


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("", []),
        ("fuse", [Fuse()]),
        ("fuse,check-range", [Fuse(), CheckRange()]),
        (" fuse , check-range ", [Fuse(), CheckRange()]),
        ("insert-rounding{}", [InsertRounding()]),
        ("insert-rounding{bits=6}", [InsertRounding(bits=6)]),
        (
            "insert-rounding{ bits = 5, errors=stochastic },fuse",
            [InsertRounding(bits=5, errors="stochastic"), Fuse()],
        ),
        (
            "insert-update{rule=plain},assign-layouts{variant=avx512vnni}",
            [InsertUpdate(rule="plain"), AssignLayouts(variant="avx512vnni")],
        ),
        ("freeze", [Freeze()]),
        ("freeze{parameters=fc.*}", [Freeze(("fc.*",))]),
        (
            r'freeze{parameters=a*, parameters="b,{c}\"\\", parameters=d=[!e]},fuse',
            [Freeze(("a*", 'b,{c}"\\', "d=[!e]")), Fuse()],
        ),
    ],
)
def test_a_list_of_passes(text: str, passes: list[NiticPass]) -> None:
    assert parse_passes(text) == passes


ODD = ("features.*", "[!a]?", "a,b", "{b}", ' "c" ', "d\\", '"e\\', "", "f=g")


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("variant", ["portable", "avx512vnni"])
def test_what_a_pass_prints_is_how_it_is_spelt(name: str, variant: str) -> None:
    passes = [*frontend_passes(True, ODD), *training_passes(RECIPES[name]), *target_passes(variant)]
    assert parse_passes(",".join(each.spec() for each in passes)) == passes
    assert {each.name for each in passes} == set(PASSES)


def test_the_list_of_passes_goes_stage_by_stage_and_says_why() -> None:
    stages = [list(Stage).index(stage) for _, stage, _ in ORDER]
    assert stages == sorted(stages)
    assert len(PASSES) == len(ORDER)
    assert all(why for _, _, why in ORDER)


def test_the_front_end_runs_what_is_asked_for() -> None:
    assert frontend_passes() == []
    assert frontend_passes(frozen=["a*"]) == [Freeze(("a*",))]
    assert frontend_passes(True, ("a*",)) == [FoldBatchNorm(), Freeze(("a*",))]


JUNK = "cannot read '{}'; write pass{{option=value}},pass"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tune", f"--passes: unknown pass 'tune'; the passes are {', '.join(PASSES)}"),
        ("fuse,Fuse", f"--passes: unknown pass 'Fuse'; the passes are {', '.join(PASSES)}"),
        ("schedule-calls{size=3}", "--passes: pass 'schedule-calls' has no option 'size'; it has none"),
        (
            "insert-rounding{bit=3}",
            "--passes: pass 'insert-rounding' has no option 'bit'; it has bits, activations, errors",
        ),
        ("insert-rounding{bits=six}", "insert-rounding: option 'bits' is a whole number, not 'six'"),
        ("insert-rounding{bits=}", "insert-rounding: option 'bits' is a whole number, not ''"),
        ("insert-rounding{bits}", "insert-rounding: option 'bits' is a whole number, not ''"),
        ("insert-rounding{bits=1}", "insert-rounding: an int8 mantissa has 2 to 7 bits, not 1"),
        ("insert-update{rule=}", "insert-update: unknown rule ''; the rules are momentum, plain, niti, iadam, ilion"),
        ("fuse;check-range", f"--passes: {JUNK.format('fuse;check-range')}"),
        ("fuse check-range", f"--passes: {JUNK.format('fuse check-range')}"),
        ("insert-rounding{bits=6", f"--passes: {JUNK.format('insert-rounding{bits=6')}"),
        ("insert-rounding{bits=6}}", f"--passes: {JUNK.format('insert-rounding{bits=6}}')}"),
        ("{bits=6}", f"--passes: {JUNK.format('{bits=6}')}"),
        (",fuse", f"--passes: {JUNK.format(',fuse')}"),
        ("fuse,,fuse", f"--passes: {JUNK.format('fuse,,fuse')}"),
        ('freeze{parameters="a}', "--passes: " + JUNK.format('freeze{parameters="a}')),
        ("freeze{globs=a}", "--passes: pass 'freeze' has no option 'globs'; it has parameters"),
        ("fuse,", f"--passes: {JUNK.format('fuse,')}"),
    ],
)
def test_a_wrong_list_of_passes(text: str, message: str) -> None:
    with pytest.raises(CompileError) as caught:
        parse_passes(text)
    assert str(caught.value) == message
    assert caught.value.exit_code == ExitCode.USAGE


def test_a_recipe_is_three_passes() -> None:
    assert parse_recipe("niti16") == recipe("niti16")
    assert recipe("niti16").update == InsertUpdate(rule="momentum")
    assert recipe("niti").update == InsertUpdate(rule="niti")
    assert recipe("niti").rounding == InsertRounding()


def test_the_options_of_a_recipe_are_those_of_its_passes() -> None:
    chosen = parse_recipe("niti16{bits=6, rule=plain,errors=stochastic}")
    assert chosen.name == "niti16"
    assert chosen.rounding == InsertRounding(bits=6, errors="stochastic")
    assert chosen.update == InsertUpdate(rule="plain")
    assert chosen == recipe("niti16").with_options({"bits": "6", "rule": "plain", "errors": "stochastic"})
    assert parse_recipe("niti{}") == recipe("niti")


def test_options_leave_the_recipe_itself_alone() -> None:
    parse_recipe("niti16{bits=3}")
    assert recipe("niti16").rounding == InsertRounding()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("niti32", "--recipe: unknown recipe 'niti32'; the recipes are niti16, niti"),
        ("", "--recipe: unknown recipe ''; the recipes are niti16, niti"),
        (
            "niti16{bit=6}",
            "--option: unknown option 'bit'; a recipe's options are rule, round, bits, activations, errors",
        ),
        ("niti16{bits=six}", "insert-rounding: option 'bits' is a whole number, not 'six'"),
        ("niti16{bits=9}", "insert-rounding: an int8 mantissa has 2 to 7 bits, not 9"),
        ("niti16{rule=adam}", "insert-update: unknown rule 'adam'; the rules are momentum, plain, niti, iadam, ilion"),
        (
            "niti16{errors=up}",
            f"insert-rounding: unknown rounding 'up'; the roundings are auto, {', '.join(ROUNDINGS)}",
        ),
        ("niti16{bits=6", "--recipe: cannot read 'niti16{bits=6'; write recipe{option=value,option=value}"),
        ("niti16{bits=6}x", "--recipe: cannot read 'niti16{bits=6}x'; write recipe{option=value,option=value}"),
    ],
)
def test_a_wrong_recipe(text: str, message: str) -> None:
    with pytest.raises(CompileError) as caught:
        parse_recipe(text)
    assert str(caught.value) == message
    assert caught.value.exit_code == ExitCode.USAGE


CONV = """
func.func @predict(%x: tensor<1x4x4x64xf32>, %w: tensor<8x3x3x32xf32>) -> tensor<1x2x2x8xf32> {
  %acc1 = nn.conv %x, %w dilations = [1, 1] groups = 1 pads = [0, 0, 0, 0] strides = [1, 1]
    : (tensor<1x4x4x64xf32>, tensor<8x3x3x32xf32>) -> tensor<1x2x2x8xf32> PLACE
  func.return %acc1 : tensor<1x2x2x8xf32>
}
"""


@pytest.mark.parametrize(
    ("place", "where"), [('loc("features.3")', "node 'features.3' (conv)"), ("", "conv")], ids=["node", "no node"]
)
def test_an_error_says_where_what_and_how_to_see_more(place: str, where: str) -> None:
    module = parse_module(CONV.replace("PLACE", place), context())
    with pytest.raises(CompileError) as caught:
        run_passes(module, parse_passes("infer-shapes"))
    assert str(caught.value) == (
        f"{where}: input has 64 channels but the filter expects 32\n"
        "  note: raised by infer-shapes; rerun with --print-before=infer-shapes"
    )
    assert caught.value.exit_code == ExitCode.UNSUPPORTED_MODEL


def test_a_pass_refuses_a_module_that_is_not_valid() -> None:
    module = parse_module(CONV.replace("PLACE", ""), context())
    with pytest.raises(CompileError) as caught:
        run_passes(module, parse_passes("canonicalise"))
    assert str(caught.value) == ("input has 64 channels but the filter expects 32\n  note: raised around canonicalise")


def test_a_watcher_is_told_before_and_after_each_pass() -> None:
    told: list[tuple[str, bool]] = []
    module = imported("mlp", 2).module
    run_passes(module, parse_passes("canonicalise,infer-shapes"), lambda each, _, done: told.append((each.name, done)))
    assert told == [(name, done) for name in ("canonicalise", "infer-shapes") for done in (False, True)]


def test_a_watcher_refuses_a_pass_that_does_not_exist() -> None:
    with pytest.raises(CompileError) as caught:
        Watcher(after=("fuse", "melt"))
    assert str(caught.value) == f"--print-after: unknown pass 'melt'; the passes are {', '.join(PASSES)}"
    assert caught.value.exit_code == ExitCode.USAGE


BARE = """
func.func @predict(%x: tensor<5x3xf32>, %w: tensor<4x3xf32>) -> tensor<5x4xf32> {
  %y = nn.gemm %x, %w : (tensor<5x3xf32>, tensor<4x3xf32>) -> tensor<5x4xf32>
  func.return %y : tensor<5x4xf32>
}
"""
NAMED = BARE.replace("32>,", '32> {"nn.name" = "x", "nn.role" = "input"},', 1)


@pytest.mark.parametrize("passes", ["insert-loss", "insert-rounding", "plan-memory"])
@pytest.mark.parametrize(("text", "argument"), [(BARE, 0), (NAMED, 1)], ids=["bare", "one label"])
def test_a_pass_says_which_label_it_misses(passes: str, text: str, argument: int) -> None:
    with pytest.raises(CompileError) as caught:
        run_passes(parse_module(text, context()), parse_passes(passes))
    expected = f"argument {argument} of @predict has no nn.name and no nn.role, by which this pass knows it"
    assert str(caught.value) == f"{passes}: {expected}"
    assert caught.value.exit_code == ExitCode.USAGE


def test_what_a_pass_does_wrong_is_no_error_of_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Fuse, module: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(Fuse, "apply", fail)
    with pytest.raises(ValueError, match="a bug"):
        run_passes(imported("mlp", 2).module, parse_passes("fuse"))


# Names of nodes. Statistics are named by them: train_step writes what predict reads.


def dropout_network(names: Sequence[str] = ()) -> NetworkWriter:
    """linear, relu, dropout, linear, relu, dropout, linear; `names` replace those of the nodes."""
    net = NetworkWriter("names", (12,))
    for i, features in enumerate((16, 8)):
        net.linear(f"fc{i}", features)
        net.relu()
        net.dropout(0.25)
    net.linear("out", 5)
    for node, name in zip(net.nodes, names, strict=False):
        node.name = name
    return net


def test_names_of_nodes_are_unique() -> None:
    nodes = dropout_network(["n", "n", "", "n.2", "n", "", ""]).nodes
    nodes[-1].output[0] = ""
    names = ["n", "n.3", "dropout2.out", "n.2", "n.4", "dropout5.out", "gemm"]
    assert list(unique_names(nodes)) == names


def trained(net: NetworkWriter, folder: Path) -> tuple[CompiledProgram, TrainingSession]:
    net.save(folder / "names.onnx")
    compiled = compile_program(folder / "names.onnx", batch_size=8, target="x86-64-portable")
    session = TrainingSession(compiled, threads=1)
    random = np.random.default_rng(0)
    session.set_statistics(random.integers(0, 256, (64, 12), np.uint8))
    for _ in range(5):
        session.train_step(random.integers(0, 256, (8, 12), np.uint8), random.integers(0, 5, 8))
    return compiled, session


def tops(session: TrainingSession) -> list[int]:
    return [int(value) for name, value in session.state_dict().items() if name.endswith(".top")]


def test_nodes_that_share_a_name_keep_their_own_statistics(tmp_path: Path) -> None:
    x = np.random.default_rng(1).integers(0, 256, (8, 12), np.uint8)
    compiled, session = trained(dropout_network(["n"] * 7), tmp_path)
    logits, exponent = session.predict(x)
    inputs = {"input": x, **session.state_dict()}
    computed = run_function(function(compiled.program.module, "predict"), inputs)
    np.testing.assert_array_equal(computed["logits"], logits)
    assert int(computed["logits.exponent"]) == exponent
    _, other = trained(dropout_network(), tmp_path)
    np.testing.assert_array_equal(tops(session), tops(other))
    np.testing.assert_array_equal(other.predict(x)[0], logits)


@pytest.mark.parametrize(("fixed", "asked", "noted"), [(1, None, True), (1, 1, False), (2, None, False)])
def test_a_batch_of_one_is_noted_unless_it_was_asked_for(
    tmp_path: Path, fixed: int, asked: int | None, noted: bool
) -> None:
    model = dropout_network().model()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = fixed
    onnx.save(model, tmp_path / "fixed.onnx")
    notes = import_onnx(tmp_path / "fixed.onnx", asked).notes
    assert any("batches of 1 and will be trained with them" in note for note in notes) == noted
