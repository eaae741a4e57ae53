"""What is frozen stays as it is and costs no backward operator, and the rest trains with the same bits."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from nitic.arithmetic.integers import Array
from nitic.driver.build import build_program, import_model
from nitic.driver.compile import compile_model
from nitic.driver.inspect import describe
from nitic.driver.plan import plan
from nitic.driver.watcher import Watcher
from nitic.errors import CompileError, ExitCode
from nitic.frontend.importer import ImportedModel, import_onnx
from nitic.frontend.writer import NetworkWriter
from nitic.interpret import run_function
from nitic.ir.function import argument_labels, function
from nitic.ir.text import print_module
from nitic.ops.fused import FusedOp
from nitic.options import BatchNorm, CompileOptions, Init
from nitic.passes.base import NiticPass
from nitic.passes.training.canonicalise import Canonicalise
from nitic.passes.training.insert_backward import InsertBackward
from nitic.passes.training.insert_loss import InsertLoss
from nitic.pipeline import run_passes
from nitic.program import Program
from tests.end_to_end.test_exports import assert_same_bits
from tests.networks.stages import DRAWN, gradient_pairs
from tests.networks.test_gradients import slope


def small_net(folder: Path) -> Path:
    """conv, norm, relu, conv, norm, relu, linear; statistics and factors are not those of a new network."""
    net = NetworkWriter("net", (3, 8, 8), 1)
    net.conv("features.0", 6, 3, pad=1, bias=False)
    net.batch_norm("features.1")
    net.relu()
    net.conv("features.2", 5, 3)
    net.batch_norm("features.3")
    net.relu()
    net.linear("classifier", 4)
    rng = np.random.default_rng(0)
    for tensor in net.initializers:
        if "features.1." in tensor.name or "features.3." in tensor.name:
            value = rng.uniform(0.5, 1.5, tuple(tensor.dims)).astype(np.float32)
            tensor.raw_data = value.tobytes()
    net.save(folder / "net.onnx")
    return folder / "net.onnx"


def operators(program: Program) -> list[str]:
    """What @train_step computes, with the node it belongs to."""
    groups = program.train_step.body.block.ops
    members = [m for op in groups for m in (op.members if isinstance(op, FusedOp) else [op])]
    return [f"{getattr(op, 'source', '')} {op.name}" for op in members]


@pytest.mark.parametrize("recipe", ["niti16", "niti"])
def test_a_frozen_prefix_costs_its_forward_part_only(tmp_path: Path, recipe: str) -> None:
    model = small_net(tmp_path)
    program = assert_same_bits(model, freeze=["features.*"], recipe=recipe)
    frozen = {label.name for label in argument_labels(program.train_step) if label.role == "frozen"}
    assert frozen == {f"features.{i}.{kind}" for i in (1, 3) for kind in ("weight", "bias")} | {
        "features.0.weight",
        "features.2.weight",
        "features.2.bias",
    }
    assert all(program.state[name].dtype == np.int8 for name in frozen)
    assert not any(name.startswith("features") and name.endswith("velocity") for name in program.state)
    backward = [each for each in operators(program) if "grad" in each or "update" in each]
    assert {each.split()[0] for each in backward} == {"classifier"}
    assert not any("gemm_dgrad" in each for each in backward)
    whole = build_program(CompileOptions(model, batch_size=6, recipe=recipe, target="x86-64"))
    arenas = [{variant.name: variant.arena for variant in plan(each)} for each in (program, whole)]
    assert arenas[0]["sse2"] < arenas[1]["sse2"]


def test_a_frozen_middle_lets_the_errors_through(tmp_path: Path) -> None:
    """And a bias may train behind a frozen weight."""
    program = assert_same_bits(small_net(tmp_path), freeze=["features.2.weight", "features.3.*"])
    names = operators(program)
    assert "features.2 nn.conv_dgrad" in names
    assert "features.2 nn.conv_wgrad" not in names
    assert "features.0 nn.conv_wgrad" in names


@pytest.mark.parametrize("recipe", ["niti16", "niti"])
def test_frozen_statistics(tmp_path: Path, recipe: str) -> None:
    program = assert_same_bits(small_net(tmp_path), batch_norm="freeze", recipe=recipe)
    updated = {label.name for label in argument_labels(program.train_step) if label.role == "master"}
    assert {"features.1.weight", "features.1.bias"} <= updated
    assert not any("batch_norm_running" in each or "batch_norm_statistics" in each for each in operators(program))


@pytest.mark.parametrize(
    ("globs", "sentence"),
    [
        (["features.9*"], "no parameter matches 'features.9*'; near it are features."),
        (["*", "conv"], "no parameter matches 'conv'"),
        ("*", "* freezes all 9 parameters: nothing is left to train"),
        (["*.running_mean"], "no parameter matches '*.running_mean'"),
    ],
)
def test_wrong_globs(tmp_path: Path, globs: list[str], sentence: str) -> None:
    with pytest.raises(CompileError, match=re.escape(sentence)) as caught:
        import_model(CompileOptions(small_net(tmp_path), freeze=globs))  # pyright: ignore[reportArgumentType]
    assert caught.value.exit_code == ExitCode.USAGE


def test_a_glob_goes_by_the_names_of_the_file_too(tmp_path: Path) -> None:
    """Also where these hold what has a meaning in a glob or in a list of passes."""
    model = onnx.load(small_net(tmp_path))
    for node in model.graph.node:
        node.input[:] = [name.replace("classifier.weight", "fc[0]{,}") for name in node.input]
    for tensor in model.graph.initializer:
        tensor.name = tensor.name.replace("classifier.weight", "fc[0]{,}")
    onnx.save(model, tmp_path / "named.onnx")
    found = import_model(CompileOptions(tmp_path / "named.onnx", freeze=("fc*", "features.0*")))
    labels = argument_labels(function(found.module, "predict"))
    frozen = {found.conversions[label.name].source for label in labels if label.role == "frozen"}
    assert frozen == {"fc[0]{,}", "features.0.weight"}


def test_the_passes_of_the_front_end_are_watched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    watch = Watcher(before=("fold-batch-norm",), after=("freeze",))
    model = import_model(
        CompileOptions(small_net(tmp_path), freeze=("classifier.*",), batch_norm=BatchNorm.FOLD), watch
    )
    told = capsys.readouterr().err
    assert told.startswith("// before fold-batch-norm\n")
    assert "// after freeze{parameters=classifier.*}\n" in told
    assert "builtin.module @initial_values" in told
    assert "initial_values" not in print_module(model.module)  # else the program would have another identity


def test_new_weights_leave_frozen_ones_alone(tmp_path: Path) -> None:
    options = CompileOptions(small_net(tmp_path), init=Init.XAVIER, freeze=("features.0*",), target="x86-64-portable")
    kept = build_program(replace(options, init=Init.KEEP)).state
    new = build_program(options).state
    assert np.array_equal(new["features.0.weight"], kept["features.0.weight"])
    assert not np.array_equal(new["features.2.weight"], kept["features.2.weight"])
    assert np.unique(new["features.3.weight"]).tolist() == [2**13]  # 1 at an exponent of -13
    assert np.unique(new["features.3.running_var"]).tolist() == [2**32]


def test_inspect_and_info_say_what_is_frozen(tmp_path: Path) -> None:
    options = CompileOptions(small_net(tmp_path), tmp_path / "net", freeze=("features.*",), target="x86-64-portable")
    compile_model(options)
    assert "parameters 724 in 2 tensors, frozen 459 in 7 tensors" in describe(tmp_path / "net")
    info = subprocess.run([tmp_path / "net", "info"], capture_output=True, text=True, check=True).stdout
    assert "parameters 724, frozen 459\n" in info
    assert "  frozen    i8  [6, 3, 3, 3] features.0.weight\n" in info


def test_folded_batch_norm(tmp_path: Path) -> None:
    """The folded network computes what the whole one does, and trains as a network of convolutions with biases."""
    model = small_net(tmp_path)
    whole, folded = import_onnx(model, 2), import_model(CompileOptions(model, batch_size=2, batch_norm="fold"))  # pyright: ignore[reportArgumentType]
    x = np.random.default_rng(1).normal(size=(2, 8, 8, 3))
    np.testing.assert_allclose(predicted(folded, x), predicted(whole, x), atol=1e-5)
    assert sorted(folded.parameters) == [
        "classifier.bias",
        "classifier.weight",
        "features.0.weight",
        "features.1.bias",
        "features.2.bias",
        "features.2.weight",
    ]
    assert not any("norm" in op.name for op in folded.module.walk())
    assert_same_bits(model, batch_norm="fold")


def test_folded_values(tmp_path: Path) -> None:
    model = small_net(tmp_path)
    whole = import_onnx(model, 2).parameters
    folded = import_model(CompileOptions(model, batch_size=2, batch_norm=BatchNorm.FOLD)).parameters
    gamma, beta, mean, variance = (
        whole[f"features.3.{name}"].astype(np.float64) for name in ("weight", "bias", "running_mean", "running_var")
    )
    factor = gamma / np.sqrt(variance + 1e-5)
    weight = whole["features.2.weight"] * factor[:, None, None, None]
    bias = (whole["features.2.bias"] - mean) * factor + beta
    assert all(value.dtype == np.float32 for value in folded.values())
    np.testing.assert_array_equal(folded["features.2.weight"], weight.astype(np.float32))
    np.testing.assert_array_equal(folded["features.2.bias"], bias.astype(np.float32))


def predicted(model: ImportedModel, x: Array) -> Array:
    return run_function(function(model.module, "predict"), {"input": x, **model.parameters})["logits"]


def test_what_cannot_be_folded_is_listed(tmp_path: Path) -> None:
    net = NetworkWriter("net", (2, 4, 4))
    net.batch_norm("first")
    net.conv("conv", 2, 3, pad=1)
    before = net.value
    net.batch_norm("second")
    net.add("sum", before)
    net.linear("fc", 3)
    net.save(tmp_path / "net.onnx")
    with pytest.raises(CompileError) as caught:
        import_model(CompileOptions(tmp_path / "net.onnx", batch_norm="fold"))  # pyright: ignore[reportArgumentType]
    assert str(caught.value).splitlines() == [
        "net: --batch-norm fold cannot fold 2 of the batch normalisations",
        "  note: node 'first': no convolution and no linear layer comes before it",
        "  note: node 'second': other nodes, too, read the result of the layer before it",
    ]


def test_float_gradients_past_frozen_statistics_equal_finite_differences(tmp_path: Path) -> None:
    model, rng = import_onnx(small_net(tmp_path), 4), np.random.default_rng(0)
    passes: list[NiticPass] = [Canonicalise(), InsertLoss(statistics="running"), InsertBackward()]
    run_passes(model.module, passes)
    step = function(model.module, "train_step")
    values = {name: value.astype(np.float64) for name, value in model.parameters.items()}
    inputs = {"input": rng.normal(size=(4, 8, 8, 3)), "label": np.array([0, 3, 1, 2]), **DRAWN, **values}
    gradients = {k: v for k, v in run_function(step, inputs).items() if k.endswith(".gradient")}
    assert len(gradients) == 9
    for name, gradient in gradients.items():
        parameter = name.removesuffix(".gradient")
        direction = rng.normal(size=gradient.shape)
        assert (gradient * direction).sum() == pytest.approx(slope(step, inputs, parameter, direction), rel=1e-4)


def test_integer_gradients_past_frozen_statistics(tmp_path: Path) -> None:
    """They point where the float gradients at the same weights do, and over some draws are as long."""
    ratios: dict[str, list[float]] = {}
    for seed in range(4):
        pairs = gradient_pairs(import_onnx(small_net(tmp_path), 32), InsertLoss(statistics="running"), seed)
        for name, (exact, found) in pairs.items():
            lengths = np.linalg.norm(found), np.linalg.norm(exact)
            assert (found * exact).sum() / (lengths[0] * lengths[1]) > 0.92, name
            ratios.setdefault(name, []).append(float(lengths[0] / lengths[1]))
    assert len(ratios) == 9
    for name, drawn in ratios.items():
        assert np.median(drawn) == pytest.approx(1, abs=0.15), name
