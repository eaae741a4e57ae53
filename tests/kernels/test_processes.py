"""What a developer sees of an error in a child process, and of an operator that has no kernel."""

import os
import time
import traceback
from dataclasses import replace
from pathlib import Path

import pytest

from nitic.codegen import emitters
from nitic.codegen.output import processes
from nitic.codegen.output.cache import KernelCache
from nitic.codegen.output.generate import generate
from nitic.errors import CompileError
from nitic.ops.fused import FusedOp
from nitic.pipeline import run_passes, target_passes, training_passes
from nitic.recipe import recipe
from nitic.targets import VARIANTS
from tests.networks.stages import imported


def fail_on_the_third(piece: int) -> int:
    if piece == 2:
        raise KeyError("nn.layer_norm")
    return piece


def test_an_error_comes_with_the_traceback_of_its_process() -> None:
    with pytest.raises(KeyError) as caught:
        processes.in_processes(fail_on_the_third, 4, jobs=2)
    assert caught.value.args == ("nn.layer_norm",)
    told = "".join(traceback.format_exception(caught.value))
    assert "in a child process:" in told
    assert "in fail_on_the_third" in told
    assert 'raise KeyError("nn.layer_norm")' in told


def test_an_error_that_cannot_be_sent_keeps_its_words() -> None:
    class Local(Exception):
        """Not importable: it does not survive the way through pickle."""

    def fail(piece: int) -> int:
        raise Local("a bug")

    with pytest.raises(RuntimeError, match=r"^Local: a bug") as caught:
        processes.in_processes(fail, 1)
    assert any("in fail" in note for note in caught.value.__notes__)


def test_a_compile_error_stays_one_sentence() -> None:
    def refuse(piece: int) -> int:
        raise CompileError("net.onnx", "is too large", "use a smaller batch")

    with pytest.raises(CompileError) as caught:
        processes.in_processes(refuse, 1)
    assert str(caught.value) == "net.onnx: is too large\n  note: use a smaller batch"
    assert not hasattr(caught.value, "__notes__")


def test_work_beside_this_process_gives_its_result_or_its_error() -> None:
    with processes.beside(os.getpid) as answer:
        assert answer() != os.getpid()
    with processes.beside(lambda: fail_on_the_third(2)) as answer, pytest.raises(KeyError):
        answer()


def test_work_beside_this_process_ends_where_this_one_fails(tmp_path: Path) -> None:
    def late() -> None:
        time.sleep(2)
        (tmp_path / "late").touch()

    with pytest.raises(CompileError), processes.beside(late):
        raise CompileError("net.onnx", "cannot be compiled")
    time.sleep(2.5)
    assert not (tmp_path / "late").exists()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("kind", "operator"), [("pointwise", "nn.bias"), ("scalars", "bfp.shift")])
def test_an_operator_without_an_emitter_is_named(
    variant: str, kind: str, operator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = {name: each for name, each in getattr(emitters.REGISTRY, kind).items() if name != operator}
    monkeypatch.setattr(emitters, "REGISTRY", replace(emitters.REGISTRY, **{kind: without}))
    module = imported("mlp", 2).module
    run_passes(module, [*training_passes(recipe("niti16")), *target_passes(variant)])
    groups = [op for op in module.walk() if isinstance(op, FusedOp)]
    meanings = {op.kernel.data: op.meaning for op in groups if op.kernel}
    with pytest.raises(CompileError) as caught:
        generate({variant: meanings}, tmp_path, KernelCache(None))
    assert caught.value.location in meanings
    assert caught.value.message == f"no kernel for {operator} on {variant}"
    assert "CONTRIBUTING.md, 'Checklist: add an operator'" in caught.value.note
    assert operator in meanings[caught.value.location]
