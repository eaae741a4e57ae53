"""What `nitic train` passes on to the binary."""

from pathlib import Path

import pytest

from nitic.driver import launch
from nitic.options import CompileOptions


@pytest.mark.parametrize(
    ("arguments", "passed"),
    [
        (["--data", "d"], ["train", "--seed", "5", "--data", "d"]),
        (["--resume", "a.ckpt"], ["train", "--resume", "a.ckpt"]),
        (["--resume=a.ckpt"], ["train", "--resume=a.ckpt"]),
    ],
)
def test_a_checkpoint_brings_its_seed(monkeypatch: pytest.MonkeyPatch, arguments: list[str], passed: list[str]) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr(launch, "compile_model", lambda _options: Path("net"))
    monkeypatch.setattr(launch, "run", lambda _binary, words: calls.append(words) or 0)
    assert launch.compile_and_train(CompileOptions(model=Path("net.onnx"), seed=5), arguments) == 0
    assert calls == [passed]
