"""What nvcc and NVRTC make of kernels, such as those of VGG-small-7 at batch 256: no GPU is needed."""

import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from models.mlp import mlp
from models.vgg_small import vgg_small
from nitic.codegen.output.cache import Cache
from nitic.codegen.output.cuda import compiler, library, nvcc, nvfatbin, nvrtc
from nitic.driver.compile import compile_model
from nitic.driver.inspect import describe
from nitic.errors import CompileError
from nitic.options import CompileOptions, Emit
from tests.networks.stages import WRITERS

COMPILERS = {"nvcc": nvcc.find(), "NVRTC": nvrtc.find() and nvfatbin.find()}
CUOBJDUMP = os.environ.get("CUOBJDUMP") or shutil.which("cuobjdump")
NVDISASM = os.environ.get("NVDISASM") or shutil.which("nvdisasm") or library.find("bin/nvdisasm")
needs_compiler = pytest.mark.skipif(not any(COMPILERS.values()), reason="neither nvcc nor NVRTC")
needs_disassembler = pytest.mark.skipif(NVDISASM is None, reason="no nvdisasm")
# Arithmetic, comparisons and conversions. HFMA2 R1, -RZ, RZ, with two zeros, is how a constant is loaded.
FLOAT = re.compile(
    r"\b(([FDH](ADD|MUL|FMA|SET|SETP|MNMX|CHK)|[DHQ]G?MMA|MUFU|FRND|I2F|F2I|F2F|I2FP)\w*[.\w]*) "
    r"(?!\w+, -RZ, RZ,)[^;]*;"
)
MOST_LOCAL_MEMORY = 40  # of a loss, which looks a class up
MOST_SPILLS = 8  # bytes: ptxas gives small kernels 48 registers where one or two more would do
VGG = ("vgg_small", "niti", 256)
NETWORKS = [("lenet", "niti16", 64), ("lenet", "niti", 64), ("resnet8", "niti16", 64), ("mobile", "niti16", 64)]


def write_kernels(name: str, recipe: str, batch: int, folder: Path) -> Path:
    """In CUDA C++, beside their launch table."""
    (vgg_small if name == "vgg_small" else WRITERS[name])().save(folder / "m.onnx")
    paths = folder / "m.onnx", folder / "m.cu"
    return compile_model(CompileOptions(*paths, recipe, batch_size=batch, target="cuda", emit=Emit.CUDA))


def contractions(kernels: Path) -> set[str]:
    """The kernels that the launch table says are of a convolution, a product, or a gradient of one."""
    table = json.loads(kernels.with_suffix(".json").read_text())
    launches = [launch for function in table["functions"].values() for launch in function]
    return {launch["kernel"] for launch in launches if launch["group"].startswith(("conv", "gemm"))}


def most_local_memory(log: str) -> int:
    """Of a thread of any kernel, in bytes."""
    return max(map(int, re.findall(r"(\d+) bytes stack frame", log)))


def disassemble(code: bytes, folder: Path) -> str:
    (folder / "code.cubin").write_bytes(code)
    command = [str(NVDISASM), str(folder / "code.cubin")]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90a"])
def test_machine_code(architecture: str, tmp_path: Path) -> None:
    """Contractions spill no register and are integer tensor core instructions; nothing computes in floating point."""
    kernels = write_kernels(*VGG, tmp_path)
    code, log = compiler.compiler().compile(kernels.read_text(), architecture)
    resources, main = compiler.resources(log)[architecture], contractions(kernels)
    assert len(main) > 20
    assert "wgmma.mma_async instructions are serialized" not in log
    assert {resources[name].spills for name in main} == {0}
    if NVDISASM is not None:
        sass = disassemble(code, tmp_path)
        assert ("IGMMA.64x128x32.S8.S8" if architecture == "sm_90a" else "IMMA.16832.S8.S8") in sass
        assert not FLOAT.search(sass)


@needs_compiler
@needs_disassembler
@pytest.mark.slow
@pytest.mark.parametrize(("name", "recipe", "batch"), NETWORKS)
def test_nothing_computes_in_floating_point(name: str, recipe: str, batch: int, tmp_path: Path) -> None:
    """In no kernel. None spills more than a register or two, or has a table for each thread."""
    kernels = write_kernels(name, recipe, batch, tmp_path)
    code, log = compiler.compiler().compile(kernels.read_text(), "sm_80")
    resources = compiler.resources(log)["sm_80"]
    assert contractions(kernels) < resources.keys()
    assert max(each.spills for each in resources.values()) <= MOST_SPILLS
    assert most_local_memory(log) <= MOST_LOCAL_MEMORY
    assert not FLOAT.search(disassemble(code, tmp_path))


@needs_compiler
@needs_disassembler
@pytest.mark.parametrize("sum_", ["x[0] + x[1]", "x[0] / 3", "(int)x[0]", "x[0] > x[1]", "__dadd_rn(x[0], i)"])
def test_floating_point_is_found(sum_: str, tmp_path: Path) -> None:
    text = f'extern "C" __global__ void kernel(float *x, int i) {{ x[i] = {sum_}; }}'
    assert FLOAT.search(disassemble(compiler.compiler().compile(text, "sm_80")[0], tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPILERS)
def test_either_compiler_serves(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program has the fat binary that is written alone too, and tells what kernels take by each architecture."""
    if COMPILERS[name] is None:
        pytest.skip(f"no {name}")
    if name == "NVRTC":
        monkeypatch.setattr(nvcc, "find", lambda: None)
    mlp((64, 16, 10)).save(tmp_path / "m.onnx")
    options = CompileOptions(model=tmp_path / "m.onnx", output=tmp_path / "m", target="cuda")
    program, image = compile_model(options), tmp_path / "m.cubin"
    compile_model(replace(options, output=image, emit=Emit.CUBIN))
    assert image.read_bytes() in program.read_bytes()
    assert re.search(r"^    gemm_\w+ +[\d,]+( +\d+){4}$", describe(program), re.MULTILINE)
    check_image(image)


def check_image(image: Path) -> None:
    """A fat binary of machine code for each architecture and PTX."""
    content, names = image.read_bytes(), [f"sm_{architecture}" for architecture in compiler.ARCHITECTURES]
    assert content[:4] == (0xBA55ED50).to_bytes(4, "little")
    assert content.count(b"\x7fELF") == len(names)
    if CUOBJDUMP is not None:
        listed = [[CUOBJDUMP, f"-l{kind}", str(image)] for kind in ("elf", "ptx")]
        told = [subprocess.run(each, capture_output=True, text=True, check=True).stdout for each in listed]
        assert sorted(re.findall(r"(sm_\w+)\.cubin", told[0])) == sorted(names)
        assert re.findall(r"(sm_\w+)\.ptx", told[1]) == [f"sm_{compiler.LATER}"]


@pytest.mark.slow
@pytest.mark.skipif(COMPILERS["NVRTC"] is None, reason="no NVRTC or no nvFatbin")
def test_fat_binary_without_nvcc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What NVRTC made is in it, byte for byte."""
    monkeypatch.setattr(nvcc, "find", lambda: None)
    text = 'extern "C" __global__ void kernel(int *x) { x[threadIdx.x] += x[32]; }'
    image, path = tmp_path / "image", nvrtc.find()
    assert path is not None
    image.write_bytes(compiler.compile_image(text, Cache(None)).content)
    check_image(image)
    for architecture in compiler.ARCHITECTURES:
        assert nvrtc.compile_text(path, text, f"sm_{architecture}")[0] in image.read_bytes()


@needs_compiler
@pytest.mark.slow
def test_ptx(tmp_path: Path) -> None:
    mlp().save(tmp_path / "m.onnx")
    output = tmp_path / "m.ptx"
    compile_model(CompileOptions(model=tmp_path / "m.onnx", output=output, target="cuda", emit=Emit.PTX))
    table = json.loads((tmp_path / "m.json").read_text())
    names = {launch["kernel"] for launches in table["functions"].values() for launch in launches}
    made = output.read_text()
    assert names
    assert all(f".entry {name}(" in made for name in names)
    assert "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32" in made
    assert not re.search(r"\.f(16|32|64)\b", made)


def test_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NVCC", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(nvrtc, "find", lambda: None)
    with pytest.raises(CompileError, match="--target: no compiler for GPUs: neither nvcc nor NVRTC"):
        compiler.compiler()


def test_no_packer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvcc, "find", lambda: None)
    monkeypatch.setattr(nvrtc, "find", lambda: Path("libnvrtc.so.13"))
    monkeypatch.setattr(nvfatbin, "find", lambda: None)
    with pytest.raises(CompileError, match=r"--target: NVRTC compiles for GPUs, but .*: neither nvcc nor nvFatbin"):
        compiler.compiler()
