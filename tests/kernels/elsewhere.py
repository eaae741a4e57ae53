"""Variants that another machine runs for this one; tests/targets puts them here before tests are collected."""

from collections.abc import Callable, Sequence
from pathlib import Path

from nitic.arithmetic.integers import Array
from nitic.codegen.core.kernel import Kernel

Split = Callable[[Sequence[Array], Sequence[int]], None]
"""Runs a kernel on this memory. Between two edges are the units of work of one thread; threads come one by one."""

ELSEWHERE: dict[str, Callable[[Kernel, Path], Split]] = {}
"""By variant: takes a kernel and its object file, and gives what runs it there."""
