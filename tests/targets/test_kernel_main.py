"""Kernels as programs of their own, which `make test-targets` runs on an emulated PC: here this machine runs them."""

import subprocess
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pytest

from nitic.ops.elementwise import ReluOp
from nitic.ops.pool import MaxPoolOp
from tests.kernels.elsewhere import ELSEWHERE
from tests.kernels.harness import Data, check, one
from tests.targets.__main__ import kernel_by


def test_kernels_are_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes that are no multiples of 64, several results, and a thread without work."""
    commands: list[str] = []

    def run(command: str, files: Mapping[str, bytes], wanted: Sequence[str]) -> dict[str, bytes]:
        commands.append(command)
        for name, content in files.items():
            (tmp_path / name).write_bytes(content)
            (tmp_path / name).chmod(0o755)
        subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True)
        return {name: (tmp_path / name).read_bytes() for name in wanted}

    monkeypatch.setitem(ELSEWHERE, "portable", partial(kernel_by, run))
    of = Data(0, "random")
    check(one(MaxPoolOp, kernel=[2, 2], strides=[2, 2], pads=[0] * 4), (of.i8(1, 4, 4, 5),), "portable", threads=3)
    check(one(ReluOp), (of.i8(3, 4099),), "portable", threads=2)
    assert len(commands) == 2
