"""Targets that this machine is not, emulated: python -m tests.targets [FOLDER] [machines|analysis|avx512vnni]

machines: programs for other processors and firmware, by qemu and Node (same_bits.py). analysis: the folder of C99 under
gcc's analyser, clang-tidy and valgrind (analysis.py). avx512vnni: that variant on a processor that
has it, by Bochs: training runs end in the checkpoints of the variant for any x86-64, byte for byte, and the kernels
compute what the operators' references do. Without a word it is all three. Each line is a run, or what a tool says; the
exit code is 1 where something differed, or a tool complained.
"""

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from nitic.arithmetic.integers import Array
from nitic.codegen.core.kernel import Kernel
from nitic.driver.compile import compile_model
from nitic.ir.function import argument, function
from nitic.ir.types import shape_of
from nitic.options import CompileOptions
from tests.kernels.elsewhere import ELSEWHERE, Split
from tests.networks.stages import WRITERS, imported, samples
from tests.runtime.helpers import write_npy
from tests.targets import analysis, same_bits
from tests.targets.bochs import Guest, Run

VARIANT = "avx512vnni"
MODEL = 'corei3_cnl, add_features="avx512vnni"'  # Linux does not start on the models that have it from the outset
# Network, recipe, batch and epochs of EPOCH steps.
CASES = (
    ("lenet", "niti16", 64, 20),
    ("lenet", "niti", 64, 20),
    ("mobile", "niti16", 16, 20),
    ("resnet8", "niti16", 16, 20),
)
EPOCH = 10
MAIN = Path(__file__).parent / "kernel_main.c"
# Those of real networks' sizes are too slow in an emulator.
KERNEL_TESTS = ("-q", "-p", "no:cacheprovider", "tests/kernels", "-k", f"{VARIANT} and not largest")


def compare(guest: Guest, folder: Path, name: str, recipe: str, batch: int, epochs: int) -> bool:
    """Whether the guest trains this network to the checkpoint that the variant for any x86-64 gives here."""
    folder.mkdir(parents=True, exist_ok=True)
    WRITERS[name]().save(folder / "model.onnx")
    compile_model(
        CompileOptions(folder / "model.onnx", folder / "net", recipe, batch_size=batch, target=f"x86-64-{VARIANT}")
    )
    shape = shape_of(argument(function(imported(name, batch).module, "predict"), "input"))[1:]
    write_npy(folder, "train", *samples(shape, batch * EPOCH, 1))
    command = ["./net", "train", "--data", ".", "--seed", "3", "--epochs", str(epochs)]
    command += ["--save", "checkpoint"]
    subprocess.run([*command, "--variant", "sse2"], cwd=folder, capture_output=True, check=True)
    here = (folder / "checkpoint").read_bytes()
    files = {each: (folder / each).read_bytes() for each in ("net", "x_train.npy", "y_train.npy")}
    found = guest.run(" ".join(command), files, ["checkpoint"])
    assert f"variant {VARIANT}".encode() in found["said"], "the guest chose another variant"
    equal = found["checkpoint"] == here
    digest = hashlib.sha256(found["checkpoint"]).hexdigest()
    print(f"{name} {recipe}, {epochs * EPOCH} steps of {batch}: {digest}", "equal" if equal else "DIFFERS", flush=True)
    return equal


def kernel_by(run: Run, kernel: Kernel, made: Path) -> Split:
    """Runs a kernel, of which this is the object file, as a program of its own."""
    count = len(kernel.parameters)
    arguments = ", ".join(f"at[{i}]" for i in range(count))
    values = {"KERNEL": kernel.name, "COUNT": count, "ARGUMENTS": arguments}
    definitions = [f"-D{name}={value}" for name, value in values.items()]
    program = made.with_suffix("")
    subprocess.run(["cc", "-O1", "-s", *definitions, MAIN, made, "-o", program], check=True)
    content = program.read_bytes()

    def split(memory: Sequence[Array], edges: Sequence[int]) -> None:
        sent = b"".join(each.tobytes() + bytes(-each.size % 64) for each in memory)
        numbers = " ".join(map(str, [*(each.size for each in memory), *edges]))
        command = f"./kernel {numbers} < memory > result"
        result = run(command, {"kernel": content, "memory": sent}, ["result"])["result"]
        begin = 0
        for each in memory:
            each[:] = memoryview(result)[begin : begin + each.size]
            begin += each.size + -each.size % 64

    return split


def bochs(folder: Path) -> int:
    with Guest(folder / "bochs", MODEL) as guest:
        equal = [compare(guest, folder / f"{case[0]}-{case[1]}", *case) for case in CASES]
        ELSEWHERE[VARIANT] = partial(kernel_by, guest.run)
        return pytest.main(list(KERNEL_TESTS)) or not all(equal)


def machines(folder: Path) -> int:
    equal = [same_bits.compare(case, folder) for case in same_bits.CASES]
    return not all(equal)


def analyses(folder: Path) -> int:
    found: list[str] = []
    for network in analysis.NETWORKS:
        data = folder / f"{network}-analysis"
        made = analysis.sources(network, data)
        write_npy(data, "train", *samples(analysis.shape(network), analysis.BATCH * 3))
        for tool, said in (
            ("gcc -fanalyzer", analysis.analysed(made)),
            ("clang-tidy", analysis.tidied(made)),
            ("valgrind", analysis.checked(made, folder, data.resolve())),
        ):
            print(f"{network}, {tool}: {len(said)} complaints", *said, sep="\n  ", flush=True)
            found += said
    return bool(found)


PARTS = {"machines": machines, "analysis": analyses, "avx512vnni": bochs}


def main(folder: str = "build/targets", *parts: str) -> int:
    return max(int(PARTS[part](Path(folder))) for part in parts or PARTS)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
