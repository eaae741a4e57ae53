"""What the fuzzers are made of, a few networks of each, and that they find what is wrong."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import nitic
from nitic.arithmetic import sums
from nitic.driver.build import build_program
from nitic.errors import CompileError, ExitCode
from nitic.frontend.writer import NetworkWriter
from nitic.options import CompileOptions
from tests.fuzz import exports, numbers
from tests.fuzz.campaign import CLEAN, Campaign
from tests.fuzz.networks import EARLIER, LAYERS, Case, Draft, attempt, draw, wild
from tests.fuzz.processes import in_own_processes
from tests.fuzz.programs import case_of, compared, examine, refusal
from tests.fuzz.shrink import shrink

NETWORKS = (0, 3)


def dense() -> Case:
    net = NetworkWriter("dense", (5,))
    net.linear("first", 4)
    net.relu()
    net.linear("last", 3)
    model = net.model()
    model.graph.node[1].op_type = "Sigmoid"
    return Case(0, 0, model, 2, {})


# ---- the generator


def test_a_seed_and_a_number_are_one_network() -> None:
    first, again, other = (draw(seed, 5).model.SerializeToString() for seed in (1, 1, 2))
    assert first == again != other


def test_every_layer_is_drawn_and_every_network_is_valid() -> None:
    kinds: set[str] = set()
    for number in range(60):
        model = draw(0, number).model
        onnx.checker.check_model(model, full_check=True)
        kinds |= {node.op_type for node in model.graph.node}
    assert len(kinds) > 35, sorted(kinds)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.__name__)
def test_every_layer_fits_some_network(layer: Callable[[Draft], None]) -> None:
    def fits(seed: int, shape: tuple[int, ...]) -> bool:
        return attempt(Draft(np.random.default_rng(seed), 2, shape), layer)

    assert any(fits(seed, shape) for seed in range(20) for shape in ((4, 4, 4), (3, 4, 6), (12,)))


# ---- what fails is made smaller


def test_a_network_is_made_as_small_as_its_fault() -> None:
    net = NetworkWriter("net", (4, 6, 6))
    net.conv("first", 4, 3, pad=1)
    net.relu()
    net.conv("guilty", 8, 3)
    net.relu()
    net.linear("fc", 3)
    model = net.model()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    small = shrink(model, lambda m: any(node.name == "guilty" for node in m.graph.node))
    assert [node.name for node in small.graph.node] == ["guilty", "fc.flatten"]
    onnx.checker.check_model(small, full_check=True)
    assert {each.name for each in small.graph.initializer} == {"guilty.weight", "guilty.bias"}


# ---- processes


def work(item: str) -> str:
    match item:
        case "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            time.sleep(60)
        case _:
            pass
    return item.upper()


def test_a_crash_and_a_hang_are_answers() -> None:
    found = dict(in_own_processes(work, ["a", "crash", "hang", "b"], 2, 1.0))
    assert found == {"a": "A", "b": "B", "crash": "the process ended with SIGKILL", "hang": "it hangs"}


# ---- programs


@pytest.mark.parametrize("number", NETWORKS)
def test_networks_are_clean(number: int) -> None:
    assert examine(case_of(0, number)) == CLEAN


def test_another_program_than_the_librarys_is_found(tmp_path: Path) -> None:
    case = dense()
    onnx.save(case.model, tmp_path / "dense.onnx")
    compiled = nitic.compile(tmp_path / "dense.onnx", batch_size=2)
    assert list(compared(compiled, case)) == []
    case.model.graph.node[1].op_type = "Tanh"
    onnx.save(case.model, tmp_path / "dense.onnx")
    other = replace(compiled, program=build_program(CompileOptions(tmp_path / "dense.onnx", batch_size=2)))
    assert " differ" in next(compared(other, case))


def test_a_refusal_is_a_sentence_and_checks_too(tmp_path: Path) -> None:
    case = dense()
    onnx.save(case.model, tmp_path / "dense.onnx")
    options = CompileOptions(tmp_path / "dense.onnx")
    assert "compile refuses what check takes" in refusal(CompileError("", "no"), options)
    assert "not in one sentence" in refusal(CompileError("", "a\nb"), options)
    assert "not in one sentence" in refusal(CompileError("", "no", exit_code=ExitCode.BUG), options)
    case.model.graph.node[1].op_type = "Hardmax"
    assert examine(case).startswith("refused: ")


# ---- exports


@pytest.mark.parametrize("number", [1, 95])
def test_exports_are_clean(number: int) -> None:
    """95: a max pool whose pads differ."""
    assert exports.examine(exports.case_of(0, number)) == CLEAN


# ---- numbers


@pytest.mark.parametrize("number", range(6))
def test_numbers_are_clean(number: int) -> None:
    assert numbers.examine(numbers.case_of(0, number)) == CLEAN


@pytest.mark.parametrize("number", [362, 683, 763, 1053])
def test_what_was_wrong_is_clean(number: int) -> None:
    """362: a large running variance; 683: a bound of half a unit; 763: zeros plus a number; 1053: LRN of zeros."""
    assert numbers.examine(draw(0, number, wild, layers=EARLIER)) == CLEAN


def test_a_bias_that_is_lost_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    case = dense()
    case.model.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.ones(4, np.float32), "first.bias"))
    assert numbers.examine(case) == CLEAN
    monkeypatch.setattr(sums, "add_parameter", lambda acc, e, b, common: acc)
    assert numbers.examine(case).startswith("@calibrate: nn.bias (first): off by 1 ")


def test_a_parameter_that_is_lost_is_found() -> None:
    found = {"w": np.zeros(2, np.int16), "w.exponent": np.asarray(0)}
    assert list(numbers.parameters_differ({"w": np.array([0, 1e-9])}, found)) != []
    found = {"w": np.array([0, 17592]), "w.exponent": np.asarray(-44)}
    assert list(numbers.parameters_differ({"w": np.array([0, 1e-9])}, found)) == []


# ---- campaigns


def test_a_campaign_tells_faults_from_refusals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = {0: CLEAN, 1: "refused: no", 2: "it is wrong"}
    campaign = Campaign(lambda seed, number: dense(), lambda case: answers[case.number], 10)
    cases = [replace(dense(), number=number) for number in answers]
    assert not campaign.run(cases, 2, tmp_path)
    assert "3 networks: 1 clean, 1 refused, 1 faults" in capsys.readouterr().out
    assert len(onnx.load(tmp_path / "0-2-small.onnx").graph.node) == 1
    assert campaign.run(cases[:1], 1, tmp_path)
    assert not campaign.run(cases[:2], 1, tmp_path), "half of them are refused"
