"""Kernels to CUDA C++, by TVM's code generator without TVM's prologue: our device functions take its place."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import tvm
from tvm import tirx

from nitic.codegen.core.kernel import Kernel
from nitic.paths import runtime_folder

ARCHITECTURE = "sm_80"  # what TVM may assume; the compiler of the text has the last word
_FIRST = 'extern "C" __global__'
_DECLARATION = re.compile(r'^extern "C" __global__ [^{\n]*;\n', re.MULTILINE)
_HEAD = re.compile(r'^extern "C" __global__ .*\{\n', re.MULTILINE)
_POINTER = re.compile(r"\* __restrict__ (\w+)")

# A thread's array that is filled with constants: Function.table. What is stored to later does not compile as one.
_TABLE = re.compile(r"\bint (\w+)\[(\d+)\];\n((?: *\1\[\d+\] = -?\d+;\n){64,})")
_LEAST = re.compile(r"-2147483648\b")  # C reads it as a minus sign and a long


def cuda_text(kernels: Sequence[Kernel]) -> str:
    """The text of some kernels, to go behind `prologue`."""
    device = tvm.target.Target({"kind": "cuda", "arch": ARCHITECTURE})
    target = device.with_host(tvm.target.Target("llvm"))
    module = tirx.transform.BindTarget(target)(tvm.IRModule({kernel.name: kernel.function for kernel in kernels}))
    # The generator hands its text to a compiler; this one takes it and compiles nothing.
    tvm.register_global_func("tvm_callback_cuda_compile", lambda _code, *_: b"\0", override=True)
    made = tvm.get_global_func("target.build.cuda")(tirx.transform.LowerIntrin()(module), device)
    text: str = made.inspect_source()
    body = _TABLE.sub(_constant, _DECLARATION.sub("", text[text.index(_FIRST) :]))
    aligned = _HEAD.sub(lambda head: head[0] + _alignments(head[0]), body.replace("alignas(64) ", ""))
    return _LEAST.sub("(-2147483647 - 1)", aligned)


def _constant(table: re.Match[str]) -> str:
    """A table as one constant in the GPU's memory for all threads, instead of an array that each thread fills."""
    values = re.findall(r"= (.*);", table[3])
    return f"static const int {table[1]}[{table[2]}] = {{{', '.join(values)}}};\n"


def _alignments(head: str) -> str:
    """Buffers begin at multiples of 64 bytes: so the compiler joins accesses to neighbours."""
    return "".join(f"  NITIC_ALIGNED({name});\n" for name in _POINTER.findall(head))


def prologue(title: str) -> str:
    """What a file of kernels begins with: the device functions, so that it needs no other file."""
    instructions, functions = (_header(name) for name in ("ptx/nitic_ptx.cuh", "nitic_dev.cuh"))
    return f"// {json.dumps(title)}\n{instructions}\n{functions}\n"


def _header(name: str) -> str:
    text = (runtime_folder() / "cuda" / name).read_text(encoding="utf-8")
    return text.replace("#include <nitic_ptx.cuh>\n", "")
