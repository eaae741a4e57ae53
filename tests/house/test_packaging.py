"""The runtime's sources are found in a checkout and travel in the wheel and the sdist; the tools work together."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from nitic.paths import runtime_folder, runtime_sources

CHECKOUT = Path(__file__).resolve().parents[2]


def test_runtime_of_a_checkout() -> None:
    assert runtime_folder() == CHECKOUT / "runtime"
    assert (runtime_folder() / "nitic.h").is_file()
    assert runtime_sources()


@pytest.mark.slow
def test_wheel_and_sdist_hold_the_runtime(tmp_path: Path) -> None:
    # hatchling alone, without isolation: a test needs no network.
    pytest.importorskip("hatchling")
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True)
    runtime = CHECKOUT / "runtime"
    sources = {str(p.relative_to(runtime)) for p in runtime.rglob("*") if p.suffix in (".c", ".h", ".cuh")}
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    assert {f"nitic/_runtime/{name}" for name in sources} <= names
    assert "nitic/py.typed" in names
    assert not any(name.startswith(("tests/", "runtime/", "benchmarks/")) for name in names)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as sdist:
        files = {name.partition("/")[2] for name in sdist.getnames()}
    assert {f"runtime/{name}" for name in sources} | {"LICENSE", "Makefile", "tests/house/test_packaging.py"} <= files


@pytest.mark.xdist_group("together")
def test_groups_reach_the_processes_of_the_tests(request: pytest.FixtureRequest) -> None:
    """Else every process makes what the tests of a group share."""
    assert request.node.nodeid.endswith("@together") == getattr(request.config.option, "loadgroup", False)
