"""The kernel that gathers a batch from samples in the GPU's memory, for the input of a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from nitic.ir.layout import ceildiv

NAME = "nitic_gather"
THREADS = 256  # of a block; each has a byte


def gather_text(shape: Sequence[int]) -> str:
    """nitic_gather_byte of nitic_dev.cuh for batches of a shape, samples as NHWC or vectors."""
    sizes = shape[1:] if len(shape) == 4 else (1, prod(shape[1:]), 1)
    buffers = "uint8_t* batch, const uint8_t* samples, const uint8_t* pad, const int32_t* picks"
    call = f"nitic_gather_byte<{', '.join(map(str, sizes))}>(batch, samples, pad, picks, units)"
    head = f'extern "C" __global__ void __launch_bounds__({THREADS}) {NAME}({buffers}, int32_t units)'
    return f"\n{head} {{\n  {call};\n}}\n"


def gather_launch(shape: Sequence[int]) -> Mapping[str, Any]:
    """The kernel's entry in a launch table: its buffers are no part of the arena."""
    return {
        "kernel": NAME,
        "blocks": ceildiv(prod(shape), THREADS),
        "threads": THREADS,
        "shared": 0,
        "units": prod(shape),
    }
