"""What nvcc and NVRTC make of kernels, such as those of VGG-small-7 at batch 256, where they are: no GPU is needed."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from models.vgg_small import vgg_small
from nitic.codegen.cuda import compiler, nvcc, nvrtc
from nitic.driver import compile_model, inspect
from nitic.errors import CompileError
from nitic.options import CompileOptions, Emit, Target

NVCC = os.environ.get("NVCC") or shutil.which("nvcc")
NVDISASM = os.environ.get("NVDISASM") or shutil.which("nvdisasm")
needs_nvcc = pytest.mark.skipif(NVCC is None, reason="no nvcc")
# Arithmetic, comparisons and conversions. HFMA2 R1, -RZ, RZ, with two zeros, is how a constant is loaded.
FLOAT = re.compile(r"\b(([FDH](ADD|MUL|FMA|SET|SETP|MNMX|CHK)|MUFU|I2F|F2I|F2F|I2FP)\w*[.\w]*) (?!\w+, -RZ, RZ,)[^;]*;")
SPILLS = re.compile(r"Compiling entry function '(\w+)' for .*\n.*\n.* (\d+) bytes spill stores")


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vgg")
    vgg_small().save(folder / "vgg.onnx")
    options = CompileOptions(
        model=folder / "vgg.onnx",
        output=folder / "vgg.cu",
        recipe="niti",
        batch_size=256,
        target=Target.CUDA,
        emit=Emit.CUDA,
    )
    return compile_model(options)


def contractions(kernels: Path) -> set[str]:
    """The kernels that the launch table says are of a convolution, a product, or a gradient of one."""
    table = json.loads(kernels.with_suffix(".json").read_text())
    launches = [launch for function in table["functions"].values() for launch in function]
    return {launch["kernel"] for launch in launches if launch["group"].startswith(("conv", "gemm"))}


@needs_nvcc
@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["80", "90a"])
def test_machine_code(kernels: Path, architecture: str) -> None:
    """Contractions spill no register and are integer tensor core instructions; nothing computes in floating point."""
    assert NVCC is not None
    cubin = kernels.with_suffix(f".{architecture}.cubin")
    code = f"arch=compute_{architecture},code=sm_{architecture}"
    command = [NVCC, "-w", "-cubin", "-gencode", code, "-Xptxas", "-v", "-o", str(cubin), str(kernels)]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    spills, main = dict(SPILLS.findall(report)), contractions(kernels)
    assert len(main) > 20
    assert "wgmma.mma_async instructions are serialized" not in report
    assert {spills[name] for name in main} == {"0"}
    if NVDISASM is not None:
        sass = subprocess.run([NVDISASM, str(cubin)], capture_output=True, text=True, check=True).stdout
        assert ("IGMMA.64x128x32.S8.S8" if architecture == "90a" else "IMMA.16832.S8.S8") in sass
        assert not FLOAT.search(sass)


COMPILERS = {"nvcc": NVCC, "NVRTC": nvrtc.find()}


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPILERS)
def test_either_compiler_serves(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole binary, with machine code for each architecture, PTX, and what kernels take of them."""
    from models.mlp import mlp

    if COMPILERS[name] is None:
        pytest.skip(f"no {name}")
    if name == "NVRTC":
        monkeypatch.setattr(nvcc, "find", lambda: None)
    mlp().save(tmp_path / "m.onnx")
    program = compile_model(CompileOptions(model=tmp_path / "m.onnx", output=tmp_path / "m", target=Target.CUDA))
    made = program.read_bytes()
    assert made.count(b"\x7fELF") == 1 + len(compiler.ARCHITECTURES)
    assert all(f"sm_{architecture}".encode() in made for architecture in compiler.ARCHITECTURES)
    assert b"mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32" in made
    assert not re.search(rb"\.f(16|32|64)\b", made)
    assert re.search(r"^    gemm_\w+ +[\d,]+( +\d+){4}$", inspect(program), re.MULTILINE)


@needs_nvcc
@pytest.mark.slow
@pytest.mark.parametrize("emit", [Emit.PTX, Emit.CUBIN])
def test_compiled_kernels(emit: Emit, tmp_path: Path) -> None:
    from models.mlp import mlp

    mlp().save(tmp_path / "m.onnx")
    output = tmp_path / f"m.{emit}"
    compile_model(CompileOptions(model=tmp_path / "m.onnx", output=output, target=Target.CUDA, emit=emit))
    table = json.loads((tmp_path / "m.json").read_text())
    names = {launch["kernel"] for launches in table["functions"].values() for launch in launches}
    made = output.read_bytes()
    assert names
    if emit == Emit.PTX:
        assert all(f".entry {name}(".encode() in made for name in names)
        assert b"mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32" in made
        assert not re.search(rb"\.f(16|32|64)\b", made)


def test_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NVCC", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(nvrtc, "find", lambda: None)
    with pytest.raises(CompileError, match="--target: no compiler for GPUs: neither nvcc nor NVRTC"):
        compiler.check(has_to_be_nvcc=False)
    with pytest.raises(CompileError, match="--emit: no nvcc, and nothing else makes a fat binary"):
        compiler.check(has_to_be_nvcc=True)
