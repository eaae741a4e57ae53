"""Libraries for firmware: the session without a heap, checkpoints by callbacks, and what they ask of a linker."""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from examples.firmware.digits import header
from nitic.driver.compile import compile_model
from nitic.options import CompileOptions
from tests.kernels.harness import C99_FLAGS
from tests.networks.stages import WRITERS, samples
from tests.runtime.helpers import succeed, write_npy

pytestmark = pytest.mark.xdist_group("firmware")  # one process makes what all of them read
EXAMPLE = Path(__file__).parents[2] / "examples/firmware"
BATCH, STEPS, EPOCHS = 8, 6, 2
SANITIZED = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
OPTIONS = ("--lr", "2^-6", "--momentum", "0.9", "--schedule", "constant")

# What a library may ask for: memory, and integers of 64 bits on machines of 32.
MEMORY = {"memcpy", "memset", "memmove"}
ARM = {
    f"__aeabi_{name}" for name in ("ldivmod", "uldivmod", "lmul", "llsl", "llsr", "lasr", "uidiv", "idiv", "uidivmod")
}
ARM_MEMORY = {f"__aeabi_{name}{size}" for name in ("memcpy", "memmove", "memset", "memclr") for size in ("", "4", "8")}
UNWIND = {"__aeabi_unwind_cpp_pr0", "__aeabi_unwind_cpp_pr1"}
RISCV = {"__divdi3", "__moddi3", "__udivdi3", "__umoddi3", "__muldi3", "__ashldi3", "__ashrdi3", "__lshrdi3"}
ASKED = MEMORY | ARM | ARM_MEMORY | UNWIND | RISCV
# Cores without an FPU: what is floating point there can only be a call.
WITHOUT_FPU = {
    "cortex-m4": ["-target", "thumb-freestanding-eabi", "-mcpu=cortex_m4+soft_float"],
    "rv32imac": ["-target", "riscv32-freestanding", "-mcpu=generic_rv32+m+a+c"],
}


@dataclass(frozen=True)
class Made:
    """The folders of --target c and cortex-m4, and that of model and data."""

    sources: Path
    board: Path
    data: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("firmware")
    WRITERS["digits_cnn"]().save(folder / "net.onnx")
    x, y = samples((8, 8, 1), BATCH * STEPS)
    write_npy(folder, "train", x, y)
    (folder / "digits.h").write_text(header(x, y))
    sources, board = (
        compile_model(CompileOptions(folder / "net.onnx", folder / name, batch_size=BATCH, target=name))
        for name in ("c", "cortex-m4")
    )
    return Made(sources, board, folder)


def undefined(files: list[Path]) -> set[str]:
    """The symbols that none of these objects or libraries defines."""
    told = subprocess.run(["nm", "-P", *files], capture_output=True, text=True, check=True).stdout
    kinds = re.findall(r"^(\S+) ([A-Za-z])(?: |$)", told, re.MULTILINE)
    return {name for name, kind in kinds if kind == "U"} - {name for name, kind in kinds if kind != "U"}


def firmware(made: Made, folder: Path, *flags: str) -> Path:
    """The example for this machine, with the sources that `make bare.a` takes."""
    runtime = made.sources / "runtime"
    files = [
        *runtime.glob("core/*.c"),
        *runtime.glob("bare/*.c"),
        made.sources / "kernels.c",
        made.sources / "program.c",
    ]
    includes = ["-I", runtime, "-I", EXAMPLE, "-I", made.data]
    main = [EXAMPLE / "main.c", Path(__file__).parent / "host_board.c"]
    defines = [f"-DEPOCHS={EPOCHS}", "-DSEED=3"]
    command = ["cc", *flags, "-std=c11", *C99_FLAGS[1:4], *defines, *includes, *main, *files]
    subprocess.run([*command, "-o", folder / "firmware"], check=True)
    return folder / "firmware"


@pytest.mark.slow
def test_a_session_without_a_heap_trains_to_the_same_bytes(made: Made, tmp_path: Path) -> None:
    """Under the sanitizers; runs go on from each other's checkpoints, and a damaged one is refused."""
    subprocess.run(["make", "-s", "-C", made.sources, "-j2", "CFLAGS=-O1"], check=True)
    program, image = made.sources / "program", firmware(made, tmp_path, *SANITIZED)
    train = ["train", "--data", made.data, "--seed", "3", *OPTIONS, "--epochs"]
    succeed(program, *train, str(EPOCHS), "--save", tmp_path / "expected")
    succeed(program, *train, "1", "--save", tmp_path / "half")
    expected, half = (tmp_path / "expected").read_bytes(), (tmp_path / "half").read_bytes()
    subprocess.run([image], cwd=tmp_path, check=True)
    assert (tmp_path / "checkpoint").read_bytes() == expected
    (tmp_path / "resume").write_bytes(half)
    said = subprocess.run([image], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert "epoch 2" in said
    assert "epoch 1" not in said
    assert (tmp_path / "checkpoint").read_bytes() == expected
    for at in (3, 60, len(half) // 2, len(half) - 1):
        (tmp_path / "resume").write_bytes(half[:at] + bytes([half[at] ^ 1]) + half[at + 1 :])
        refused = subprocess.run([image], cwd=tmp_path, check=False, capture_output=True, text=True)
        assert refused.returncode == 4, refused.stdout
        assert "checkpoint" in refused.stdout
    (tmp_path / "resume").write_bytes(half[:-1])
    assert subprocess.run([image], cwd=tmp_path, check=False, capture_output=True).returncode == 1


def test_a_library_asks_for_memory_and_int64_alone(made: Made) -> None:
    """Kernels and the loop of a step, by LLVM for a core without an FPU: a float could only be a call."""
    assert undefined([made.board / "libnitic.a"]) <= ASKED


@pytest.mark.parametrize("core", WITHOUT_FPU)
def test_sources_ask_for_memory_and_int64_alone(made: Made, core: str, tmp_path: Path) -> None:
    runtime = made.sources / "runtime"
    files = [
        *runtime.glob("core/*.c"),
        *runtime.glob("bare/*.c"),
        made.sources / "kernels.c",
        made.sources / "program.c",
    ]
    command = [sys.executable, "-m", "ziglang", "cc", *WITHOUT_FPU[core], "-Os", "-ffreestanding", *C99_FLAGS]
    subprocess.run([*command, "-I", runtime, "-c", *files], cwd=tmp_path, check=True)
    assert undefined(sorted(tmp_path.glob("*.o"))) <= ASKED


@pytest.mark.parametrize("core", WITHOUT_FPU)
def test_a_float_would_be_a_call(core: str, tmp_path: Path) -> None:
    (tmp_path / "float.c").write_text("float f(float a, int b) { return a * b; }\n")
    command = [sys.executable, "-m", "ziglang", "cc", *WITHOUT_FPU[core], "-Os", "-ffreestanding", "-c", "float.c"]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert len(undefined([tmp_path / "float.o"]) - ASKED) == 2


def test_the_header_is_one_of_cpp_too(made: Made, tmp_path: Path) -> None:
    """Arduino's sketches are C++: functions have to have the names that the library gives them."""
    (tmp_path / "sketch.cpp").write_text(
        '#include "nitic.h"\nint f(nitic_session *s) { return nitic_begin_epoch(s, 0); }\n'
    )
    command = [
        sys.executable,
        "-m",
        "ziglang",
        "c++",
        *WITHOUT_FPU["cortex-m4"],
        "-I",
        made.board,
        "-c",
        "sketch.cpp",
    ]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert "nitic_begin_epoch" in undefined([tmp_path / "sketch.o"])


def test_the_header_says_what_memory_is_needed(made: Made) -> None:
    """The constant is what the tables of the program say."""
    told = re.findall(r"#define NITIC_(\w+) (\d+)", (made.board / "nitic.h").read_text())
    constants = {name: int(value) for name, value in told}
    assert constants["BATCH"] == BATCH
    assert constants["SAMPLE_BYTES"] == 64
    assert constants["CLASSES"] == 10
    assert constants["ARENA_BYTES"] > constants["BATCH"] * constants["SAMPLE_BYTES"]
